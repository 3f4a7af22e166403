package blockmap_test

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
	"github.com/panalvm/panal/disk/disktest"
)

// The toy is the least that a format can be: 512 bytes of header with a text and
// the size of the disk, the pointers, and blocks of 4 KiB.
const (
	toyText  = "a toy of an image, not to be used\n"
	toyHead  = 512
	toyBlock = 4096
	toyNone  = 0xffffffff
)

type toy struct{ *blockmap.Image }

var toyFormat = &disk.Format{
	Name: "toy", Variants: []disk.Variant{{Name: "plain", Create: true, Write: true, Stream: true}},
	Probe: func(s disk.Sample) disk.Confidence {
		if len(s.Head) >= toyHead && string(s.Head[:len(toyText)]) == toyText {
			return disk.Certain
		}
		return disk.No
	},
	Open:   openToy,
	Create: createToy,
	Stream: streamToy,
}

func toyShape(size int64) blockmap.Shape {
	blocks := (size + toyBlock - 1) / toyBlock
	return blockmap.Shape{
		Size: size, Block: toyBlock, Table: toyHead, Entries: blocks,
		Base: (toyHead + 4*blocks + toyBlock - 1) / toyBlock * toyBlock, Unit: toyBlock, None: toyNone, Align: 1,
	}
}

func toyHeader(size int64) []byte {
	p := make([]byte, toyHead)
	copy(p, toyText)
	binary.LittleEndian.PutUint64(p[504:], uint64(size))
	return p
}

func newToy(f disk.File, size int64, write bool) (disk.Image, error) {
	m := &toy{}
	var err error
	m.Image, err = blockmap.NewImage(f, toyShape(size), binary.LittleEndian, write, m, blockmap.Words{Format: "toy", Lost: "it is forgotten", Full: "make another"})
	return m, err
}

func openToy(s *disk.Source) (disk.Image, error) {
	p, err := disk.ReadFull(s.File, 0, toyHead, "toy", "header")
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	size := int64(binary.LittleEndian.Uint64(p[504:]))
	if end, err := s.File.Size(); err != nil || size < 0 || size > 1<<40 || toyHead+4*toyShape(size).Entries > end {
		return nil, errors.Join(disk.Corrupt("toy", 504, "a disk of %d bytes", size), err, s.File.Close())
	}
	return newToy(s.File, size, s.Write)
}

func createToy(t *disk.Target) (disk.Image, error) {
	s := &blockmap.Stream{W: io.NewOffsetWriter(t.File, toyHead), Format: "toy", Block: toyBlock, Size: t.Size}
	_, err := t.File.WriteAt(toyHeader(t.Size), 0)
	if err = errors.Join(err, s.Pointers(binary.LittleEndian, 0, 1, toyNone), t.File.Sync()); err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return newToy(t.File, t.Size, true)
}

func streamToy(w io.Writer, t *disk.Target) (disk.Sink, error) {
	shape := toyShape(t.Size)
	s := &blockmap.Stream{W: w, Format: "toy", Block: toyBlock, Size: t.Size, Data: t.Data}
	_, err := w.Write(toyHeader(t.Size))
	return s, errors.Join(err, s.Pointers(binary.LittleEndian, 0, 1, toyNone), s.Zeros(shape.Base-shape.Table-4*shape.Entries))
}

func (m *toy) MapAt(off, n int64) (disk.Extent, error) {
	index, within := off/toyBlock, off%toyBlock
	pointer, err := m.Pointer(index)
	e := disk.Extent{Off: off, Len: min(n, toyBlock-within)}
	if err != nil || pointer == toyNone {
		return e, err
	}
	if m.Lost(pointer) {
		return e, disk.Corrupt("toy", m.Shape.At(pointer), "a block is cut off")
	}
	e.State, e.File, e.HostOff = disk.Data, m.File.Raw(), m.Shape.DataAt(pointer)+within
	return e, nil
}

