package parallels

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// tableMemory is how much of a BAT is kept in memory: enough for 512 GiB of
// clusters of 1 MiB.
const tableMemory = 2 << 20

// mapAhead is how many BAT entries one Map looks at.
const mapAhead = 1 << 16

// layer is one .hds file: a disk, or what a shot holds of one storage.
type layer interface {
	disk.Image
	disk.Writer
	disk.Mapper
	disk.Zeroer
	disk.Discarder
	disk.Resizer
	disk.Backed
	disk.Checker
	disk.Repairer
	disk.Dumper
	disk.Describer
}

// expanding is an image with a BAT.
//
// Locks, in the order of taking: alloc, then mu. Who reads or overwrites
// clusters holds mu for reading while it does, so that no cluster changes its
// owner meanwhile; who takes one away from its place on the disk holds it for writing. Pointers are
// set only under alloc, which is held from the writing of a new cluster to the
// setting of its pointer.
type expanding struct {
	file   disk.File
	write  bool
	parent layer // of the same storage in a bundle, or nil
	ext    *extension
	dirty  bool // was not closed when it was opened
	bat    *table.Cache
	size   atomic.Int64
	known  atomic.Int64 // the end of the file, or behind it of what is allocated
	begun  atomic.Bool  // it is marked as in use, by us

	alloc sync.Mutex // guards all changes of the BAT, and space
	space *space     // nil before the first write

	mu sync.RWMutex // guards h, and the places of clusters: see above
	h  header
}

var (
	_ layer          = (*expanding)(nil)
	_ disk.Compacter = (*expanding)(nil)
)

// openExpanding reads the header of an image. parent may be nil. After an
// error the files are the caller's to close.
func openExpanding(file disk.File, write bool, parent layer) (*expanding, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	p, err := disk.ReadFull(file, 0, headerLen, name, "header")
	if err != nil {
		return nil, err
	}
	h, err := parseHeader(p)
	if err != nil {
		return nil, err
	}
	if h.tableEnd() > size {
		return nil, disk.Corrupt(name, 32, "the block table of %d entries goes beyond the end of the file at %d", h.entries, size)
	}
	x := &expanding{file: file, write: write, parent: parent, h: h, dirty: h.inUse == inUseOpen}
	if x.ext, err = readExtension(file, &h); err != nil {
		return nil, err
	}
	if f := x.ext.forbidsWriting(); write && f != nil {
		return nil, disk.Unsupported(name, "the image has a %s that must be kept up to date by whoever writes; open it for reading", f)
	}
	x.bat = table.New(file, binary.LittleEndian, tableMemory, name)
	x.size.Store(h.size())
	x.known.Store(size)
	return x, nil
}

// Size is the disk's.
func (x *expanding) Size() int64 { return x.size.Load() }

// Parent is the image below, in a bundle.
func (x *expanding) Parent() disk.Image {
	if x.parent == nil {
		return nil
	}
	return x.parent
}

// Map describes the range at off.
func (x *expanding) Map(off, n int64) (disk.Extent, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return x.mapLocked(off, n)
}

// ReadAt reads the disk.
func (x *expanding) ReadAt(p []byte, off int64) (int, error) {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return disk.ReadThrough(held{x}, p, off, nil)
}

// held is an image whose mu is held.
type held struct{ *expanding }

// Map is Map without the lock.
func (h held) Map(off, n int64) (disk.Extent, error) { return h.mapLocked(off, n) }

// mapLocked is Map; mu or alloc is held.
func (x *expanding) mapLocked(off, n int64) (disk.Extent, error) {
	cluster := x.h.cluster()
	index, within := off/cluster, off%cluster
	if index >= int64(x.h.entries) || x.h.flags&flagEmpty != 0 { // a header may lie about the size by any factor
		return disk.Extent{Off: off, Len: n}, nil
	}
	first, err := x.place(index)
	if err != nil {
		return disk.Extent{}, err
	}
	length, next := min(n, cluster-within), index+1
	for looked := 0; length < n && looked < mapAhead; looked++ {
		if to := x.emptyTo(next); first == 0 && to > next {
			length, next = min(n, (to-index)*cluster-within), to
			continue
		}
		at, err := x.place(next)
		if err != nil || (at == 0) != (first == 0) || first != 0 && at != first+(next-index)*cluster {
			break // an error is told when the range that it is about is asked for
		}
		length, next = min(n, length+cluster), next+1
	}
	e := disk.Extent{Off: off, Len: length}
	if first != 0 {
		e.State, e.File, e.HostOff = disk.Data, x.file, first+within
	}
	return e, nil
}

// emptyTo is up to which entry of the BAT, from that of index on, the file has a
// hole: the tables of great disks are one mostly, and reading them takes
// minutes. It is asked once a page, and not while entries wait to be written.
func (x *expanding) emptyTo(index int64) int64 {
	const page = 4096
	h, ok := x.file.(disk.Holed)
	if !ok || entryAt(index)%page >= 4 || x.bat.Dirty() > 0 {
		return index
	}
	data, _, err := h.NextData(entryAt(index))
	if err != nil {
		return index
	}
	return max(index, min((data-headerLen)/4, int64(x.h.entries)))
}

// entry is what the BAT holds for a cluster.
func (x *expanding) entry(index int64) (uint32, error) {
	if index >= int64(x.h.entries) || x.h.flags&flagEmpty != 0 {
		return 0, nil
	}
	return x.bat.Uint32(entryAt(index))
}

// entryAt is the offset of an entry.
func entryAt(index int64) int64 { return headerLen + 4*index }

// place is where a cluster lies in the file; 0 if it is not allocated.
func (x *expanding) place(index int64) (int64, error) {
	e, err := x.entry(index)
	if e == 0 || err != nil {
		return 0, err
	}
	off := int64(e) * x.h.unit()
	if off < x.h.tableEnd() {
		return 0, disk.Corrupt(name, entryAt(index), "cluster %d lies at %#x, within the header or the block table", index, off)
	}
	if off >= x.known.Load() {
		return 0, disk.Corrupt(name, entryAt(index), "cluster %d lies at %#x, beyond the end of the file at %#x", index, off, x.known.Load())
	}
	return off, nil
}

// CanWrite tells whether the image was opened for writing.
func (x *expanding) CanWrite() bool { return x.write }

// Sync makes durable what was written.
func (x *expanding) Sync() error {
	if !x.write {
		return disk.ErrReadOnly
	}
	x.alloc.Lock()
	defer x.alloc.Unlock()
	if !x.begun.Load() { // what a writer before us could not sync is seen, too
		return x.file.Sync()
	}
	return x.syncLocked()
}

// Close writes out what was written and gives the files back, the parents'
// too.
func (x *expanding) Close() error {
	err := x.finish()
	err = errors.Join(err, x.file.Close())
	if x.parent != nil {
		err = errors.Join(err, x.parent.Close())
	}
	return err
}
