package xva

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
)

// pass is one way through an archive, from its beginning, chunk by chunk of
// one disk.
type pass struct {
	a       *archive
	w       *walker
	ref     string
	counter counter
	held    *tar.Header // that was read to see whether it is a digest
}

// piece is a chunk with its content.
type piece struct {
	off    int64
	number int64
	data   []byte
	sum    string
	bad    error // it does not match its digest
}

func newPass(a *archive, d Disk) (*pass, error) {
	w, err := a.walk()
	if err != nil {
		return nil, err
	}
	return &pass{a: a, w: w, ref: d.Ref, counter: counter{size: d.Size}}, nil
}

func (p *pass) close() { p.w.close() }

// next reads the next chunk that has bytes; io.EOF at the archive's end.
// buffer gives room for as many bytes as it is asked for.
func (p *pass) next(buffer func(n int64) []byte) (piece, error) {
	for {
		h, err := p.header()
		if err != nil {
			return piece{}, err
		}
		m, ok := parseMember(h.Name)
		if !ok || m.ref != p.ref || m.sum != "" {
			continue
		}
		at := p.w.at()
		off, err := p.a.place(&p.counter, m, h.Size, at)
		if err != nil {
			return piece{}, err
		}
		if h.Size == 0 {
			continue
		}
		c := piece{off: off, number: m.number, data: buffer(h.Size)}
		if _, err := io.ReadFull(p.w.tar, c.data); err != nil {
			return c, p.a.unreadable(p.w.at(), fmt.Sprintf("chunk %s/%08d", m.ref, m.number), err)
		}
		if err := p.a.padded(m, c.data, off, p.counter.size, at); err != nil {
			return c, err
		}
		return c, p.verify(m, &c, at)
	}
}

// behind looks whether the member that comes now is a further chunk of the disk,
// and refuses one that has no place on it.
func (p *pass) behind() error {
	h, err := p.header()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	p.held = h
	m, ok := parseMember(h.Name)
	if !ok || m.ref != p.ref || m.sum != "" {
		return nil
	}
	c := p.counter // it is counted when it is read
	_, err = p.a.place(&c, m, h.Size, p.w.at())
	return err
}

// header is the one that is held, or the next.
func (p *pass) header() (*tar.Header, error) {
	if h := p.held; h != nil {
		p.held = nil
		return h, nil
	}
	h, err := p.w.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, p.a.unreadable(p.w.at(), "the archive", err)
	}
	return h, err
}

// verify reads the digest that follows a chunk, which is at an offset of the
// archive.
func (p *pass) verify(m member, c *piece, at int64) error {
	h, err := p.header()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil {
		return err
	}
	s, ok := parseMember(h.Name)
	if !ok || s.ref != m.ref || s.number != m.number || s.sum == "" {
		p.held = h
		return nil
	}
	if h.Size > maxDigest {
		return p.a.longDigest(m, h.Size, p.w.at())
	}
	sum, err := io.ReadAll(p.w.tar)
	if err != nil {
		return p.a.unreadable(p.w.at(), fmt.Sprintf("the digest of chunk %s/%08d", m.ref, m.number), err)
	}
	c.sum = s.sum
	c.bad = p.a.verify(m, c.data, s.sum, string(sum), at)
	return nil
}
