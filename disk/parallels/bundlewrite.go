package parallels

import (
	"context"
	"errors"

	"github.com/panalvm/panal/disk"
)

// CanWrite tells whether the bundle was opened for writing.
func (b *bundle) CanWrite() bool { return b.write }

func (b *bundle) mayWrite(off, n int64) error {
	if !b.write {
		return disk.ErrReadOnly
	}
	return disk.InRange(off, n, b.Size())
}

// WriteAt writes to the files of the current shot.
func (b *bundle) WriteAt(p []byte, off int64) (int, error) {
	if err := b.mayWrite(off, int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	err := b.each(off, int64(len(p)), func(part *part, from, n int64) error {
		k, err := part.top.WriteAt(p[done:done+int(n)], from)
		done += k
		return err
	})
	return done, err
}

// ZeroAt makes a range zero.
func (b *bundle) ZeroAt(off, n int64) error {
	if err := b.mayWrite(off, n); err != nil {
		return err
	}
	return b.each(off, n, func(p *part, off, n int64) error { return p.top.ZeroAt(off, n) })
}

// DiscardAt gives up a range.
func (b *bundle) DiscardAt(off, n int64) error {
	if err := b.mayWrite(off, n); err != nil {
		return err
	}
	return b.each(off, n, func(p *part, off, n int64) error { return p.top.DiscardAt(off, n) })
}

// Sync makes durable what was written.
func (b *bundle) Sync() error {
	if !b.write {
		return disk.ErrReadOnly
	}
	var err error
	for _, p := range b.parts {
		err = errors.Join(err, p.top.Sync())
	}
	return err
}

// Compact makes the expanding files of the current shot smaller.
func (b *bundle) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if !b.write {
		return 0, disk.ErrReadOnly
	}
	freed := int64(0)
	for i, p := range b.parts {
		c, ok := p.top.(disk.Compacter)
		if !ok {
			continue
		}
		n, err := c.Compact(ctx, func(done, total int64) {
			if progress != nil {
				progress(int64(i)*total+done, int64(len(b.parts))*total)
			}
		})
		freed += n
		if err != nil {
			return freed, err
		}
	}
	return freed, nil
}
