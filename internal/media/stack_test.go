package media

import (
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/diskfile"
)

// TestWhatIsReadIsNotWritten: an image that is attached is held while its drive is read, by whatever name another one
// knows it; but not one that several may write at once.
func TestWhatIsReadIsNotWritten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "attached.qcow2")
	if _, err := (diskfile.Place{}).Create(path, diskfile.Make{Format: "qcow2", Size: 1 << 20}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		mode api.WriteMode
		held bool
	}{{api.Normal, true}, {api.Writethrough, true}, {api.Shareable, false}} {
		read, err := OpenDrive(api.Drive{Source: path, Format: "qcow2", Mode: api.Attach, WriteMode: test.mode}, "", nil)
		if err != nil {
			t.Fatal(err)
		}
		written, _, err := OpenImage(Ref{Path: path, Format: "qcow2"}, OpenOptions{Write: true, Locked: true})
		if (err != nil) != test.held {
			t.Errorf("%q: writing it while it is read is %v", test.mode, err)
		}
		if err == nil && written.Close() != nil || read.Close() != nil {
			t.Errorf("%q: the images cannot be closed", test.mode)
		}
	}
}
