package vhd

import (
	"cmp"
	"context"
	"slices"

	"github.com/panalvm/panal/disk"
)

// held is a block of the disk that the file has, from the sector start on.
type held struct{ start, index uint32 }

// survey is what the whole table says.
type survey struct {
	held    []held // by start, ascending
	crowded bool   // more blocks than the file can hold; held ends there
}

// survey reads the table, entries behind the end of the disk too.
func (m *image) survey(ctx context.Context) (survey, error) {
	var s survey
	room := m.fileEnd.Load()/m.geo.stride() + 2
	for index := range m.geo.entries {
		if index%longestRun == 0 && ctx.Err() != nil {
			return s, ctx.Err()
		}
		start, err := m.entry(index)
		switch {
		case err != nil:
			return s, err
		case start == free:
		case int64(len(s.held)) >= room:
			s.crowded = true
			return s, nil
		default:
			s.held = append(s.held, held{start, uint32(index)})
		}
	}
	slices.SortFunc(s.held, func(a, b held) int { return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(a.index, b.index)) })
	return s, nil
}

// usable tells whether blocks can be added and moved: none overlaps another or
// the headers, and none lies where the file ended.
func (m *image) usable(s survey) error {
	if s.crowded {
		return disk.Corrupt(name, m.geo.table, "the table gives places to more blocks than the file can hold; the image must not be changed")
	}
	for i, h := range s.held {
		switch {
		case i > 0 && int64(s.held[i-1].start)*sector+m.geo.stride() > int64(h.start)*sector:
			return disk.Corrupt(name, m.entryAt(h), "blocks %d and %d overlap; repair the image before it is changed", s.held[i-1].index, h.index)
		case m.lost(h):
			return disk.Corrupt(name, m.entryAt(h), "block %d is said to lie at %#x, behind the end of the file; repair the image before it is changed", h.index, int64(h.start)*sector)
		}
		if part := m.metadataAt(h); part != "" {
			return disk.Corrupt(name, m.entryAt(h), "block %d is said to lie over the %s; repair the image before it is changed", h.index, part)
		}
	}
	return nil
}

// entryAt is where the file says where a block is.
func (m *image) entryAt(h held) int64 { return m.geo.table + 4*int64(h.index) }

// lost tells whether a block begins behind the end of the file.
func (m *image) lost(h held) bool { return int64(h.start)*sector >= m.fileEnd.Load() }

// span is a range of the file, and what it is for.
type span struct {
	from, to int64
	what     string
}

// metadata lists what the file has beside blocks and the last footer.
func (m *image) metadata() []span {
	headerAt := int64(m.foot.u64(atDataOffset))
	all := []span{
		{0, footerSize, "copy of the footer"},
		{headerAt, headerAt + headerSize, "header"},
		{m.geo.table, roundUp(m.geo.table+4*m.geo.entries, sector), "block allocation table"},
	}
	if m.based {
		for i := range locators {
			if l := m.head.locator(i); !l.none() && l.offset < m.fileEnd.Load() {
				all = append(all, span{l.offset, roundUp(l.offset+l.length, sector), "parent locator"})
			}
		}
	}
	if m.batmap != nil {
		at := roundUp(m.geo.table+4*m.geo.entries, sector)
		all = append(all, span{at, at + batmapHead, "batmap's header"}, span{m.batmapAt, m.batmapAt + int64(len(m.batmap)), "batmap"})
	}
	return all
}

// metadataAt says over what a block lies, "" if over nothing.
func (m *image) metadataAt(h held) string {
	from := int64(h.start) * sector
	for _, s := range m.metadata() {
		if from < s.to && s.from < from+m.geo.stride() {
			return s.what
		}
	}
	return ""
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

// gap is a range of the file that nothing uses.
type gap struct{ from, to int64 }

// allocator gives out room for blocks.
type allocator struct {
	stride, bitmap int64
	end            int64    // behind it nothing is used
	gaps           []gap    // before it, ascending
	given          []uint32 // starts of blocks given up that the file may still point to
	durable        []uint32 // and of those that it does not
}

// allocatorFor finds the room between what is used.
func (m *image) allocatorFor(s survey) *allocator {
	used := m.metadata()
	for _, h := range s.held {
		used = append(used, span{from: int64(h.start) * sector, to: int64(h.start)*sector + m.geo.stride()})
	}
	slices.SortFunc(used, func(a, b span) int { return cmp.Compare(a.from, b.from) })
	a := &allocator{stride: m.geo.stride(), bitmap: m.geo.bitmap}
	for _, u := range used {
		if from := roundUp(a.end, sector); u.from-from >= a.stride {
			a.gaps = append(a.gaps, gap{from, u.from})
		}
		a.end = max(a.end, u.to)
	}
	a.end = roundUp(a.end, sector)
	return a
}

// take gives room for one block, whose data then begins at a page if that can
// be.
func (a *allocator) take() (start uint32, err error) {
	for len(a.gaps) > 0 {
		g := &a.gaps[0]
		at := a.aligned(g.from)
		if at+a.stride > g.to {
			at = g.from
		}
		if at+a.stride > g.to {
			a.gaps = a.gaps[1:]
			continue
		}
		g.from = at + a.stride
		return uint32(at / sector), nil
	}
	at := a.aligned(a.end)
	if at/sector >= free {
		return 0, disk.Unsupported(name, "the table cannot point behind 2 TiB of the file; compact the image, or convert it to VHDX")
	}
	a.end = at + a.stride
	return uint32(at / sector), nil
}

// aligned is where a block may begin at or behind from so that its data begins
// at a page.
func (a *allocator) aligned(from int64) int64 { return roundUp(from+a.bitmap, page) - a.bitmap }

// page is the unit in which hosts cache files and make holes in them.
const page = 4096

// back takes room back that was not used after all.
func (a *allocator) back(start uint32) {
	at := int64(start) * sector
	a.gaps = append([]gap{{at, at + a.stride}}, a.gaps...)
}

// reuse makes room of blocks that were given up for good. The end moves
// forward if they were the last.
func (a *allocator) reuse() {
	for _, start := range a.durable {
		a.gaps = append(a.gaps, gap{int64(start) * sector, int64(start)*sector + a.stride})
	}
	a.durable = nil
	slices.SortFunc(a.gaps, func(x, y gap) int { return cmp.Compare(x.from, y.from) })
	joined := a.gaps[:0]
	for _, g := range a.gaps {
		if last := len(joined) - 1; last >= 0 && g.from-joined[last].to < page {
			joined[last].to = max(joined[last].to, g.to)
			continue
		}
		joined = append(joined, g)
	}
	a.gaps = joined
	if last := len(joined) - 1; last >= 0 && joined[last].to == a.end {
		a.end, a.gaps = joined[last].from, joined[:last]
	}
}
