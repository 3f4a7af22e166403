package exporter

import (
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/panalvm/panal/ovf"
)

// maxDescriptor is how much of a descriptor that is replaced is read.
const maxDescriptor = 16 << 20

// Stale lists the files of an earlier export that belong to the descriptor at a
// path: those that it names, and that are called as ours are, with manifest
// and certificate. What else it names is somebody else's, and stays.
func Stale(descriptor string) []string {
	file, err := os.Open(descriptor)
	if err != nil {
		return nil
	}
	defer file.Close()
	env, err := ovf.Parse(io.LimitReader(file, maxDescriptor))
	if err != nil {
		return nil
	}
	dir, stem := filepath.Dir(descriptor), strings.TrimSuffix(filepath.Base(descriptor), filepath.Ext(descriptor))
	names := []string{stem + ".mf", stem + ".cert"}
	for _, f := range env.Files {
		if strings.HasPrefix(f.Href, stem+"-") && filepath.Base(f.Href) == f.Href {
			names = append(names, f.Href)
		}
	}
	stale := make([]string, len(names))
	for i, name := range names {
		stale[i] = filepath.Join(dir, name)
	}
	return stale
}
