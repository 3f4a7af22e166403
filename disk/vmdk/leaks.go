package vmdk

import (
	"errors"

	"github.com/panalvm/panal/disk"
)

// hostPage is the unit in which files have holes.
const hostPage = 4096

// leaks reports what nothing uses behind the first grain's place. Holes of the
// file, and pieces of less than its pages, take no space: they are only told of.
func (c *tableCheck) leaks() {
	var taken, spare int64
	gaps := c.unused()
	first, firstTaken := int64(-1), int64(-1)
	for _, g := range gaps {
		if first < 0 {
			first = g.from
		}
		n := c.taken(g)
		if n > 0 && firstTaken < 0 {
			firstTaken = g.from
		}
		taken, spare = taken+n, spare+g.to-g.from-n
	}
	w := c.writer
	if w != nil { // it knows of these, and uses them next
		taken = max(0, taken-w.pending(c))
	}
	if taken > 0 {
		c.x.report.Leaked += taken
		fix, advice := c.giveBack(gaps)
		c.x.add(disk.Leak, firstTaken, fix, "give their space back to the file system", "%d bytes are used by nothing; %s", taken, advice)
	}
	if spare > 0 {
		c.x.add(disk.Note, first, nil, "", "%d bytes are used by nothing and take no space of their own; compacting makes the file shorter", spare)
	}
}

// giveBack is what frees the gaps, if it can be done. Where tables are damaged,
// what seems unused may be what they led to.
func (c *tableCheck) giveBack(gaps []gap) (fix func() error, advice string) {
	for _, f := range c.x.faults[c.before:] {
		if f.Severity == disk.Damage {
			return nil, "some may be what the damaged tables led to: repair these first"
		}
	}
	if c.writer == nil {
		return nil, "repairing or compacting gives them back"
	}
	if _, ok := c.part.file.(disk.Puncher); !ok && (len(gaps) == 0 || gaps[len(gaps)-1].to < c.end.Load()) {
		return nil, "compacting gives them back"
	}
	return func() error { return c.writer.giveBack(gaps) }, "repairing or compacting gives them back"
}

// gap is a range of the file, in bytes.
type gap struct{ from, to int64 }

// unused are the ranges that nothing uses, ascending; meta and grains are
// sorted. Less than a grain between two things is alignment.
func (c *tableCheck) unused() []gap {
	var all []gap
	at := int64(c.header.overhead)
	until := func(to int64) {
		if (to-at)*sector >= c.grain {
			all = append(all, gap{at * sector, min(to*sector, c.end.Load())})
		}
	}
	i := 0
	for _, g := range append(c.grains, uint64(sectors(c.end.Load()))<<32) {
		for i < len(c.meta) && c.meta[i].off <= int64(g>>32) {
			until(c.meta[i].off)
			at = max(at, c.meta[i].off+c.meta[i].len)
			i++
		}
		until(int64(g >> 32))
		at = max(at, int64(g>>32)+c.grain/sector)
	}
	return all
}

// taken is how many bytes of a gap take space.
func (c *tableCheck) taken(g gap) int64 {
	h, ok := c.part.file.(disk.Holed)
	from, to := roundUp(g.from, hostPage), g.to/hostPage*hostPage
	if !ok {
		return g.to - g.from
	}
	n := int64(0)
	for from < to {
		data, hole, err := h.NextData(from)
		if err != nil {
			return g.to - g.from
		}
		if data >= to {
			break
		}
		n += min(hole, to) - data
		if hole <= data {
			break
		}
		from = hole
	}
	return n
}

// giveBack frees ranges that nothing uses: the last one by cutting the file.
func (w *writer) giveBack(gaps []gap) error {
	if err := w.forget(w.s.size); err != nil { // what is left behind the end leads into the gaps
		return err
	}
	w.alloc.Lock()
	defer w.alloc.Unlock()
	w.forgetFree() // they are within
	if last := len(gaps) - 1; last >= 0 && gaps[last].to == w.s.end.Load() {
		if err := w.cutAt(gaps[last].from); err != nil {
			return err
		}
		gaps = gaps[:last]
	}
	p, ok := w.s.part.file.(disk.Puncher)
	for i := 0; ok && i < len(gaps); i++ {
		if err := p.PunchHole(gaps[i].from, gaps[i].to-gaps[i].from); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	w.s.part.touch()
	return nil
}

// cutAt makes the file end at a place behind which nothing is used.
func (w *writer) cutAt(end int64) error {
	if err := w.s.part.file.Truncate(end); err != nil {
		return err
	}
	w.s.part.touch()
	w.s.end.Store(end)
	w.next = roundUp(end, w.s.grain)
	return nil
}

// trim cuts off the free places at the end of the file. Nothing durable refers
// to them any more; w.alloc is held, and image.shape for writing.
func (w *writer) trim() error {
	end := w.next
	for n := len(w.free); n > 0 && w.free[n-1]+w.s.grain == end; n = len(w.free) {
		end, w.free = w.free[n-1], w.free[:n-1]
	}
	if end == w.next || end >= w.s.end.Load() {
		return nil
	}
	return w.cutAt(end)
}
