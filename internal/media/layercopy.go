package media

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/disk"
)

// Foreign is an image of another program's, opened with all that it stands on.
type Foreign struct {
	disk.Image
	names []string // of the images of its chain, itself first
}

// OpenForeign opens an image for CreateDifferenceCopy.
func OpenForeign(ref Ref) (*Foreign, error) {
	img, links, err := OpenImage(ref, OpenOptions{})
	if err != nil {
		return nil, err
	}
	f := &Foreign{Image: img}
	for _, link := range links {
		f.names = append(f.names, link.Name)
	}
	if ref.Snapshot != "" {
		f.names[0] += "#" + ref.Snapshot
	}
	return f, nil
}

// above are the images of f's chain that are above another's topmost one; known tells whether that
// is in the chain at all.
func (f *Foreign) above(other *Foreign) (images []disk.Image, known bool) {
	at := f.Image
	for _, name := range f.names {
		if name == other.names[0] {
			return images, true
		}
		images = append(images, at)
		if at = disk.Parent(at); at == nil {
			break
		}
	}
	return nil, false
}

// CreateDifferenceCopy is DrawLayer for an image that is made in one go, above another one: nothing is left of it after
// an error.
func CreateDifferenceCopy(ctx context.Context, folder, file, on string, from, below *Foreign, report func(done, total int64)) error {
	err := DrawLayer(ctx, folder, file, on, from, below, report)
	if err == nil {
		return nil
	}
	for _, name := range []string{file, PartOf(file)} {
		if failed := os.Remove(filepath.Join(folder, name)); failed != nil && !errors.Is(failed, os.ErrNotExist) {
			err = errors.Join(err, failed)
		}
	}
	return err
}

// differenceUnit is what differing content is written in: the blocks of new
// images, and a part of the pieces that are read.
const differenceUnit = 64 << 10

func putDiffering(to disk.Image, p, q []byte, off int64) error {
	for at := 0; at < len(p); at += differenceUnit {
		end := min(at+differenceUnit, len(p))
		if bytes.Equal(p[at:end], q[at:end]) {
			continue
		}
		if err := put(to, p[at:end], off+int64(at)); err != nil {
			return err
		}
	}
	return nil
}
