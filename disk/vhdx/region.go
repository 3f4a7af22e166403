package vhdx

import (
	"encoding/binary"
	"slices"

	"github.com/panalvm/panal/disk"
)

const (
	regionTableLength = 64 * kib
	maxRegions        = 2047 // [MS-VHDX] 2.2.3
)

// regionPlaces are the two region tables' offsets, [MS-VHDX] 2.2.3.
var regionPlaces = [2]int64{192 * kib, 256 * kib}

// The regions that every file has, [MS-VHDX] 2.2.3.2.
const (
	regionBAT      = "2dc27766-f623-4200-9d64-115e9bfd4a08"
	regionMetadata = "8b7ca206-4790-4b9a-b8fe-575f050f886e"
)

// span is a range of the file.
type span struct{ off, length int64 }

func (s span) end() int64 { return s.off + s.length }

func (s span) overlaps(o span) bool { return s.off < o.end() && o.off < s.end() }

// region is an entry of the region table.
type region struct {
	id guid
	span
	required bool
}

// regions are a region table.
type regions struct {
	list   []region
	faults [2]error // what is wrong with each copy
}

// decodeRegions reads a table that lies at off in a file of the given size.
func decodeRegions(p []byte, off, size int64) ([]region, error) {
	if string(p[:4]) != "regi" {
		return nil, disk.Corrupt(name, off, "there is no region table: its signature is %q", p[:4])
	}
	if want, have := binary.LittleEndian.Uint32(p[4:]), sum(p, 4); want != have {
		return nil, disk.Corrupt(name, off+4, "the region table's checksum is %#08x, and its content gives %#08x", want, have)
	}
	count := int64(binary.LittleEndian.Uint32(p[8:]))
	if count > maxRegions {
		return nil, disk.Corrupt(name, off+8, "the region table has %d entries; %d are the most", count, maxRegions)
	}
	list := make([]region, count)
	for i := range list {
		e := p[16+32*i:]
		list[i] = region{
			id:       guidAt(e),
			span:     span{int64(binary.LittleEndian.Uint64(e[16:])), int64(binary.LittleEndian.Uint32(e[24:]))},
			required: binary.LittleEndian.Uint32(e[28:])&1 != 0,
		}
		if err := list[i].check(list[:i], off+16+32*int64(i), size); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// check tells what is wrong with an entry that lies at off behind others.
func (r region) check(others []region, off, size int64) error {
	switch {
	case r.off < headerSection || r.off%mib != 0 || r.length%mib != 0:
		return disk.Corrupt(name, off+16, "region %s cannot lie at %#x with %#x bytes", r.id, r.off, r.length)
	case r.off > size || r.length > size-r.off:
		return disk.Corrupt(name, off+16, "region %s at %#x with %#x bytes goes beyond the end of the file at %#x", r.id, r.off, r.length, size)
	}
	for _, o := range others {
		if o.id == r.id {
			return disk.Corrupt(name, off, "region %s is there twice", r.id)
		}
		if o.overlaps(r.span) {
			return disk.Corrupt(name, off+16, "region %s at %#x overlaps region %s at %#x", r.id, r.off, o.id, o.off)
		}
	}
	return nil
}

// readRegions reads the region table; the second copy, if the first is bad.
func readRegions(f disk.File) (regions, error) {
	size, err := f.Size()
	if err != nil {
		return regions{}, err
	}
	var all regions
	for i, off := range regionPlaces {
		p, err := disk.ReadFull(f, off, regionTableLength, name, "region table")
		if err != nil {
			return all, err
		}
		list, err := decodeRegions(p, off, size)
		if all.faults[i] = err; err == nil && all.list == nil {
			all.list = list
		}
	}
	if all.list == nil {
		return all, all.faults[0]
	}
	return all, all.known()
}

// known refuses a file with a region that must be understood and is not.
func (r regions) known() error {
	for _, e := range r.list {
		if id := e.id.String(); e.required && id != regionBAT && id != regionMetadata {
			return disk.Unsupported(name, "the file has a region %s that nobody may open it without knowing", id)
		}
	}
	return nil
}

// find is the region with an id of the specification.
func (r regions) find(id string) (span, error) {
	i := slices.IndexFunc(r.list, func(e region) bool { return e.id.String() == id })
	if i < 0 {
		return span{}, disk.Corrupt(name, regionPlaces[0], "the region table lacks region %s", id)
	}
	return r.list[i].span, nil
}

// encodeRegions makes a region table.
func encodeRegions(list []region) []byte {
	p := make([]byte, regionTableLength)
	copy(p, "regi")
	binary.LittleEndian.PutUint32(p[8:], uint32(len(list)))
	for i, r := range list {
		e := p[16+32*i:]
		copy(e, r.id[:])
		binary.LittleEndian.PutUint64(e[16:], uint64(r.off))
		binary.LittleEndian.PutUint32(e[24:], uint32(r.length))
		if r.required {
			e[28] = 1
		}
	}
	binary.LittleEndian.PutUint32(p[4:], sum(p, 4))
	return p
}
