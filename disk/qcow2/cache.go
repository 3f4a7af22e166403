package qcow2

import (
	"encoding/binary"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// Bounds of what is kept in memory of the tables of one kind.
const (
	maxPage    = 4096
	cleanBytes = 16 << 20
	// dirtyBytes is how much may wait before a writer syncs by itself.
	dirtyBytes = 24 << 20
)

// cache holds pages of tables. A page never reaches beyond a cluster, so all of
// it belongs to tables and may be written as a whole. What was put stays in
// memory until flush.
type cache struct {
	file     disk.File
	pageSize int64
	limit    int // of clean pages

	mu      sync.RWMutex // guards what follows, and the bytes of pages
	pages   map[int64]*page
	arrived []int64 // for the clock that chooses who leaves
	hand    int
	dirty   int // pages
}

type page struct {
	used  atomic.Bool // since the clock last came by
	dirty bool
	bytes []byte
}

func newCache(file disk.File, clusterSize int64, limit int) *cache {
	size := min(clusterSize, maxPage)
	return &cache{file: file, pageSize: size, limit: max(limit/int(size), 8), pages: map[int64]*page{}}
}

// get is the number of width bytes (1, 2, 4 or 8) at off, which is a multiple
// of width.
func (c *cache) get(off int64, width int) (uint64, error) {
	base := off &^ (c.pageSize - 1)
	c.mu.RLock()
	if p := c.pages[base]; p != nil {
		v := number(p.bytes[off-base:], width)
		p.touch()
		c.mu.RUnlock()
		return v, nil
	}
	c.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base)
	if err != nil {
		return 0, err
	}
	return number(p.bytes[off-base:], width), nil
}

// read copies what lies at off, as far as the page goes, and tells how
// much that is.
func (c *cache) read(dst []byte, off int64) (int, error) {
	base := off &^ (c.pageSize - 1)
	c.mu.RLock()
	if p := c.pages[base]; p != nil {
		n := copy(dst, p.bytes[off-base:])
		p.touch()
		c.mu.RUnlock()
		return n, nil
	}
	c.mu.RUnlock()
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base)
	if err != nil {
		return 0, err
	}
	return copy(dst, p.bytes[off-base:]), nil
}

// put changes the number at off, in memory.
func (c *cache) put(off int64, width int, v uint64) error {
	base := off &^ (c.pageSize - 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base)
	if err != nil {
		return err
	}
	b := p.bytes[off-base:]
	switch width {
	case 1:
		b[0] = byte(v)
	case 2:
		binary.BigEndian.PutUint16(b, uint16(v))
	case 4:
		binary.BigEndian.PutUint32(b, uint32(v))
	case 8:
		binary.BigEndian.PutUint64(b, v)
	}
	c.soil(p)
	return nil
}

// putPair changes two numbers of 8 bytes that belong together.
func (c *cache) putPair(off int64, a, b uint64) error {
	base := off &^ (c.pageSize - 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	p, err := c.page(base)
	if err != nil {
		return err
	}
	binary.BigEndian.PutUint64(p.bytes[off-base:], a)
	binary.BigEndian.PutUint64(p.bytes[off-base+8:], b)
	c.soil(p)
	return nil
}

func (c *cache) soil(p *page) {
	if !p.dirty {
		p.dirty = true
		c.dirty++
	}
}

func (p *page) touch() {
	if !p.used.Load() {
		p.used.Store(true)
	}
}

func number(b []byte, width int) uint64 {
	switch width {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.BigEndian.Uint16(b))
	case 4:
		return uint64(binary.BigEndian.Uint32(b))
	}
	return binary.BigEndian.Uint64(b)
}

// page gets the page at base; c.mu is held for writing.
func (c *cache) page(base int64) (*page, error) {
	if p := c.pages[base]; p != nil {
		p.touch()
		return p, nil
	}
	p := &page{bytes: make([]byte, c.pageSize)}
	n, err := c.file.ReadAt(p.bytes, base)
	if err != nil && err != io.EOF {
		return nil, err
	}
	if n == 0 {
		return nil, disk.Corrupt(formatName, base, "a table goes beyond the end of the file")
	}
	c.evict()
	c.pages[base] = p
	c.arrived = append(c.arrived, base)
	return p, nil
}

// evict makes room for a page.
func (c *cache) evict() {
	if len(c.pages) < c.limit+c.dirty {
		return
	}
	for tries := 2 * len(c.arrived); tries > 0; tries-- {
		if c.hand >= len(c.arrived) {
			c.hand = 0
		}
		base := c.arrived[c.hand]
		p := c.pages[base]
		if p != nil && (p.dirty || p.used.Swap(false)) {
			c.hand++
			continue
		}
		delete(c.pages, base)
		last := len(c.arrived) - 1
		c.arrived[c.hand] = c.arrived[last]
		c.arrived = c.arrived[:last]
		if p != nil {
			return
		}
	}
}

// drop forgets a range, changes too: something else lies there now.
func (c *cache) drop(off, n int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for base := off; base < off+n; base += c.pageSize {
		p := c.pages[base]
		if p == nil {
			continue
		}
		if p.dirty {
			c.dirty--
		}
		delete(c.pages, base)
		c.arrived = slices.DeleteFunc(c.arrived, func(o int64) bool { return o == base })
	}
}

// dropAll forgets everything.
func (c *cache) dropAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	clear(c.pages)
	c.arrived, c.hand, c.dirty = nil, 0, 0
}

// soiled is how many bytes wait for flush.
func (c *cache) soiled() int {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.dirty * int(c.pageSize)
}

// flush writes what was put, neighbouring pages together, and syncs nothing.
func (c *cache) flush() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dirty == 0 {
		return nil
	}
	at := make([]int64, 0, c.dirty)
	for base, p := range c.pages {
		if p.dirty {
			at = append(at, base)
		}
	}
	slices.Sort(at)
	for len(at) > 0 {
		n := 1
		for n < len(at) && n < 256 && at[n] == at[n-1]+c.pageSize {
			n++
		}
		if err := c.flushRun(at[:n]); err != nil {
			return err
		}
		at = at[n:]
	}
	return nil
}

func (c *cache) flushRun(at []int64) error {
	joined := c.pages[at[0]].bytes
	if len(at) > 1 {
		joined = make([]byte, 0, int64(len(at))*c.pageSize)
		for _, base := range at {
			joined = append(joined, c.pages[base].bytes...)
		}
	}
	if _, err := c.file.WriteAt(joined, at[0]); err != nil {
		return err
	}
	for _, base := range at {
		c.pages[base].dirty = false
		c.dirty--
	}
	return nil
}
