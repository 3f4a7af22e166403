package media

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/disk"
)

// syncEvery is after how many bytes that were drawn in they are made durable: what a
// drawing that is killed need not read again.
const syncEvery = 128 << 20

// DrawLayer makes an image of a machine's folder that reads as from does, above the image on,
// another one of the folder that reads as below does, and holds no more than in what the two differ; with on
// "" and below nil it stands on nothing. Where from stands on below, only what lies between is read. It also stands on
// nothing where below is larger: that is another disk, and a guest must not find that one's length.
//
// Broken off by an error, a kill or a power cut, it may be there in part. Doing it again completes it, and
// does not read again what an earlier call has made durable; from and below must be as they were.
func DrawLayer(ctx context.Context, folder, file, on string, from, below *Foreign, report func(done, total int64)) (err error) {
	if below = standable(from, below); below == nil {
		on = ""
	}
	if err := makeLayer(folder, file, on, from.Size()); err != nil {
		return err
	}
	to, err := openAlone(folder, file, nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, to.Close()) }()
	if to.Size() < from.Size() {
		if err := disk.Resize(to, wholeSectors(from.Size())); err != nil {
			return err
		}
	}
	d := drawing{to: to, from: from, p: make([]byte, pourStep), q: make([]byte, pourStep)}
	if below != nil {
		d.below = below.Image
		d.marks, d.known = from.above(below)
	}
	for off := int64(0); off < to.Size(); off += pourStep {
		report(off, to.Size())
		if err := d.step(ctx, off, min(pourStep, to.Size()-off)); err != nil {
			return err
		}
	}
	return syncImage(to)
}

// standable is below, unless it is larger than from.
func standable(from, below *Foreign) *Foreign {
	if below != nil && below.Size() > from.Size() {
		return nil
	}
	return below
}

// PartOf is the name that an image which DrawLayer makes has until it can be opened.
func PartOf(file string) string {
	return filepath.Join(filepath.Dir(file), "."+filepath.Base(file))
}

// makeLayer makes the empty image of DrawLayer, unless there is one. It gets its name when it can be opened.
func makeLayer(folder, file, on string, size int64) error {
	if _, err := os.Lstat(filepath.Join(folder, file)); err == nil {
		layer, err := LayerOf(folder, file)
		if err != nil || layer.Parent == on {
			return err
		}
		if err := os.Remove(filepath.Join(folder, file)); err != nil { // what it holds is a difference to another one
			return err
		}
	}
	part := PartOf(file)
	path := filepath.Join(folder, part)
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	var err error
	if on == "" {
		err = create(path, disk.CreateOptions{Size: wholeSectors(size)})
	} else {
		err = CreateLayer(folder, part, on)
	}
	if err != nil {
		return err
	}
	return errors.Join(os.Rename(path, filepath.Join(folder, file)), syncPath(filepath.Dir(path)))
}

// drawing is what DrawLayer is at.
type drawing struct {
	to, from disk.Image
	below    disk.Image   // what to stands on reads as this; nil for nothing
	marks    []disk.Image // what from has above that, if it is known
	known    bool
	p, q     []byte
	unsynced int64 // bytes
}

// step draws in a piece.
func (d *drawing) step(ctx context.Context, off, n int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if wanted, err := d.wanted(ctx, off, n); err != nil || !wanted {
		return err
	}
	if err := disk.ReadParent(d.from, d.p[:n], off); err != nil {
		return err
	}
	if d.below != nil {
		if err := disk.ReadParent(d.below, d.q[:n], off); err != nil {
			return err
		}
	}
	if err := putDiffering(d.to, d.p[:n], d.q[:n], off); err != nil {
		return err
	}
	if d.unsynced += n; d.unsynced < syncEvery {
		return nil
	}
	d.unsynced = 0
	return syncImage(d.to)
}

// wanted tells whether a piece may hold something that is not drawn in yet.
func (d *drawing) wanted(ctx context.Context, off, n int64) (bool, error) {
	if d.below != nil && off+n > d.below.Size() { // growing made that zeros, drawn in or not
		return true, nil
	}
	if missing, err := anyIn(ctx, d.to, off, n, disk.Unallocated); err != nil || !missing {
		return false, err
	}
	if d.below == nil {
		return anyIn(ctx, flat{d.from}, off, n, disk.Data)
	}
	if !d.known {
		return true, nil
	}
	return anyHolds(ctx, d.marks, off, n)
}

// anyIn tells whether an image is in a state anywhere in a range.
func anyIn(ctx context.Context, img disk.Image, off, n int64, state disk.State) (bool, error) {
	for e, err := range disk.Extents(ctx, img, min(off, img.Size()), max(0, min(n, img.Size()-off))) {
		if err != nil {
			return false, err
		}
		if e.State == state {
			return true, nil
		}
	}
	return false, nil
}

// ToDrawLayer is how many bytes of room DrawLayer takes at most.
func ToDrawLayer(ctx context.Context, from, below *Foreign) (int64, error) {
	images := []disk.Image{flat{from.Image}}
	if below = standable(from, below); below != nil {
		if above, known := from.above(below); known {
			images = above
		}
	}
	var most int64
	for _, img := range images {
		for e, err := range disk.Extents(ctx, img, 0, img.Size()) {
			if err != nil {
				return 0, err
			}
			if e.State == disk.Data {
				most += e.Len
			}
		}
	}
	return most, nil
}
