package media

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"slices"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
)

// DifferingBytes tells how many bytes differ between two contents of drives
// whose images are in one machine's folder, in whole sectors. What only one of the two
// disks is long enough for differs where it is not zero. Only what images hold that
// the two do not have in common is read.
func DifferingBytes(ctx context.Context, folder string, a, b api.Drive, keys disk.Keys) (differing int64, err error) {
	marks, err := apart(folder, a, b)
	defer func() {
		for _, mark := range marks {
			err = errors.Join(err, mark.Close())
		}
	}()
	if err != nil {
		return 0, err
	}
	one, err := OpenLayers(folder, a, false, keys)
	if err != nil {
		return 0, err
	}
	defer one.Close() //nolint:errcheck // it was only read
	two, err := OpenLayers(folder, b, false, keys)
	if err != nil {
		return 0, err
	}
	defer two.Close() //nolint:errcheck // it was only read
	p, q := make([]byte, pourStep), make([]byte, pourStep)
	for off, size := int64(0), max(one.Size(), two.Size()); off < size; off += pourStep {
		n := min(pourStep, size-off)
		if touched, err := anyHolds(ctx, marks, off, n); err != nil {
			return 0, err
		} else if !touched && one.Size() == two.Size() {
			continue
		}
		if err := errors.Join(disk.ReadParent(one, p[:n], off), disk.ReadParent(two, q[:n], off)); err != nil {
			return 0, err
		}
		differing += differingIn(p[:n], q[:n])
	}
	return differing, nil
}

func differingIn(p, q []byte) (n int64) {
	if bytes.Equal(p, q) {
		return 0
	}
	for at := 0; at < len(p); at += sector {
		end := min(at+sector, len(p))
		if !bytes.Equal(p[at:end], q[at:end]) {
			n += int64(end - at)
		}
	}
	return n
}

// anyHolds tells whether one of the images holds anything of a range itself.
func anyHolds(ctx context.Context, images []disk.Image, off, n int64) (bool, error) {
	for _, img := range images {
		for e, err := range disk.Extents(ctx, img, min(off, img.Size()), max(0, min(n, img.Size()-off))) {
			if err != nil {
				return false, err
			}
			if e.State != disk.Unallocated {
				return true, nil
			}
		}
	}
	return false, ctx.Err()
}

// apart opens the images that only one of two drives stands on, each alone. Where they
// have nothing in common, these are all.
func apart(folder string, a, b api.Drive) (images []disk.Image, err error) {
	chains := [][]Ref{nil, nil}
	for i, drive := range []api.Drive{a, b} {
		if chains[i], err = refsOf(folder, drive); err != nil {
			return nil, err
		}
	}
	for i, chain := range chains {
		for _, ref := range chain {
			if slices.Contains(chains[1-i], ref) {
				continue
			}
			within := filepath.Dir(filepath.Dir(ref.Path)) == filepath.Clean(folder)
			img, _, err := OpenImage(ref, OpenOptions{Alone: within})
			if err != nil {
				return images, err
			}
			if !within {
				img = opaque{img}
			}
			images = append(images, img)
		}
	}
	return images, nil
}

// opaque is an image that tells nothing of where it holds data.
type opaque struct{ disk.Image }

// refsOf are the images of a drive: those of the folder one by one, and what they
// stand on as one.
func refsOf(folder string, drive api.Drive) ([]Ref, error) {
	if drive.File == "" {
		return []Ref{RefOf(drive)}, nil
	}
	layers, err := OwnLayers(folder, drive.File)
	if err != nil {
		return nil, err
	}
	var refs []Ref
	for _, layer := range layers {
		refs = append(refs, Ref{Path: filepath.Join(folder, layer.File), Format: layer.Format})
	}
	if layers[len(layers)-1].Above {
		refs = append(refs, RefOf(drive))
	}
	return refs, nil
}
