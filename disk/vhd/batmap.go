package vhd

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// XenServer's libvhd writes a second bitmap behind the table, with a bit for
// each block that is there as a whole. include/libvhd.h: vhd_batmap.
const (
	batmapCookie  = "tdbatmap"
	batmapHead    = 512
	atBatmapPlace = 8
	atBatmapSize  = 16 // sectors
	maxBatmap     = 16 << 20
)

// readBatmap reads the bitmap of whole blocks, if the image has one.
func (m *image) readBatmap() error {
	if m.foot.creator() != "tap\x00" {
		return nil
	}
	at := (m.Shape.Table + 4*m.Shape.Entries + sector - 1) / sector * sector
	if at+batmapHead > m.File.End() {
		return nil
	}
	p, err := disk.ReadFull(m.File.Raw(), at, batmapHead, name, "batmap's header")
	if err != nil || string(p[:8]) != batmapCookie {
		return err
	}
	place := binary.BigEndian.Uint64(p[atBatmapPlace:])
	length := int64(binary.BigEndian.Uint32(p[atBatmapSize:])) * sector
	if place > uint64(m.File.End()) || length*8 < m.Shape.Entries || length > maxBatmap {
		return nil // of no use, and not needed
	}
	if m.batmap, err = disk.ReadFull(m.File.Raw(), int64(place), length, name, "batmap"); err != nil {
		return err
	}
	m.batmapAt = int64(place)
	return nil
}

// inBatmap tells whether the batmap says that all of a block is there.
func (m *image) inBatmap(index int64) bool {
	return index/8 < int64(len(m.batmap)) && m.batmap[index/8]&(0x80>>(index%8)) != 0
}

// leaveBatmap takes a block that is given up out of the batmap, before
// another can have its number.
func (m *image) leaveBatmap(index int64) error {
	if !m.inBatmap(index) {
		return nil
	}
	m.batmap[index/8] &^= 0x80 >> (index % 8)
	at := index / 8 / sector * sector
	_, err := m.File.WriteAt(m.batmap[at:min(at+sector, int64(len(m.batmap)))], m.batmapAt+at)
	return err
}
