package ova

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/ovf"
)

// Archive is an archive in a file, whose members are read in place. It may be
// used by many goroutines at once, as far as the file may.
type Archive struct {
	file     io.ReaderAt
	members  []Entry
	findings []ovf.Finding
}

// Open finds the members of an archive of so many bytes. Only headers are read.
// A compressed archive cannot be read in place: errors.ErrUnsupported.
func Open(file io.ReaderAt, size int64, limits Limits) (*Archive, error) {
	limits = limits.orDefaults()
	start := make([]byte, 6)
	if n, err := file.ReadAt(start, 0); n < len(start) {
		return nil, &Error{Err: errors.Join(ErrCutShort, ignoreEOF(err))}
	}
	if Compression(start) != "" || bytes.HasPrefix(start, []byte("BZh")) || bytes.HasPrefix(start, []byte("\xfd7zXZ")) {
		return nil, &Error{Err: &ovf.UnsupportedError{Reason: "the archive is compressed as a whole, so nothing in it can be read in place; decompress it, or import it as a stream"}}
	}
	section := io.NewSectionReader(file, 0, size)
	scan := newScanner(section, func() int64 {
		at, _ := section.Seek(0, io.SeekCurrent) // cannot fail
		return at
	}, limits)
	a := &Archive{file: file}
	for {
		e, err := scan.next()
		if errors.Is(err, io.EOF) {
			a.findings = scan.findings
			return a, nil
		}
		if err == nil && e.Offset+e.Size > size {
			err = &Error{Member: e.Name, Offset: e.Offset, Err: fmt.Errorf("it has %d bytes and the archive has %d: %w", e.Size, size, ErrCutShort)}
		}
		if err != nil {
			return nil, err
		}
		a.members = append(a.members, e)
	}
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// Members lists the members in order.
func (a *Archive) Members() []Entry { return a.members }

// Findings says what is odd about the archive, and no reason to refuse it.
func (a *Archive) Findings() []ovf.Finding { return a.findings }

// Member finds a member by its name; nil if there is none.
func (a *Archive) Member(name string) *Entry {
	for i := range a.members {
		if a.members[i].Name == name {
			return &a.members[i]
		}
	}
	return nil
}

// Content reads a member in place.
func (a *Archive) Content(e *Entry) *io.SectionReader {
	return io.NewSectionReader(a.file, e.Offset, e.Size)
}

// Envelope reads the descriptor.
func (a *Archive) Envelope() (*ovf.Envelope, error) {
	e := a.first(Descriptor)
	env, err := ovf.Parse(a.Content(e))
	if err != nil {
		return nil, &Error{Member: e.Name, Offset: e.Offset, Err: err}
	}
	return env, nil
}

// Manifest reads the manifest; nil if there is none.
func (a *Archive) Manifest() (*ovf.Manifest, error) {
	e := a.first(Manifest)
	if e == nil {
		return nil, nil
	}
	text, err := a.small(e)
	var m *ovf.Manifest
	if err == nil {
		m, err = parseManifest(text)
	}
	if err != nil {
		return nil, &Error{Member: e.Name, Offset: e.Offset, Err: err}
	}
	return m, nil
}

// first finds the first member of a kind. There is always a descriptor.
func (a *Archive) first(kind Kind) *Entry {
	for i := range a.members {
		if a.members[i].Kind == kind {
			return &a.members[i]
		}
	}
	return nil
}

// Verify reads all that the manifest mentions and tells whether it is what the
// manifest says, as [Reader.Verify] does.
func (a *Archive) Verify(ctx context.Context, t Trust) (*Report, error) {
	p := report{members: a.members, findings: a.findings}
	var err error
	if p.manifest, err = a.Manifest(); err != nil {
		return nil, err
	}
	if e := a.first(Manifest); e != nil {
		p.manifestAs = e.Name
		if p.manifestRaw, err = a.small(e); err != nil {
			return nil, &Error{Member: e.Name, Offset: e.Offset, Err: err}
		}
	}
	if e := a.first(Certificate); e != nil {
		text, err := a.small(e)
		if err == nil {
			p.certificate, err = ovf.ParseCertificate(bytes.NewReader(text))
		}
		if err != nil {
			return nil, &Error{Member: e.Name, Offset: e.Offset, Err: err}
		}
	}
	p.sum = func(name string, algorithm ovf.Algorithm) ([]byte, error) { return a.sum(ctx, name, algorithm) }
	return p.make(t)
}

func (a *Archive) small(e *Entry) ([]byte, error) {
	if e.Size > maxSmall {
		return nil, fmt.Errorf("it has %d bytes, more than %d: %w", e.Size, maxSmall, ErrLimit)
	}
	return io.ReadAll(a.Content(e))
}

// sum reads a member to compute its digest.
func (a *Archive) sum(ctx context.Context, name string, algorithm ovf.Algorithm) ([]byte, error) {
	content := a.Content(a.Member(name))
	h := algorithm.New()
	for buffer := make([]byte, pieceSize); ; {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n, err := content.Read(buffer)
		h.Write(buffer[:n])
		if errors.Is(err, io.EOF) {
			return h.Sum(nil), nil
		}
		if err != nil {
			return nil, err
		}
	}
}
