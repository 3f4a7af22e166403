package vmdk

import (
	"encoding/binary"
	"io"
	"math"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/grain"
)

// streamOverhead is where the grains of a stream begin, in sectors.
const streamOverhead = 128

// stream makes a streamOptimized image in one pass.
func stream(w io.Writer, t *disk.Target) (disk.Sink, error) {
	if err := checkTarget(t); err != nil {
		return nil, err
	}
	d, err := newDescriptor(t, extentLines(t))
	if err != nil {
		return nil, err
	}
	h := streamHeader(t.Size, t.Int(optGrain))
	s := newSink(w, h, 0)
	s.put(h.encode())
	s.put(d.Bytes())
	s.put(make([]byte, streamOverhead*sector-len(s.buffer)))
	return s, s.flush()
}

func streamHeader(size, grain int64) header {
	return header{
		version: 3, flags: flagNewlines | flagCompressed | flagMarkers, capacity: uint64(size / sector), grain: uint64(grain / sector),
		descOffset: 1, descSize: descriptorRoom, entries: tableEntries, gd: gdAtEnd, overhead: streamOverhead, compress: compressDeflate,
	}
}

// sink writes a stream: grains, each table behind its grains, the directory,
// the footer.
type sink struct {
	grain.Codec
	w      io.Writer
	header header
	buffer []byte // not yet written
	pos    int64  // where buffer goes, in bytes
	last   int64  // the grain that was appended last; -1 before the first
	table  []uint32
	used   bool     // the table has entries
	gd     []uint32 // of the tables that were written
	done   func() error
	err    error // the first; nothing is written after it
}

// sinkBuffer is how much is written at once, in bytes.
const sinkBuffer = 1 << 20

// newSink continues a stream at pos.
func newSink(w io.Writer, h header, pos int64) *sink {
	return &sink{
		w: w, header: h, pos: pos, last: -1, table: make([]uint32, h.entries), gd: make([]uint32, h.tables()),
		buffer: make([]byte, 0, sinkBuffer+sinkBuffer/4),
	}
}

// BlockSize is the size of a grain.
func (s *sink) BlockSize() int { return int(s.header.grain) * sector }

// Encode compresses a grain. A last one that the disk ends within is filled
// up with zeros: some readers take nothing but whole grains.
func (s *sink) Encode(dst, block []byte) ([]byte, error) {
	if len(block) < s.BlockSize() {
		whole := make([]byte, s.BlockSize())
		copy(whole, block)
		block = whole
	}
	return s.Codec.Encode(dst, block)
}

// Append writes a grain.
func (s *sink) Append(off int64, encoded []byte) error {
	size := int64(s.BlockSize())
	i := off / size
	switch {
	case s.err != nil:
		return s.err
	case off%size != 0 || i <= s.last || off >= int64(s.header.capacity)*sector:
		return disk.Usage("a block at %d cannot follow that at %d in a disk of %d", off, s.last*size, s.header.capacity*sector)
	}
	entries := int64(len(s.table))
	if s.last >= 0 && i/entries != s.last/entries {
		s.endTable()
	}
	s.table[i%entries], s.used, s.last = s.here(), true, i
	s.buffer = binary.LittleEndian.AppendUint64(s.buffer, uint64(off/sector))
	s.buffer = binary.LittleEndian.AppendUint32(s.buffer, uint32(len(encoded)))
	s.put(encoded)
	s.pad()
	if len(s.buffer) >= sinkBuffer {
		return s.flush()
	}
	return s.err
}

// here is the next sector to be written.
func (s *sink) here() uint32 {
	at := (s.pos + int64(len(s.buffer))) / sector
	if at > math.MaxUint32 && s.err == nil {
		s.err = disk.Unsupported(name, "the stream is longer than the 2 TiB that its tables can address")
	}
	return uint32(at)
}

func (s *sink) put(p []byte) { s.buffer = append(s.buffer, p...) }

// pad goes on to the next sector.
func (s *sink) pad() {
	if over := len(s.buffer) % sector; over > 0 { // pos is a multiple always
		s.buffer = append(s.buffer, zeroSector[:sector-over]...)
	}
}

var zeroSector [sector]byte

// endTable writes the table of the grains before.
func (s *sink) endTable() {
	s.put(marker{value: uint64(tableSectors(int64(len(s.table)))), kind: markTable}.encode())
	s.gd[s.last/int64(len(s.table))] = s.here()
	s.putEntries(s.table)
	clear(s.table)
	s.used = false
}

func (s *sink) putEntries(all []uint32) {
	for _, e := range all {
		s.buffer = binary.LittleEndian.AppendUint32(s.buffer, e)
	}
	s.pad()
}

// flush writes the buffer, which ends with a whole sector.
func (s *sink) flush() error {
	if s.err == nil {
		_, s.err = s.w.Write(s.buffer)
	}
	s.pos += int64(len(s.buffer))
	s.buffer = s.buffer[:0]
	return s.err
}

// Close writes the directory and the footer.
func (s *sink) Close() error {
	if s.used {
		s.endTable()
	}
	s.put(marker{value: uint64(sectors(4 * int64(len(s.gd)))), kind: markDirectory}.encode())
	footer := s.header
	footer.gd = uint64(s.here())
	s.putEntries(s.gd)
	s.put(marker{value: 1, kind: markFooter}.encode())
	s.put(footer.encode())
	s.put(marker{kind: markEnd}.encode())
	if err := s.flush(); err != nil || s.done == nil {
		return err
	}
	return s.done()
}
