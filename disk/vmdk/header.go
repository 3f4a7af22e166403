package vmdk

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// name is the format's, also in errors.
const name = "vmdk"

// The unit of every offset in a VMDK: Virtual Disk Format 5.0, "Basics".
const sector = 512

// Constants of the sparse extent header: Virtual Disk Format 5.0, "Hosted
// Sparse Extent Header".
const (
	magicSparse = "KDMV" // 0x564d444b, little-endian

	flagNewlines   = 1 << 0  // the four newline bytes are set
	flagRedundant  = 1 << 1  // there is a second grain directory
	flagZeroed     = 1 << 2  // an entry of 1 is a grain of zeros; version 2
	flagCompressed = 1 << 16 // grains are compressed
	flagMarkers    = 1 << 17 // markers tell what each part of the file is

	compressDeflate = 1

	// gdAtEnd stands for the grain directory's place in the header of a
	// stream: the footer, a second header at the end, knows it.
	gdAtEnd = 1<<64 - 1

	// zeroedEntry is the entry of a grain of zeros, with flagZeroed.
	zeroedEntry = 1

	// newlines shows transfers in text mode, which change them.
	newlines = "\n \r\n"
)

// Limits that keep arithmetic within 63 bits and tables within reason. VMware
// writes grains of 64 KiB and tables of 512 entries.
const (
	maxGrain    = 1 << 21 // sectors; to read grains as they are
	maxBuffered = 1 << 13 // sectors; to decode or write grains, which takes a buffer of one
	maxEntries  = 1 << 16 // of a grain table
	maxCapacity = 1 << 50 // sectors
)

// header is the first sector of a sparse extent.
type header struct {
	version    uint32
	flags      uint32
	capacity   uint64 // sectors
	grain      uint64 // sectors
	descOffset uint64 // sectors; 0: none
	descSize   uint64 // sectors
	entries    uint32 // of a grain table
	rgd        uint64 // sectors
	gd         uint64 // sectors
	overhead   uint64 // sectors before the first grain
	unclean    bool
	newlines   string
	compress   uint16
}

// Offsets of the header's fields, in bytes.
const (
	offVersion    = 4
	offFlags      = 8
	offCapacity   = 12
	offGrain      = 20
	offDescOffset = 28
	offDescSize   = 36
	offEntries    = 44
	offRGD        = 48
	offGD         = 56
	offOverhead   = 64
	offUnclean    = 72
	offNewlines   = 73
	offCompress   = 77
)

func decodeHeader(p []byte) header {
	le := binary.LittleEndian
	return header{
		version: le.Uint32(p[offVersion:]), flags: le.Uint32(p[offFlags:]),
		capacity: le.Uint64(p[offCapacity:]), grain: le.Uint64(p[offGrain:]),
		descOffset: le.Uint64(p[offDescOffset:]), descSize: le.Uint64(p[offDescSize:]),
		entries: le.Uint32(p[offEntries:]),
		rgd:     le.Uint64(p[offRGD:]), gd: le.Uint64(p[offGD:]), overhead: le.Uint64(p[offOverhead:]),
		unclean: p[offUnclean] != 0, newlines: string(p[offNewlines : offNewlines+4]), compress: le.Uint16(p[offCompress:]),
	}
}

// encode makes the sector.
func (h header) encode() []byte {
	p := make([]byte, sector)
	le := binary.LittleEndian
	copy(p, magicSparse)
	le.PutUint32(p[offVersion:], h.version)
	le.PutUint32(p[offFlags:], h.flags)
	le.PutUint64(p[offCapacity:], h.capacity)
	le.PutUint64(p[offGrain:], h.grain)
	le.PutUint64(p[offDescOffset:], h.descOffset)
	le.PutUint64(p[offDescSize:], h.descSize)
	le.PutUint32(p[offEntries:], h.entries)
	le.PutUint64(p[offRGD:], h.rgd)
	le.PutUint64(p[offGD:], h.gd)
	le.PutUint64(p[offOverhead:], h.overhead)
	if h.unclean {
		p[offUnclean] = 1
	}
	copy(p[offNewlines:], newlines)
	le.PutUint16(p[offCompress:], h.compress)
	return p
}

// check refuses what cannot be read. at is where the header lies.
func (h header) check(at int64) error {
	bad := func(off int64, reason string, args ...any) error {
		return disk.Corrupt(name, at+off, reason, args...)
	}
	switch {
	case h.version == 0 || h.version > 3:
		return disk.Unsupported(name, "the sparse extent has version %d; versions 1 to 3 can be read", h.version)
	case h.flags&flagNewlines != 0 && h.newlines != newlines:
		return bad(offNewlines, "the newline test reads %q: the file was damaged by a transfer in text mode; copy it again as binary", h.newlines)
	case h.capacity > maxCapacity:
		return bad(offCapacity, "the capacity of %d sectors is beyond any disk", h.capacity)
	case h.grain == 0 || h.grain > maxGrain:
		return bad(offGrain, "grains of %d sectors; they must have 1 to %d", h.grain, maxGrain)
	case h.entries == 0 || h.entries > maxEntries:
		return bad(offEntries, "grain tables of %d entries; they must have 1 to %d", h.entries, maxEntries)
	case h.compress > compressDeflate:
		return disk.Unsupported(name, "grains are compressed by method %d; only deflate (1) is known", h.compress)
	}
	return nil
}

// compressed tells whether grains are. Some writers set only one of the two
// fields that say so.
func (h header) compressed() bool {
	return h.compress == compressDeflate || h.flags&flagCompressed != 0
}

// tables is how many grain tables cover the capacity.
func (h header) tables() int64 {
	cover := int64(h.grain) * int64(h.entries)
	return (int64(h.capacity) + cover - 1) / cover
}

// readHeader reads the header at the given offset.
func readHeader(f disk.File, at int64) (header, error) {
	p, err := disk.ReadFull(f, at, sector, name, "sparse extent header")
	if err != nil {
		return header{}, err
	}
	if string(p[:4]) != magicSparse {
		return header{}, disk.Corrupt(name, at, "there is no sparse extent header (it should begin with KDMV)")
	}
	h := decodeHeader(p)
	return h, h.check(at)
}
