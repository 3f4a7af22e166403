package importer

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/media"
)

// Stamp tells the content of a drive apart from what it was earlier or will be
// later, without reading it: a digest of the description, and of the names,
// lengths and times of change of the files. It is empty for what cannot be told
// so: what is fetched, or comes through a pipe.
func (s *Source) Stamp(d appliance.Disk) (string, error) {
	if s.passing || d.Remote || d.File == "" {
		return "", nil
	}
	if err := s.check(d); err != nil {
		return "", err
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%x\n%q %q\n", s.described, d.File, d.Snapshot)
	files, err := s.filesOf(d)
	if err != nil {
		return "", err
	}
	if s.described == nil { // an OVF's may be written again and say the same
		files = append(files, s.path)
	}
	for _, file := range files {
		if err := stampFile(sum, file); err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(sum.Sum(nil)[:16]), nil
}

func stampFile(sum hash.Hash, file string) error {
	info, err := os.Stat(file)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(sum, "%q %d %d\n", file, info.Size(), info.ModTime().UnixNano())
	return err
}

// filesOf are the files of the host that a content is in: the archive, or the
// image's own and those of all that it stands on.
func (s *Source) filesOf(d appliance.Disk) ([]string, error) {
	if info, err := os.Stat(s.base); err == nil && !info.IsDir() {
		return []string{s.base}, nil
	}
	ref, plain := s.Ref(d)
	switch {
	case d.Parts != 0:
		var files []string
		for _, name := range s.chunks(d.File) {
			files = append(files, s.absolute(name))
		}
		return files, nil
	case !plain:
		return []string{s.absolute(d.File)}, nil
	}
	chain, _, err := media.Look(ref)
	if err != nil {
		return nil, err
	}
	var files []string
	for _, image := range chain {
		for _, file := range append([]string{image.Path}, image.Files...) {
			if !filepath.IsAbs(file) {
				file = filepath.Join(filepath.Dir(image.Path), file)
			}
			files = append(files, file)
		}
	}
	slices.Sort(files)
	return slices.Compact(files), nil
}
