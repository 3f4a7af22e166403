package ova

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/panalvm/panal/ovf"
)

// MemberWriter takes the content of a member.
type MemberWriter struct {
	w      *Writer
	name   string
	left   int64 // bytes that are still to come; of a size not known, as many as there are
	digest *digester
	closed bool

	header int64    // where the header is to be written; of a size not known
	size   int64    // of a size not known: what was written
	spool  *os.File // where the content waits for the header; nil when it does not
	open   bool     // the size is not known
}

// Create begins a member whose size is not known. What is written goes to the
// archive at once when that can be sought in, else to a temporary file in dir,
// "" for the system's, from where Close copies it.
func (w *Writer) Create(name, dir string) (*MemberWriter, error) {
	seeker, ok := w.out.w.(io.Seeker)
	if ok {
		if at, err := seeker.Seek(0, io.SeekCurrent); err != nil || at != w.out.n {
			ok = false // a pipe, or something stands before the archive
		}
	}
	if _, err := headerOf(name, 0, w.options.ModTime); err != nil || len(name) > 100 {
		ok = false // the header's length must not depend on the size
	}
	if err := w.admit(name); err != nil {
		return nil, err
	}
	m := &MemberWriter{w: w, name: name, digest: w.digester(-1), open: true, header: w.out.n}
	var err error
	if ok {
		_, err = w.out.Write(make([]byte, 512))
	} else {
		m.spool, err = os.CreateTemp(dir, ".ova-*")
	}
	if err != nil {
		m.digest.finish()
		return nil, w.fail(name, err)
	}
	if m.spool != nil {
		_ = os.Remove(m.spool.Name()) // it lives as long as it is open
	}
	w.open = m
	return m, nil
}

// Write adds to the content.
func (m *MemberWriter) Write(p []byte) (int, error) {
	if m.w.failed != nil {
		return 0, m.w.failed
	}
	if m.closed {
		return 0, fmt.Errorf("writing the member %q: it was closed", m.name)
	}
	if !m.open && int64(len(p)) > m.left {
		return 0, m.w.fail(m.name, fmt.Errorf("its content has more than the %d bytes that were announced", m.size+m.left))
	}
	var to io.Writer = m.w.out
	if m.spool != nil {
		to = m.spool
	}
	n, err := to.Write(p)
	m.digest.write(p[:n])
	m.size += int64(n)
	m.left -= int64(n)
	if err != nil {
		return n, m.w.fail(m.name, err)
	}
	return n, nil
}

// Close ends the member.
func (m *MemberWriter) Close() error {
	if m.closed {
		return nil
	}
	m.closed = true
	m.w.open = nil
	sums := m.digest.finish()
	if err := m.complete(); err != nil {
		return err
	}
	if padding := -m.size & 511; padding > 0 {
		if _, err := m.w.out.Write(make([]byte, padding)); err != nil {
			return m.w.fail(m.name, err)
		}
	}
	if !m.w.options.NoManifest {
		return m.w.digested(ovf.Digest{File: m.name, Algorithm: m.w.options.Digest, Sum: sums[m.w.options.Digest]})
	}
	return nil
}

// complete writes what only the whole content allows to be written.
func (m *MemberWriter) complete() error {
	if m.w.failed != nil {
		if m.spool != nil {
			return errors.Join(m.w.failed, m.spool.Close())
		}
		return m.w.failed
	}
	if !m.open {
		if m.left != 0 {
			return m.w.fail(m.name, fmt.Errorf("its content has %d bytes less than was announced", m.left))
		}
		return nil
	}
	header, err := headerOf(m.name, m.size, m.w.options.ModTime)
	if err == nil && m.spool != nil {
		err = m.unspool(header)
	} else if err == nil {
		err = m.patch(header)
	}
	if err != nil {
		return m.w.fail(m.name, err)
	}
	return nil
}

// unspool copies header and content to the archive.
func (m *MemberWriter) unspool(header []byte) error {
	_, err := m.w.out.Write(header)
	if err == nil {
		_, err = m.spool.Seek(0, io.SeekStart)
	}
	if err == nil {
		_, err = io.CopyBuffer(struct{ io.Writer }{m.w.out}, struct{ io.Reader }{m.spool}, make([]byte, pieceSize))
	}
	return errors.Join(err, m.spool.Close())
}

// patch writes the header where room was left for it.
func (m *MemberWriter) patch(header []byte) error {
	if len(header) != 512 {
		return fmt.Errorf("its header has %d bytes", len(header))
	}
	seeker := m.w.out.w.(io.WriteSeeker)
	if _, err := seeker.Seek(m.header, io.SeekStart); err != nil {
		return err
	}
	if _, err := seeker.Write(header); err != nil {
		return err
	}
	_, err := seeker.Seek(m.w.out.n, io.SeekStart)
	return err
}
