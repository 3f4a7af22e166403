package vhd

import (
	"encoding/binary"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
)

// Microsoft, Virtual Hard Disk Image Format Specification 1.0 (2006), "Hard
// Disk Footer Format".
const (
	footerSize   = 512
	footerCookie = "conectix"
	version1     = 0x00010000
	noOffset     = 0xffffffffffffffff

	kindFixed   = 2
	kindDynamic = 3
	kindDiff    = 4
)

// Offsets in the footer.
const (
	atFeatures   = 8
	atVersion    = 12
	atDataOffset = 16
	atTime       = 24
	atCreator    = 28
	atCreatorVer = 32
	atHostOS     = 36
	atOriginal   = 40
	atCurrent    = 48
	atGeometry   = 56
	atKind       = 60
	atSum        = 64
	atID         = 68
	atSaved      = 84
	atHidden     = 85 // libvhd's
)

// maxSectors is the longest disk: what the table can point at, 2040 GiB.
const maxSectors = 0xff000000

// maxSize is maxSectors in bytes.
const maxSize = int64(maxSectors) * sector

const sector = 512

// epoch is where timestamps begin.
const epoch = 946684800

// footer is a footer as it stands in a file.
type footer []byte

func (f footer) u32(off int) uint32       { return binary.BigEndian.Uint32(f[off:]) }
func (f footer) u64(off int) uint64       { return binary.BigEndian.Uint64(f[off:]) }
func (f footer) setU32(off int, v uint32) { binary.BigEndian.PutUint32(f[off:], v) }
func (f footer) setU64(off int, v uint64) { binary.BigEndian.PutUint64(f[off:], v) }
func (f footer) kind() uint32             { return f.u32(atKind) }
func (f footer) creator() string          { return string(f[atCreator : atCreator+4]) }
func (f footer) current() int64           { return int64(min(f.u64(atCurrent), 1<<62)) }
func (f footer) id() uuid.UUID            { return uuid.UUID(f[atID : atID+16]) }
func (f footer) setID(id uuid.UUID)       { copy(f[atID:], id[:]) }

// clone is a copy that can be changed on its own.
func (f footer) clone() footer { return append(footer(nil), f...) }

// created is the timestamp.
func (f footer) created() time.Time { return timeOf(f.u32(atTime)) }

// timeOf is the time of a timestamp.
func timeOf(stamp uint32) time.Time { return time.Unix(epoch+int64(stamp), 0).UTC() }

// stamp is the timestamp for a time.
func stamp(t time.Time) uint32 { return uint32(max(0, min(t.Unix()-epoch, 0xffffffff))) }

// geometry is cylinders, heads and sectors.
func (f footer) geometry() disk.Geometry {
	return disk.Geometry{Cylinders: int(binary.BigEndian.Uint16(f[atGeometry:])), Heads: int(f[atGeometry+2]), Sectors: int(f[atGeometry+3])}
}

// setSize sets the current size and the geometry for it.
func (f footer) setSize(size int64) {
	f.setU64(atCurrent, uint64(size))
	g := geometryFor(size)
	binary.BigEndian.PutUint16(f[atGeometry:], uint16(g.Cylinders))
	f[atGeometry+2], f[atGeometry+3] = byte(g.Heads), byte(g.Sectors)
}

// sound tells whether the checksum is right.
func (f footer) sound() bool { return f.u32(atSum) == checksum(f, atSum) }

// seal sets the checksum.
func (f footer) seal() footer {
	f.setU32(atSum, checksum(f, atSum))
	return f
}

// checksum is the complement of the sum of all bytes but the checksum's own.
func checksum(p []byte, at int) uint32 {
	sum := uint32(0)
	for i, b := range p {
		if i < at || i >= at+4 {
			sum += uint32(b)
		}
	}
	return ^sum
}

// plausible tells whether it is a footer, right or damaged.
func (f footer) plausible() bool {
	return len(f) == footerSize && string(f[:8]) == footerCookie && f.kind() >= kindFixed && f.kind() <= kindDiff
}

