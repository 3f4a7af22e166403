package blockmap

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// tableMemory is how much of the pointers is kept in memory, in bytes: those of
// a terabyte in blocks of the usual size.
const tableMemory = 4 << 20

// longestRun is how many pointers one Map looks at, at most.
const longestRun = 1 << 16

// maxDirty is how much may wait to be written beside blocks, in bytes.
const maxDirty = 8 << 20

// Image is an open image of blocks that pointers lead to.
type Image struct {
	File  *File
	Table *table.Cache // the pointers
	words Words
	kind  Kind
	write bool

	parent disk.Image
	lent   bool // the parent is somebody else's to close

	layout sync.RWMutex
	Shape  Shape // guarded by layout

	space sync.Mutex
	Space *Space // guarded by space; nil until the first change

	ready   atomic.Bool // for changes
	pending []Pending   // in the order in which they are written
}

// NewImage is an image of a kind. before is what has to be durable before the
// pointers are.
func NewImage(f disk.File, shape Shape, order binary.ByteOrder, write bool, kind Kind, words Words, before ...Pending) (*Image, error) {
	file, err := NewFile(f)
	if err != nil {
		return nil, err
	}
	m := &Image{File: file, Shape: shape, Table: table.New(f, order, tableMemory, words.Format), words: words, kind: kind, write: write}
	m.pending = append(before, m.Table)
	return m, nil
}

// Below sets the parent. One that is lent is not closed with the image.
func (m *Image) Below(parent disk.Image, lent bool) { m.parent, m.lent = parent, lent }

// Parent is the image below, or nil.
func (m *Image) Parent() disk.Image { return m.parent }

// CanWrite tells whether it was opened for writing.
func (m *Image) CanWrite() bool { return m.write }

// Size is the length of the disk.
func (m *Image) Size() int64 {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return m.Shape.Size
}

// Close writes out what was not, and gives the files back.
func (m *Image) Close() error {
	var failed error
	if m.write {
		failed = m.Sync()
	}
	if m.parent != nil && !m.lent {
		failed = errors.Join(failed, m.parent.Close())
	}
	return errors.Join(failed, m.File.raw.Close())
}

// ReadAt reads from the blocks, the parent or nowhere.
func (m *Image) ReadAt(p []byte, off int64) (int, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return disk.ReadThrough(settled{m}, p, off, nil)
}

// Map describes the range at off.
func (m *Image) Map(off, n int64) (disk.Extent, error) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	return settled{m}.Map(off, n)
}

// settled is an image whose layout is held already.
type settled struct{ *Image }

// Size is the length of the disk.
func (s settled) Size() int64 { return s.Shape.Size }

// Map describes the range at off.
func (s settled) Map(off, n int64) (disk.Extent, error) {
	if err := disk.InRange(off, n, s.Shape.Size); err != nil {
		return disk.Extent{}, err
	}
	return s.kind.MapAt(off, n)
}

// Pointer is the pointer of a block. The layout is held.
func (m *Image) Pointer(index int64) (uint32, error) {
	return m.Table.Uint32(m.Shape.EntryAt(index))
}

// Run makes a range of the disk, which ends in the block of the index, longer as
// long as each next pointer is the last one plus step; up to n bytes. The layout
// is held.
func (m *Image) Run(index int64, pointer uint32, length, n int64, step uint32) (int64, error) {
	for range longestRun {
		if length >= n {
			return n, nil
		}
		index++
		next, err := m.Pointer(index)
		if err != nil {
			return length, err
		}
		if pointer += step; next != pointer || step > 0 && next >= m.Shape.None {
			return length, nil
		}
		length += m.Shape.Block
	}
	return min(length, n), nil
}

// Share keeps blocks where they are, and the disk as long as it is, until unlock
// is called.
func (m *Image) Share() (unlock func()) {
	m.layout.RLock()
	return m.layout.RUnlock
}

// Describing does something while the format's headers stay as they are.
func (m *Image) Describing(do func()) {
	m.layout.RLock()
	defer m.layout.RUnlock()
	m.space.Lock()
	defer m.space.Unlock()
	do()
}
