package vhdx

import (
	"bufio"
	"encoding/binary"
	"io"

	"github.com/panalvm/panal/disk"
)

// streamBlocks is how many blocks a streamed image has at most unless a
// block size was asked for: its table is known before its data and should be short.
const streamBlocks = 1 << 20

// writerAt writes one thing behind the other into a file.
type writerAt struct {
	io.WriterAt
	off int64
}

// Write writes at the end of what was written before.
func (w *writerAt) Write(p []byte) (int, error) {
	n, err := w.WriteAt(p, w.off)
	w.off += int64(n)
	return n, err
}

// writeTable writes a table in which the blocks that are held lie one behind
// the other, and fills the rest of its region with zeros.
func (p plan) writeTable(w io.Writer, held func(b int64) bool) error {
	out := bufio.NewWriterSize(w, int(mib))
	host, e := p.data, make([]byte, entryLength)
	for b := range p.blocks(p.metadata.size) {
		entry := entry(0)
		if held(b) {
			entry = makeEntry(fullyPresent, host)
			host += p.blockSize()
		}
		binary.LittleEndian.PutUint64(e, uint64(entry))
		if _, err := out.Write(e); err != nil {
			return err
		}
		if (b+1)&(1<<p.chunk-1) == 0 {
			if _, err := out.Write(make([]byte, entryLength)); err != nil {
				return err
			}
		}
	}
	return out.Flush()
}

// sink writes an image in one pass. The table comes before the blocks, so
// which there are must be known at the beginning.
type sink struct {
	plan
	w    io.Writer
	held []uint64 // a bit a block
	next int64    // where on the disk the next byte comes from
}

// stream begins an image on something that cannot seek.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	if t.Parent != nil {
		return nil, disk.Unsupported(name, "a differencing image cannot be written to a pipe; write to a file")
	}
	unit := 2 * mib
	for unit < 256*mib && t.Size/unit > streamBlocks {
		unit *= 2
	}
	p, err := newPlan(t, unit)
	if err != nil {
		return nil, err
	}
	s := &sink{plan: p, w: w, held: make([]uint64, p.blocks(t.Size)/64+1)}
	for _, x := range t.Data {
		s.hold(x)
	}
	if _, err := w.Write(p.head()); err != nil {
		return nil, err
	}
	return s, s.table()
}

// hold notes the blocks of an extent.
func (s *sink) hold(x disk.Extent) {
	for b := x.Off >> s.block; b<<s.block < x.End() && b < s.blocks(s.metadata.size); b++ {
		s.held[b/64] |= 1 << (b % 64)
	}
}

func (s *sink) holds(b int64) bool { return s.metadata.leave || s.held[b/64]>>(b%64)&1 != 0 }

// table writes the table's region.
func (s *sink) table() error {
	w := &counter{Writer: s.w}
	if err := s.writeTable(w, s.holds); err != nil {
		return err
	}
	return writeZeros(s.w, s.plan.table.length-w.n)
}

// counter counts what is written.
type counter struct {
	io.Writer
	n int64
}

// Write counts what it passes on.
func (c *counter) Write(p []byte) (int, error) {
	n, err := c.Writer.Write(p)
	c.n += int64(n)
	return n, err
}

func writeZeros(w io.Writer, n int64) error {
	zeros := make([]byte, min(n, mib))
	for n > 0 {
		k, err := w.Write(zeros[:min(n, mib)])
		if err != nil {
			return err
		}
		n -= int64(k)
	}
	return nil
}

// BlockSize is that of what is appended, which is less than the image's own.
func (s *sink) BlockSize() int { return int(mib) }

// Encode gives the block itself.
func (s *sink) Encode(dst, block []byte) ([]byte, error) {
	if len(dst) == 0 {
		return block, nil
	}
	return append(dst, block...), nil
}

// Append writes a block, and zeros for what was passed over of those that the
// table has.
func (s *sink) Append(off int64, encoded []byte) error {
	if off < s.next || off+int64(len(encoded)) > s.metadata.size {
		return disk.Usage("block at %d: blocks must come in ascending order and within the disk", off)
	}
	if !s.holds(off >> s.block) {
		if allZero(encoded) {
			return nil
		}
		return disk.Usage("block at %d: the ranges that were announced do not have it, and the table is written already", off)
	}
	if err := s.fill(off); err != nil {
		return err
	}
	_, err := s.w.Write(encoded)
	s.next = off + int64(len(encoded))
	return err
}

func allZero(p []byte) bool {
	for len(p) >= 8 {
		if binary.LittleEndian.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// fill writes zeros for the parts of held blocks in [next, off).
func (s *sink) fill(off int64) error {
	for s.next < off {
		b := s.next >> s.block
		end := min((b+1)<<s.block, off)
		if s.holds(b) {
			if err := writeZeros(s.w, end-s.next); err != nil {
				return err
			}
		}
		s.next = end
	}
	return nil
}

// Close completes the last block.
func (s *sink) Close() error { return s.fill(s.blocks(s.metadata.size) << s.block) }
