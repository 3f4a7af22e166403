package parallels

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// CanWrite tells whether the bundle was opened for writing.
func (b *bundle) CanWrite() bool { return b.write }

// mayChange says why nothing can be changed; mu is held.
func (b *bundle) mayChange() error {
	if !b.write {
		return disk.ErrReadOnly
	}
	if b.lost != nil {
		return fmt.Errorf("a change of the bundle failed, and what became of its files is not known; open it again: %w", b.lost)
	}
	return nil
}

// change does something to a range of the disk.
func (b *bundle) change(off, n int64, do func(p *part, off, n int64) error) error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	if err := disk.InRange(off, n, b.d.size); err != nil {
		return err
	}
	return b.each(off, n, do)
}

// WriteAt writes to the files of the current shot.
func (b *bundle) WriteAt(p []byte, off int64) (int, error) {
	done := 0
	err := b.change(off, int64(len(p)), func(part *part, from, n int64) error {
		k, err := part.top().WriteAt(p[done:done+int(n)], from)
		done += k
		return err
	})
	return done, err
}

// ZeroAt makes a range zero.
func (b *bundle) ZeroAt(off, n int64) error {
	return b.change(off, n, func(p *part, off, n int64) error { return p.top().ZeroAt(off, n) })
}

// DiscardAt gives up a range.
func (b *bundle) DiscardAt(off, n int64) error {
	return b.change(off, n, func(p *part, off, n int64) error { return p.top().DiscardAt(off, n) })
}

// Sync makes durable what was written.
func (b *bundle) Sync() error {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	return b.syncFiles()
}

// syncFiles syncs the files of the current shot; mu is held.
func (b *bundle) syncFiles() error { return b.all(func(l layer) error { return l.Sync() }) }

// Compact makes the expanding files of the current shot smaller.
func (b *bundle) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	if err := b.mayChange(); err != nil {
		return 0, err
	}
	freed := int64(0)
	for i, p := range b.parts {
		c, ok := p.top().(disk.Compacter)
		if !ok {
			continue
		}
		if _, ok := p.below.(nothing); ok {
			return freed, disk.Unsupported(name, "which clusters are needed depends on the parent, which was left out")
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

// SetUUID gives the bundle another identity.
func (b *bundle) SetUUID(id string) error {
	id, err := identity(id)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err := b.mayChange(); err != nil {
		return err
	}
	return b.edit(func(root *element) error {
		root.child("Disk_Parameters").set("UID", braced(id))
		return nil
	})
}
