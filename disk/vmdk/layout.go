package vmdk

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// descriptorRoom is what embedded descriptors may grow to, in sectors. Others
// look for the descriptor in the 20 sectors behind the header.
const descriptorRoom = 20

// tableEntries is how many entries new grain tables have.
const tableEntries = 512

// layout is where the parts of a new sparse extent lie:
//
//	header | descriptor | second directory | its tables | directory | its tables | grains
//
// All tables are there from the start, as other writers expect it.
type layout struct {
	header header
	tables int64
	gd     int64 // sectors of a directory
}

// newLayout lays an extent for size bytes out, with room for a descriptor, in
// sectors. zeroed is whether its tables are to know grains of zeros.
func newLayout(size, room, grainSize int64, zeroed bool) (layout, error) {
	h := header{
		version: 1, flags: flagNewlines | flagRedundant, capacity: uint64(size / sector),
		grain: uint64(grainSize / sector), entries: tableEntries,
	}
	if zeroed {
		h.version, h.flags = 2, h.flags|flagZeroed
	}
	l := layout{header: h, tables: h.tables()}
	l.gd = sectors(4 * l.tables)
	copySize := l.gd + l.tables*tableSectors(tableEntries)
	if room > 0 {
		l.header.descOffset, l.header.descSize = 1, uint64(room)
	}
	l.header.rgd = uint64(1 + room)
	l.header.gd = uint64(1 + room + copySize)
	end := 1 + room + 2*copySize
	grain := int64(h.grain)
	l.header.overhead = uint64((end + grain - 1) / grain * grain)
	if l.header.overhead >= 1<<32 {
		return l, disk.Unsupported(name, "a sparse extent of %d bytes with grains of %d needs tables beyond 2 TiB; choose larger grains", size, grainSize)
	}
	return l, nil
}

// sectors is how many sectors n bytes take.
func sectors(n int64) int64 { return (n + sector - 1) / sector }

// tableSectors is how many sectors a grain table takes.
func tableSectors(entries int64) int64 { return sectors(4 * entries) }

// write writes all but the descriptor.
func (l layout) write(f disk.File) error {
	if err := f.Truncate(int64(l.header.overhead) * sector); err != nil {
		return err
	}
	for _, at := range []uint64{l.header.rgd, l.header.gd} {
		if _, err := f.WriteAt(l.directory(int64(at)), int64(at)*sector); err != nil {
			return err
		}
	}
	_, err := f.WriteAt(l.header.encode(), 0)
	return err
}

// directory is a grain directory at the given sector, with its tables behind.
func (l layout) directory(at int64) []byte {
	p := make([]byte, l.gd*sector)
	for i := range l.tables {
		binary.LittleEndian.PutUint32(p[4*i:], uint32(at+l.gd+i*tableSectors(tableEntries)))
	}
	return p
}
