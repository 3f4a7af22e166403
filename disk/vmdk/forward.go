package vmdk

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
	"github.com/panalvm/panal/disk/vmdk/grain"
)

// forward reads a streamOptimized image that comes through a pipe: what the
// markers tell is all that is needed, and the tables are compared with it as they
// come. The other kinds of VMDK need their other files, or their tables at any time.
func forward(p *disk.Pipe) (disk.Stream, error) {
	f := &pipe{in: bufio.NewReaderSize(p, 1<<20)}
	if err := f.open(); err != nil {
		return nil, err
	}
	return f, nil
}

// maxFront bounds what stands before the first grain, bytes: the descriptor,
// and where QEMU wrote it, the tables. With those of larger disks an image has to
// lie in a file.
const maxFront = 32 << 20

// forwardPiece is how many bytes of grains are decoded as one piece, unless a
// grain is larger.
const forwardPiece = 1 << 20

// pipe is an image that is read along its markers.
type pipe struct {
	grain.Codec
	in      *bufio.Reader
	header  header
	size    int64 // of the disk
	grain   int64 // bytes
	pos     int64 // in the file, a whole sector but at its end
	tables  bool  // there were some
	came    tally // grains
	listed  tally // entries of tables
	ended   bool
	pending *marker // of a grain that did not fit into the piece before; its sector is in ahead
	ahead   [sector]byte
}

// tally counts grains, and adds up where they lie: in any order the sum is the same.
type tally struct {
	n   int64
	sum uint64
}

// add takes a grain in: the sector of its marker, and its number within its table.
func (t *tally) add(at uint32, entry int64) {
	x := (uint64(at)<<16 | uint64(entry)) * 0x9e3779b97f4a7c15
	x ^= x >> 29
	t.n, t.sum = t.n+1, t.sum+x*0xbf58476d1ce4e5b9
}

// open reads what stands before the first grain.
func (f *pipe) open() error {
	first := make([]byte, sector)
	if _, err := io.ReadFull(f.in, first); err != nil {
		return cutAt(0, err)
	}
	if string(first[:4]) != magicSparse {
		return fmt.Errorf("vmdk: it is no stream, but %w", disk.ErrForward)
	}
	h := decodeHeader(first)
	if err := h.check(0); err != nil {
		return err
	}
	if !h.compressed() || h.flags&flagMarkers == 0 || h.grain > maxBuffered || h.overhead < 1 || h.overhead > maxFront/sector {
		return fmt.Errorf("vmdk: it is not streamOptimized, or its tables are large: %w", disk.ErrForward)
	}
	f.header, f.size, f.grain = h, int64(h.capacity)*sector, int64(h.grain)*sector
	var front bytes.Buffer
	front.Write(first)
	if n, err := io.CopyN(&front, f.in, int64(h.overhead-1)*sector); err != nil {
		return cutAt(sector+n, err)
	}
	f.pos = int64(h.overhead) * sector
	if err := f.describe(front.Bytes()); err != nil {
		return err
	}
	return f.frontTables(front.Bytes())
}

// cutAt says that the file ends too early.
func cutAt(at int64, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return disk.Corrupt(name, at, "the image is cut short")
	}
	return err
}

// describe reads the descriptor, if there is one.
func (f *pipe) describe(front []byte) error {
	h := f.header
	if h.descOffset == 0 || h.descSize == 0 {
		return nil
	}
	if h.descSize > descriptor.MaxSize/sector || h.descOffset > h.overhead || h.descOffset+h.descSize > h.overhead {
		return disk.Corrupt(name, offDescOffset, "the descriptor is said to have %d sectors at sector %d", h.descSize, h.descOffset)
	}
	text := front[h.descOffset*sector : (h.descOffset+h.descSize)*sector]
	d, err := descriptor.Parse(text)
	if errors.Is(err, descriptor.ErrNot) && text[0] == 0 {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", disk.Corrupt(name, int64(h.descOffset)*sector, "the descriptor cannot be read"), err)
	}
	o := &opener{image: &image{desc: d}}
	if _, delta := o.parentRef(); delta {
		return disk.Unsupported(name, "it holds what differs from another disk, which a pipe cannot give; import the folder that both lie in")
	}
	all, err := d.Extents()
	switch {
	case err != nil:
		return disk.Corrupt(name, int64(h.descOffset)*sector, "%v", err)
	case len(all) > 1, len(all) == 1 && (all[0].Type != "SPARSE" || all[0].Access == descriptor.NoAccess):
		return fmt.Errorf("vmdk: it is one of several files: %w", disk.ErrForward)
	case len(all) == 1 && all[0].Sectors >= 0 && all[0].Sectors <= maxCapacity:
		f.size = all[0].Sectors * sector
	}
	return nil
}

