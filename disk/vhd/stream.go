package vhd

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// fixedPiece is the unit in which a fixed image is streamed.
const fixedPiece = 1 << 20

// sink writes an image in one pass. Which blocks will come is known before, so
// the table can stand in front of them.
type sink struct {
	w      io.Writer
	foot   footer
	head   header // nil of a fixed image
	block  int64
	blocks int64
	full   []byte        // what stands before each block
	data   []disk.Extent // that will come and have not
	next   int64         // the block that is to be written next
	failed error
}

func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	foot, err := newFooter(t)
	if err != nil {
		return nil, err
	}
	s := &sink{w: w, foot: foot, block: fixedPiece, data: t.Data}
	if foot.kind() != kindFixed {
		if s.head, err = newHeader(t, foot); err != nil {
			return nil, err
		}
		s.block = s.head.blockSize()
	}
	s.blocks = (foot.current() + s.block - 1) / s.block
	return s, s.writeHead()
}

// planned yields the blocks from index on that the image will have.
func (s *sink) planned(index int64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		if s.head == nil {
			for ; index < s.blocks; index++ {
				if !yield(index) {
					return
				}
			}
			return
		}
		for _, e := range s.data {
			if e.Len <= 0 {
				continue
			}
			for index = max(index, e.Off/s.block); index <= (e.End()-1)/s.block && index < s.blocks; index++ {
				if !yield(index) {
					return
				}
			}
		}
	}
}

// writeHead writes all that stands before the first block. Data is put at
// pages: before each block's bitmap are some bytes of nothing.
func (s *sink) writeHead() error {
	if s.head == nil {
		return nil
	}
	bitmap := bitmapSize(s.block)
	end := s.head.tableEnd()
	stride := roundUp(bitmap+s.block, page)
	aside := stride - s.block - bitmap
	first := roundUp(end+aside+bitmap, page) - bitmap
	s.full = make([]byte, aside+bitmap)
	for i := range max(1, s.block/sector/8) {
		s.full[aside+i] = 0xff
	}
	for _, p := range [][]byte{s.foot, s.head.seal()} {
		if _, err := s.w.Write(p); err != nil {
			return err
		}
	}
	if err := s.writeTable(first, stride); err != nil {
		return err
	}
	// The first block brings the bytes before its own bitmap along.
	return s.zeros(first - aside - (int64(s.head.u64(atTable)) + 4*s.head.entries()))
}

func (s *sink) writeTable(first, stride int64) error {
	const batch = 64 << 10
	p := make([]byte, 0, 4*batch)
	index, start := int64(0), first/sector
	put := func(v uint32) error {
		if p = binary.BigEndian.AppendUint32(p, v); len(p) < 4*batch {
			return nil
		}
		_, err := s.w.Write(p)
		p = p[:0]
		return err
	}
	for block := range s.planned(0) {
		for ; index < block; index++ {
			if err := put(free); err != nil {
				return err
			}
		}
		if start >= free {
			return disk.Usage("the data does not fit into a VHD, whose table cannot point behind 2 TiB; choose vhdx")
		}
		if err := put(uint32(start)); err != nil {
			return err
		}
		index, start = index+1, start+stride/sector
	}
	for ; index < s.head.entries(); index++ {
		if err := put(free); err != nil {
			return err
		}
	}
	_, err := s.w.Write(p)
	return err
}

// BlockSize is the image's.
func (s *sink) BlockSize() int { return int(s.block) }

// Encode leaves a block as it is.
func (s *sink) Encode(dst, block []byte) ([]byte, error) { return append(dst, block...), nil }

// Append writes a block, and zeros for planned ones that did not come.
func (s *sink) Append(off int64, encoded []byte) error {
	if s.failed == nil {
		s.failed = s.append(off, encoded)
	}
	return s.failed
}

func (s *sink) append(off int64, p []byte) error {
	index := off / s.block
	if off%s.block != 0 || index < s.next || int64(len(p)) > s.block {
		return fmt.Errorf("vhd: append [%d,+%d): blocks must come whole and in ascending order", off, len(p))
	}
	known, err := s.skip(index)
	if err != nil {
		return err
	}
	s.next = index + 1
	for len(s.data) > 0 && s.data[0].End() <= s.next*s.block {
		s.data = s.data[1:]
	}
	if !known {
		if allZero(p) {
			return nil
		}
		return disk.Usage("the block at %d was not among the ranges of data that were named beforehand, and the table is written", off)
	}
	return s.writeBlock(index, p)
}

// length is how many bytes of data a block has in the image.
func (s *sink) length(index int64) int64 {
	if s.head == nil {
		return min(s.block, s.foot.current()-index*s.block)
	}
	return s.block
}

func (s *sink) writeBlock(index int64, p []byte) error {
	if _, err := s.w.Write(s.full); err != nil {
		return err
	}
	if _, err := s.w.Write(p); err != nil {
		return err
	}
	return s.zeros(s.length(index) - int64(len(p)))
}

// skip writes zeros for the planned blocks before index, and tells whether
// index is planned itself.
func (s *sink) skip(index int64) (bool, error) {
	for planned := range s.planned(s.next) {
		if planned >= index {
			return planned == index, nil
		}
		if err := s.writeBlock(planned, nil); err != nil {
			return false, err
		}
	}
	return false, nil
}

// Close writes zeros for the planned blocks that did not come, and the footer.
func (s *sink) Close() error {
	if s.failed != nil {
		return s.failed
	}
	if _, s.failed = s.skip(s.blocks); s.failed != nil {
		return s.failed
	}
	s.next = s.blocks
	_, s.failed = s.w.Write(s.foot)
	return s.failed
}

func (s *sink) zeros(n int64) error {
	for n > 0 {
		k, err := s.w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}
