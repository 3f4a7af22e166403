package vhdx

import (
	"encoding/binary"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// Pages are as long as a sector of the log, so that a changed page is what the
// log takes.
const (
	pageLength = logSector
	cleanPages = 4096 // kept at most, beside those that were changed
	dirtyPages = 2048 // changed ones from which on they are to be flushed
)

// page is a piece of the allocation table or of a sector bitmap.
type page struct {
	data  [pageLength]byte // guarded by image.mu
	used  atomic.Bool      // since it was last looked at for eviction
	dirty bool             // changed and not yet taken for a flush
	taken bool             // by a flush that is not through
}

// pages keeps the tables partly in memory. Changes stay there until a flush
// takes them.
type pages struct {
	file disk.File

	mu    sync.RWMutex
	all   map[int64]*page // by their number in the file
	ring  []int64         // the clean ones, for eviction
	hand  int
	dirty map[int64]*page
}

func newPages(f disk.File) *pages {
	return &pages{file: f, all: map[int64]*page{}, dirty: map[int64]*page{}}
}

// get is the page with the byte at off.
func (c *pages) get(off int64) (*page, error) {
	n := off / pageLength
	c.mu.RLock()
	p := c.all[n]
	c.mu.RUnlock()
	if p != nil {
		if !p.used.Load() {
			p.used.Store(true)
		}
		return p, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.load(n)
}

// load reads a page; what lies behind the end of the file is zero.
func (c *pages) load(n int64) (*page, error) {
	if p := c.all[n]; p != nil {
		return p, nil
	}
	p := &page{}
	k, err := c.file.ReadAt(p.data[:], n*pageLength)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	clear(p.data[k:])
	c.insert(n)
	c.all[n] = p
	return p, nil
}

// insert puts a page into the ring, in the place of one that was not used
// for a round.
func (c *pages) insert(n int64) {
	if len(c.ring) < cleanPages {
		c.ring = append(c.ring, n)
		return
	}
	for range 2 * cleanPages {
		c.hand = (c.hand + 1) % cleanPages
		old := c.all[c.ring[c.hand]]
		if old == nil {
			break
		}
		if !old.dirty && !old.taken && !old.used.Swap(false) {
			delete(c.all, c.ring[c.hand])
			break
		}
	}
	if old := c.all[c.ring[c.hand]]; old != nil { // all are in use
		c.ring = append(c.ring, n)
		return
	}
	c.ring[c.hand] = n
}

// touch is get for a page that is going to be changed.
func (c *pages) touch(off int64) (*page, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.load(off / pageLength)
	if err != nil {
		return nil, err
	}
	p.dirty = true
	c.dirty[off/pageLength] = p
	return p, nil
}

// full tells whether it is time to flush.
func (c *pages) full() bool {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return len(c.dirty) >= dirtyPages
}

// sector is a piece of the file that goes through the log.
type sector struct {
	off  int64
	data []byte
}

// take gives copies of the changed pages to a flush, in no order.
func (c *pages) take() []sector {
	c.mu.Lock()
	defer c.mu.Unlock()
	list := make([]sector, 0, len(c.dirty))
	for n, p := range c.dirty {
		list = append(list, sector{n * pageLength, append([]byte(nil), p.data[:]...)})
		p.dirty, p.taken = false, true
	}
	clear(c.dirty)
	return list
}

// settle ends a flush. If it failed the pages are as changed as before.
func (c *pages) settle(list []sector, flushed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, s := range list {
		p := c.all[s.off/pageLength]
		if p == nil {
			continue
		}
		p.taken = false
		if !flushed {
			p.dirty = true
			c.dirty[s.off/pageLength] = p
		}
	}
}

// forget drops what is known of a range that was written past the cache.
func (c *pages) forget(s span) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for n := range c.all {
		if s.overlaps(span{n * pageLength, pageLength}) {
			delete(c.all, n)
			delete(c.dirty, n)
		}
	}
}

// entryAt reads a table entry.
func (c *pages) entryAt(off int64) (entry, error) {
	p, err := c.get(off)
	if err != nil {
		return 0, err
	}
	return entry(binary.LittleEndian.Uint64(p.data[off%pageLength:])), nil
}

// setEntry changes a table entry.
func (c *pages) setEntry(off int64, e entry) error {
	p, err := c.touch(off)
	if err != nil {
		return err
	}
	binary.LittleEndian.PutUint64(p.data[off%pageLength:], uint64(e))
	return nil
}
