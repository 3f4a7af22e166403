package vhdx

import (
	"context"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// checker looks through an image, and mends it if it should. image.mu must be
// held.
type checker struct {
	*image
	report disk.Report
	used   units
	mend   bool
	lost   bool           // some block is not where its entry says: what it held may lie in what nothing uses
	later  []func() error // what is mended once image.mu is given back
	failed error
}

// Check looks through headers and tables.
func (m *image) Check(ctx context.Context) (disk.Report, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	c := &checker{image: m, used: newUnits(m.end)}
	err := c.all(ctx)
	return c.report, err
}

// found reports something. A checker that mends does so, and reports nothing
// that it does not mend.
func (c *checker) found(f disk.Finding, mend func() error) {
	c.lost = c.lost || f.Severity == disk.Damage && c.table.overlaps(span{f.Offset, 1})
	if !c.mend {
		c.report.Add(f)
		return
	}
	if mend == nil || f.Remedy == "" || c.failed != nil {
		return
	}
	if err := mend(); err != nil {
		c.failed = fmt.Errorf("repair at %#x: %w", f.Offset, err)
		return
	}
	c.report.Add(f)
}

// defers puts off what cannot be done with image.mu held.
func (c *checker) defers(mend func() error) func() error {
	return func() error {
		c.later = append(c.later, mend)
		return nil
	}
}

func (c *checker) all(ctx context.Context) error {
	c.checkHeaders()
	c.checkRegions()
	c.checkLog()
	for _, list := range [][]span{c.reserved, c.free, c.freed} {
		for _, s := range list {
			c.used.mark(s)
		}
	}
	if err := c.checkTable(ctx); err != nil {
		return err
	}
	if err := c.checkTail(); err != nil {
		return err
	}
	c.checkLeaks()
	return c.failed
}

// checkHeaders reports headers that do not count. A power cut may leave one.
func (c *checker) checkHeaders() {
	for i, fault := range c.headers.faults {
		if fault != nil {
			c.found(headerFinding(i, fault), c.defers(func() error { return c.header(func(*header) {}) }))
		}
	}
}

func headerFinding(i int, fault error) disk.Finding {
	return disk.Finding{
		Severity: disk.Note, Offset: headerPlaces[i], Reason: fmt.Sprintf("header %d is not valid: %v", i+1, fault),
		Remedy: "it is written again from the other",
	}
}

func (c *checker) checkRegions() {
	for i, fault := range c.regions.faults {
		if fault != nil {
			c.found(disk.Finding{
				Severity: disk.Damage, Offset: regionPlaces[i], Reason: fmt.Sprintf("region table %d is not valid: %v", i+1, fault),
				Remedy: "it is written again from the other",
			}, c.defers(func() error { return c.rewriteRegions(c.regions.list) }))
		}
	}
	for _, r := range c.regions.list {
		if id := r.id.String(); id != regionBAT && id != regionMetadata {
			c.found(disk.Finding{Severity: disk.Note, Offset: r.off, Reason: "region " + id + " is of a kind that is not known"}, nil)
		}
	}
}

func (c *checker) checkLog() {
	if c.write || c.headers.log.zero() {
		return
	}
	f := disk.Finding{Severity: disk.Note, Offset: c.headers.logOffset, Reason: fmt.Sprintf("the image was not closed: %d entries of its log are to be put in place", c.replays), Remedy: "opening it for writing does so"}
	if c.replays == 0 {
		f.Reason = "the image was not closed; its log has nothing that is to be put in place"
	}
	c.found(f, nil)
}

// checkTable looks at each entry.
func (c *checker) checkTable(ctx context.Context) error {
	size := c.Size()
	c.report.Blocks = c.blocks(size)
	if c.metadata.hasParent {
		for n := range c.chunks(size) {
			if err := c.checkBitmap(n); err != nil {
				return err
			}
		}
	}
	for b := range c.report.Blocks {
		if b%4096 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if err := c.checkBlock(b); err != nil || c.failed != nil {
			return err
		}
	}
	return nil
}

// at is where in the file a table entry stands.
func (c *checker) at(index int64) int64 { return c.table.off + index*entryLength }

// checkBitmap looks at the entry of a sector bitmap.
func (c *checker) checkBitmap(n int64) error {
	e, err := c.bitmap(n)
	if err != nil {
		return err
	}
	at := c.at(c.bitmapIndex(n))
	if e.state() != bitmapPresent {
		if e.state() != notPresent {
			c.found(disk.Finding{Severity: disk.Damage, Offset: at, Reason: fmt.Sprintf("sector bitmap %d has the state %d, which does not exist", n, e.state())}, nil)
		}
		return nil
	}
	s := span{e.host(), bitmapLength}
	if err := c.placeable(s, c.bitmapIndex(n)); err != nil {
		c.found(disk.Finding{Severity: disk.Damage, Offset: at, Reason: fmt.Sprintf("sector bitmap %d: %v", n, err)}, nil)
	} else if c.used.mark(s) {
		c.found(disk.Finding{Severity: disk.Damage, Offset: at, Reason: fmt.Sprintf("sector bitmap %d at %#x shares its place with another", n, s.off)}, nil)
	}
	return nil
}

// checkBlock looks at the entry of a block.
func (c *checker) checkBlock(b int64) error {
	e, err := c.payload(b)
	if err != nil || e == 0 {
		return err
	}
	f := disk.Finding{Severity: disk.Damage, Offset: c.at(c.payloadIndex(b))}
	set := func(e entry) func() error { return func() error { return c.setPayload(b, e) } }
	if e&entryReserved != 0 {
		f.Severity, f.Reason, f.Remedy = disk.Note, fmt.Sprintf("the entry of block %d has bits %#x that are reserved", b, uint64(e&entryReserved)), "they are cleared"
		e &^= entryReserved
		c.found(f, set(e))
		f.Severity = disk.Damage
	}
	switch e.state() {
	case notPresent, undefined, zeroed, unmapped, unmapped095:
		return nil
	case fullyPresent, partiallyPresent:
	default:
		f.Reason, f.Remedy = fmt.Sprintf("block %d has the state %d, which does not exist", b, e.state()), "the block is taken for absent"
		c.found(f, set(0))
		return nil
	}
	c.report.Allocated++
	return c.checkPresent(b, e, f, set)
}

// checkPresent looks at a block that the file should hold.
func (c *checker) checkPresent(b int64, e entry, f disk.Finding, set func(entry) func() error) error {
	host, err := c.locate(b, e)
	if err != nil {
		f.Reason, f.Remedy = fmt.Sprintf("block %d: %v", b, err), "the block is taken for absent"
		c.found(f, set(0))
		return nil
	}
	if e.state() == partiallyPresent {
		c.checkPartial(b, e, f, set)
	}
	if c.used.mark(span{host, min(c.blockSize(), roundUp(c.end, mib)-host)}) {
		f.Reason = fmt.Sprintf("block %d at %#x shares its place with another", b, host)
		f.Remedy = "it is given a copy of its own"
		c.found(f, func() error { return c.copyOut(b, e) })
	}
	return nil
}

// checkPartial looks at whether something says which sectors a block has.
func (c *checker) checkPartial(b int64, e entry, f disk.Finding, set func(entry) func() error) {
	if !c.metadata.hasParent {
		f.Reason = fmt.Sprintf("block %d is partly the parent's, and the image has none", b)
		f.Remedy = "the block is taken for present"
		c.found(f, set(makeEntry(fullyPresent, e.host())))
	} else if _, err := c.locateBitmap(b >> c.chunk); err != nil {
		f.Reason = fmt.Sprintf("block %d: %v", b, err)
		c.found(f, nil)
	}
}

// checkTail reports entries behind those of the disk. They are cleared before
// the disk grows.
func (c *checker) checkTail() error {
	end := c.table.length / entryLength
	for i := c.entries(c.Size(), c.metadata.hasParent); i < end; {
		p, err := c.pages.get(c.at(i))
		if err != nil {
			return err
		}
		in := c.at(i) % pageLength
		if n := min(pageLength-in, (end-i)*entryLength); allZero(p.data[in : in+n]) {
			i += n / entryLength
			continue
		}
		if e, err := c.pages.entryAt(c.at(i)); err != nil {
			return err
		} else if e.present() {
			c.found(disk.Finding{Severity: disk.Note, Offset: c.at(i), Reason: "the table goes on behind the end of the disk", Remedy: "the rest is cleared"}, func() error {
				return c.clearEntries(i, end)
			})
			return nil
		}
		i++
	}
	return nil
}

// checkLeaks reports ranges of the file that nothing uses and that take room
// nevertheless. The format knows no free space, so holes are how it is given back.
func (c *checker) checkLeaks() {
	for at := headerSection; at < c.end; {
		g := c.used.gap(at, c.end)
		if g.length == 0 {
			return
		}
		if n := c.occupied(g); n > 0 {
			c.report.Leaked += n
			f := disk.Finding{Severity: disk.Leak, Offset: g.off, Reason: fmt.Sprintf("nothing uses the %d bytes from here", g.length), Remedy: "they are given back"}
			if c.lost {
				f.Reason, f.Remedy = f.Reason+"; what the damaged blocks held may be there, so this is mended when they are", ""
			}
			c.found(f, func() error { c.release(g); return nil })
		}
		at = g.end()
	}
}

// occupied is how much of a range is no hole.
func (m *image) occupied(s span) int64 {
	size, err := m.file.Size()
	h, ok := m.file.(disk.Holed)
	if err != nil || !ok {
		return s.length
	}
	n, end := int64(0), min(s.end(), size)
	for at := s.off; at < end; {
		start, stop, err := h.NextData(at)
		if err != nil {
			return s.length
		}
		if start = max(start, at); start >= end || stop <= at {
			break
		}
		n += min(stop, end) - start
		at = stop
	}
	return n
}
