package vhdx

import (
	"encoding/binary"
	"math/bits"

	"github.com/panalvm/panal/disk"
)

// The metadata region, [MS-VHDX] 2.6.
const (
	metadataTableLength = 64 * kib
	metadataRegion      = mib
	maxItems            = 2047
	maxItemLength       = mib // [MS-VHDX] 2.6.1.2
)

// The known items, [MS-VHDX] 2.6.2.
const (
	itemParameters = "caa16737-fa36-4d43-b3b6-33f0aa44e76b"
	itemSize       = "2fa54224-cd1b-4876-b211-5dbed83bf4b8"
	itemPage83     = "beca12ab-b2e6-4523-93ef-c309e000c746"
	itemLogical    = "8141bf1d-a96f-4709-ba47-f233a8faab5f"
	itemPhysical   = "cda348c7-445d-4471-9cc9-e9885251c556"
	itemLocator    = "a8d35f2d-b30b-454d-abf7-d3d84834ab0c"
)

// Flags of an item, [MS-VHDX] 2.6.1.2.
const (
	flagUser     = 1 << 0
	flagDisk     = 1 << 1
	flagRequired = 1 << 2
)

// Flags of the file parameters, [MS-VHDX] 2.6.2.1.
const (
	flagLeave  = 1 << 0
	flagParent = 1 << 1
)

// item is an entry of the metadata table.
type item struct {
	id     guid
	offset int64 // in the region
	length int64
	flags  uint32
}

// metadata is what the metadata region says.
type metadata struct {
	span      // of the region
	items     []item
	blockSize int64
	leave     bool // blocks stay allocated: a fixed image
	hasParent bool
	size      int64 // of the disk
	page83    guid
	logical   int64
	physical  int64
	locator   locator
}

// readMetadata reads the region.
func readMetadata(f disk.File, where span) (metadata, error) {
	m := metadata{span: where}
	p, err := disk.ReadFull(f, where.off, metadataTableLength, name, "metadata table")
	if err != nil {
		return m, err
	}
	if string(p[:8]) != "metadata" {
		return m, disk.Corrupt(name, where.off, "there is no metadata table: its signature is %q", p[:8])
	}
	count := int(binary.LittleEndian.Uint16(p[10:]))
	if count > maxItems {
		return m, disk.Corrupt(name, where.off+10, "the metadata table has %d entries; %d are the most", count, maxItems)
	}
	for i := range count {
		if err := m.entry(p[32+32*i:], where.off+32+32*int64(i)); err != nil {
			return m, err
		}
	}
	if err := m.values(f); err != nil {
		return m, err
	}
	return m, m.check()
}

// entry takes in an entry of the table that lies at off.
func (m *metadata) entry(e []byte, off int64) error {
	it := item{
		id:     guidAt(e),
		offset: int64(binary.LittleEndian.Uint32(e[16:])),
		length: int64(binary.LittleEndian.Uint32(e[20:])),
		flags:  binary.LittleEndian.Uint32(e[24:]),
	}
	if it.length > maxItemLength || it.length > 0 && it.offset < metadataTableLength || it.offset+it.length > m.length {
		return disk.Corrupt(name, off+16, "metadata item %s cannot lie at %#x with %#x bytes in a region of %#x", it.id, it.offset, it.length, m.length)
	}
	if _, twice := m.find(it.id.String()); twice && it.flags&flagUser == 0 {
		return disk.Corrupt(name, off, "metadata item %s is there twice", it.id)
	}
	m.items = append(m.items, it)
	return nil
}

// find is the item with an id of the specification.
func (m *metadata) find(id string) (item, bool) {
	for _, it := range m.items {
		if it.flags&flagUser == 0 && it.id.String() == id {
			return it, true
		}
	}
	return item{}, false
}

// values reads the items that are known, and refuses a file with one that
// must be known and is not.
func (m *metadata) values(f disk.File) error {
	for _, it := range m.items {
		length, known := itemLength(it.id.String())
		switch {
		case it.flags&flagUser != 0 || !known:
			if it.flags&flagRequired != 0 {
				return disk.Unsupported(name, "the file has metadata %s that nobody may open it without knowing", it.id)
			}
			continue
		case it.length < length:
			return disk.Corrupt(name, m.off+it.offset, "metadata item %s has %d bytes; it needs %d", it.id, it.length, length)
		}
		p, err := disk.ReadFull(f, m.off+it.offset, it.length, name, "metadata item")
		if err != nil {
			return err
		}
		if err := m.value(it, p); err != nil {
			return err
		}
	}
	return nil
}

// itemLength is how long a known item is at least.
func itemLength(id string) (int64, bool) {
	switch id {
	case itemParameters, itemSize:
		return 8, true
	case itemPage83:
		return 16, true
	case itemLogical, itemPhysical:
		return 4, true
	case itemLocator:
		return 20, true
	}
	return 0, false
}

// value takes in the content of a known item.
func (m *metadata) value(it item, p []byte) (err error) {
	switch it.id.String() {
	case itemParameters:
		m.blockSize = int64(binary.LittleEndian.Uint32(p))
		m.leave, m.hasParent = p[4]&flagLeave != 0, p[4]&flagParent != 0
	case itemSize:
		m.size = int64(binary.LittleEndian.Uint64(p))
	case itemPage83:
		m.page83 = guidAt(p)
	case itemLogical:
		m.logical = int64(binary.LittleEndian.Uint32(p))
	case itemPhysical:
		m.physical = int64(binary.LittleEndian.Uint32(p))
	case itemLocator:
		m.locator, err = decodeLocator(p, m.off+it.offset)
	}
	return err
}

// check tells what is wrong with the values.
func (m *metadata) check() error {
	for _, id := range []string{itemParameters, itemSize, itemLogical} {
		if _, ok := m.find(id); !ok {
			return disk.Corrupt(name, m.off, "the metadata lacks item %s", id)
		}
	}
	switch {
	case m.blockSize < mib || m.blockSize > 256*mib || bits.OnesCount64(uint64(m.blockSize)) != 1:
		return disk.Corrupt(name, m.place(itemParameters), "blocks cannot have %d bytes", m.blockSize)
	case m.logical != 512 && m.logical != 4096:
		return disk.Corrupt(name, m.place(itemLogical), "logical sectors cannot have %d bytes", m.logical)
	case m.size < 0 || m.size > maxVirtual || m.size%m.logical != 0:
		return disk.Corrupt(name, m.place(itemSize), "a disk of %d-byte sectors cannot have %d bytes", m.logical, m.size)
	case m.hasParent && m.locator == nil:
		return disk.Corrupt(name, m.off, "the image has a parent, and nothing says which")
	}
	return nil
}

// place is where an item lies in the file.
func (m *metadata) place(id string) int64 {
	it, _ := m.find(id)
	return m.off + it.offset
}

// kind is the name of the variant.
func (m *metadata) kind() string {
	switch {
	case m.hasParent:
		return "differencing"
	case m.leave:
		return "fixed"
	}
	return "dynamic"
}
