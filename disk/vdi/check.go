package vdi

import (
	"fmt"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// Examine compares the number of used places with the map and the file, and
// looks for what is odd in the header.
func (m *image) Examine(r *disk.Report, s blockmap.Survey) {
	if !s.Crowded {
		m.examineUsed(r, s)
	}
	m.examineHeader(r, s)
}

// places is how many places the map uses, up to the highest, and how many
// without those that several blocks have or that are lost.
func places(s blockmap.Survey) (next, distinct int64) {
	if last := len(s.Held) - 1; last >= 0 {
		next = int64(s.Held[last].Pointer) + 1
	}
	return next, int64(len(s.Held) - len(s.Faults))
}

// examineUsed compares the number of used places with the map and the file.
func (m *image) examineUsed(r *disk.Report, s blockmap.Survey) {
	used := int64(m.head.used())
	next, distinct := places(s)
	end := func(places int64) int64 { return m.Shape.Base + places*m.Shape.Unit }
	switch {
	case used < next:
		r.Add(disk.Finding{
			Severity: disk.Damage, Offset: int64(m.head.at.used),
			Reason: fmt.Sprintf("the header counts %d used places and the map uses %d: other programs would put new blocks over old ones", used, next),
			Remedy: fmt.Sprintf("the number becomes %d", next),
		})
	case used > next && m.File.End() <= end(next):
		r.Add(disk.Finding{
			Severity: disk.Note, Offset: int64(m.head.at.used),
			Reason: fmt.Sprintf("the header counts %d used places, the map uses %d, and the file has no more", used, next),
			Remedy: fmt.Sprintf("the number becomes %d", next),
		})
	}
	gaps, spare := m.gaps(s, next, distinct)
	tail := max(0, m.File.End()-end(next))
	if m.fixed {
		tail = max(0, m.File.End()-end(max(next, used)))
	}
	s.Leak(r, gaps+tail, fmt.Sprintf("%d bytes between the blocks and %d behind them are used by nothing", gaps, tail),
		"blocks from the end are moved into the gaps, and the file is cut behind the last")
	if spare > 0 {
		r.Add(disk.Finding{
			Severity: disk.Note, Offset: -1,
			Reason: fmt.Sprintf("%d bytes between the blocks are used by nothing and are holes of the file, which take no space; new blocks go there, and compacting makes the file shorter", spare),
		})
	}
}

// gaps are the bytes in places below next that no block has: those that take
// space, and those that do not. Where blocks are lost or share a place, a gap is
// more than room for new blocks, and all are told of as leaks.
func (m *image) gaps(s blockmap.Survey, next, distinct int64) (taken, spare int64) {
	all := max(0, min(next, m.filePlaces())-distinct) * m.Shape.Unit
	h, ok := m.File.Raw().(disk.Holed)
	if !ok || all == 0 || len(s.Faults) > 0 {
		return all, 0
	}
	at := m.Shape.Base
	for _, block := range s.Held {
		if from := m.Shape.At(block.Pointer); from >= at {
			spare += spaceless(h, at, from)
			at = from + m.Shape.Unit
		}
	}
	spare = min(spare, all)
	return all - spare, spare
}

// spaceless is how many bytes of a range take no space: what is left of it
// without data in whole pages of the file system.
func spaceless(h disk.Holed, from, to int64) int64 {
	empty := max(0, to-from)
	for at, end := (from+blockmap.Page-1)&^(blockmap.Page-1), to&^(blockmap.Page-1); at < end; {
		data, hole, err := h.NextData(at)
		if err != nil {
			return 0
		}
		if data >= end || hole <= data {
			break
		}
		empty -= min(hole, end) - data
		at = hole
	}
	return empty
}

// examineHeader looks for what is odd.
func (m *image) examineHeader(r *disk.Report, s blockmap.Survey) {
	h := m.head
	if h.uuid(h.at.image) == uuid.Nil {
		r.Add(disk.Finding{Severity: disk.Note, Offset: int64(h.at.image), Reason: "the image has no UUID; VirtualBox refuses it"})
	}
	if h.differencing() && !h.based() {
		r.Add(disk.Finding{Severity: disk.Note, Offset: int64(h.at.parent), Reason: "a differencing image that names no parent"})
	}
	if h.kind() == typeFixed && s.Missing > 0 {
		r.Add(disk.Finding{Severity: disk.Note, Offset: m.Shape.Table, Reason: fmt.Sprintf("%d blocks of a fixed image have no place", s.Missing)})
	}
}
