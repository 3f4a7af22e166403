package vhd

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Check looks at both footers, the header and the whole table.
func (m *image) Check(ctx context.Context) (disk.Report, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	r, _, err := m.examine(ctx)
	return r, err
}

// examine makes a report. alloc is held.
func (m *image) examine(ctx context.Context) (disk.Report, survey, error) {
	s, err := m.survey(ctx)
	if err != nil {
		return disk.Report{}, s, err
	}
	r := disk.Report{Blocks: m.geo.blocks(), Allocated: int64(len(s.held))}
	m.examineHeaders(&r)
	m.examineFooters(&r)
	m.examineBlocks(&r, s)
	if !s.crowded && !m.moved {
		m.examineSpace(&r, s)
	}
	return r, s, nil
}

func (m *image) examineHeaders(r *disk.Report) {
	if !m.foot.sound() {
		r.Add(badSum(m.footerAt()))
	}
	at := int64(m.foot.u64(atDataOffset))
	if !m.head.sound() {
		r.Add(disk.Finding{
			Severity: disk.Damage, Offset: at + atHeaderSum, Reason: "the header's checksum is wrong: something in it was changed, and nobody can know what",
			Remedy: "the checksum is computed from the header as it is",
		})
	}
	if m.based && m.head.parentID() == uuid.Nil {
		r.Add(disk.Finding{Severity: disk.Note, Offset: at + atParentID, Reason: "a differencing image that does not say which image its parent is"})
	}
	if m.based && m.parent != nil {
		if written := stamp(disk.Describe(m.parent).Created); written != m.head.u32(atParentTime) {
			r.Add(disk.Finding{Severity: disk.Note, Offset: at + atParentTime, Reason: "the parent's timestamp is not the one that the image remembers; some programs put the file's time there, others change it whenever the parent is written"})
		}
	}
}

// footerAt is where the footer that is gone by stands.
func (m *image) footerAt() int64 {
	if m.ends.tail != nil && string(m.ends.best()) == string(m.ends.tail) {
		return m.ends.tailAt
	}
	return 0
}

// examineFooters compares the footer with its copy, as they were found.
func (m *image) examineFooters(r *disk.Report) {
	if m.inFile {
		return
	}
	note := func(at int64, reason, remedy string) {
		r.Add(disk.Finding{Severity: disk.Note, Offset: at, Reason: reason, Remedy: remedy})
	}
	e := m.ends
	switch {
	case e.tail == nil:
		note(m.fileEnd.Load(), "there is no footer at the end of the file, as after a power cut; its copy at the start is used", "the footer is written")
	case e.short:
		note(e.tailAt, "the footer has 511 bytes, as Virtual PC wrote it before 2004", "a footer of 512 bytes is written")
	case !e.tail.sound() && e.head != nil && e.head.sound():
		r.Add(disk.Finding{Severity: disk.Damage, Offset: e.tailAt + atSum, Reason: "the footer's checksum is wrong; its copy at the start is right and is used", Remedy: "the footer is written from the copy"})
	}
	switch {
	case e.head == nil:
		note(0, "there is no copy of the footer at the start of the file", "the copy is written")
	case e.tail != nil && string(e.head) != string(e.tail):
		note(0, "the copy of the footer at the start of the file differs from the footer", "the two are made alike, by the one that is sound, the footer if both are")
	}
}

