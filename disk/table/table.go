// Package table keeps the tables of an image, which say where each block lies, partly
// in memory: what is used often, and what was changed and not yet written. A
// disk of 10 TiB has tables of hundreds of megabytes; a few are enough.
//
// Changed entries stay in memory until [Cache.Flush], so that a format can make the
// blocks durable before anything points to them. Flush writes exactly the
// entries that were set, and no byte beside them: what shares a page with a
// table may be written by others.
package table

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// pageSize is the unit of reading and of memory; pages begin at multiples of it.
const pageSize = 4096

// Cache gives access to the entries of all tables in one file, by their
// offsets in it. An entry must not cross a page, which is so when it lies at a
// multiple of its size. Methods may be called concurrently.
type Cache struct {
	file   disk.File
	order  binary.ByteOrder
	limit  int // of clean pages
	format string

	mu      sync.RWMutex // guards what follows, and the bytes of pages
	pages   map[int64]*page
	arrived []int64 // pages in the order of coming, for the clock that chooses who leaves
	hand    int
	dirty   int // pages with entries that Flush would write
}

// page is a part of the file. Of valid bytes the content is known.
type page struct {
	used  atomic.Bool // since the clock last came by
	valid int
	set   [pageSize / 4 / 64]uint64 // a bit for each four bytes that were set and not written
	dirty bool
	bytes [pageSize]byte
}

// New makes a cache that keeps up to limit bytes of unchanged pages. format is
// the name for errors.
func New(file disk.File, order binary.ByteOrder, limit int, format string) *Cache {
	return &Cache{file: file, order: order, limit: max(limit/pageSize, 8), format: format, pages: map[int64]*page{}}
}

// Uint32 is the entry of four bytes at off. Behind the end of the file it is
// a FormatError.
func (c *Cache) Uint32(off int64) (uint32, error) {
	var v uint32
	err := c.view(off, 4, func(p []byte) { v = c.order.Uint32(p) })
	return v, err
}

// Uint64 is the entry of eight bytes at off.
func (c *Cache) Uint64(off int64) (uint64, error) {
	var v uint64
	err := c.view(off, 8, func(p []byte) { v = c.order.Uint64(p) })
	return v, err
}

// SetUint32 changes the entry of four bytes at off, in memory.
func (c *Cache) SetUint32(off int64, v uint32) error {
	return c.change(off, 4, func(p []byte) { c.order.PutUint32(p, v) })
}

// SetUint64 changes the entry of eight bytes at off, in memory.
func (c *Cache) SetUint64(off int64, v uint64) error {
	return c.change(off, 8, func(p []byte) { c.order.PutUint64(p, v) })
}

// Dirty is how much memory the pages take that wait for Flush, in bytes.
func (c *Cache) Dirty() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.dirty * pageSize
}

// Flush writes the entries that were set, in the order of their offsets. It
// syncs nothing. After an error those that were not written stay.
func (c *Cache) Flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirty == 0 {
		return nil
	}
	var at []int64
	for off, p := range c.pages {
		if p.dirty {
			at = append(at, off)
		}
	}
	slices.Sort(at)
	for _, off := range at {
		if err := c.flushPage(off, c.pages[off]); err != nil {
			return err
		}
	}
	return nil
}

// Drop forgets everything, changes too. It is for when the file was changed by
// other means, or is no longer to be.
func (c *Cache) Drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.pages)
	c.arrived, c.hand, c.dirty = nil, 0, 0
}

func (c *Cache) flushPage(off int64, p *page) error {
	for begin, end := p.run(0); begin < end; begin, end = p.run(end) {
		if _, err := c.file.WriteAt(p.bytes[begin:end], off+int64(begin)); err != nil {
			return err
		}
		p.unset(begin, end)
	}
	p.dirty = false
	c.dirty--
	return nil
}

// view shows the n bytes at off.
func (c *Cache) view(off int64, n int, show func([]byte)) error {
	base, at := off&^(pageSize-1), int(off&(pageSize-1))
	c.mu.RLock()
	if p := c.pages[base]; p != nil && at+n <= p.valid {
		show(p.bytes[at : at+n])
		if !p.used.Load() {
			p.used.Store(true)
		}
		c.mu.RUnlock()
		return nil
	}
	c.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base, at+n)
	if err != nil {
		return err
	}
	if at+n > p.valid {
		return disk.Corrupt(c.format, off, "an entry of a table lies behind the end of the file")
	}
	show(p.bytes[at : at+n])
	return nil
}

func (c *Cache) change(off int64, n int, put func([]byte)) error {
	base, at := off&^(pageSize-1), int(off&(pageSize-1))
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base, 0)
	if err != nil {
		return err
	}
	put(p.bytes[at : at+n])
	p.valid = max(p.valid, at+n)
	for i := at / 4; i < (at+n)/4; i++ {
		p.set[i/64] |= 1 << (i % 64)
	}
	if !p.dirty {
		p.dirty = true
		c.dirty++
	}
	return nil
}

// page gets the page at base with at least need valid bytes, if the file has
// them; c.mu is held.
func (c *Cache) page(base int64, need int) (*page, error) {
	p := c.pages[base]
	if p != nil && p.valid >= need {
		p.used.Store(true)
		return p, nil
	}
	fresh := p
	if fresh == nil {
		fresh = &page{}
	}
	if err := c.load(base, fresh); err != nil {
		return nil, err
	}
	if p == nil {
		c.evict()
		c.pages[base] = fresh
		c.arrived = append(c.arrived, base)
	}
	return fresh, nil
}

// load reads what the file has of a page, and leaves what was set.
func (c *Cache) load(base int64, p *page) error {
	var read [pageSize]byte
	n, err := c.file.ReadAt(read[:], base)
	if err != nil && err != io.EOF {
		return err
	}
	for i := 0; i < n; i++ {
		if p.set[i/4/64]&(1<<(i/4%64)) == 0 {
			p.bytes[i] = read[i]
		}
	}
	p.valid = max(p.valid, n)
	return nil
}

// evict makes room for a page: the clock passes over those that were used
// since it last came by, and over changed ones.
func (c *Cache) evict() {
	if len(c.pages) < c.limit+c.dirty {
		return
	}
	for tries := 2 * len(c.arrived); tries > 0; tries-- {
		if c.hand >= len(c.arrived) {
			c.hand = 0
		}
		base := c.arrived[c.hand]
		p := c.pages[base]
		if p.dirty || p.used.Swap(false) {
			c.hand++
			continue
		}
		delete(c.pages, base)
		last := len(c.arrived) - 1
		c.arrived[c.hand] = c.arrived[last]
		c.arrived = c.arrived[:last]
		return
	}
}

// run is the first row of set bytes at or behind from; begin == end if none.
func (p *page) run(from int) (begin, end int) {
	isSet := func(i int) bool { return p.set[i/64]&(1<<(i%64)) != 0 }
	i := from / 4
	for i < pageSize/4 && !isSet(i) {
		i++
	}
	begin = i
	for i < pageSize/4 && isSet(i) {
		i++
	}
	return begin * 4, i * 4
}

func (p *page) unset(begin, end int) {
	for i := begin / 4; i < end/4; i++ {
		p.set[i/64] &^= 1 << (i % 64)
	}
}