// frontTables takes in tables that stand before the grains.
func (f *pipe) frontTables(front []byte) error {
	h := f.header
	if h.gd == gdAtEnd {
		return nil
	}
	n := h.tables()
	if h.gd == 0 || h.gd >= h.overhead || n*4 > int64(h.overhead-h.gd)*sector {
		return fmt.Errorf("vmdk: its tables stand behind its grains: %w", disk.ErrForward)
	}
	for i := range n {
		at := int64(binary.LittleEndian.Uint32(front[int64(h.gd)*sector+4*i:])) * sector
		if at == 0 {
			continue
		}
		end := at + 4*int64(h.entries)
		if end > int64(len(front)) {
			return fmt.Errorf("vmdk: its tables stand behind its grains: %w", disk.ErrForward)
		}
		f.list(front[at:end])
	}
	f.tables = true
	return nil
}

// list takes in the entries of a table.
func (f *pipe) list(table []byte) {
	for j := int64(0); 4*j < int64(len(table)); j++ {
		e := binary.LittleEndian.Uint32(table[4*j:])
		if e == 0 || e == zeroedEntry && f.header.flags&flagZeroed != 0 {
			continue
		}
		f.listed.add(e, j)
	}
}

// Size is the disk's.
func (f *pipe) Size() int64 { return f.size }

// Describe says what it is.
func (f *pipe) Describe() disk.Info {
	return disk.Info{Format: name, Variant: kindStream, Size: f.size, BlockSize: f.grain, Compressed: true}
}

// Close has nothing to give back.
func (f *pipe) Close() error { return nil }

// Next reads grains that follow one another on the disk.
func (f *pipe) Next(buffer []byte) (disk.Piece, error) {
	p := disk.Piece{Raw: buffer[:0]}
	for !f.ended {
		m, err := f.marker()
		if err != nil {
			return p, err
		}
		if m == nil {
			break
		}
		off := int64(m.value) * sector
		if p.Len > 0 && (off != p.Off+p.Len || p.Len+f.grain > max(forwardPiece, f.grain) || off >= f.size) {
			f.pending = m
			return p, nil
		}
		if err := f.take(&p, *m, off); err != nil {
			return p, err
		}
	}
	if p.Len > 0 {
		return p, nil
	}
	return p, f.verdict()
}

// marker reads on to the next grain's marker; nil when the end has come, or
// when it is time to say so.
func (f *pipe) marker() (*marker, error) {
	if m := f.pending; m != nil {
		f.pending = nil
		return m, nil
	}
	for {
		n, err := io.ReadFull(f.in, f.ahead[:])
		if errors.Is(err, io.EOF) && f.header.gd != gdAtEnd {
			f.ended = true // QEMU writes no marker of the end
			return nil, nil
		}
		if err != nil {
			return nil, cutAt(f.pos+int64(n), err)
		}
		m := decodeMarker(f.ahead[:])
		if m.size > 0 {
			return &m, nil
		}
		f.pos += sector
		if err := f.aside(m); err != nil || f.ended {
			return nil, err
		}
	}
}

// aside reads what a marker announces that is no grain's.
func (f *pipe) aside(m marker) error {
	switch {
	case m.kind == markEnd:
		f.ended = true
		return nil
	case m.kind > markFooter || m.value >= 1<<32:
		return disk.Corrupt(name, f.pos-sector, "this is no marker")
	case m.kind == markTable:
		return f.table(int64(m.value) * sector)
	case m.kind == markFooter:
		return f.footer()
	}
	return f.skip(int64(m.value) * sector)
}

