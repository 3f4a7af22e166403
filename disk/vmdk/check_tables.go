package vmdk

import (
	"slices"

	"github.com/panalvm/panal/disk"
)

// tableCheck looks through the tables of a sparse extent.
type tableCheck struct {
	*sparse
	x       *examination
	before  int             // faults that were found before this extent's
	unclean bool            // the extent was not closed as it should be
	seen    map[int64]int64 // tables by where they lie
	hole    [2]int64        // a range of the file that is known to be a hole
	meta    []stretch       // what is not grains
	grains  []uint64        // sector << 32 | number of the grain, its lower 32 bits
	behind  []int64         // grains whose entries in the two copies differ
}

// stretch is a part of the file, in sectors.
type stretch struct {
	off, len int64
	what     string
}

// tables goes over all grain tables.
func (c *tableCheck) tables() error {
	d, ok := c.find.(*directory)
	if !ok {
		return c.foreignTables()
	}
	for t := range int64(len(d.gd)) {
		if err := c.x.ctx.Err(); err != nil {
			return err
		}
		if err := c.table(d, t); err != nil {
			return err
		}
	}
	return nil
}

// foreignTables counts the grains of a seSparse extent.
func (c *tableCheck) foreignTables() error {
	d, ok := c.find.(*seDirectory)
	if !ok {
		return nil
	}
	for t := range int64(len(d.gd)) {
		if d.gd[t] == 0 {
			continue
		}
		if first, twice := c.seen[int64(d.gd[t])]; twice {
			c.x.add(disk.Damage, d.gdAt+8*t, nil, "", "grain tables %d and %d are one and the same", first, t)
			continue
		}
		c.seen[int64(d.gd[t])] = t
		bad := 0
		for i := t * d.entries; i < (t+1)*d.entries && i*c.grain < c.covered; i++ {
			p, err := d.at(i)
			if err == nil && p.state == disk.Data {
				c.x.report.Allocated++
			}
			if err != nil {
				if bad++; bad > 8 {
					break // enough to see that it is no table
				}
			}
		}
		if bad > 0 {
			c.x.add(disk.Damage, d.gdAt+8*t, nil, "", "grain table %d has entries that lead nowhere", t)
		}
	}
	return c.x.ctx.Err()
}

// table compares both copies of a table, and notes where its grains lie.
func (c *tableCheck) table(d *directory, t int64) error {
	first, second := c.usable(d.gd[t]), false
	var copyAt int64
	if t < int64(len(d.rgd)) {
		second, copyAt = c.usable(d.rgd[t]), int64(d.rgd[t])*sector
	}
	if d.gd[t] != 0 && !first && !(d.zeroed && d.gd[t] == zeroedEntry) || d.gd[t] == 0 && second {
		c.lostTable(d, t, second)
		return nil
	}
	if !first {
		return nil
	}
	at := int64(d.gd[t]) * sector
	if other, twice := c.seen[at]; twice {
		c.x.add(disk.Damage, d.gdAt+4*t, nil, "", "grain tables %d and %d are one and the same", other, t)
		return nil
	}
	c.seen[at] = t
	size := tableSectors(d.entries)
	c.meta = append(c.meta, stretch{int64(d.gd[t]), size, "a grain table"})
	if second && copyAt != at {
		c.meta = append(c.meta, stretch{int64(d.rgd[t]), size, "a second grain table"})
	}
	if !second || copyAt == at {
		copyAt = 0
	}
	if c.inHole(d, t, at, copyAt) {
		return nil
	}
	return c.entries(d, t, at, copyAt)
}

// inHole tells whether a table and its copy are certainly empty.
func (c *tableCheck) inHole(d *directory, t, at, copyAt int64) bool {
	if d.missing(t*d.entries) == 0 {
		return false
	}
	h, ok := c.part.file.(disk.Holed)
	if !ok || copyAt == 0 {
		return copyAt == 0
	}
	if copyAt >= c.hole[0] && copyAt+4*d.entries <= c.hole[1] {
		return true
	}
	data, _, err := h.NextData(copyAt)
	if err == nil && data >= copyAt+4*d.entries {
		c.hole = [2]int64{copyAt, data}
		return true
	}
	return false
}

// usable tells whether a table lies within the file.
func (c *tableCheck) usable(table uint32) bool {
	at := int64(table) * sector
	return at > 0 && at+4*int64(c.header.entries) <= c.end.Load() && table != zeroedEntry
}

func (c *tableCheck) lostTable(d *directory, t int64, second bool) {
	var fix func() error
	remedy := "make an empty table in its place; its grains read as if never written"
	if w := c.writer; w != nil && d.broken == nil {
		fix = func() error { return w.rebuild(t, second) }
	}
	if second {
		remedy = "make a new table from the second copy"
	}
	c.x.add(disk.Damage, d.gdAt+4*t, fix, remedy, "grain table %d is said to lie at sector %d, which is not in the file", t, d.gd[t])
}