func (m *toy) WriteSome(p []byte, off int64) (int, error) {
	index, within := off/toyBlock, off%toyBlock
	p = p[:min(int64(len(p)), toyBlock-within)]
	pointer, err := m.Pointer(index)
	if err != nil || pointer != toyNone {
		n, failed := m.File.WriteAt(p, m.Shape.DataAt(pointer)+within)
		return n, errors.Join(err, failed)
	}
	return m.Making(func() (int, error) {
		if again, err := m.Pointer(index); err != nil || again != toyNone {
			return 0, err
		}
		pointer, _, err := m.Take(1)
		if err != nil {
			return 0, err
		}
		whole := make([]byte, toyBlock)
		copy(whole[within:], p)
		if _, err := m.File.WriteAt(whole, m.Shape.At(pointer)); err != nil {
			m.Space.Back(pointer, 1)
			return 0, err
		}
		return len(p), m.Point(index, pointer)
	})
}

func (m *toy) Begin() error {
	if m.Space != nil {
		return nil
	}
	s, err := m.Survey(context.Background())
	if err == nil {
		err = m.Usable(s)
	}
	m.Space = m.FindSpace(s, 0)
	return err
}

func (*toy) Heads() error           { return nil }
func (m *toy) Shorten() error       { return m.File.Cut(m.Space.End()) }
func (*toy) Mend() error            { return nil }
func (*toy) Used() []blockmap.Span  { return nil }
func (m *toy) Lost(ptr uint32) bool { return m.Shape.At(ptr) >= m.File.End() }
func (m *toy) Examine(r *disk.Report, s blockmap.Survey) {
	space := m.FindSpace(s, 0)
	gaps, _ := space.Gaps(0)
	s.Leak(r, gaps+max(0, m.File.End()-space.End()), "some space is used by nothing", "it is given back")
}

func (m *toy) Point(index int64, pointer uint32) error {
	return errors.Join(m.Set(index, pointer), m.Relieve())
}

func (m *toy) Lose(index int64) error { return m.Point(index, toyNone) }

func (m *toy) Needless(h blockmap.Held) (bool, error) {
	return m.File.HoldsZeros(m.Shape.At(h.Pointer), m.Shape.Length(h.Index))
}

func (m *toy) GiveUp(h blockmap.Held) error {
	m.Space.Give(h.Pointer)
	return m.Lose(h.Index)
}

func (m *toy) ZeroAt(off, n int64) error {
	return m.EachBlock(off, n, func(p uint32) bool { return p == toyNone }, func(index, within, n int64, pointer uint32) error {
		if within == 0 && n == m.Shape.Length(index) {
			return m.GiveUp(blockmap.Held{Pointer: pointer, Index: index})
		}
		return m.File.Clear(m.Shape.At(pointer)+within, n)
	})
}

func (m *toy) Describe() disk.Info { return disk.Info{Format: "toy", Size: m.Size()} }

func (m *toy) Resize(int64) error { return disk.Unsupported("toy", "it stays as long as it is") }

var toySubject = disktest.Subject{Format: toyFormat, Block: toyBlock, Size: 24*toyBlock + 512, FixedSize: true}

func TestToy(t *testing.T) { disktest.Run(t, toySubject) }

func TestToyFaults(t *testing.T) { disktest.Faults(t, toySubject) }

func TestToyUpkeep(t *testing.T) {
	content := func(pointers ...uint32) []byte {
		p := toyHeader(toyBlock * int64(len(pointers)))
		for _, v := range pointers {
			p = binary.LittleEndian.AppendUint32(p, v)
		}
		p = append(p, make([]byte, toyBlock-len(p))...)
		for i := range 6 {
			for range toyBlock {
				p = append(p, byte(i+1))
			}
		}
		return p
	}
	disktest.Upkeep(t, toySubject, map[string][]byte{
		"shared": content(1, toyNone, 1, 5, 1),
		"lost":   content(1, 17, 3, toyNone, 99),
		"both":   content(2, 17, 2, 0, 99),
	})
}
