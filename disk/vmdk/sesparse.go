package vmdk

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// Constants of seSparse ("space-efficient"), which VMware has not published.
// What is here is what QEMU's driver reads, and was tried with qemu-img. All
// fields have 64 bits and count sectors.
const (
	magicSE         = 0xcafebabe
	magicSEVolatile = 0xcafecafe
	versionSE       = 0x2_0000_0001 // 2.1

	// Fields of the constant header, by their number.
	seVersion   = 1
	seCapacity  = 2
	seGrain     = 3
	seTableSize = 4
	seFlags     = 5
	seVolatile  = 10
	seGD        = 16
	seGDSize    = 17
	seTables    = 18
	seGrains    = 24

	// Fields of the volatile header.
	seFreeTable = 1 // the next table that is free
	seNext      = 2 // the number of the next transaction
	seReplay    = 3 // not 0: the journal holds what the tables do not have yet

	// The upper four bits of a directory's entry and of a table's.
	seKind      = 0xf << 60
	seAllocated = 0x1 << 60 // of a directory's entry: a table
	seUnmapped  = 0x1 << 60 // of a table's: given up by the guest, reads as zeros
	seZero      = 0x2 << 60
	seData      = 0x3 << 60
)

// seFields are the names of the constant header's fields, in order.
var seFields = []string{
	"magic", "version", "capacity", "grain size", "grain table size", "flags", "reserved", "reserved", "reserved", "reserved",
	"volatile header", "volatile header size", "journal header", "journal header size", "journal", "journal size",
	"grain directory", "grain directory size", "grain tables", "grain tables size",
	"free bitmap", "free bitmap size", "backmap", "backmap size", "grains", "grains size",
}

// seDirectory finds the grains of a seSparse extent.
type seDirectory struct {
	gd      []uint64
	gdAt    int64
	cache   *table.Cache
	entries int64
	tables  int64 // where tables begin, bytes
	grains  int64 // where grains begin, bytes
	grain   int64 // bytes
	end     *atomic.Int64
}

// openSE opens a sparse extent of ESXi 6.5 and later.
func (s *sparse) openSE() error {
	p, err := disk.ReadFull(s.part.file, 0, sector, name, "seSparse header")
	if err != nil {
		return err
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }
	switch {
	case field(0) != magicSE:
		return disk.Corrupt(name, 0, "there is no seSparse header")
	case field(seVersion) != versionSE:
		return disk.Unsupported(name, "seSparse version %#x is not known; 2.1 is", field(seVersion))
	case field(seFlags) != 0:
		return disk.Unsupported(name, "seSparse flags %#x are not known", field(seFlags))
	case field(seCapacity) > maxCapacity:
		return disk.Corrupt(name, 8*seCapacity, "the capacity of %d sectors is beyond any disk", field(seCapacity))
	case field(seGrain) == 0 || field(seGrain) > maxGrain:
		return disk.Corrupt(name, 8*seGrain, "grains of %d sectors; they must have 1 to %d", field(seGrain), maxGrain)
	case field(seTableSize) == 0 || field(seTableSize) > maxEntries/64:
		return disk.Corrupt(name, 8*seTableSize, "grain tables of %d sectors; they must have 1 to %d", field(seTableSize), maxEntries/64)
	}
	for _, i := range []int{seVolatile, seGD, seGDSize, seTables, seGrains} {
		if field(i) > maxCapacity {
			return disk.Corrupt(name, int64(8*i), "the field %q is %d sectors, beyond any file", seFields[i], field(i))
		}
	}
	s.size, s.grain = int64(field(seCapacity))*sector, int64(field(seGrain))*sector
	s.header = header{capacity: field(seCapacity), grain: field(seGrain), entries: uint32(field(seTableSize) * sector / 8), gd: field(seGD)}
	s.facts = seFacts(p)
	if err := s.openVolatile(int64(field(seVolatile)) * sector); err != nil {
		return err
	}
	s.find, err = s.seDirectory(int64(field(seGD))*sector, int64(field(seGDSize))*sector, int64(field(seTables))*sector, int64(field(seGrains))*sector)
	return err
}

