package xva

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// Reader reads an archive that comes through a pipe, decompressed: its
// description, and then its disks, one after another. It is for one goroutine.
type Reader struct {
	a    *archive
	p    *pass
	text []byte
	seen map[string]bool
	sums Sums
}

// Sums is how far an archive could be compared with its checksums.
type Sums struct {
	Chunks  int    // that have content
	Without int    // of them, those that have no checksum
	First   string // the first of these: "Ref:12/00000003"
}

func (s *Sums) count(ref string, c piece) {
	if s.Chunks++; c.sum != "" {
		return
	}
	if s.Without++; s.Without == 1 {
		s.First = fmt.Sprintf("%s/%08d", ref, c.number)
	}
}

// NewReader reads the description.
func NewReader(r io.Reader) (*Reader, error) {
	c := &counted{r: r}
	a := &archive{kind: variantPlain}
	w := &walker{tar: tar.NewReader(c), at: func() int64 { return c.n }, close: func() {}}
	h, err := w.next()
	if err != nil {
		return nil, a.unreadable(w.at(), "the archive", err)
	}
	if h.Name != ovaName {
		return nil, a.corrupt(0, "the archive begins with %.60q, and not with %s", h.Name, ovaName)
	}
	text, err := io.ReadAll(io.LimitReader(w.tar, maxOva+1))
	if err != nil {
		return nil, a.unreadable(w.at(), ovaName, err)
	}
	if len(text) > maxOva {
		return nil, a.corrupt(0, "%s is longer than the %d MiB that one can have", ovaName, maxOva>>20)
	}
	root, read, err := parseOva(bytes.NewReader(text))
	if err != nil {
		return nil, a.corrupt(read, "%s: %v", ovaName, noEOF(err))
	}
	a.vdis = disksOf(root)
	return &Reader{a: a, p: &pass{a: a, w: w}, text: text, seen: map[string]bool{}}, nil
}

// Description is the ova.xml.
func (r *Reader) Description() []byte { return r.text }

// Sums tells of the chunks that came so far.
func (r *Reader) Sums() Sums { return r.sums }

// Next goes on to the next disk that has content; io.EOF behind the last. The
// stream of the one before must have been read to its end.
func (r *Reader) Next() (Disk, disk.Stream, error) {
	for {
		h, err := r.p.header()
		if err != nil {
			return Disk{}, nil, err
		}
		m, ok := parseMember(h.Name)
		if !ok {
			continue
		}
		if r.seen[m.ref] {
			return Disk{}, nil, r.a.corrupt(r.p.w.at(), "chunks of %s come behind those of another disk", m.ref)
		}
		if r.seen[m.ref] = true; len(r.seen) > maxDisks {
			return Disk{}, nil, r.a.corrupt(r.p.w.at(), "the archive has chunks of more than %d disks", maxDisks)
		}
		if m.number > 0 {
			return Disk{}, nil, fmt.Errorf("%w: the export may be incomplete", r.a.corrupt(r.p.w.at(), "the first chunk of %s is missing: they begin with %08d", m.ref, m.number))
		}
		d := Disk{Ref: m.ref}
		for _, v := range r.a.vdis {
			if v.ref == m.ref {
				d.Name, d.Size = v.name, v.size
			}
		}
		r.p.held, r.p.ref, r.p.counter = h, m.ref, counter{size: d.Size}
		return d, &pipe{reader: r, d: d}, nil
	}
}

// pipe is a disk of an archive that is read forward.
type pipe struct {
	reader *Reader
	d      Disk
	at     int64
	over   bool
}

// Size is the disk's; -1 if only its last chunk tells and has not come.
func (s *pipe) Size() int64 {
	if s.d.Size == 0 && !s.over {
		return -1
	}
	return s.d.Size
}

// Describe says what it is.
func (s *pipe) Describe() disk.Info { return describe(s.reader.a, s.d) }

// Next reads the next chunk, and compares it with its digest.
func (s *pipe) Next(buffer []byte) (disk.Piece, error) {
	p := s.reader.p
	for !s.over {
		h, err := p.header()
		if errors.Is(err, io.EOF) {
			return s.end()
		}
		if err != nil {
			return disk.Piece{}, err
		}
		m, ok := parseMember(h.Name)
		switch {
		case !ok || m.ref == s.d.Ref && m.sum != "":
			continue
		case m.ref != s.d.Ref:
			p.held = h
			return s.end()
		case h.Size == 0:
			if _, err := p.a.place(&p.counter, m, 0, p.w.at()); err != nil {
				return disk.Piece{}, err
			}
			continue
		}
		p.held = h
		return s.chunk(buffer)
	}
	return disk.Piece{}, io.EOF
}

func (s *pipe) chunk(buffer []byte) (disk.Piece, error) {
	c, err := s.reader.p.next(func(n int64) []byte {
		if int64(cap(buffer)) < n {
			buffer = make([]byte, n)
		}
		return buffer[:n]
	})
	if err == nil {
		err = c.bad
	}
	if err != nil {
		return disk.Piece{}, err
	}
	s.at = c.off + int64(len(c.data))
	s.reader.sums.count(s.d.Ref, c)
	if s.d.Size > 0 && s.at > s.d.Size { // filled up with zeros
		c.data = c.data[:s.d.Size-c.off]
	}
	return disk.Piece{Off: c.off, Len: int64(len(c.data)), Raw: c.data}, nil
}

// end tells whether all of the disk came.
func (s *pipe) end() (disk.Piece, error) {
	s.over = true
	if s.at < s.d.Size {
		return disk.Piece{}, fmt.Errorf("%w: the export may be incomplete", s.reader.a.corrupt(-1, "the last chunk of %s is missing: they end at %d of %d bytes", s.d.Ref, s.at, s.d.Size))
	}
	if s.d.Size == 0 {
		s.d.Size = s.at
	}
	return disk.Piece{}, io.EOF
}

// Decode has nothing to decode.
func (s *pipe) Decode(_ []byte, p disk.Piece) ([]byte, error) { return p.Raw, nil }

// Close has nothing to give back.
func (s *pipe) Close() error { return nil }