// bySize are the programs whose images are as long as the current size says.
// All others, Virtual PC the first, go by the geometry.
var bySize = []string{
	"win ",       // Hyper-V, Windows
	"d2v ",       // disk2vhd
	"qem2",       // QEMU, when told to; and Panal
	"tap\x00",    // XenServer
	"CTXS",       // XenConverter
	"wa\x00\x00", // Azure
	"vbox",       // VirtualBox, which never looks at the geometry
}

// maxGeometry is the geometry of all disks that are too large for one.
const maxGeometry = int64(65535) * 16 * 255 * sector

// size is how long the disk is, by the footer. holds is how much the image can
// hold: a geometry that goes beyond is not meant.
func (f footer) size(holds int64) int64 {
	current := f.current() / sector * sector
	geometry := f.geometry()
	if chs := geometry.Size(); chs != maxGeometry && chs <= holds && chs > 0 && !f.sizedByNumber() {
		return chs
	}
	return current
}

func (f footer) sizedByNumber() bool {
	for _, c := range bySize {
		if f.creator() == c {
			return true
		}
	}
	return false
}

// creators are the programs by their codes.
var creators = map[string]string{
	"vpc ": "Virtual PC", "vs  ": "Virtual Server", "win ": "Hyper-V", "d2v ": "disk2vhd", "qemu": "QEMU", "qem2": "QEMU or Panal",
	"tap\x00": "XenServer", "CTXS": "XenConverter", "wa\x00\x00": "Azure", "vbox": "VirtualBox", "*img": "FreeBSD mkimg",
}

// creatorName is the program that made the image, as well as the code tells.
func (f footer) creatorName() string {
	if known, ok := creators[f.creator()]; ok {
		return known
	}
	return strings.ToValidUTF8(strings.TrimRight(f.creator(), " \x00"), "?")
}

// geometryFor is the specification's algorithm (appendix "CHS Calculation").
func geometryFor(size int64) disk.Geometry {
	total := size / sector
	if total > 65535*16*255 {
		total = 65535 * 16 * 255
	}
	if total >= 65535*16*63 {
		return disk.Geometry{Cylinders: int(total / (16 * 255)), Heads: 16, Sectors: 255}
	}
	tracks := total / 17
	heads := max((tracks+1023)/1024, 4)
	sectors := int64(17)
	if tracks >= heads*1024 || heads > 16 {
		sectors, heads = 31, 16
		tracks = total / sectors
	}
	if tracks >= heads*1024 {
		sectors, heads = 63, 16
		tracks = total / sectors
	}
	return disk.Geometry{Cylinders: int(tracks / heads), Heads: int(heads), Sectors: int(sectors)}
}

// ends are the footers that a file has.
type ends struct {
	head, tail footer // nil if there is none
	tailAt     int64  // where the tail begins
	short      bool   // the tail has 511 bytes, as Virtual PC before 2004 wrote it
}

// readEnds reads the footer and its copy.
func readEnds(f disk.File, size int64) (ends, error) {
	var e ends
	if size < footerSize-1 {
		return e, disk.Corrupt(name, 0, "a file of %d bytes is too short for a VHD", size)
	}
	n := min(size, footerSize)
	last, err := disk.ReadFull(f, size-n, n, name, "footer")
	if err != nil {
		return e, err
	}
	e.tail, e.short = asTail(last)
	e.tailAt = size - footerSize
	if e.short {
		e.tailAt++
	}
	if size < footerSize {
		return e, nil
	}
	first, err := disk.ReadFull(f, 0, footerSize, name, "copy of the footer")
	if err != nil {
		return e, err
	}
	if head := footer(first); head.plausible() && head.kind() != kindFixed {
		e.head = head
	}
	return e, nil
}

// asTail finds a footer of 512 or 511 bytes at the end of p.
func asTail(p []byte) (f footer, short bool) {
	if f := footer(p); f.plausible() {
		return f, false
	}
	if len(p) < footerSize-1 {
		return nil, false
	}
	f = append(append(footer(nil), p[len(p)-footerSize+1:]...), 0)
	if f.plausible() {
		return f, true
	}
	return nil, false
}

// best is the footer to go by: the one at the end, when it is sound or there
// is no other.
func (e ends) best() footer {
	switch {
	case e.tail == nil:
		return e.head
	case e.head == nil || e.tail.sound() || !e.head.sound():
		return e.tail
	}
	return e.head
}
