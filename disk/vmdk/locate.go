package vmdk

import (
	"encoding/binary"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// tableMemory bounds what each sparse extent keeps of its tables in memory, in
// bytes, beside what waits to be written.
const tableMemory = 2 << 20

// place is where a grain lies.
type place struct {
	state disk.State
	off   int64 // in the file, bytes; of Data only
}

// locator finds grains. Methods may be called concurrently.
type locator interface {
	// at is the place of a grain, by its number in the extent.
	at(grain int64) (place, error)
	// missing tells how many grains from the given one on are certainly
	// unallocated, because a whole table is missing or empty; 0 when it takes at.
	missing(grain int64) int64
}

// directory is a grain directory with its grain tables, of 32-bit entries:
// those of hosted sparse extents and of COWD. Entry i of table t says where grain
// t*entries+i begins, in sectors.
type directory struct {
	file    disk.File
	cache   *table.Cache // of the grain tables
	entries int64        // of a table
	zeroed  bool         // an entry of 1 is a grain of zeros
	end     *atomic.Int64
	gdAt    int64 // where the directory lies in the file, bytes
	broken  error // why the first directory cannot be read, and the second is used
	rgdErr  error // why the second directory cannot be read
	most    int   // bytes that the pages may take, beside what waits to be written

	memory *memory     // what the extents of an image share; nil until it is one of an image
	warm   atomic.Bool // its pages are counted there

	mu   sync.RWMutex
	gd   []uint32 // tables' places, in sectors; 0: missing
	rgd  []uint32 // those of the second copy; nil when there is none
	used []uint64 // a bit for each table that is not known to be empty
	hole [2]int64 // a range of the file that is known to be a hole, as long as nothing is set in it
}

// newDirectory reads a grain directory of n entries at off.
func newDirectory(f disk.File, off, n, entries int64, end *atomic.Int64) (*directory, error) {
	gd, err := readDirectory(f, off, n)
	if err != nil {
		return nil, err
	}
	return &directory{
		file: f, cache: table.New(f, binary.LittleEndian, tableMemory, name), entries: entries, end: end, gdAt: off,
		gd: gd, used: make([]uint64, (n+63)/64), most: costOf(n, entries),
	}, nil
}

func readDirectory(f disk.File, off, n int64) ([]uint32, error) {
	p, err := disk.ReadFull(f, off, 4*n, name, "grain directory")
	if err != nil {
		return nil, err
	}
	gd := make([]uint32, n)
	for i := range gd {
		gd[i] = binary.LittleEndian.Uint32(p[4*i:])
	}
	return gd, nil
}

// table is where the table of a grain lies, in sectors; 0: missing.
func (d *directory) table(grain int64) uint32 {
	t := grain / d.entries
	if t >= int64(len(d.gd)) {
		return 0
	}
	return d.gd[t]
}

// entryAt is where the entry of a grain lies in the file, by its table.
func (d *directory) entryAt(table uint32, grain int64) int64 {
	return int64(table)*sector + 4*(grain%d.entries)
}

func (d *directory) at(grain int64) (place, error) {
	d.mu.RLock()
	t := d.table(grain)
	d.mu.RUnlock()
	if t == 0 || d.zeroed && t == zeroedEntry {
		return absent(t != 0), nil
	}
	at := d.entryAt(t, grain)
	d.wanted()
	e, err := d.cache.Uint32(at)
	if err != nil {
		return place{}, err
	}
	if e == 0 || d.zeroed && e == zeroedEntry {
		return absent(e != 0), nil
	}
	if off := int64(e) * sector; off < d.end.Load() {
		return place{disk.Data, off}, nil
	}
	return place{}, disk.Corrupt(name, at, "grain %d is said to lie at sector %d, behind the end of the file", grain, e)
}

func absent(zero bool) place {
	if zero {
		return place{state: disk.Zeroed}
	}
	return place{}
}

func (d *directory) missing(grain int64) int64 {
	t := grain / d.entries
	left := d.entries - grain%d.entries
	d.mu.RLock()
	entry := d.table(grain)
	known := t < int64(len(d.gd)) && d.used[t/64]&(1<<(t%64)) != 0
	begin := int64(entry) * sector
	inHole := begin >= d.hole[0] && begin+4*d.entries <= d.hole[1]
	d.mu.RUnlock()
	switch {
	case entry == 0:
		return left
	case known || d.zeroed && entry == zeroedEntry:
		return 0
	case inHole:
		return left
	}
	return d.probe(t, begin, left)
}

// probe looks whether a table lies in a hole of the file: those of new images
// do, and reading all the tables of a large empty disk would take long.
func (d *directory) probe(t, begin, left int64) int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if h, ok := d.file.(disk.Holed); ok && d.used[t/64]&(1<<(t%64)) == 0 {
		data, _, err := h.NextData(begin)
		if err == nil && data >= begin+4*d.entries && begin+4*d.entries <= d.end.Load() {
			d.hole = [2]int64{begin, data}
			return left
		}
	}
	d.used[t/64] |= 1 << (t % 64)
	return 0
}
