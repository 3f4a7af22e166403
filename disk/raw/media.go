package raw

import (
	"bytes"
	"encoding/binary"
	"strings"

	"github.com/panalvm/panal/disk"
)

// media is what kind of disk the bytes are.
type media struct {
	variant  string
	sector   int
	geometry *disk.Geometry
	details  []disk.Detail
	guessed  bool
}

func (m media) info() disk.Info {
	return disk.Info{Variant: m.variant, SectorSize: m.sector, Geometry: m.geometry, Details: m.details, Guessed: m.guessed}
}

// recognise looks at a disk's first sectors. read fills a buffer from a range
// that the disk has.
func recognise(read func(p []byte, off int64) error, size int64) (media, error) {
	get := func(off, n int64) ([]byte, error) {
		if off+n > size {
			return nil, nil
		}
		p := make([]byte, n)
		return p, read(p, off)
	}
	descriptors, err := get(systemArea, maxDescriptors*opticalSector)
	if descriptors == nil && err == nil { // a disc may end with its descriptors
		descriptors, err = get(systemArea, max(0, size-systemArea)/opticalSector*opticalSector)
	}
	if err != nil {
		return media{}, err
	}
	if m, ok := optical(descriptors); ok {
		return m, nil
	}
	boot, err := get(0, 1024)
	if err != nil {
		return media{}, err
	}
	if geometry, ok := floppyOf(boot, size); ok {
		return media{variant: floppy, sector: 512, geometry: &geometry}, nil
	}
	return media{variant: plain, details: partitions(boot)}, nil
}

// Optical discs have descriptors of 2048 bytes behind a system area of 16
// sectors: ECMA-119 (ISO 9660) section 8, ECMA-167 part 2 section 8 for UDF.
const (
	opticalSector  = 2048
	systemArea     = 16 * opticalSector
	maxDescriptors = 16 // that are looked at
)

// optical recognises the descriptors of an optical disc.
func optical(descriptors []byte) (media, bool) {
	m := media{variant: iso, sector: opticalSector}
	var systems []string
	for ; len(descriptors) >= opticalSector; descriptors = descriptors[opticalSector:] {
		kind, id, body := descriptors[0], string(descriptors[1:6]), descriptors[:opticalSector]
		switch {
		case id == "CD001" && kind == 1: // the primary volume descriptor
			systems = append(systems, "ISO 9660")
			m.add("volume", text(body[40:72]))
			m.add("publisher", text(body[318:446]))
			m.add("application", text(body[574:702]))
		case id == "CD001" && kind == 2 && bytes.HasPrefix(body[88:], []byte("%/")):
			systems = append(systems, "Joliet")
		case id == "CD001" && kind == 0 && text(body[7:39]) == "EL TORITO SPECIFICATION":
			m.add("boot", "El Torito")
		case id == "NSR02" || id == "NSR03":
			systems = append(systems, "UDF")
		case id == "CD001" || id == "BEA01" || id == "BOOT2":
		default: // the end of the descriptors, TEA01, or something else
			descriptors = descriptors[:opticalSector]
		}
	}
	m.add("file system", strings.Join(systems, ", "))
	return m, len(systems) > 0
}

// add notes a fact, if there is one.
func (m *media) add(name, value string) {
	if value != "" {
		m.details = append(m.details, disk.Detail{Name: name, Value: value})
	}
}

// text is a field that is filled up with spaces or zeros, without what cannot
// be printed.
func text(p []byte) string {
	clean := strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return -1
		}
		return r
	}, string(p))
	return strings.TrimSpace(clean)
}

// floppies are the usual sizes of floppy disks. The small ones are also
// those of other things, and are believed only with a FAT file system.
var floppies = []struct {
	disk.Geometry
	sure bool
}{
	{disk.Geometry{Cylinders: 40, Heads: 1, Sectors: 8}, false},  // 160 KiB
	{disk.Geometry{Cylinders: 40, Heads: 1, Sectors: 9}, false},  // 180 KiB
	{disk.Geometry{Cylinders: 40, Heads: 2, Sectors: 8}, false},  // 320 KiB
	{disk.Geometry{Cylinders: 40, Heads: 2, Sectors: 9}, false},  // 360 KiB
	{disk.Geometry{Cylinders: 80, Heads: 2, Sectors: 9}, true},   // 720 KiB
	{disk.Geometry{Cylinders: 80, Heads: 2, Sectors: 15}, true},  // 1.2 MB
	{disk.Geometry{Cylinders: 80, Heads: 2, Sectors: 18}, true},  // 1.44 MB
	{disk.Geometry{Cylinders: 80, Heads: 2, Sectors: 21}, false}, // 1.68 MB, Microsoft's DMF
	{disk.Geometry{Cylinders: 80, Heads: 2, Sectors: 36}, true},  // 2.88 MB
}

// floppyOf recognises a floppy disk by its size.
func floppyOf(boot []byte, size int64) (disk.Geometry, bool) {
	for _, f := range floppies {
		if f.Size() == size && (f.sure || hasFAT(boot, size)) {
			return f.Geometry, true
		}
	}
	return disk.Geometry{}, false
}

// hasFAT tells whether a disk begins with a FAT file system of that size: by
// the parameter block in its boot sector, or by the media byte that the table
// behind it begins with.
func hasFAT(boot []byte, size int64) bool {
	if len(boot) < 1024 {
		return false
	}
	sectors := int64(binary.LittleEndian.Uint16(boot[19:]))
	described := binary.LittleEndian.Uint16(boot[11:]) == 512 && sectors*512 == size && boot[21] >= 0xf0
	return described || boot[512] >= 0xf8 && boot[513] == 0xff && boot[514] == 0xff
}

// partitions says what partition table a disk has.
func partitions(boot []byte) []disk.Detail {
	switch {
	case len(boot) < 1024:
		return nil
	case string(boot[512:520]) == "EFI PART":
		return []disk.Detail{{Name: "partitions", Value: "GPT"}}
	case boot[510] == 0x55 && boot[511] == 0xaa && hasMBR(boot):
		return []disk.Detail{{Name: "partitions", Value: "MBR"}}
	}
	return nil
}

// hasMBR tells whether the four entries of a boot sector can be partitions:
// each is active or not, and one has a type.
func hasMBR(boot []byte) bool {
	used := false
	for entry := 446; entry < 510; entry += 16 {
		if boot[entry]&0x7f != 0 {
			return false
		}
		used = used || boot[entry+4] != 0
	}
	return used
}
