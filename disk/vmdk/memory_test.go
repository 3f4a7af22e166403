package vmdk

import (
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// directories makes many over one file that is full of tables.
func directories(t *testing.T, count int) (*memory, []*directory) {
	t.Helper()
	const tables, entries = 1024, 512
	m := memfs.New()
	content := make([]byte, sector*8+tables*entries*4)
	m.Put("tables", content)
	f, err := m.Open("tables", true)
	if err != nil {
		t.Fatal(err)
	}
	var end atomic.Int64
	end.Store(int64(len(content)))
	pool := &memory{}
	all := make([]*directory, count)
	for i := range all {
		if all[i], err = newDirectory(f, 0, tables, entries, &end); err != nil {
			t.Fatal(err)
		}
		for k := range all[i].gd {
			all[i].gd[k] = uint32(8 + k*entries*4/sector)
		}
		all[i].memory = pool
	}
	return pool, all
}

func heap() int64 {
	var s runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&s)
	return int64(s.HeapAlloc)
}

func TestTheTablesOfManyExtentsShareTheirMemory(t *testing.T) {
	_, all := directories(t, 100)
	before := heap()
	for _, d := range all {
		for grain := int64(0); grain < int64(len(d.gd))*d.entries; grain += d.entries {
			if _, err := d.at(grain); err != nil {
				t.Fatal(err)
			}
		}
	}
	if grown := heap() - before; grown > 2*imageMemory {
		t.Errorf("reading the tables of %d extents took %d MiB and kept them", len(all), grown>>20)
	}
	runtime.KeepAlive(all)
}

func TestChangedTablesAreNotForgotten(t *testing.T) {
	pool, all := directories(t, 60)
	for i, d := range all {
		if _, err := d.at(0); err != nil {
			t.Fatal(err)
		}
		if err := d.cache.SetUint32(d.entryAt(d.gd[0], 0), uint32(i+2)); err != nil {
			t.Fatal(err)
		}
	}
	if !pool.overdue.Load() {
		t.Error("nobody is told that much waits to be written")
	}
	for i, d := range all {
		if p, err := d.at(0); err != nil || p.off != int64(i+2)*sector {
			t.Fatalf("the entry of extent %d is %v, %v", i, p, err)
		}
		if err := d.cache.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	pool.written()
	if pool.overdue.Load() || len(pool.stuck) > 0 {
		t.Error("what was written still waits")
	}
}

// counted counts reads.
type counted struct {
	disk.File
	reads *atomic.Int64
}

func (c counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	return c.File.ReadAt(p, off)
}

// NextData is the file's.
func (c counted) NextData(off int64) (data, hole int64, err error) {
	return c.File.(disk.Holed).NextData(off)
}

func TestMappingAnEmptyDiskReadsNoTables(t *testing.T) {
	file, err := memfs.New().Create("empty.vmdk")
	if err != nil {
		t.Fatal(err)
	}
	const size = 1 << 40
	l, err := newLayout(size, 0, 64<<10, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.write(file); err != nil {
		t.Fatal(err)
	}
	var reads atomic.Int64
	s, err := openExtent(&part{file: counted{file, &reads}}, hosted, size, false)
	if err != nil {
		t.Fatal(err)
	}
	reads.Store(0)
	calls := 0
	for off := int64(0); off < size; calls++ {
		e, err := s.locate(off, size-off)
		if err != nil || e.State != disk.Unallocated {
			t.Fatalf("at %d it is %v, %v", off, e, err)
		}
		off += e.Len
	}
	if n := reads.Load(); n > 64 || calls > 64 {
		t.Errorf("an empty disk took %d reads and %d calls", n, calls)
	}
	if err := file.Close(); err != nil {
		t.Error(err)
	}
}