// openVolatile reads the header that changes, and refuses an extent whose
// journal was not replayed: without it the tables lead to what was there before, or
// to grains that are others' since, and nobody has told how it is laid out. The
// journal's own area is not looked at: it may hold transactions that are done.
func (s *sparse) openVolatile(at int64) error {
	p, err := disk.ReadFull(s.part.file, at, sector, name, "seSparse volatile header")
	if err != nil {
		return err
	}
	field := func(i int) uint64 { return binary.LittleEndian.Uint64(p[8*i:]) }
	if field(0) != magicSEVolatile {
		return disk.Corrupt(name, at, "there is no seSparse volatile header")
	}
	if field(seReplay) != 0 {
		return disk.Unsupported(name, "the seSparse extent %swas not closed as it should be: its journal holds changes that only ESXi can replay; "+
			"power the machine on and off on its ESXi host, or delete the snapshot there, then copy it again", s.part.label())
	}
	for i, what := range map[int]string{seFreeTable: "free grain table", seNext: "next transaction", seReplay: "replay journal"} {
		s.facts = append(s.facts, disk.Field{Part: "seSparse volatile header", Offset: at + int64(8*i), Len: 8, Name: what, Value: fmt.Sprint(field(i))})
	}
	slices.SortFunc(s.facts, func(a, b disk.Field) int { return cmp.Compare(a.Offset, b.Offset) })
	return nil
}

func (s *sparse) seDirectory(at, size, tables, grains int64) (*seDirectory, error) {
	d := &seDirectory{
		gdAt: at, entries: int64(s.header.entries), tables: tables, grains: grains, grain: s.grain, end: &s.end,
		cache: table.New(s.part.file, binary.LittleEndian, tableMemory, name),
	}
	needed := 8 * s.header.tables()
	if size < needed {
		return nil, disk.Corrupt(name, 8*seGDSize, "the grain directory has %d bytes; %d are needed", size, needed)
	}
	p, err := disk.ReadFull(s.part.file, at, needed, name, "grain directory")
	if err != nil {
		return nil, err
	}
	d.gd = make([]uint64, needed/8)
	for i := range d.gd {
		d.gd[i] = binary.LittleEndian.Uint64(p[8*i:])
	}
	return d, nil
}

func (d *seDirectory) at(grain int64) (place, error) {
	t := grain / d.entries
	if t >= int64(len(d.gd)) || d.gd[t] == 0 {
		return place{}, nil
	}
	if d.gd[t]&^uint64(1<<32-1) != seAllocated {
		return place{}, disk.Corrupt(name, d.gdAt+8*t, "%#x is no entry of a grain directory", d.gd[t])
	}
	at := d.tables + 8*(int64(uint32(d.gd[t]))*d.entries+grain%d.entries)
	e, err := d.cache.Uint64(at)
	if err != nil {
		return place{}, err
	}
	switch e & seKind {
	case seUnmapped, seZero:
		return place{state: disk.Zeroed}, nil
	case seData:
		return d.data(e, at)
	}
	if e != 0 {
		return place{}, disk.Corrupt(name, at, "%#x is no entry of a grain table", e)
	}
	return place{}, nil
}

// data takes a grain's number out of an entry: its lower 12 bits stand above
// the upper 48.
func (d *seDirectory) data(e uint64, at int64) (place, error) {
	number := e>>48&0xfff | e&(1<<48-1)<<12
	if number < 1<<50/uint64(d.grain/sector) {
		if off := d.grains + int64(number)*d.grain; off < d.end.Load() {
			return place{disk.Data, off}, nil
		}
	}
	return place{}, disk.Corrupt(name, at, "grain %d of the file lies behind its end", number)
}

func (d *seDirectory) missing(grain int64) int64 {
	if t := grain / d.entries; t < int64(len(d.gd)) && d.gd[t] != 0 {
		return 0
	}
	return d.entries - grain%d.entries
}

func seFacts(p []byte) []disk.Field {
	all := make([]disk.Field, len(seFields))
	for i, what := range seFields {
		v := binary.LittleEndian.Uint64(p[8*i:])
		all[i] = disk.Field{Part: "seSparse header", Offset: int64(8 * i), Len: 8, Name: what, Value: fmt.Sprint(v)}
		if i < 2 || i == seFlags {
			all[i].Value = fmt.Sprintf("%#x", v)
		}
	}
	return all
}