// examineBlocks looks for blocks whose data cannot be theirs.
func (m *image) examineBlocks(r *disk.Report, s survey) {
	if s.crowded {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.geo.table, Reason: "the table gives places to more blocks than the file can hold; it is not a table any more"})
	}
	for i, h := range s.held {
		at := int64(h.start) * sector
		switch {
		case m.lost(h):
			r.Add(disk.Finding{
				Severity: disk.Damage, Offset: m.entryAt(h),
				Reason: fmt.Sprintf("block %d is said to lie at %#x, behind the end of the file: its data is missing", h.index, at),
				Remedy: "the block is marked as missing, and reads as zeros or as the parent",
			})
		case m.metadataAt(h) != "":
			r.Add(disk.Finding{
				Severity: disk.Damage, Offset: m.entryAt(h),
				Reason: fmt.Sprintf("block %d is said to lie at %#x, over the %s", h.index, at, m.metadataAt(h)),
				Remedy: "the block is copied to a place of its own",
			})
		case i > 0 && int64(s.held[i-1].start)*sector+m.geo.stride() > at:
			r.Add(disk.Finding{
				Severity: disk.Damage, Offset: m.entryAt(h),
				Reason: fmt.Sprintf("blocks %d and %d overlap at %#x", s.held[i-1].index, h.index, at),
				Remedy: fmt.Sprintf("block %d gets a copy of its own; which of the two is right cannot be known", h.index),
			})
		}
	}
}

// examineSpace looks for space that nothing uses. What is lost to putting data
// at pages is none.
func (m *image) examineSpace(r *disk.Report, s survey) {
	a := m.allocatorFor(s)
	remedy := ""
	for _, g := range a.gaps {
		if len(s.held) > 0 && g.from < int64(s.held[len(s.held)-1].start)*sector {
			remedy = "blocks from the end are moved into the gaps, and the footer behind the last"
		}
		r.Leaked += g.to - g.from
	}
	tail := m.fileEnd.Load()
	if m.ends.tail != nil || m.space != nil {
		tail = m.tailAt()
	}
	if extra := tail - a.end; extra >= page {
		r.Leaked += extra
		remedy = "the footer is written behind the last block, and the file cut there"
	}
	if r.Leaked > 0 {
		r.Add(disk.Finding{Severity: disk.Leak, Offset: -1, Reason: fmt.Sprintf("%d bytes of the file are used by nothing", r.Leaked), Remedy: remedy})
	}
}

// Repair mends footers, header and table, and closes gaps.
func (m *image) Repair(ctx context.Context) (disk.Report, error) {
	if !m.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	r, s, err := m.examine(ctx)
	if err != nil || s.crowded {
		return disk.Report{Blocks: r.Blocks, Allocated: r.Allocated}, err
	}
	if r = mended(r); len(r.Findings) == 0 {
		return r, nil
	}
	if m.space != nil {
		if err := m.flush(); err != nil {
			return r, err
		}
	}
	if err := m.mendHeaders(); err != nil {
		return r, err
	}
	if err := m.mendTable(s); err != nil {
		return r, err
	}
	m.doubt = nil
	if err := m.closeGaps(ctx); err != nil {
		return r, err
	}
	m.inFile = true
	m.ready.Store(true)
	return r, nil
}

// mendHeaders makes header and copy of the footer sound; the footer itself is
// written at the end.
func (m *image) mendHeaders() error {
	if !m.head.sound() {
		if err := m.writeHeader(m.head.clone()); err != nil {
			return err
		}
	}
	m.foot = m.foot.clone().seal()
	return m.writeCopy()
}

// mendTable gives each block a place of its own, behind all that the file has.
func (m *image) mendTable(s survey) error {
	m.space = &allocator{stride: m.geo.stride(), bitmap: m.geo.bitmap, end: roundUp(m.fileEnd.Load(), sector)}
	last := int64(0) // end of the last block that stays
	for _, h := range s.held {
		at := int64(h.start) * sector
		switch {
		case m.lost(h):
			if err := m.setEntry(int64(h.index), free); err != nil {
				return err
			}
		case at < last || m.metadataAt(h) != "":
			start, err := m.space.take()
			if err != nil {
				return err
			}
			if err := m.copyBlock(h.start, start); err != nil {
				return err
			}
			if err := m.setEntry(int64(h.index), start); err != nil {
				return err
			}
		default:
			last = at + m.geo.stride()
			m.space.end = max(m.space.end, last)
		}
	}
	m.moved = true
	return m.flush()
}

// mended leaves the findings that have a remedy.
func mended(r disk.Report) disk.Report {
	all := r.Findings
	r.Findings = nil
	for _, f := range all {
		if f.Remedy != "" {
			r.Findings = append(r.Findings, f)
		}
	}
	return r
}
