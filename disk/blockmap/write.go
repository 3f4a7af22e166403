package blockmap

import (
	"github.com/panalvm/panal/disk"
)

// WriteAt writes in place where the image has a block, and makes the others.
func (m *Image) WriteAt(p []byte, off int64) (int, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if err := m.prepare(off, int64(len(p))); err != nil {
		return 0, err
	}
	done := 0
	for done < len(p) {
		n, err := m.kind.WriteSome(p[done:], off+int64(done))
		done += n
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// prepare checks a change of a range, and begins if it is the first.
func (m *Image) prepare(off, n int64) error {
	if !m.write {
		return disk.ErrReadOnly
	}
	if err := disk.InRange(off, n, m.Shape.Size); err != nil {
		return err
	}
	if m.ready.Load() {
		return nil
	}
	m.space.Lock()
	defer m.space.Unlock()
	return m.begin()
}

// begin makes the image ready for changes, if it is not. The space is held.
func (m *Image) begin() error {
	if m.ready.Load() {
		return nil
	}
	if err := m.kind.Begin(); err != nil {
		return err
	}
	m.ready.Store(true)
	return nil
}

// Making does something with the space's lock held.
func (m *Image) Making(do func() (int, error)) (int, error) {
	m.space.Lock()
	defer m.space.Unlock()
	return do()
}

// Take gives room for up to n blocks that follow each other.
func (m *Image) Take(n int64) (pointer uint32, got int64, err error) {
	pointer, got = m.Space.Take(n)
	if got == 0 {
		return 0, 0, disk.Unsupported(m.words.Format, "%s", m.words.Full)
	}
	return pointer, got, nil
}

// Set changes the pointer of a block, in memory.
func (m *Image) Set(index int64, pointer uint32) error {
	return m.Table.SetUint32(m.Shape.EntryAt(index), pointer)
}

// Relieve flushes if much waits for it.
func (m *Image) Relieve() error {
	if m.dirty() > maxDirty {
		return m.Flush()
	}
	return nil
}

func (m *Image) dirty() (bytes int) {
	for _, p := range m.pending {
		bytes += p.Dirty()
	}
	return bytes
}

// EachBlock does something with each block of a range, with the space held. Rows
// of blocks with the pointer skip are passed over where one is.
func (m *Image) EachBlock(off, n int64, skip func(pointer uint32) bool, do func(index, within, n int64, pointer uint32) error) error {
	m.layout.RLock()
	defer m.layout.RUnlock()
	if err := m.prepare(off, n); err != nil {
		return err
	}
	m.space.Lock()
	defer m.space.Unlock()
	return m.Each(off, n, skip, do)
}

// Each is EachBlock when locks are held and the range is known to be right.
func (m *Image) Each(off, n int64, skip func(pointer uint32) bool, do func(index, within, n int64, pointer uint32) error) error {
	for end := off + n; off < end; {
		index, within := off/m.Shape.Block, off%m.Shape.Block
		pointer, err := m.Pointer(index)
		if err != nil {
			return err
		}
		length := min(end-off, m.Shape.Block-within)
		if skip(pointer) {
			length, err = m.Run(index, pointer, length, end-off, 0)
		} else {
			err = do(index, within, length, pointer)
		}
		if err != nil {
			return err
		}
		off += length
	}
	return nil
}
