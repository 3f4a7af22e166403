package vhdx

import (
	"context"
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// moveTogether is how many bytes of blocks are moved before a flush.
const moveTogether = 256 * mib

// compaction makes a file shorter: blocks of zeros are given back, then blocks
// from its end are moved into gaps. An entry changes only once the copy is durable.
type compaction struct {
	*image
	ctx      context.Context
	progress func(done, total int64)
	used     units
	cutoff   int64 // where the file would end without any gap
	moved    int64 // bytes since the last flush
}

// Compact gives back the space of blocks that hold only zeros or are used by
// nothing. A fixed image keeps all its blocks.
func (m *image) Compact(ctx context.Context, progress func(done, total int64)) (freed int64, err error) {
	if progress == nil {
		progress = func(int64, int64) {}
	}
	err = m.alone(false, func() error {
		if m.metadata.leave {
			return nil
		}
		before, err := m.file.Size()
		if err != nil {
			return err
		}
		if err := (&compaction{image: m, ctx: ctx, progress: progress}).all(); err != nil {
			return err
		}
		after, err := m.file.Size()
		freed = max(before-after, 0)
		return err
	})
	return freed, err
}

func (c *compaction) all() error {
	if err := c.flushHeld(); err != nil {
		return err
	}
	if err := c.survey(); err != nil { // refuses what moving would make worse
		return err
	}
	if err := c.flushAfter(c.eachBlock(0, c.thin)); err != nil {
		return err
	}
	if err := c.survey(); err != nil {
		return err
	}
	if err := c.flushAfter(c.move()); err != nil {
		return err
	}
	return c.cut()
}

// flushAfter makes durable what was done, also when it was broken off: what
// broke it off is the error then.
func (c *compaction) flushAfter(failed error) error {
	if err := c.flushHeld(); failed == nil {
		return err
	}
	return failed
}

// eachBlock calls do for each block; of the work, half is done after half.
func (c *compaction) eachBlock(half int64, do func(b int64, e entry) error) error {
	total := c.blocks(c.Size())
	for b := range total {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		c.mu.RLock()
		e, err := c.payload(b)
		c.mu.RUnlock()
		if err == nil && e.present() {
			err = do(b, e)
		}
		if err == nil {
			err = c.relieve()
		}
		if err != nil {
			return err
		}
		c.progress(half*total+b+1, 2*total)
	}
	return nil
}

// survey notes what of the file is used.
func (c *compaction) survey() error {
	used, err := c.usage()
	c.used, c.cutoff = used, 0
	for at := int64(0); err == nil && at < c.end; {
		g := used.gap(at, c.end)
		c.cutoff += max(min(g.off, c.end)-at, 0)
		if g.length == 0 {
			break
		}
		at = g.end()
	}
	return err
}

// usage is what of the file is used; an image whose tables are damaged is
// refused.
func (m *image) usage() (units, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	k := &checker{image: m, used: newUnits(m.end)}
	for _, s := range m.reserved {
		k.used.mark(s)
	}
	if err := k.checkTable(context.Background()); err != nil {
		return nil, err
	}
	if worst, any := k.report.Worst(); any && worst == disk.Damage {
		return nil, disk.Corrupt(name, k.report.Findings[0].Offset, "the image is damaged (%s): repair it first", k.report.Findings[0].Reason)
	}
	return k.used, nil
}

// thin gives back a block that holds nothing.
func (c *compaction) thin(b int64, e entry) error {
	own, n := true, int64(0)
	if e.state() == partiallyPresent {
		sectors := (c.blockEnd(b) - b<<c.block + c.sectorSize() - 1) >> c.sector
		c.mu.RLock()
		set, same, err := c.sectors(b<<(c.block-c.sector), sectors)
		c.mu.RUnlock()
		if own, n = set, same; err != nil || n < sectors {
			return err
		}
	}
	if !own { // all of it is the parent's
		c.mu.Lock()
		defer c.mu.Unlock()
		c.release(span{e.host(), c.blockSize()})
		return c.setPayload(b, 0)
	}
	zero, err := c.holdsZeros(e.host(), c.blockEnd(b)-b<<c.block)
	if err != nil || !zero {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drop(b, e)
}

// holdsZeros tells whether a range of the file is zero.
func (m *image) holdsZeros(off, n int64) (bool, error) {
	p := make([]byte, 256*kib)
	for end := off + n; off < end; {
		if h, ok := m.file.(disk.Holed); ok {
			start, _, err := h.NextData(off)
			if err == nil && start > off {
				off = start
				continue
			}
		}
		k := min(int64(len(p)), end-off)
		got, err := m.file.ReadAt(p[:k], off)
		if err != nil && !errors.Is(err, io.EOF) {
			return false, err
		}
		if !allZero(p[:got]) {
			return false, nil
		}
		off += k
	}
	return true, nil
}

// move moves blocks from the end into gaps before it.
func (c *compaction) move() error {
	if err := c.moveTables(); err != nil {
		return err
	}
	return c.eachBlock(1, func(b int64, e entry) error {
		to, ok := c.place(span{e.host(), c.blockSize()})
		if !ok {
			return nil
		}
		if err := c.copyBlock(e.host(), to, c.blockEnd(b)-b<<c.block); err != nil {
			return err
		}
		c.mu.Lock()
		c.release(span{e.host(), c.blockSize()})
		err := c.setPayload(b, makeEntry(e.state(), to))
		c.mu.Unlock()
		if err != nil {
			return err
		}
		return c.settleMoves(c.blockSize())
	})
}

// settleMoves flushes now and then.
func (c *compaction) settleMoves(n int64) error {
	if c.moved += n; c.moved < moveTogether {
		return nil
	}
	c.moved = 0
	return c.flushHeld()
}

// place finds a gap before a span that has to move.
func (c *compaction) place(s span) (int64, bool) {
	if s.end() <= c.cutoff {
		return 0, false
	}
	for at := int64(0); at < s.off; {
		g := c.used.gap(at, s.off)
		if g.length == 0 {
			break
		}
		if g.length >= s.length {
			c.used.mark(span{g.off, s.length})
			return g.off, true
		}
		at = g.end()
	}
	return 0, false
}

// moveTables moves the table and the bitmaps.
func (c *compaction) moveTables() error {
	if to, ok := c.place(c.table); ok {
		old, where := c.table, span{to, c.table.length}
		err := c.copyBlock(old.off, to, old.length)
		if err == nil {
			err = c.file.Sync()
		}
		if err == nil {
			err = c.moveTable(old, where)
		}
		if err != nil {
			return err
		}
	}
	if !c.metadata.hasParent {
		return nil
	}
	for n := range c.chunks(c.Size()) {
		if err := c.moveBitmap(n); err != nil {
			return err
		}
	}
	return nil
}

func (c *compaction) moveBitmap(n int64) error {
	c.mu.RLock()
	e, err := c.bitmap(n)
	c.mu.RUnlock()
	if err != nil || e.state() != bitmapPresent {
		return err
	}
	to, ok := c.place(span{e.host(), bitmapLength})
	if !ok {
		return nil
	}
	if err := c.copyBlock(e.host(), to, bitmapLength); err != nil {
		return err
	}
	c.pages.forget(span{to, bitmapLength})
	c.pages.forget(span{e.host(), bitmapLength})
	c.mu.Lock()
	c.release(span{e.host(), bitmapLength})
	err = c.pages.setEntry(c.table.off+c.bitmapIndex(n)*entryLength, makeEntry(bitmapPresent, to))
	c.mu.Unlock()
	if err != nil {
		return err
	}
	return c.settleMoves(bitmapLength)
}

// cut ends the file behind the last block and frees the gaps before that.
func (c *compaction) cut() error {
	if err := c.survey(); err != nil {
		return err
	}
	end := headerSection
	var gaps []span
	for at := headerSection; at < c.end; {
		g := c.used.gap(at, c.end)
		if g.length == 0 {
			end = c.end
			break
		}
		if g.off > at {
			end = g.off
		}
		gaps = append(gaps, g)
		at = g.end()
	}
	if n := len(gaps); n > 0 && gaps[n-1].end() > end {
		gaps = gaps[:n-1]
	}
	c.mu.Lock()
	c.free, c.stale = nil, nil
	c.mu.Unlock()
	c.recycle(gaps)
	return c.truncate(end)
}
