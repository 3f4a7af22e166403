package disk

import (
	"container/heap"
	"errors"
	"fmt"
	"io"
)

// Forward reads an image forward through the very code that opens it in a file:
// for formats whose tables stand before what they tell of, at least mostly, and
// that allocate nothing for what a file of any length may claim. wrap may be
// nil; else it gives the file another appearance, which holds the content at the
// same offsets.
func Forward(p *Pipe, wrap func(File) File) (Stream, error) {
	f := &forward{pipe: p, size: p.Size, kept: keeper{format: p.format.Name, make: p.keep}}
	if p.Size < 0 {
		f.size = endless
	}
	var file File = f
	if wrap != nil {
		file = wrap(f)
	}
	img, err := OpenFile(file, p.Name, Options{Formats: p.formats, Format: p.format.Name})
	if err != nil {
		return nil, err
	}
	m := &mapped{file: f, as: file, img: img, format: p.format.Name}
	if err := m.begin(); err != nil {
		return nil, errors.Join(err, img.Close())
	}
	p.Opened()
	return m, nil
}

// begin goes on until the first content is known: most of what cannot be read
// forward shows by then.
func (m *mapped) begin() error {
	if err := m.whole(); err != nil {
		return err
	}
	for len(m.found) == 0 && m.at < m.img.Size() {
		err := m.look()
		if errors.Is(err, errAhead) && len(m.found) == 0 {
			err = m.step()
		}
		if err != nil && !errors.Is(err, errAhead) {
			return err
		}
	}
	return nil
}

// mapped is an image that is read forward by its map.
type mapped struct {
	file   *forward
	as     File // what the image's extents name
	img    Image
	format string
	at     int64 // how far the disk was mapped
	found  places
	ahead  int64 // how far the file has to be read to map on
	looked bool  // whole did
}

// maxPlaces bounds how many places of content are known and not yet read.
const maxPlaces = 1 << 20

// places is a heap of content by where it lies in the file.
type places []Extent

func (p places) Len() int           { return len(p) }
func (p places) Less(i, j int) bool { return p[i].HostOff < p[j].HostOff }
func (p places) Swap(i, j int)      { p[i], p[j] = p[j], p[i] }

// Push is heap.Interface's.
func (p *places) Push(x any) { *p = append(*p, x.(Extent)) }

// Pop is heap.Interface's.
func (p *places) Pop() any {
	last := (*p)[len(*p)-1]
	*p = (*p)[:len(*p)-1]
	return last
}

// look maps as much of the disk as can be without reading on. errAhead says
// that there is more.
func (m *mapped) look() error {
	for size := m.img.Size(); m.at < size && len(m.found) < maxPlaces; {
		var e Extent
		want, err := m.file.stay(func() (err error) {
			e, err = MapAt(m.img, m.at, size-m.at)
			return err
		})
		if err != nil {
			m.ahead = want
			return err
		}
		if err := m.add(e); err != nil {
			return err
		}
		m.at = e.End()
	}
	return nil
}

func (m *mapped) add(e Extent) error {
	if e.State != Data {
		return nil
	}
	if !e.Compressed && e.File != m.as && e.File != File(m.file) {
		return fmt.Errorf("%s: its content lies in another file: %w", m.format, ErrForward)
	}
	heap.Push(&m.found, e)
	return nil
}

// Next reads the next piece of content, whatever comes first in the file.
func (m *mapped) Next(buffer []byte) (Piece, error) {
	for m.at < m.img.Size() && (len(m.found) == 0 || m.ahead <= m.found[0].HostOff) {
		before := m.at
		err := m.look()
		if errors.Is(err, errAhead) && (len(m.found) == 0 || m.ahead <= m.found[0].HostOff) {
			err = m.step()
		}
		if err != nil && !errors.Is(err, errAhead) {
			return Piece{}, err
		}
		if m.at == before && len(m.found) > 0 {
			break
		}
	}
	if len(m.found) == 0 {
		return Piece{}, io.EOF
	}
	return m.read(buffer)
}

// whole looks, when the end of a file has come whose length was not known, whether
// that holds what its headers need: what was missing was taken for zeros.
func (m *mapped) whole() error {
	if !m.file.over || m.looked {
		return nil
	}
	m.looked = true
	again, err := OpenFile(m.as, m.file.pipe.Name, Options{Formats: m.file.pipe.formats, Format: m.format})
	if err != nil {
		return fmt.Errorf("the image is cut short: %w", err)
	}
	_ = again // it has the file in common with m.img, which closes it
	return nil
}

// step maps on, and lets the file be read as far as that needs.
func (m *mapped) step() error {
	e, err := MapAt(m.img, m.at, m.img.Size()-m.at)
	if err != nil {
		return err
	}
	m.at = e.End()
	if err := m.whole(); err != nil {
		return err
	}
	return m.add(e)
}

func (m *mapped) read(buffer []byte) (Piece, error) {
	e := &m.found[0]
	n := min(e.Len, chunk)
	if int64(cap(buffer)) < n {
		buffer = make([]byte, n)
	}
	p := Piece{Off: e.Off, Len: n, Raw: buffer[:n]}
	if e.Compressed {
		// How long it is shows only when it is decoded: the file keeps what passes.
		if k, err := m.img.ReadAt(p.Raw, e.Off); err != nil && (err != io.EOF || int64(k) < n) {
			return p, err
		}
	} else if err := m.file.content(p.Raw, e.HostOff); err != nil {
		return p, err
	}
	m.took(n)
	return p, nil
}

// took goes on behind the first n bytes of the content that comes next.
func (m *mapped) took(n int64) {
	e := &m.found[0]
	if e.Off, e.HostOff, e.Len = e.Off+n, e.HostOff+n, e.Len-n; e.Len == 0 {
		heap.Pop(&m.found)
	} else {
		heap.Fix(&m.found, 0)
	}
}

// Decode has nothing to decode.
func (m *mapped) Decode(_ []byte, p Piece) ([]byte, error) { return p.Raw, nil }

// Size is the disk's.
func (m *mapped) Size() int64 { return m.img.Size() }

// Describe is the image's.
func (m *mapped) Describe() Info { return Describe(m.img) }

// Close closes the image.
func (m *mapped) Close() error { return m.img.Close() }
