package disktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// sector is what a disk writes as one.
const sector = 512

// history is what a disk may hold after a power cut: of each sector what it
// held at the last Sync, or any of what was written to it since.
type history struct {
	synced []byte
	later  map[int64][][]byte // by sector
	sizes  []int64            // that the disk may have
}

func newHistory(content []byte) *history {
	return &history{synced: bytes.Clone(content), later: map[int64][][]byte{}, sizes: []int64{int64(len(content))}}
}

// add says that the sectors of a range may hold what content has there.
func (h *history) add(content []byte, off, n int64) {
	for k := off / sector; k*sector < off+n; k++ {
		part := content[k*sector : min((k+1)*sector, int64(len(content)))]
		h.later[k] = append(h.later[k], bytes.Clone(part))
	}
}

// settle says that content is durable.
func (h *history) settle(content []byte) { *h = *newHistory(content) }

// resizing says that the disk may have another size.
func (h *history) resizing(size int64) {
	h.sizes = append(h.sizes, size)
	zero := make([]byte, sector)
	for k := size / sector; k*sector < int64(len(h.synced)); k++ {
		h.later[k] = append(h.later[k], zero)
	}
}

// resized says that the size is durable.
func (h *history) resized(size int64) {
	old := int64(len(h.synced))
	h.sizes = []int64{size}
	h.synced = resized(h.synced, size)
	for k := range h.later {
		if k*sector >= min(size, old) {
			delete(h.later, k)
		}
	}
}

// explains checks that an image holds what it may, and returns that.
func (h *history) explains(img disk.Image) ([]byte, error) {
	size := img.Size()
	known := false
	for _, s := range h.sizes {
		known = known || s == size
	}
	if !known {
		return nil, fmt.Errorf("the disk has %d bytes; it may have %d", size, h.sizes)
	}
	have := make([]byte, size)
	if n, err := img.ReadAt(have, 0); n != len(have) || err != nil && err != io.EOF {
		return nil, fmt.Errorf("reading all: %d of %d bytes, %w", n, size, err)
	}
	synced := resized(h.synced, size)
	for k := int64(0); k*sector < size; k++ {
		const many = 256 // sectors that are compared at once, since most are as they were
		if start, end := k*sector, (k+many)*sector; k%many == 0 && end <= size && bytes.Equal(have[start:end], synced[start:end]) {
			k += many - 1
			continue
		}
		start, end := k*sector, min((k+1)*sector, size)
		if part := have[start:end]; !bytes.Equal(part, synced[start:end]) && !h.wrote(k, part) {
			return nil, fmt.Errorf("the sector at %d holds % x…, which is neither what was synced (% x…) nor one of %d values written since",
				start, part[:min(16, len(part))], synced[start:min(start+16, end)], len(h.later[k]))
		}
	}
	return have, nil
}

func (h *history) wrote(k int64, part []byte) bool {
	for _, variant := range h.later[k] {
		if bytes.Equal(part, resized(variant, int64(len(part)))) {
			return true
		}
	}
	return false
}

// crashes cuts the power while an image is worked on.
type crashes struct {
	*world
	image  string
	likely float64 // how likely the power is cut before an operation on a file

	mu      sync.Mutex // guards what follows
	rng     *rand.Rand
	history *history
	count   int
	failed  error
}

// watch cuts the power, maybe, before each operation on a file; the system
// goes on as if it had not been.
func (c *crashes) watch() {
	c.mem.OnOp = func(kind, name string) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.failed == nil && c.rng.Float64() < c.likely {
			c.cut(fmt.Sprintf("before a %s of %s", kind, name))
		}
	}
}

// cut cuts the power now and looks at what is left.
func (c *crashes) cut(when string) {
	c.count++
	if err := survives(c.Subject, c.mem.Crash(c.rng), c.image, c.history, c.rng.Uint64()); err != nil {
		c.failed = fmt.Errorf("after power cut %d, %s: %w", c.count, when, err)
	}
}

// survives opens an image after a power cut, reads it, checks it, and works on.
func survives(s Subject, left *memfs.FS, image string, h *history, seed uint64) error {
	w := worldOf(s, left)
	var content []byte
	err := w.with(image, false, func(img disk.Image) (err error) {
		content, err = h.explains(img)
		return err
	})
	if err != nil {
		return fmt.Errorf("opened for reading: %w", err)
	}
	err = w.with(image, true, func(img disk.Image) error {
		if err := errors.Join(same(img, content), mapped(img, content), s.sound(img, disk.Leak)); err != nil {
			return err
		}
		if err := mended(s, img, content); err != nil {
			return err
		}
		return proceed(s, img, content, seed)
	})
	if err != nil {
		return fmt.Errorf("opened for writing: %w", err)
	}
	return w.with(image, false, func(img disk.Image) error {
		if err := errors.Join(same(img, content), s.sound(img, disk.Leak)); err != nil {
			return fmt.Errorf("after having been written on: %w", err)
		}
		return nil
	})
}

// mended repairs an image, which must not change what it holds.
func mended(s Subject, img disk.Image, content []byte) error {
	r, ok := img.(disk.Repairer)
	if !ok {
		return nil
	}
	if _, err := r.Repair(context.Background()); err != nil && !errors.Is(err, errors.ErrUnsupported) {
		return fmt.Errorf("repair: %w", err)
	}
	if err := errors.Join(same(img, content), s.sound(img, disk.Leak)); err != nil {
		return fmt.Errorf("after repair: %w", err)
	}
	return nil
}

// proceed writes a little.
func proceed(s Subject, img disk.Image, content []byte, seed uint64) error {
	if len(content) == 0 {
		return nil
	}
	for _, o := range randomOps(seeded(seed), s, 4) {
		if err := apply(img, content, o); err != nil {
			return fmt.Errorf("%v: %w", o, err)
		}
	}
	return img.(disk.Writer).Sync()
}
