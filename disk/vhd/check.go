package vhd

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Examine looks at both footers, the header, and the space between the blocks.
func (m *image) Examine(r *disk.Report, s blockmap.Survey) {
	m.examineHeaders(r)
	m.examineFooters(r)
	if !s.Crowded && !m.moved {
		m.examineSpace(r, s)
	}
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
	if w := m.parentWarning(); w != "" {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: at + atParentTime, Reason: w})
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
		note(m.File.End(), "there is no footer at the end of the file, as after a power cut; its copy at the start is used", "the footer is written")
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

// examineSpace looks for space that nothing uses. What is lost to putting data
// at pages is none.
func (m *image) examineSpace(r *disk.Report, s blockmap.Survey) {
	space, last := m.FindSpace(s, 0), int64(0)
	if n := len(s.Held); n > 0 {
		last = m.Shape.At(s.Held[n-1].Pointer)
	}
	remedy := ""
	leaked, before := space.Gaps(last)
	if before > 0 {
		remedy = "blocks from the end are moved into the gaps, and the footer behind the last"
	}
	tail := m.File.End()
	if m.ends.tail != nil || m.inFile {
		tail = m.tailAt()
	}
	if extra := tail - space.End(); extra >= blockmap.Page {
		leaked += extra
		remedy = "the footer is written behind the last block, and the file cut there"
	}
	s.Leak(r, leaked, fmt.Sprintf("%d bytes of the file are used by nothing", leaked), remedy)
}

// Mend makes header and copy of the footer sound; the footer itself is written
// at the end.
func (m *image) Mend() error {
	if !m.head.sound() {
		if err := m.writeHeader(m.head.clone()); err != nil {
			return err
		}
	}
	m.foot = m.foot.clone().seal()
	m.doubt, m.inFile = nil, true
	return m.writeCopy()
}

// Used lists what the file has beside blocks and the last footer.
func (m *image) Used() []blockmap.Span {
	headerAt := int64(m.foot.u64(atDataOffset))
	all := []blockmap.Span{
		{From: 0, To: footerSize, What: "copy of the footer"},
		{From: headerAt, To: headerAt + headerSize, What: "header"},
		{From: m.Shape.Table, To: m.tableEnd(), What: "block allocation table"},
	}
	if m.based {
		for i := range locators {
			if l := m.head.locator(i); !l.none() && l.offset < m.File.End() {
				all = append(all, blockmap.Span{From: l.offset, To: roundUp(l.offset+l.length, sector), What: "parent locator"})
			}
		}
	}
	if m.batmap != nil {
		at := m.tableEnd()
		all = append(all, blockmap.Span{From: at, To: at + batmapHead, What: "batmap's header"},
			blockmap.Span{From: m.batmapAt, To: m.batmapAt + int64(len(m.batmap)), What: "batmap"})
	}
	return all
}

// tableEnd is where the table ends.
func (m *image) tableEnd() int64 { return roundUp(m.Shape.EntryAt(m.Shape.Entries), sector) }
