package parallels

import (
	"github.com/panalvm/panal/disk"
)

// maxDirty is how much of the BAT waits in memory before it is written
// unasked.
const maxDirty = 8 << 20

// begin makes the image ready for the first write: it learns which clusters
// are in use, and marks the image as open. alloc is held.
func (x *expanding) begin() error {
	if x.begun.Load() {
		return nil
	}
	if !x.write {
		return disk.ErrReadOnly
	}
	s, err := x.survey()
	if err != nil {
		return err
	}
	if reason := s.unsafe(); reason != "" {
		return disk.Corrupt(name, -1, "%s; repair the image before writing to it", reason)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.h
	h.inUse = inUseOpen
	if h.flags&flagEmpty != 0 {
		// What the BAT still says must not come to life with the flag gone.
		if err := x.clearTable(0, int64(h.entries)); err != nil {
			return err
		}
		h.flags &^= flagEmpty
	}
	if err := x.putHeader(h); err != nil {
		return err
	}
	x.space = s.space()
	x.begun.Store(true)
	return nil
}

// putHeader makes a header the image's, durably; mu is held for writing.
func (x *expanding) putHeader(h header) error {
	if _, err := x.file.WriteAt(h.encode(), 0); err != nil {
		return err
	}
	if err := x.file.Sync(); err != nil {
		return err
	}
	x.h = h
	return nil
}

// clearTable makes entries zero, durably and in the file: nothing may wait in
// memory for them.
func (x *expanding) clearTable(from, to int64) error {
	if from >= to {
		return nil
	}
	size, err := x.file.Size()
	if err != nil {
		return err
	}
	if end := entryAt(to); size < end {
		if err := x.file.Truncate(end); err != nil {
			return err
		}
	}
	if err := disk.PunchHole(x.file, entryAt(from), 4*(to-from)); err != nil {
		return err
	}
	x.bat.Drop()
	return x.file.Sync()
}

// syncLocked orders what was written: clusters first, then what points to
// them. alloc is held.
func (x *expanding) syncLocked() error {
	if !x.begun.Load() {
		return nil
	}
	size, err := x.file.Size()
	if err != nil {
		return err
	}
	if size < x.space.end { // the last clusters were not written to their ends
		if err := x.file.Truncate(x.space.end); err != nil {
			return err
		}
	}
	if err := x.file.Sync(); err != nil {
		return err
	}
	if x.bat.Dirty() > 0 {
		if err := x.bat.Flush(); err != nil {
			return err
		}
		if err := x.file.Sync(); err != nil {
			return err
		}
	}
	return x.recycle()
}

// recycle makes free what was given up before the sync that just ended.
func (x *expanding) recycle() error {
	given := x.space.pending
	if len(given) == 0 {
		return nil
	}
	x.mu.Lock() // wait for those who still read from there
	defer x.mu.Unlock()
	x.space.pending = nil
	for _, r := range given {
		x.space.give(r)
		if p, ok := x.file.(disk.Puncher); ok {
			_ = p.PunchHole(r.off, r.n) // only saves room
		}
	}
	return nil
}

// limitDirty syncs when much waits in memory; alloc is held.
func (x *expanding) limitDirty() error {
	if x.bat.Dirty() < maxDirty {
		return nil
	}
	return x.syncLocked()
}

// finish syncs and takes the mark away.
func (x *expanding) finish() error {
	if !x.begun.Load() {
		return nil
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if err := x.syncLocked(); err != nil {
		return err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.space.dropTail() {
		if err := x.file.Truncate(x.space.end); err != nil {
			return err
		}
	}
	h := x.h
	h.inUse = inUseClosed
	if h.extOff != 0 {
		h.inUse = inUseNone // says that the extension was not kept up to date
	}
	err := x.putHeader(h)
	x.begun.Store(false)
	return err
}
