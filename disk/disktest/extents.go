package disktest

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"testing"

	"github.com/panalvm/panal/disk"
)

// mapped checks all that an image's extents claim: that they cover the disk,
// that what is called zero is, that what is unallocated is the parent's, and
// that data lies where it is said to lie.
func mapped(img disk.Image, content []byte) error {
	at := int64(0)
	for e, err := range disk.Extents(context.Background(), img, 0, img.Size()) {
		if err != nil {
			return fmt.Errorf("extents, at %d: %w", at, err)
		}
		if e.Off != at || e.Len <= 0 {
			return fmt.Errorf("an extent [%d,+%d) follows one that ends at %d", e.Off, e.Len, at)
		}
		at = e.End()
		if at > int64(len(content)) {
			return fmt.Errorf("the extent [%d,+%d) goes beyond the disk's end at %d", e.Off, e.Len, len(content))
		}
		if err := claims(img, e, content[e.Off:at]); err != nil {
			return err
		}
	}
	if at != img.Size() {
		return fmt.Errorf("the extents end at %d; the disk has %d bytes", at, img.Size())
	}
	return nil
}

// claims checks what one extent says of its range.
func claims(img disk.Image, e disk.Extent, want []byte) error {
	switch e.State {
	case disk.Zeroed:
		if !isZero(want) {
			return fmt.Errorf("[%d,+%d) is mapped as zero and holds data", e.Off, e.Len)
		}
	case disk.Unallocated:
		below := make([]byte, e.Len)
		if err := disk.ReadParent(disk.Parent(img), below, e.Off); err != nil {
			return err
		}
		if !bytes.Equal(below, want) {
			return fmt.Errorf("[%d,+%d) is mapped as unallocated and is not what the parent holds", e.Off, e.Len)
		}
	case disk.Data:
		return placed(e, want)
	default:
		return fmt.Errorf("[%d,+%d) is mapped as %v", e.Off, e.Len, e.State)
	}
	if e.File != nil || e.Compressed {
		return fmt.Errorf("[%d,+%d) is mapped as %v, with a file or compressed", e.Off, e.Len, e.State)
	}
	return nil
}

// placed checks that data lies where an extent says.
func placed(e disk.Extent, want []byte) error {
	if e.File == nil || e.Compressed {
		return nil
	}
	have := make([]byte, e.Len)
	if n, err := e.File.ReadAt(have, e.HostOff); err != nil && err != io.EOF {
		return fmt.Errorf("[%d,+%d) is mapped to %d of the file, of which %d bytes can be read: %w", e.Off, e.Len, e.HostOff, n, err)
	}
	if i := mismatch(have, want); i >= 0 {
		return fmt.Errorf("[%d,+%d) is mapped to %d of the file, where byte %d differs", e.Off, e.Len, e.HostOff, i)
	}
	return nil
}

// checkMap asks for extents of ranges that begin and end anywhere.
func checkMap(s Subject) error {
	w, content, err := patterned(s)
	if err != nil {
		return err
	}
	return w.with("disk", false, func(img disk.Image) error {
		if err := mapped(img, content); err != nil {
			return err
		}
		rng := seeded(3)
		for range 300 {
			off := rng.Int64N(s.Size)
			n := 1 + rng.Int64N(s.Size-off)
			e, err := disk.MapAt(img, off, n)
			if err != nil {
				return fmt.Errorf("map(%d,%d): %w", off, n, err)
			}
			if err := claims(img, e, content[off:e.End()]); err != nil {
				return fmt.Errorf("map(%d,%d): %w", off, n, err)
			}
		}
		return frugal(img)
	})
}

// frugal checks that asking for an extent takes no memory.
func frugal(img disk.Image) error {
	m, ok := img.(disk.Mapper)
	if !ok {
		return fmt.Errorf("%T is no disk.Mapper", img)
	}
	middle := img.Size() / 2
	allocations := testing.AllocsPerRun(100, func() { _, _ = m.Map(middle, img.Size()-middle) })
	if allocations > 0 {
		return fmt.Errorf("a call of Map allocates %v times", allocations)
	}
	return nil
}

// patterned is a world with an image "disk" that holds a pattern.
func patterned(s Subject) (*world, []byte, error) {
	w := newWorld(s)
	content := pattern(s.Size, s.Block, 1)
	if err := w.filled("disk", content); err != nil {
		return nil, nil, fmt.Errorf("making an image: %w", err)
	}
	return w, content, nil
}
