package memfs

import (
	"maps"
	"math/rand/v2"
	"sync"
)

// sector is what a disk writes as one: it arrives whole or not at all.
const sector = 512

// node is a file's content: as programs see it, as it is on the disk for
// certain, and what happened between.
type node struct {
	mu      sync.RWMutex // guards what follows
	current *content
	durable *content
	changes []change
}

type changeKind int

const (
	wrote changeKind = iota
	truncated
	punched
)

// change is one change of a file. Of truncated, off is the new size.
type change struct {
	kind changeKind
	off  int64
	n    int64
	data []byte
}

// end is where what was written or punched ends.
func (c change) end() int64 { return c.off + c.n + int64(len(c.data)) }

func newNode() *node { return &node{current: newContent(), durable: newContent()} }

func (n *node) change(c change) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.current.apply(c)
	n.changes = append(n.changes, c)
}

func (n *node) sync() {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, c := range n.changes {
		n.durable.apply(c)
	}
	n.changes = nil
}

// crash is the file after a power cut: what is durable, and of each change
// after it, with a likelihood that is drawn once, some sectors. A sector that
// arrives is as the file had it just after the change, with what earlier changes
// did to it: that is how a page cache writes it.
func (n *node) crash(rng *rand.Rand) *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	left, seen := n.durable.clone(), n.durable.clone()
	likelihood := [...]float64{0, 0.1, 0.5, 0.9, 1}[rng.IntN(5)]
	for _, c := range n.changes {
		seen.apply(c)
		if c.kind == truncated {
			if rng.Float64() < likelihood {
				left.apply(c)
			}
			continue
		}
		for off := c.off / sector * sector; off < min(c.end(), seen.size); off += sector {
			if rng.Float64() < likelihood {
				p := make([]byte, sector)
				left.writeAt(p[:seen.readAt(p, off)], off)
			}
		}
	}
	return &node{current: left, durable: left.clone()}
}

// page is the unit of a content's memory.
const page = 4096

// content is a sparse array of bytes. Copies share pages until one is written.
type content struct {
	pages map[int64]*leaf
	size  int64
	owner *owner // of the pages that may be written in place
}

// leaf is a page, and whose it is.
type leaf struct {
	data  [page]byte
	owner *owner
}

// owner is only ever compared. It has a size, so that no two are the same.
type owner struct{ _ byte }

func newContent() *content { return &content{pages: map[int64]*leaf{}, owner: new(owner)} }

// clone is a copy; the pages of both are nobody's from then on.
func (c *content) clone() *content {
	c.owner = new(owner)
	return &content{pages: maps.Clone(c.pages), size: c.size, owner: new(owner)}
}

// own is a page that may be written, a copy if it is shared; nil if there is
// none.
func (c *content) own(i int64) *leaf {
	have := c.pages[i]
	if have == nil || have.owner == c.owner {
		return have
	}
	have = &leaf{data: have.data, owner: c.owner}
	c.pages[i] = have
	return have
}

func (c *content) apply(ch change) {
	switch ch.kind {
	case wrote:
		c.writeAt(ch.data, ch.off)
	case truncated:
		c.truncate(ch.off)
	case punched:
		c.zero(ch.off, min(ch.n, c.size-ch.off))
	}
}

func (c *content) readAt(p []byte, off int64) int {
	if off >= c.size {
		return 0
	}
	p = p[:min(int64(len(p)), c.size-off)]
	for done := 0; done < len(p); {
		at := off + int64(done)
		k := min(page-int(at%page), len(p)-done)
		if have := c.pages[at/page]; have != nil {
			copy(p[done:done+k], have.data[at%page:])
		} else {
			clear(p[done : done+k])
		}
		done += k
	}
	return len(p)
}

func (c *content) writeAt(p []byte, off int64) {
	for done := 0; done < len(p); {
		at := off + int64(done)
		have := c.own(at / page)
		if have == nil {
			have = &leaf{owner: c.owner}
			c.pages[at/page] = have
		}
		done += copy(have.data[at%page:], p[done:])
	}
	if len(p) > 0 {
		c.size = max(c.size, off+int64(len(p)))
	}
}

func (c *content) truncate(size int64) {
	if size < c.size {
		c.zero(size, c.size-size)
	}
	c.size = size
}

// zero clears a range, and frees pages that it covers.
func (c *content) zero(off, n int64) {
	if n <= 0 {
		return
	}
	end := off + n
	first, last := off/page, (end-1)/page
	if last-first < int64(len(c.pages)) {
		for i := first; i <= last; i++ {
			c.zeroIn(i, off, end)
		}
		return
	}
	for i := range c.pages {
		if i >= first && i <= last {
			c.zeroIn(i, off, end)
		}
	}
}

// zeroIn clears what a page has of [off, end).
func (c *content) zeroIn(i, off, end int64) {
	begin, stop := max(off-i*page, 0), min(end-i*page, page)
	if begin == 0 && stop == page {
		delete(c.pages, i)
	} else if have := c.own(i); have != nil {
		clear(have.data[begin:stop])
	}
}

func (c *content) nextData(off int64) (start, end int64) {
	first := c.nextPage(off / page)
	if first < 0 || first*page >= c.size || off >= c.size {
		return c.size, c.size
	}
	start = max(off, first*page)
	for end = start; end < c.size && c.pages[end/page] != nil; {
		end = (end/page + 1) * page
	}
	return start, min(end, c.size)
}

// nextPage is the first page from i on; -1 if there is none. It tries what is
// near before it looks through all.
func (c *content) nextPage(i int64) int64 {
	for near := i; near < i+64; near++ {
		if c.pages[near] != nil {
			return near
		}
	}
	next := int64(-1)
	for k := range c.pages {
		if k >= i && (next < 0 || k < next) {
			next = k
		}
	}
	return next
}
