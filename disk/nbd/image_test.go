package nbd_test

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/panalvm/panal/disk"
)

// granule is the unit in which memory knows what it holds.
const granule = 4096

// memory is an image in memory that can do everything, and can be made to fail.
type memory struct {
	parent disk.Image

	mu     sync.Mutex
	data   []byte
	states []disk.State
	fail   error // of every read and write
	synced int
	writes []int         // the lengths of WriteAt
	gate   chan struct{} // if not nil, reads wait for it to close
	waits  chan struct{} // gets a value when a read begins to wait
}

func newMemory(size int) *memory {
	return &memory{data: make([]byte, size), states: make([]disk.State, (size+granule-1)/granule)}
}

// patterned is an image full of data, of which no two sectors are alike.
func patterned(size int) *memory {
	m := newMemory(size)
	copy(m.data, pattern(0, size))
	for i := range m.states {
		m.states[i] = disk.Data
	}
	return m
}

// pattern is what patterned holds at off.
func pattern(off, n int) []byte {
	p := make([]byte, n)
	for i := range p {
		at := off + i
		p[i] = byte(at>>9) ^ byte(at>>17) ^ byte(at*7) | 1
	}
	return p
}

func (m *memory) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return int64(len(m.data))
}

func (m *memory) Close() error       { return nil }
func (m *memory) CanWrite() bool     { return true }
func (m *memory) Parent() disk.Image { return m.parent }

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	gate, waits := m.gate, m.waits
	m.mu.Unlock()
	if gate != nil && len(p) > granule {
		waits <- struct{}{}
		<-gate
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return 0, m.fail
	}
	if off >= int64(len(m.data)) {
		return 0, io.EOF
	}
	n := 0
	for n < len(p) && off < int64(len(m.data)) {
		k := min(len(p)-n, granule-int(off%granule), len(m.data)-int(off))
		if m.states[off/granule] == disk.Unallocated {
			if err := disk.ReadParent(m.parent, p[n:n+k], off); err != nil {
				return n, err
			}
		} else {
			copy(p[n:n+k], m.data[off:])
		}
		n, off = n+k, off+int64(k)
	}
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

// fillGranules copies up what a change of the range leaves of its granules.
func (m *memory) fillGranules(off, n int64) error {
	for _, at := range []int64{off, off + n - 1} {
		i := at / granule
		if n > 0 && m.states[i] == disk.Unallocated {
			end := min(int64(len(m.data)), (i+1)*granule)
			if err := disk.ReadParent(m.parent, m.data[i*granule:end], i*granule); err != nil {
				return err
			}
		}
	}
	return nil
}

func (m *memory) change(off, n int64, state disk.State, with func(p []byte)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return m.fail
	}
	if err := disk.InRange(off, n, int64(len(m.data))); err != nil {
		return err
	}
	if err := m.fillGranules(off, n); err != nil {
		return err
	}
	with(m.data[off : off+n])
	for i := off / granule; i*granule < off+n; i++ {
		whole := i*granule >= off && min(int64(len(m.data)), (i+1)*granule) <= off+n
		if whole || m.states[i] != disk.Zeroed {
			m.states[i] = disk.Data
		}
		if whole {
			m.states[i] = state
		}
		if state == disk.Data {
			m.states[i] = disk.Data
		}
	}
	return nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	if err := m.change(off, int64(len(p)), disk.Data, func(q []byte) { copy(q, p) }); err != nil {
		return 0, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.writes = append(m.writes, len(p))
	return len(p), nil
}

func (m *memory) ZeroAt(off, n int64) error {
	return m.change(off, n, disk.Zeroed, func(q []byte) { clear(q) })
}

func (m *memory) DiscardAt(off, n int64) error { return m.ZeroAt(off, n) }

func (m *memory) Sync() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.synced++
	return m.fail
}

func (m *memory) Resize(size int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	grown := make([]byte, size)
	copy(grown, m.data)
	m.data = grown
	states := make([]disk.State, (size+granule-1)/granule)
	for i := copy(states, m.states); i < len(states); i++ {
		states[i] = disk.Zeroed
	}
	m.states = states
	return nil
}

func (m *memory) Map(off, n int64) (disk.Extent, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.fail != nil {
		return disk.Extent{}, m.fail
	}
	if n <= 0 || off < 0 || off+n > int64(len(m.data)) {
		return disk.Extent{}, fmt.Errorf("map [%d,+%d) of %d", off, n, len(m.data))
	}
	e := disk.Extent{Off: off, State: m.states[off/granule]}
	for e.Len < n && m.states[e.End()/granule] == e.State {
		e.Len += granule - e.End()%granule
	}
	e.Len = min(e.Len, n)
	return e, nil
}

// set changes what the image does, while it is served.
func (m *memory) set(f func(m *memory)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f(m)
}

// content is what a client ought to see.
func (m *memory) content() []byte {
	p := make([]byte, m.Size())
	if _, err := m.ReadAt(p, 0); err != nil && err != io.EOF {
		panic(err)
	}
	return bytes.Clone(p)
}

// plain hides all that is optional but writing.
type plain struct{ m *memory }

func (p plain) Size() int64                              { return p.m.Size() }
func (p plain) Close() error                             { return nil }
func (p plain) CanWrite() bool                           { return true }
func (p plain) Sync() error                              { return p.m.Sync() }
func (p plain) ReadAt(b []byte, off int64) (int, error)  { return p.m.ReadAt(b, off) }
func (p plain) WriteAt(b []byte, off int64) (int, error) { return p.m.WriteAt(b, off) }