// entries compares the entries of a table; copyAt is 0 without a second one.
func (c *tableCheck) entries(d *directory, t, at, copyAt int64) error {
	var dangling, differ []int64
	d.wanted()
	for i := range min(d.entries, (c.covered+c.grain-1)/c.grain-t*d.entries) {
		e, err := d.cache.Uint32(at + 4*i)
		if err != nil {
			return err
		}
		if copyAt > 0 {
			other, err := d.cache.Uint32(copyAt + 4*i)
			if err != nil {
				return err
			}
			if other != e {
				differ = append(differ, t*d.entries+i)
			}
		}
		if e == 0 || d.zeroed && e == zeroedEntry {
			continue
		}
		if !c.leads(e, t*d.entries+i) {
			dangling = append(dangling, t*d.entries+i)
			continue
		}
		c.x.report.Allocated++
		c.grains = append(c.grains, uint64(e)<<32|uint64(uint32(t*d.entries+i)))
	}
	c.report(d, t, copyAt, dangling, differ)
	return nil
}

// leads tells whether an entry leads to a grain that is all there.
func (c *tableCheck) leads(e uint32, grain int64) bool {
	at := int64(e) * sector
	if c.codec != nil {
		return at+markerHead < c.end.Load()
	}
	return at+min(c.grain, c.size-grain*c.grain) <= c.end.Load()
}

func (c *tableCheck) report(d *directory, t, copyAt int64, dangling, differ []int64) {
	w := c.writer
	if len(dangling) > 0 {
		var fix func() error
		if w != nil {
			fix = func() error { return w.clearDangling(c, dangling, copyAt) }
		}
		c.x.add(disk.Damage, d.entryAt(d.gd[t], dangling[0]), fix, "take the second copy's entry where that leads to a grain, else clear the entry: the grain reads as if never written",
			"%d entries of grain table %d lead behind the end of the file, the first is grain %d's", len(dangling), t, dangling[0])
	}
	c.behind = append(c.behind, differ...)
	if len(differ) > 0 {
		severity := disk.Damage
		if c.unclean {
			severity = disk.Note // the power was cut while they were written
		}
		var fix func() error
		if w != nil {
			fix = func() error { return w.reconcile(c, differ, copyAt) }
		}
		c.x.add(severity, d.entryAt(d.gd[t], differ[0]), fix, "make both copies the same: the first counts, but where only the second leads to a grain",
			"%d entries of grain table %d differ from the second copy's, the first is grain %d's", len(differ), t, differ[0])
	}
}

// layout looks for overlaps and for space that nothing uses.
func (c *tableCheck) layout() {
	slices.Sort(c.grains)
	if c.codec != nil || c.kind == se {
		return
	}
	c.grainOverlaps()
	c.fixed()
	slices.SortFunc(c.meta, func(a, b stretch) int { return int(a.off - b.off) })
	c.metaOverlaps()
	if c.kind != cowd { // whose directory and tables lie anywhere, in units of their own
		c.leaks()
	}
}

// fixed adds the parts of the file that are no tables.
func (c *tableCheck) fixed() {
	h := c.header
	if c.kind == cowd {
		c.meta = append(c.meta, stretch{0, cowdHeader / sector, "the header"})
	} else {
		c.meta = append(c.meta, stretch{0, 1, "the header"})
	}
	if h.descSize > 0 && h.descOffset > 0 {
		c.meta = append(c.meta, stretch{int64(h.descOffset), int64(h.descSize), "the descriptor"})
	}
	d := c.find.(*directory)
	c.meta = append(c.meta, stretch{d.gdAt / sector, sectors(4 * int64(len(d.gd))), "the grain directory"})
	if len(d.rgd) > 0 {
		c.meta = append(c.meta, stretch{int64(h.rgd), sectors(4 * int64(len(d.rgd))), "the second grain directory"})
	}
}

func (c *tableCheck) grainOverlaps() {
	for i := 1; i < len(c.grains); i++ {
		a, b := c.grains[i-1], c.grains[i]
		if int64(b>>32)*sector >= int64(a>>32)*sector+c.grain {
			continue
		}
		var fix func() error
		if w := c.writer; w != nil {
			number := int64(uint32(b)) // of disks beyond 2^32 grains it may be another, which is harmless
			fix = func() error { return w.separate(number) }
		}
		c.x.add(disk.Damage, int64(b>>32)*sector, fix, "give the second a copy of its own", "grains %d and %d lie upon each other: a write to one changes the other", uint32(a), uint32(b))
	}
}

func (c *tableCheck) metaOverlaps() {
	for i := 1; i < len(c.meta); i++ {
		a, b := c.meta[i-1], c.meta[i]
		if b.off < a.off+a.len {
			c.x.add(disk.Damage, b.off*sector, nil, "", "%s and %s lie upon each other", a.what, b.what)
		}
	}
	i := 0
	for _, g := range c.grains {
		at := int64(g >> 32)
		for i < len(c.meta) && c.meta[i].off+c.meta[i].len <= at {
			i++
		}
		if i < len(c.meta) && c.meta[i].off < at+c.grain/sector {
			c.x.add(disk.Damage, at*sector, nil, "", "grain %d lies upon %s; convert the image and do not write to it", uint32(g), c.meta[i].what)
		}
	}
}
