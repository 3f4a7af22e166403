package vmdk

import (
	"sync"
	"sync/atomic"
)

// memory bounds what the tables of all extents of an image take together: a
// disk of 10 TiB may be split into 5000 of them. The extents that were looked
// at last keep their pages; those before them forget theirs.
type memory struct {
	overdue atomic.Bool // many extents wait to be written before they can forget

	mu    sync.Mutex
	warm  []*directory // in the order of coming
	taken int          // what they may take, bytes
	stuck []*directory // would be forgotten, and have changes that are not written
	owed  int          // what the stuck may take, bytes
}

// imageMemory bounds the pages of all extents, and apart from that those of
// changed tables in extents that were not looked at lately, in bytes.
const imageMemory = 32 << 20

// touch notes that the pages of d are wanted.
func (m *memory) touch(d *directory) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if d.warm.Swap(true) {
		return
	}
	m.warm, m.taken = append(m.warm, d), m.taken+d.cost()
	for m.taken > imageMemory && len(m.warm) > 1 {
		oldest := m.warm[0]
		m.warm, m.taken = m.warm[1:], m.taken-oldest.cost()
		oldest.warm.Store(false)
		if !oldest.forget() {
			m.stuck, m.owed = append(m.stuck, oldest), m.owed+oldest.cost()
		}
	}
	if m.owed > imageMemory {
		m.overdue.Store(true)
	}
}

// written lets those forget that waited for it.
func (m *memory) written() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.overdue.Store(false)
	for _, d := range m.stuck {
		if !d.warm.Load() {
			d.forget()
		}
	}
	m.stuck, m.owed = nil, 0
}

// cost is what the pages of an extent may take, in bytes.
func (d *directory) cost() int { return d.most }

// costOf is what the pages of n tables, and of their copies, may take.
func costOf(n, entries int64) int {
	const least = 8 << 12 // what a cache always may keep
	return int(min(tableMemory, max(least, 2*n*entries*4)))
}

// forget gives the pages back, unless something in them waits to be written or
// is being changed now: changes are made with directory.mu held.
func (d *directory) forget() bool {
	if !d.mu.TryLock() {
		return false
	}
	defer d.mu.Unlock()
	if d.cache.Dirty() > 0 {
		return false
	}
	d.cache.Drop()
	return true
}

// wanted notes a use of the pages, for the image to bound what all take.
func (d *directory) wanted() {
	if d.memory != nil && !d.warm.Load() {
		d.memory.touch(d)
	}
}
