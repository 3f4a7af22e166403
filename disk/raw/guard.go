package raw

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/panalvm/panal/disk"
)

// Where formats have their signatures, and what these point to at once: a
// write to these parts of a disk is looked at before it is done.
const (
	guardedHead = 1 << 20
	guardedTail = 64 << 10
)

// guard keeps a disk from becoming an image of another format by what is
// written to it. A nil guard lets everything pass.
type guard struct {
	name  string
	probe func(disk.Sample) (*disk.Format, disk.Confidence)

	mu sync.Mutex // held while a guarded write is looked at and done: two that are harmless may not be so together
}

// patch is a change that is asked for.
type patch struct {
	off, n int64
	p      []byte // what the range will hold; nil for zeros
	size   int64  // of the disk, after it
}

// allow does the change, if the disk is as unknown afterwards as it is now.
func (g *guard) allow(i *image, c patch, do func() error) error {
	if g == nil || !c.guarded(i.size) {
		return do()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	sample, err := disk.NewSample(patched{i, c}, c.size, g.name)
	if err != nil {
		return err
	}
	if f, sure := g.probe(sample); f != nil && sure > disk.Fallback {
		return fmt.Errorf("raw: writing [%d,+%d): %w (%s), and whoever opened it next would take it for one; to allow that, open it with its format named: raw",
			c.off, c.n, disk.ErrLookalike, f.Name)
	}
	return do()
}

// guarded tells whether a change of a disk of the given size is to be looked at.
func (c patch) guarded(size int64) bool {
	return c.size != size || c.n > 0 && (c.off < guardedHead || c.off+c.n > size-guardedTail)
}

// patched is the disk as it would be after a change.
type patched struct {
	image *image
	patch
}

// ReadAt reads the disk, and what is asked for over it.
func (r patched) ReadAt(p []byte, off int64) (int, error) {
	n := min(int64(len(p)), r.size-off)
	if off < 0 || n <= 0 {
		return 0, io.EOF
	}
	p, short := p[:n], n < int64(len(p))
	old := max(0, min(n, r.image.size-off))
	if err := r.image.read(p[:old], off); err != nil {
		return 0, err
	}
	clear(p[old:])
	if begin, end := max(off, r.off), min(off+n, r.off+r.n); begin < end {
		if r.p == nil {
			clear(p[begin-off : end-off])
		} else {
			copy(p[begin-off:end-off], r.p[begin-r.off:])
		}
	}
	if short {
		return int(n), io.EOF
	}
	return int(n), nil
}

var zeroPage [page]byte

func isZero(p []byte) bool { return bytes.Equal(p, zeroPage[:len(p)]) }
