package vhdx

import (
	"slices"

	"github.com/panalvm/panal/disk"
)

// maxSurvey is up to how many blocks an image may have for its gaps to be
// looked for before the first block is added. Of greater ones Compact finds them.
const maxSurvey = 1 << 20

// take finds room for up to n units in a row and tells for how many it did.
// What it gives reads as zeros. m.mu must be held.
func (m *image) take(n, unit int64) (host, got int64) {
	if host, got = fit(&m.free, n, unit); got > 0 {
		return host, got
	}
	if host, got = fit(&m.stale, n, unit); got > 0 && disk.PunchHole(m.file, host, got*unit) == nil {
		return host, got
	}
	host = m.end
	m.end += n * unit
	return host, n
}

// fit takes up to n units off the first span that has room.
func fit(list *[]span, n, unit int64) (host, got int64) {
	for i, s := range *list {
		if s.length < unit {
			continue
		}
		got = min(n, s.length/unit)
		(*list)[i] = span{s.off + got*unit, s.length - got*unit}
		if (*list)[i].length == 0 {
			*list = slices.Delete(*list, i, i+1)
		}
		return s.off, got
	}
	return 0, 0
}

// findGaps looks for ranges of the file that nothing used when it was opened.
// Nothing durable points to them, but what they hold is old. m.mu must not be held, and
// nothing have been allocated.
func (m *image) findGaps() {
	if m.blocks(m.Size()) > maxSurvey {
		return
	}
	used, err := m.usage()
	if err != nil {
		return // a check says what is wrong; new blocks go to the end
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for at := headerSection; at < m.end; {
		g := used.gap(at, m.end)
		if g.length == 0 {
			return
		}
		m.stale = append(m.stale, g)
		at = g.end()
	}
}

// release gives up a place in the file. It is used again after the next
// flush. m.mu must be held.
func (m *image) release(s span) { m.freed = append(m.freed, s) }

// setPayload changes the table entry of a block. m.mu must be held.
func (m *image) setPayload(b int64, e entry) error {
	return m.pages.setEntry(m.table.off+m.payloadIndex(b)*entryLength, e)
}

// ensureBitmap makes sure that the chunk of block b has a sector bitmap, and
// that in it all sectors of the block are the parent's. m.mu must be held.
func (m *image) ensureBitmap(b int64) error {
	c := b >> m.chunk
	e, err := m.bitmap(c)
	if err != nil {
		return err
	}
	if e.state() == bitmapPresent {
		first := b << (m.block - m.sector)
		return m.setSectors(first, 1<<(m.block-m.sector), false)
	}
	host, _ := m.take(1, bitmapLength)
	return m.pages.setEntry(m.table.off+m.bitmapIndex(c)*entryLength, makeEntry(bitmapPresent, host))
}

// setSectors says whose sectors are, all of one chunk. m.mu must be held.
func (m *image) setSectors(first, n int64, own bool) error {
	base, err := m.locateBitmap(first >> sectorMapShift)
	if err != nil {
		return err
	}
	bit := first & (sectorsPerMap - 1)
	for n > 0 {
		in := bit % (8 * pageLength)
		k := min(n, 8*pageLength-in)
		if err := m.setBits(base+bit/8, in, k, own); err != nil {
			return err
		}
		bit += k
		n -= k
	}
	return nil
}

// setBits changes n bits from in on of the page at off, if they are not as
// they should be.
func (m *image) setBits(off, in, n int64, value bool) error {
	p, err := m.pages.get(off)
	if err != nil || sameBits(p.data[:], in, n, value) == n {
		return err
	}
	if p, err = m.pages.touch(off); err != nil {
		return err
	}
	for ; n > 0 && in%8 != 0; in, n = in+1, n-1 {
		setBit(p.data[:], in, value)
	}
	fill := byte(0)
	if value {
		fill = 0xff
	}
	for ; n >= 8; in, n = in+8, n-8 {
		p.data[in/8] = fill
	}
	for ; n > 0; in, n = in+1, n-1 {
		setBit(p.data[:], in, value)
	}
	return nil
}

func setBit(p []byte, at int64, value bool) {
	if value {
		p[at/8] |= 1 << (at % 8)
	} else {
		p[at/8] &^= 1 << (at % 8)
	}
}
