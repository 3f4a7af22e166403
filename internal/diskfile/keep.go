package diskfile

import (
	"maps"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/disk"
)

// OpenChain opens an image as Open does, and tells which files it and its
// parents consist of.
func (p Place) OpenChain(name string, o OpenOptions) (disk.Image, []string, error) {
	img, names, err := p.openNamed(name, o)
	if err != nil {
		return nil, nil, err
	}
	return img, filesOf(names), nil
}

// filesOf are the files of images that were opened by these names, without
// symbolic links.
func filesOf(names map[disk.Image]string) []string {
	files := map[string]bool{}
	add := func(path string) {
		if real, err := filepath.EvalSymlinks(path); err == nil {
			files[real] = true
		}
	}
	for img, name := range names {
		add(name)
		for _, part := range disk.Describe(img).Files {
			if !filepath.IsAbs(part) {
				part = filepath.Join(filepath.Dir(name), part)
			}
			add(part)
		}
	}
	return slices.Sorted(maps.Keys(files))
}

// spares refuses to replace a file that the new image, or what it is made from,
// needs.
func (m Make) spares(paths ...string) error {
	for _, path := range paths {
		if slices.Contains(m.Keep, path) {
			return disk.Usage("%s is needed by what the new image is made from, and would be lost; choose another name", path)
		}
	}
	return nil
}
