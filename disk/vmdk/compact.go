package vmdk

import (
	"context"
	"slices"

	"github.com/panalvm/panal/disk"
)

// Compact gives up grains of zeros, moves those at the end of each file into
// the gaps, and cuts the files. Of flat extents it frees what is zero.
func (m *image) Compact(ctx context.Context, progress func(done, total int64)) (int64, error) {
	if err := m.checkWritable(); err != nil {
		return 0, err
	}
	if progress == nil {
		progress = func(int64, int64) {}
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	if err := m.syncAll(); err != nil {
		return 0, err
	}
	freed := int64(0)
	for i := range m.spans {
		s := &m.spans[i]
		report := func(done int64) { progress(s.start+min(done, s.len), m.size) }
		n, err := m.compactSpan(ctx, s, report)
		freed += n
		if err != nil {
			return freed, err
		}
	}
	progress(m.size, m.size)
	return freed, nil
}

func (m *image) compactSpan(ctx context.Context, s *span, report func(done int64)) (int64, error) {
	switch e := s.extent.(type) {
	case *flat:
		return e.compact(ctx, report)
	case *sparse:
		if e.writer == nil {
			return 0, nil
		}
		if err := e.writer.mark(); err != nil {
			return 0, err
		}
		if err := e.writer.forget(e.size); err != nil {
			return 0, err
		}
		if err := e.writer.dropZeros(ctx, m.below(s), report); err != nil {
			return 0, err
		}
		return e.writer.pack(ctx)
	}
	return 0, nil
}

// compactStep is how much is looked at in one go, in bytes.
const compactStep = 1 << 20

// compact punches holes where the file is zero.
func (f *flat) compact(ctx context.Context, report func(done int64)) (int64, error) {
	p, ok := f.part.file.(disk.Puncher)
	if !ok {
		return 0, nil
	}
	before := allocated(f.part.file)
	buffer := make([]byte, compactStep)
	for off := int64(0); off < f.size; {
		if err := ctx.Err(); err != nil {
			return 0, err
		}
		e, err := f.locate(off, min(f.size-off, compactStep))
		if err != nil {
			return 0, err
		}
		if e.State != disk.Data { // what is reserved there, too
			if err := p.PunchHole(f.from+off, e.Len); err != nil {
				return 0, err
			}
		}
		if e.State == disk.Data {
			if _, err := f.part.file.ReadAt(buffer[:e.Len], e.HostOff); err != nil {
				return 0, err
			}
			if err := punchZeros(p, buffer[:e.Len], e.HostOff); err != nil {
				return 0, err
			}
		}
		off += e.Len
		report(off)
	}
	f.part.touch()
	return max(0, before-allocated(f.part.file)), f.part.file.Sync()
}

// punchZeros punches the pages of p that are zero.
func punchZeros(p disk.Puncher, content []byte, at int64) error {
	const page = 4096
	for i := 0; i+page <= len(content); i += page {
		if isZero(content[i : i+page]) {
			if err := p.PunchHole(at+int64(i), page); err != nil {
				return err
			}
		}
	}
	return nil
}

// dropZeros gives up the grains that hold only zeros, durably.
func (w *writer) dropZeros(ctx context.Context, below fill, report func(done int64)) error {
	buffer := make([]byte, max(compactStep, w.s.grain))
	for off := int64(0); off < w.s.covered; {
		if err := ctx.Err(); err != nil {
			return err
		}
		e, err := w.s.locate(off, min(w.s.covered-off, int64(len(buffer))))
		if err != nil {
			return err
		}
		if e.State == disk.Data {
			if err := w.dropZerosOf(buffer[:e.Len], e.HostOff, off, below); err != nil {
				return err
			}
		}
		off += e.Len
		report(off)
	}
	return w.sync()
}

// dropZerosOf looks at grains that lie side by side.
func (w *writer) dropZerosOf(buffer []byte, at, off int64, below fill) error {
	if _, err := w.s.part.file.ReadAt(buffer, at); err != nil {
		return err
	}
	for i := int64(0); i < int64(len(buffer)); i += w.s.grain {
		n := min(w.s.grain, int64(len(buffer))-i)
		if !isZero(buffer[i:i+n]) || !w.plain(off+i, n, disk.Data, below) {
			continue
		}
		grain := (off + i) / w.s.grain
		if err := w.dropAll(grain, grain+1); err != nil {
			return err
		}
	}
	return nil
}

// pack moves grains from the end of the file into gaps and cuts the file. What
// a grain was moved from is not written to before the tables are durable.
func (w *writer) pack(ctx context.Context) (int64, error) {
	w.alloc.Lock()
	defer w.alloc.Unlock()
	c := &tableCheck{sparse: w.s, x: &examination{ctx: ctx}, unclean: w.s.header.unclean, seen: map[int64]int64{}}
	if err := c.tables(); err != nil {
		return 0, err
	}
	if slices.ContainsFunc(c.x.faults, func(f fault) bool { return f.Severity == disk.Damage }) {
		return 0, disk.Corrupt(name, -1, "the extent %sis damaged; repair it before it is compacted", w.s.part.label())
	}
	if err := c.align(); err != nil {
		return 0, err
	}
	slices.Sort(c.grains)
	c.fixed()
	gaps := c.gaps()
	w.forgetFree() // they are among the gaps, and soon are none
	if err := w.moveAll(ctx, c.grains, gaps); err != nil {
		return 0, err
	}
	return w.cut(c)
}

// align makes the second copies of tables like the first, where a shutdown
// that was unclean left them behind: they must not lead to where another grain
// is moved. The writer's alloc is held.
func (c *tableCheck) align() error {
	for _, grain := range c.behind {
		e, err := c.writer.dir.cache.Uint32(c.writer.dir.entryAt(c.writer.dir.table(grain), grain))
		if err != nil {
			return err
		}
		if err := c.writer.set(grain, e); err != nil {
			return err
		}
	}
	return c.writer.syncLocked()
}

// gaps are the places of whole grains that nothing uses, ascending, below the
// last grain.
func (c *tableCheck) gaps() []int64 {
	last := int64(0)
	if n := len(c.grains); n > 0 {
		last = int64(c.grains[n-1]>>32) * sector
	}
	if last/c.grain > mostUsage { // of tiny grains in a huge file, which nobody writes
		return nil
	}
	used := newUsage(c.grain, last)
	used.take(0, int64(c.header.overhead)*sector)
	for _, s := range c.meta {
		used.take(s.off*sector, s.len*sector)
	}
	for _, g := range c.grains {
		used.take(int64(g>>32)*sector, c.grain)
	}
	var all []int64
	for at := int64(0); at+c.grain <= last && len(all) < len(c.grains); at += c.grain { // more than grains are of no use
		if !used.has(at) {
			all = append(all, at)
		}
	}
	return all
}

// moveAll moves the last grains into the first gaps, as long as that is
// forward. The numbers of grains are whole here: disks of more than 2^32 grains
// do not fit into files that 32-bit entries address.
func (w *writer) moveAll(ctx context.Context, grains []uint64, gaps []int64) error {
	buffer := make([]byte, w.s.grain)
	moved := 0
	for i := len(grains) - 1; i >= 0 && moved < len(gaps); i-- {
		from := int64(grains[i]>>32) * sector
		if gaps[moved] >= from {
			break
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.move(buffer, int64(uint32(grains[i])), from, gaps[moved]); err != nil {
			return err
		}
		grains[i] = uint64(gaps[moved]/sector)<<32 | uint64(uint32(grains[i]))
		moved++
		if w.dir.cache.Dirty() > maxDirty {
			if err := w.syncLocked(); err != nil {
				return err
			}
		}
	}
	w.s.part.touch()
	return w.syncLocked()
}

func (w *writer) move(buffer []byte, grain, from, to int64) error {
	n, err := w.s.part.file.ReadAt(buffer, from)
	if n == 0 {
		return err
	}
	clear(buffer[n:])
	if _, err := w.s.part.file.WriteAt(buffer, to); err != nil {
		return err
	}
	w.s.part.touch()
	return w.set(grain, uint32(to/sector))
}

// cut makes the file end behind the last thing in it.
func (w *writer) cut(c *tableCheck) (int64, error) {
	end := int64(w.s.header.overhead) * sector
	for _, g := range c.grains {
		end = max(end, int64(g>>32)*sector+w.s.grain)
	}
	for _, s := range c.meta {
		end = max(end, (s.off+s.len)*sector)
	}
	before := w.s.end.Load()
	if end >= before {
		return 0, nil
	}
	if err := w.cutAt(end); err != nil {
		return 0, err
	}
	return before - end, w.syncLocked()
}
