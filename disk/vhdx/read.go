package vhdx

import (
	"encoding/binary"
	"math/bits"

	"github.com/panalvm/panal/disk"
)

// maxJoin is how many blocks one Map looks at.
const maxJoin = 1 << 16

// ReadAt reads what a guest would read.
func (m *image) ReadAt(p []byte, off int64) (int, error) {
	m.data.RLock()
	defer m.data.RUnlock()
	return disk.ReadThrough(m, p, off, nil)
}

// Map describes the range that begins at off. Blocks that lie one behind the
// other in the file are one extent.
func (m *image) Map(off, n int64) (disk.Extent, error) {
	if err := disk.InRange(off, n, m.Size()); err != nil {
		return disk.Extent{}, err
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	e, err := m.piece(off, n)
	for range maxJoin {
		if err != nil || e.Len == n {
			break
		}
		if e.State == disk.Unallocated {
			if end := m.emptyTo(e.End()); end > e.End() {
				e.Len = min(end-off, n)
				continue
			}
		}
		next, err := m.piece(e.End(), n-e.Len)
		if err != nil || next.State != e.State || e.State == disk.Data && next.HostOff != e.HostOff+e.Len {
			break // an error is for who asks for that range
		}
		e.Len += next.Len
	}
	return e, err
}

// emptyTo is up to where on the disk, from the block at off on, the table has a
// hole, which is how the tables of great disks are mostly. It is asked once a page, and
// only of images that nobody writes to, whose table is what the file holds.
func (m *image) emptyTo(off int64) int64 {
	at := m.table.off + m.payloadIndex(off>>m.block)*entryLength
	h, ok := m.file.(disk.Holed)
	if m.write || !ok || off&(m.blockSize()-1) != 0 || at%pageLength >= 2*entryLength {
		return off
	}
	start, _, err := h.NextData(at)
	if err != nil {
		return off
	}
	index := (min(start, m.table.end()) - m.table.off) / entryLength
	ratio := int64(1) << m.chunk
	block := index/(ratio+1)*ratio + min(index%(ratio+1), ratio)
	return min(block<<m.block, m.Size())
}

// piece describes what begins at off and ends within the block.
func (m *image) piece(off, n int64) (disk.Extent, error) {
	b := off >> m.block
	n = min(n, m.blockEnd(b)-off)
	x := disk.Extent{Off: off, Len: n, State: disk.Zeroed}
	e, err := m.payload(b)
	if err != nil {
		return x, err
	}
	switch e.state() {
	case notPresent:
		x.State = disk.Unallocated
	case undefined, zeroed, unmapped, unmapped095:
	case fullyPresent:
		return m.stored(x, b, e)
	case partiallyPresent:
		return m.partly(x, b, e)
	default:
		return x, disk.Corrupt(name, m.table.off+m.payloadIndex(b)*entryLength, "block %d has the state %d, which does not exist", b, e.state())
	}
	return x, nil
}

// stored completes an extent that the file holds.
func (m *image) stored(x disk.Extent, b int64, e entry) (disk.Extent, error) {
	host, err := m.locate(b, e)
	x.State, x.File, x.HostOff = disk.Data, m.file, host+x.Off-b<<m.block
	return x, err
}

// partly completes an extent of a block whose sectors are in part the parent's.
func (m *image) partly(x disk.Extent, b int64, e entry) (disk.Extent, error) {
	if !m.metadata.hasParent {
		return x, disk.Corrupt(name, m.table.off+m.payloadIndex(b)*entryLength, "block %d is partly the parent's, and the image has none", b)
	}
	first := x.Off >> m.sector
	last := (x.End() - 1) >> m.sector
	set, n, err := m.sectors(first, last-first+1)
	if err != nil {
		return x, err
	}
	x.Len = min(x.End(), (first+n)<<m.sector) - x.Off
	if set {
		return m.stored(x, b, e)
	}
	x.State = disk.Unallocated
	return x, nil
}

// sectors tells whether the image holds the sector, and for how many from there
// on, up to most, it is the same. They are all of one chunk.
func (m *image) sectors(first, most int64) (set bool, n int64, err error) {
	base, err := m.locateBitmap(first >> sectorMapShift)
	if err != nil {
		return false, 0, err
	}
	bit := first & (sectorsPerMap - 1)
	for n < most {
		p, err := m.pages.get(base + bit/8)
		if err != nil {
			return false, 0, err
		}
		in := bit % (8 * pageLength)
		room := min(most-n, 8*pageLength-in)
		if n == 0 {
			set = p.data[in/8]>>(in%8)&1 != 0
		}
		k := sameBits(p.data[:], in, room, set)
		n += k
		bit += k
		if k < room {
			break
		}
	}
	return set, n, nil
}

// sameBits counts the bits from at on that are as told, n at most.
func sameBits(p []byte, at, n int64, set bool) int64 {
	flip := uint64(0)
	if set {
		flip = ^flip
	}
	for done := int64(0); done < n; {
		word := (at + done) / 64 * 8
		w := (binary.LittleEndian.Uint64(p[word:]) ^ flip) >> ((at + done) % 64)
		left := 64 - (at+done)%64
		if w != 0 {
			return min(done+int64(bits.TrailingZeros64(w)), n)
		}
		done += left
	}
	return n
}
