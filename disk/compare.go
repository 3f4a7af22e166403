package disk

import (
	"context"
	"errors"
)

// Difference is where two disks differ.
type Difference struct {
	Same   bool  // what both have is the same, and what only the longer has is zero
	Offset int64 // of the first byte that differs; -1 when Same
	Longer int64 // how many bytes a is longer than b; negative if b is
}

// errDiffers ends a comparison.
var errDiffers = errors.New("differs")

// Compare compares what guests read in two disks. What a shorter one lacks
// counts as zeros.
func Compare(ctx context.Context, a, b Image, o CopyOptions) (Difference, error) {
	result := Difference{Same: true, Offset: -1, Longer: a.Size() - b.Size()}
	size := max(a.Size(), b.Size())
	left, right := buffers(chunk), buffers(chunk)
	err := byTurns(ctx, workers(o.Workers), differing(a, b, 0, size, chunk, 4<<10), func(s span, turn func() error) error {
		p, q := left.get(int(s.end-s.off)), right.get(int(s.end-s.off))
		defer left.put(p)
		defer right.put(q)
		if err := firstError(ReadParent(a, p, s.off), ReadParent(b, q, s.off)); err != nil {
			return err
		}
		at := firstDifference(p, q)
		if err := turn(); err != nil {
			return err
		}
		o.progress(s.off, size)
		if at < 0 {
			return nil
		}
		result.Same, result.Offset = false, s.off+at
		return errDiffers
	})
	if errors.Is(err, errDiffers) {
		err = nil
	}
	return result, err
}

// firstDifference is where two slices of one length differ first, -1 if they
// do not.
func firstDifference(p, q []byte) int64 {
	const step = 4096
	for off := 0; off < len(p); off += step {
		end := min(off+step, len(p))
		if string(p[off:end]) == string(q[off:end]) {
			continue
		}
		for i := off; i < end; i++ {
			if p[i] != q[i] {
				return int64(i)
			}
		}
	}
	return -1
}
