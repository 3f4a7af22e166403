package vdi

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// sink writes an image in one pass. Which blocks will come is known before, so
// the map can stand in front of them.
type sink struct {
	w      io.Writer
	h      header
	data   []disk.Extent // that will come and have not
	next   int64         // the block that is to be written next
	failed error
}

func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	h, err := newHeader(t)
	if err != nil {
		return nil, err
	}
	s := &sink{w: w, h: h, data: t.Data}
	used := int64(0)
	for range s.planned(0) {
		used++
	}
	h.setU32(h.at.used, uint32(used))
	return s, s.writeHead()
}

// planned yields the blocks from index on that have a place.
func (s *sink) planned(index int64) func(yield func(int64) bool) {
	block, blocks := int64(s.h.blockSize()), int64(s.h.blocks())
	return func(yield func(int64) bool) {
		if s.h.kind() == typeFixed {
			for ; index < blocks; index++ {
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
			for index = max(index, e.Off/block); index <= (e.End()-1)/block && index < blocks; index++ {
				if !yield(index) {
					return
				}
			}
		}
	}
}

// writeHead writes all that stands before the first block.
func (s *sink) writeHead() error {
	if _, err := s.w.Write(s.h.raw); err != nil {
		return err
	}
	if err := s.zeros(s.h.offMap() - int64(len(s.h.raw))); err != nil {
		return err
	}
	if err := s.writeMap(); err != nil {
		return err
	}
	return s.zeros(s.h.offData() - s.h.offMap() - 4*int64(s.h.blocks()))
}

func (s *sink) writeMap() error {
	const batch = 1 << 16
	p := make([]byte, 0, 4*batch)
	index, place := int64(0), uint32(0)
	put := func(v uint32) error {
		if p = binary.LittleEndian.AppendUint32(p, v); len(p) < 4*batch {
			return nil
		}
		_, err := s.w.Write(p)
		p = p[:0]
		return err
	}
	for block := range s.planned(0) {
		for ; index < block; index++ {
			if err := put(unallocated); err != nil {
				return err
			}
		}
		if err := put(place); err != nil {
			return err
		}
		index, place = index+1, place+1
	}
	for ; index < int64(s.h.blocks()); index++ {
		if err := put(unallocated); err != nil {
			return err
		}
	}
	_, err := s.w.Write(p)
	return err
}

// BlockSize is the image's.
func (s *sink) BlockSize() int { return int(s.h.blockSize()) }

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
	block := s.h.blockSize()
	index := off / int64(block)
	if off%int64(block) != 0 || index < s.next || len(p) > int(block) {
		return fmt.Errorf("vdi: append [%d,+%d): blocks must come whole and in ascending order", off, len(p))
	}
	known, err := s.skip(index)
	if err != nil {
		return err
	}
	s.next = index + 1
	for len(s.data) > 0 && s.data[0].End() <= s.next*int64(block) {
		s.data = s.data[1:]
	}
	if !known {
		if allZero(p) {
			return nil
		}
		return disk.Usage("the block at %d was not among the ranges of data that were named beforehand, and the map is written", off)
	}
	_, err = s.w.Write(padded(p, int(block)))
	return err
}

// skip writes zeros for the planned blocks before index, and tells whether
// index is planned itself.
func (s *sink) skip(index int64) (bool, error) {
	for planned := range s.planned(s.next) {
		if planned >= index {
			return planned == index, nil
		}
		if err := s.zeros(int64(s.h.blockSize())); err != nil {
			return false, err
		}
	}
	return false, nil
}

// Close writes zeros for the planned blocks that did not come.
func (s *sink) Close() error {
	if s.failed == nil {
		_, s.failed = s.skip(int64(s.h.blocks()))
	}
	return s.failed
}

func (s *sink) zeros(n int64) error {
	zeros := make([]byte, min(n, 64<<10))
	for n > 0 {
		k, err := s.w.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}
