package blockmap

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// Stream writes the blocks of an image in one pass. Which will come is known
// before, so that the pointers can stand in front of them. It is the disk.Sink of
// a format that has written all that stands before the first block.
type Stream struct {
	W      io.Writer
	Format string        // its name
	Block  int64         // bytes
	Size   int64         // of the disk, bytes
	Data   []disk.Extent // the ranges that will come, ascending; the rest has no block
	All    bool          // but in this image, which has all blocks
	Short  bool          // the last block ends where the disk does
	Before []byte        // stands before each block
	Tail   []byte        // stands behind the last block

	next   int64 // the block that is to be written next
	failed error
}

func (s *Stream) blocks() int64 { return (s.Size + s.Block - 1) / s.Block }

// planned yields the blocks from index on that the image will have.
func (s *Stream) planned(index int64) func(yield func(int64) bool) {
	return func(yield func(int64) bool) {
		blocks := s.blocks()
		if s.All {
			for ; index < blocks; index++ {
				if !yield(index) {
					return
				}
			}
			return
		}
		for _, e := range s.Data {
			if e.Len <= 0 {
				continue
			}
			for index = max(index, e.Off/s.Block); index <= (e.End()-1)/s.Block && index < blocks; index++ {
				if !yield(index) {
					return
				}
			}
		}
	}
}

// Held is how many blocks the image will have.
func (s *Stream) Held() (count int64) {
	for range s.planned(0) {
		count++
	}
	return count
}

// Pointers writes the pointers of all blocks: to the first that comes it is
// first, and to each next one step more; none is what says that there is no block.
func (s *Stream) Pointers(order binary.AppendByteOrder, first, step int64, none uint32) error {
	const batch = 64 << 10
	p := make([]byte, 0, 4*batch)
	put := func(v uint32) error {
		if p = order.AppendUint32(p, v); len(p) < 4*batch {
			return nil
		}
		_, err := s.W.Write(p)
		p = p[:0]
		return err
	}
	index := int64(0)
	fill := func(end int64) error {
		for ; index < end; index++ {
			if err := put(none); err != nil {
				return err
			}
		}
		return nil
	}
	for block := range s.planned(0) {
		if err := fill(block); err != nil {
			return err
		}
		if first >= int64(none) {
			return disk.Usage("the data does not fit into an image of this kind (%s), whose table cannot point that far; choose another format", s.Format)
		}
		if err := put(uint32(first)); err != nil {
			return err
		}
		index, first = index+1, first+step
	}
	if err := fill(s.blocks()); err != nil {
		return err
	}
	_, err := s.W.Write(p)
	return err
}

// BlockSize is the image's.
func (s *Stream) BlockSize() int { return int(s.Block) }

// Encode leaves a block as it is.
func (s *Stream) Encode(dst, block []byte) ([]byte, error) { return append(dst, block...), nil }

// Append writes a block, and zeros for planned ones that did not come.
func (s *Stream) Append(off int64, encoded []byte) error {
	if s.failed == nil {
		s.failed = s.append(off, encoded)
	}
	return s.failed
}

func (s *Stream) append(off int64, p []byte) error {
	index := off / s.Block
	if off%s.Block != 0 || index < s.next || int64(len(p)) > s.Block {
		return fmt.Errorf("%s: append [%d,+%d): blocks must come whole and in ascending order", s.Format, off, len(p))
	}
	known, err := s.skip(index)
	if err != nil {
		return err
	}
	s.next = index + 1
	for len(s.Data) > 0 && s.Data[0].End() <= s.next*s.Block {
		s.Data = s.Data[1:]
	}
	if known {
		return s.writeBlock(index, p)
	}
	if IsZero(p) {
		return nil
	}
	return disk.Usage("the block at %d was not among the ranges of data that were named beforehand, and the table is written", off)
}

func (s *Stream) writeBlock(index int64, p []byte) error {
	if _, err := s.W.Write(s.Before); err != nil {
		return err
	}
	if _, err := s.W.Write(p); err != nil {
		return err
	}
	length := s.Block
	if s.Short {
		length = min(length, s.Size-index*s.Block)
	}
	return s.Zeros(length - int64(len(p)))
}

// skip writes zeros for the planned blocks before index, and tells whether
// index is planned itself.
func (s *Stream) skip(index int64) (bool, error) {
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

// Close writes zeros for the planned blocks that did not come, and the tail.
func (s *Stream) Close() error {
	if s.failed == nil {
		_, s.failed = s.skip(s.blocks())
	}
	if s.failed == nil {
		_, s.failed = s.W.Write(s.Tail)
	}
	return s.failed
}

// Zeros writes zeros.
func (s *Stream) Zeros(n int64) error {
	for n > 0 {
		k, err := s.W.Write(zeros[:min(n, int64(len(zeros)))])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}