// skip passes over a part of the file.
func (f *pipe) skip(n int64) error {
	k, err := io.CopyN(io.Discard, f.in, n)
	f.pos += k
	if err != nil {
		return cutAt(f.pos, err)
	}
	return nil
}

func (f *pipe) table(n int64) error {
	table := make([]byte, 4*int64(f.header.entries))
	if n < int64(len(table)) {
		return disk.Corrupt(name, f.pos-sector, "a table of %d bytes; it must have %d", n, len(table))
	}
	if k, err := io.ReadFull(f.in, table); err != nil {
		return cutAt(f.pos+int64(k), err)
	}
	f.pos += int64(len(table))
	if f.header.gd == gdAtEnd {
		f.list(table)
		f.tables = true
	}
	return f.skip(n - int64(len(table)))
}

func (f *pipe) footer() error {
	p := make([]byte, sector)
	if _, err := io.ReadFull(f.in, p); err != nil {
		return cutAt(f.pos, err)
	}
	at := f.pos
	f.pos += sector
	if string(p[:4]) != magicSparse {
		return disk.Corrupt(name, at, "there is no footer where its marker says so")
	}
	if h := decodeHeader(p); h.grain != f.header.grain || h.entries != f.header.entries || h.capacity != f.header.capacity {
		return disk.Corrupt(name, at, "the footer contradicts the header")
	}
	return nil
}

// take adds a grain to a piece.
func (f *pipe) take(p *disk.Piece, m marker, off int64) error {
	if int64(m.size) > 2*f.grain+4096 || m.value >= f.header.capacity || m.value%f.header.grain != 0 {
		return disk.Corrupt(name, f.pos, "a marker of %d bytes for sector %d, where no grain is", m.size, m.value)
	}
	number := int64(m.value) / int64(f.header.grain)
	f.came.add(uint32(f.pos/sector), number%int64(f.header.entries))
	begin := len(p.Raw)
	p.Raw = append(p.Raw, f.ahead[:]...)
	length := markerHead + int(m.size)
	padded := (length + sector - 1) / sector * sector
	p.Raw = append(p.Raw, make([]byte, padded-sector)...)
	if n, err := io.ReadFull(f.in, p.Raw[begin+sector:]); err != nil {
		return cutAt(f.pos+sector+int64(n), err)
	}
	f.pos += int64(padded)
	if off >= f.size { // behind the disk's end
		p.Raw = p.Raw[:begin]
		return nil
	}
	p.Raw = p.Raw[:begin+length]
	if p.Len == 0 {
		p.Off = off
	}
	p.Len = min(p.Len+f.grain, f.size-p.Off)
	return nil
}

// verdict tells whether the tables told of the grains that came.
func (f *pipe) verdict() error {
	if f.tables && f.came != f.listed {
		return fmt.Errorf("vmdk: %d grains came, and the tables list %d, or others: it is cut short, or %w", f.came.n, f.listed.n, disk.ErrForward)
	}
	if !f.tables && f.came.n > 0 {
		return disk.Corrupt(name, f.pos, "the image ends without its tables: it is cut short")
	}
	return io.EOF
}

// Decode decodes the grains of a piece.
func (f *pipe) Decode(dst []byte, p disk.Piece) ([]byte, error) {
	raw := p.Raw
	for done := int64(0); done < p.Len; done += f.grain {
		size := int(binary.LittleEndian.Uint32(raw[8:]))
		content := dst[done : done+f.grain]
		n, err := f.Codec.Decode(content, raw[markerHead:markerHead+size])
		switch {
		case err != nil:
			return nil, disk.Corrupt(name, -1, "the grain at %d of the disk: %v", p.Off+done, err)
		case int64(n) < min(f.grain, p.Len-done):
			return nil, disk.Corrupt(name, -1, "the grain at %d of the disk holds %d bytes; it needs %d", p.Off+done, n, min(f.grain, p.Len-done))
		}
		clear(content[n:])
		raw = raw[markerHead+size:]
	}
	return dst[:p.Len], nil
}
