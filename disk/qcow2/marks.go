package qcow2

import "sync"

// marks remembers which granules of the disk were written, for the bitmaps to
// be brought up to date when the image is closed.
type marks struct {
	on    bool // set once, before the first write
	shift uint // granules are 1<<shift bytes

	mu    sync.Mutex // guards pages
	pages map[int64]*[markPage / 64]uint64
}

// markPage is how many granules a page of marks speaks of.
const markPage = 32768

// start begins to remember.
func (m *marks) start(shift uint) {
	m.on, m.shift, m.pages = true, shift, map[int64]*[markPage / 64]uint64{}
}

// add marks what n bytes at off touch.
func (m *marks) add(off, n int64) {
	if !m.on || n <= 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for g := off >> m.shift; g <= (off+n-1)>>m.shift; g++ {
		p := m.pages[g/markPage]
		if p == nil {
			p = new([markPage / 64]uint64)
			m.pages[g/markPage] = p
		}
		p[g%markPage/64] |= 1 << (g % 64)
	}
}

// any tells whether something in n bytes at off was marked.
func (m *marks) any(off, n int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	last := (off + n - 1) >> m.shift
	for g := off >> m.shift; g <= last; {
		p := m.pages[g/markPage]
		if p == nil {
			g = (g/markPage + 1) * markPage
			continue
		}
		word := p[g%markPage/64]
		if word == 0 {
			g = (g/64 + 1) * 64
			continue
		}
		if word&(1<<(g%64)) != 0 {
			return true
		}
		g++
	}
	return false
}
