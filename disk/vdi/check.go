package vdi

import (
	"context"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Check looks at the header and at the whole block map.
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
	r := disk.Report{Blocks: m.geo.blocks, Allocated: int64(len(s.held))}
	m.examinePlaces(&r, s)
	m.examineUsed(&r, s)
	m.examineHeader(&r, s)
	return r, s, nil
}

// examinePlaces looks for blocks whose data cannot be theirs.
func (m *image) examinePlaces(r *disk.Report, s survey) {
	if s.crowded {
		r.Add(disk.Finding{Severity: disk.Damage, Offset: m.geo.offMap, Reason: "the block map gives places to more blocks than the file can hold; it is not a block map any more"})
	}
	for i, h := range s.held {
		switch {
		case m.lost(h.place):
			r.Add(disk.Finding{
				Severity: disk.Damage, Offset: m.entryAt(h),
				Reason: fmt.Sprintf("block %d has the place %d, before which the file ends: its data is missing", h.index, h.place),
				Remedy: "the block is marked as zero",
			})
		case i > 0 && s.held[i-1].place == h.place:
			r.Add(disk.Finding{
				Severity: disk.Damage, Offset: m.entryAt(h),
				Reason: fmt.Sprintf("blocks %d and %d have the same place %d", s.held[i-1].index, h.index, h.place),
				Remedy: fmt.Sprintf("block %d gets a copy of its own; which of the two is right cannot be known", h.index),
			})
		}
	}
}

// examineUsed compares the number of used places with the map and the file.
func (m *image) examineUsed(r *disk.Report, s survey) {
	used, next := int64(m.head.used()), s.next()
	distinct := int64(0)
	for i, h := range s.held {
		if (i == 0 || s.held[i-1].place != h.place) && !m.lost(h.place) {
			distinct++
		}
	}
	switch {
	case s.crowded:
		return
	case used < next:
		r.Add(disk.Finding{
			Severity: disk.Damage, Offset: int64(m.head.at.used),
			Reason: fmt.Sprintf("the header counts %d used places and the map uses %d: other programs would put new blocks over old ones", used, next),
			Remedy: fmt.Sprintf("the number becomes %d", next),
		})
	case used > next && m.leakedTail(next, used) == 0:
		r.Add(disk.Finding{
			Severity: disk.Note, Offset: int64(m.head.at.used),
			Reason: fmt.Sprintf("the header counts %d used places, the map uses %d, and the file has no more", used, next),
			Remedy: fmt.Sprintf("the number becomes %d", next),
		})
	}
	gaps, spare := m.gaps(s, next, distinct)
	tail := max(0, m.fileEnd.Load()-m.geo.placeEnd(next-1))
	if m.geo.fixed {
		tail = max(0, m.fileEnd.Load()-m.geo.placeEnd(max(next, used)-1))
	}
	if r.Leaked = gaps + tail; r.Leaked > 0 {
		f := disk.Finding{
			Severity: disk.Leak, Offset: -1,
			Reason: fmt.Sprintf("%d bytes between the blocks and %d behind them are used by nothing", gaps, tail),
			Remedy: "blocks from the end are moved into the gaps, and the file is cut behind the last",
		}
		if distinct < int64(len(s.held)) {
			f.Reason, f.Remedy = f.Reason+"; what the damaged blocks held may be there, so this is mended when they are", ""
		}
		r.Add(f)
	}
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
func (m *image) gaps(s survey, next, distinct int64) (taken, spare int64) {
	all := max(0, min(next, m.filePlaces())-distinct) * m.geo.stride
	h, ok := m.file.(disk.Holed)
	if !ok || all == 0 || distinct < int64(len(s.held)) {
		return all, 0
	}
	at := int64(0)
	for _, block := range s.held {
		if place := int64(block.place); place >= at {
			spare += m.spaceless(h, m.geo.placeEnd(at-1), m.geo.placeEnd(place-1))
			at = place + 1
		}
	}
	spare = min(spare, all)
	return all - spare, spare
}

// spaceless is how many bytes of a range take no space: what is left of it
// without data in whole pages of the file system.
func (m *image) spaceless(h disk.Holed, from, to int64) int64 {
	empty := max(0, to-from)
	for at, end := (from+hostBlock-1)&^(hostBlock-1), to&^(hostBlock-1); at < end; {
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

// leakedTail is how many bytes the file has in the places from next to used.
func (m *image) leakedTail(next, used int64) int64 {
	return max(0, min(m.fileEnd.Load(), m.geo.placeEnd(used-1))-m.geo.placeEnd(next-1))
}

// examineHeader looks for what is odd.
func (m *image) examineHeader(r *disk.Report, s survey) {
	h := m.head
	if h.uuid(h.at.image) == uuid.Nil {
		r.Add(disk.Finding{Severity: disk.Note, Offset: int64(h.at.image), Reason: "the image has no UUID; VirtualBox refuses it"})
	}
	if h.differencing() && !h.based() {
		r.Add(disk.Finding{Severity: disk.Note, Offset: int64(h.at.parent), Reason: "a differencing image that names no parent"})
	}
	if h.kind() == typeFixed && s.unknown+s.zeroed > 0 {
		r.Add(disk.Finding{Severity: disk.Note, Offset: m.geo.offMap, Reason: fmt.Sprintf("%d blocks of a fixed image have no place", s.unknown+s.zeroed)})
	}
}

// Repair mends the map and the header, and closes gaps.
func (m *image) Repair(ctx context.Context) (disk.Report, error) {
	if !m.write {
		return disk.Report{}, disk.ErrReadOnly
	}
	m.layout.Lock()
	defer m.layout.Unlock()
	m.alloc.Lock()
	defer m.alloc.Unlock()
	r, s, err := m.examine(ctx)
	if err != nil || s.crowded || len(mended(r).Findings) == 0 {
		return disk.Report{Blocks: r.Blocks, Allocated: r.Allocated}, err
	}
	if err := m.mend(s); err != nil {
		return disk.Report{}, err
	}
	if r = mended(r); slices.ContainsFunc(r.Findings, func(f disk.Finding) bool { return f.Severity == disk.Leak }) {
		if err := m.closeGaps(ctx); err != nil {
			return disk.Report{}, err
		}
	}
	m.places = nil
	m.ready.Store(false)
	return r, nil
}

// mend gives each block a place of its own. Copies lie behind all that the
// file has. The number of used places becomes smaller only when the map is
// durable: the last of them may lie behind the end of the file, and no other.
func (m *image) mend(s survey) error {
	m.places = &allocator{next: m.filePlaces()}
	m.stale = true
	kept := int64(0)
	for i, h := range s.held {
		switch {
		case m.missing(h.place):
			if err := m.blockMap.SetUint32(m.entryAt(h), zeroed); err != nil {
				return err
			}
		case i > 0 && s.held[i-1].place == h.place:
			to, _, err := m.places.take(1)
			if err != nil {
				return err
			}
			if err := m.copyPlace(int64(h.place), to); err != nil {
				return err
			}
			if err := m.blockMap.SetUint32(m.entryAt(h), uint32(to)); err != nil {
				return err
			}
			kept = to + 1
		default:
			kept = max(kept, int64(h.place)+1)
		}
	}
	m.head.setU32(m.head.at.used, max(m.head.used(), uint32(m.places.next)))
	if err := m.flush(); err != nil {
		return err
	}
	m.head.setU32(m.head.at.used, uint32(kept))
	m.used.Store(kept)
	m.stale = true
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
