package importer

import (
	"fmt"
	"path"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf"
)

// misfit is a file that has another size than the description says, which must be the same (DSP0243 2.1, 7.1).
type misfit struct {
	name      string
	has, says int64 // bytes
}

// misfitOf compares a file with what the description says of it; ok is false for one that is as it says, or of which
// it says nothing: what is encrypted, compressed or cut into parts is found out otherwise when it ends too early.
func misfitOf(f *ovf.File, encrypted bool, has int64) (m misfit, ok bool) {
	plain := (f.Compression == "" || f.Compression == "identity") && f.ChunkSize == nil && !encrypted && !f.IsRemote()
	if !plain || f.Size == nil || has < 0 || has == *f.Size {
		return misfit{}, false
	}
	return misfit{f.Href, has, *f.Size}, true
}

func (m misfit) String() string {
	return fmt.Sprintf("%s has %d bytes, and the description says %d", m.name, m.has, m.says)
}

// judge refuses files that end too early, where no manifest says that they are whole, or one that does not mention them.
func judge(label string, misfits []misfit, known Integrity) error {
	for _, m := range misfits {
		vouched := known.Text != noManifest && !slices.Contains(known.unlisted, path.Clean(m.name))
		if m.has < m.says && !vouched {
			return problem.New(api.KindUnreadable, "get the whole of it, or correct ovf:size in the description", "import %s: %s: it may have been cut off", label, m)
		}
	}
	return nil
}
