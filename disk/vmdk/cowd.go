package vmdk

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// Constants of COWD: Virtual Disk Format 5.0, "ESX Server Sparse Extents".
// All fields have 32 bits.
const (
	magicCOWD = "COWD"

	cowdHeader  = 2048 // bytes
	cowdEntries = 4096 // of every grain table

	cowdCapacity  = 12 // sectors
	cowdGrain     = 16 // sectors
	cowdGD        = 20 // sectors
	cowdTables    = 24
	cowdFree      = 28   // the next free sector
	cowdFlags     = 8    // bit 0: it has no parent
	cowdParent    = 32   // a path, of 1024 bytes, with a parent; the geometry without
	cowdParentLen = 1024 // bytes
	cowdUnclean   = 1648
)

// openCOWD opens a sparse extent of ESX.
func (s *sparse) openCOWD() error {
	p, err := disk.ReadFull(s.part.file, 0, cowdHeader, name, "COWD header")
	if err != nil {
		return err
	}
	le := binary.LittleEndian
	version, capacity, grain := le.Uint32(p[4:]), le.Uint32(p[cowdCapacity:]), le.Uint32(p[cowdGrain:])
	gd, tables := le.Uint32(p[cowdGD:]), int64(le.Uint32(p[cowdTables:]))
	if version != 1 {
		return disk.Unsupported(name, "the COWD extent has version %d; only 1 is known", version)
	}
	if grain == 0 || grain > maxGrain {
		return disk.Corrupt(name, cowdGrain, "grains of %d sectors; they must have 1 to %d", grain, maxGrain)
	}
	s.size, s.grain = int64(capacity)*sector, int64(grain)*sector
	cover := s.grain * cowdEntries
	if needed := (s.size + cover - 1) / cover; tables < needed {
		return disk.Corrupt(name, cowdTables, "%d grain tables cannot cover %d sectors; %d are needed", tables, capacity, needed)
	}
	d, err := newDirectory(s.part.file, int64(gd)*sector, tables, cowdEntries, &s.end)
	if err != nil {
		return err
	}
	s.find = d
	s.header = header{version: version, capacity: uint64(capacity), grain: uint64(grain), entries: cowdEntries, gd: uint64(gd), unclean: le.Uint32(p[cowdUnclean:]) != 0}
	s.facts = cowdFacts(p)
	return nil
}

// cowdFacts are the fields of a header.
func cowdFacts(p []byte) []disk.Field {
	number := func(off int, what, note string) disk.Field {
		return disk.Field{Part: "COWD header", Offset: int64(off), Len: 4, Name: what, Value: fmt.Sprint(binary.LittleEndian.Uint32(p[off:])), Note: note}
	}
	return []disk.Field{
		{Part: "COWD header", Len: 4, Name: "magic", Value: string(p[:4])},
		number(4, "version", ""),
		number(cowdFlags, "flags", ""),
		number(cowdCapacity, "capacity", "sectors"),
		number(cowdGrain, "grain size", "sectors"),
		number(cowdGD, "grain directory", "sector"),
		number(cowdTables, "grain tables", ""),
		number(cowdFree, "next free sector", ""),
		number(cowdUnclean, "unclean shutdown", ""),
	}
}

// cowdParentName is the parent that a COWD extent names itself, as ESX 2 did;
// "" if none.
func cowdParentName(f disk.File) string {
	p, err := disk.ReadFull(f, 0, cowdHeader, name, "COWD header")
	if err != nil || binary.LittleEndian.Uint32(p[cowdFlags:])&1 != 0 {
		return ""
	}
	text, _, _ := bytes.Cut(p[cowdParent:cowdParent+cowdParentLen], []byte{0})
	for _, c := range text {
		if c < ' ' { // a geometry, of an extent whose flag is not set
			return ""
		}
	}
	return string(text)
}
