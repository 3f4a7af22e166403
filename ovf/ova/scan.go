package ova

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/panalvm/panal/ovf"
)

// Kind is what a member is in the package, by its name.
type Kind int

// Kinds of members.
const (
	File        Kind = iota // a disk, an image, a file of texts, …
	Descriptor              // the first .ovf
	Manifest                // the .mf
	Certificate             // the .cert
)

// Entry is a member's place in an archive.
type Entry struct {
	Name   string // with slashes, without "./"
	Kind   Kind
	Size   int64
	Offset int64 // of its content in the archive, after decompression
}

// scanner goes through the headers of an archive and judges them.
type scanner struct {
	tar      *tar.Reader
	offset   func() int64 // where the archive was read to
	limits   Limits
	seen     map[string]bool
	members  int
	names    int    // bytes
	base     string // the descriptor's name without ".ovf"
	end      int64  // of the last member, with its padding
	findings []ovf.Finding
}

func newScanner(r io.Reader, offset func() int64, limits Limits) *scanner {
	return &scanner{tar: tar.NewReader(r), offset: offset, limits: limits, seen: map[string]bool{}}
}

// next goes to the next plain file; io.EOF behind the last.
func (s *scanner) next() (Entry, error) {
	for {
		h, err := s.tar.Next()
		if errors.Is(err, io.EOF) {
			return Entry{}, s.atEnd()
		}
		if err != nil {
			return Entry{}, &Error{Offset: s.offset(), Err: cutShort(err)}
		}
		if s.members++; s.members > s.limits.Members {
			return Entry{}, &Error{Offset: s.offset(), Err: fmt.Errorf("there are more than %d members: %w", s.limits.Members, ErrLimit)}
		}
		e, err := s.entry(h)
		if err != nil {
			return Entry{}, &Error{Member: h.Name, Offset: s.offset(), Err: err}
		}
		if e.Name != "" {
			return e, nil
		}
	}
}

// cutShort names the reason when an archive ends too early.
func cutShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return ErrCutShort
	}
	return fmt.Errorf("reading the archive: %w", err)
}

// atEnd judges the end of the archive.
func (s *scanner) atEnd() error {
	if s.members == 0 {
		return &Error{Offset: s.offset(), Err: ErrNoDescriptor}
	}
	if s.offset() < s.end+512 {
		s.find(ovf.Warning, "", "the archive ends without the blocks of zeros that say so: perhaps members are missing")
	}
	if s.base == "" {
		return &Error{Offset: s.offset(), Err: ErrNoDescriptor}
	}
	return io.EOF
}

// entry judges a header; the name is empty of what is passed over.
func (s *scanner) entry(h *tar.Header) (Entry, error) {
	at := s.offset()
	if h.Size < 0 || h.Size > s.limits.Total-at {
		return Entry{}, fmt.Errorf("its size is %d: %w", h.Size, ErrLimit)
	}
	s.end = at + (h.Size+511)&^511
	switch h.Typeflag {
	case tar.TypeReg:
	case tar.TypeDir:
		s.end = at
		s.find(ovf.Note, h.Name, "it is a directory, which is passed over")
		return Entry{}, checkName(strings.TrimSuffix(h.Name, "/"), true)
	case tar.TypeXGlobalHeader:
		s.end = at
		return Entry{}, nil
	case tar.TypeGNUSparse:
		return Entry{}, errSparse
	default:
		return Entry{}, fmt.Errorf("it is a %s: %w", kindName(h.Typeflag), ErrKind)
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return Entry{}, errSparse
		}
	}
	if err := checkName(h.Name, false); err != nil {
		return Entry{}, err
	}
	e := Entry{Name: path.Clean(h.Name), Size: h.Size, Offset: at}
	return e, s.admit(&e)
}

var errSparse = &ovf.UnsupportedError{Reason: "it is stored as a sparse file; make the archive without (tar without -S)"}

func kindName(flag byte) string {
	switch flag {
	case tar.TypeLink:
		return "hard link"
	case tar.TypeSymlink:
		return "symbolic link"
	case tar.TypeChar, tar.TypeBlock:
		return "device"
	case tar.TypeFifo:
		return "named pipe"
	}
	return fmt.Sprintf("member of the type %q", flag)
}

// admit finds out what a member is, and refuses a second of a name.
func (s *scanner) admit(e *Entry) error {
	if s.names += len(e.Name); s.names > maxNames {
		return fmt.Errorf("the names have more than %d bytes: %w", maxNames, ErrLimit)
	}
	folded := strings.ToLower(e.Name)
	if s.seen[folded] {
		return fmt.Errorf("there are two of the name, but perhaps for capitals: %w", ErrName)
	}
	s.seen[folded] = true
	first := len(s.seen) == 1
	extension := strings.ToLower(path.Ext(e.Name))
	base := strings.TrimSuffix(e.Name, path.Ext(e.Name))
	switch {
	case extension == ".ovf" && s.base == "":
		e.Kind, s.base = Descriptor, base
		if !first {
			s.find(ovf.Warning, e.Name, "the descriptor is not the first member")
		}
	case extension == ".ovf":
		s.find(ovf.Warning, e.Name, "it is a second descriptor, which is not read")
	case extension == ".mf":
		e.Kind = Manifest
		s.beside(e.Name, base)
	case extension == ".cert":
		e.Kind = Certificate
		s.beside(e.Name, base)
	}
	return nil
}

// beside tells of a manifest or certificate that is named after another
// descriptor. It is taken all the same.
func (s *scanner) beside(name, base string) {
	if s.base != "" && base != s.base {
		s.find(ovf.Warning, name, "it is not named as the descriptor is")
	}
}

func (s *scanner) find(severity ovf.Severity, where, text string) {
	if len(s.findings) < 1000 {
		s.findings = append(s.findings, ovf.Finding{Severity: severity, Where: where, Text: text})
	}
}

// checkName refuses names that lead out of the archive, or are none.
func checkName(name string, directory bool) error {
	switch {
	case directory && (name == "." || name == ""):
		return nil
	case path.IsAbs(name) || strings.HasPrefix(name, `\`) || len(name) > 1 && name[1] == ':':
		return fmt.Errorf("it is absolute: %w", ErrName)
	case slices.Contains(strings.FieldsFunc(name, func(r rune) bool { return r == '/' || r == '\\' }), ".."):
		return fmt.Errorf("it leads upwards: %w", ErrName)
	case path.Clean(name) == "." || strings.HasSuffix(name, "/"):
		return fmt.Errorf("it is no name of a file: %w", ErrName)
	case len(name) > 4096 || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl):
		return fmt.Errorf("it is too long or has unprintable characters: %w", ErrName)
	}
	return nil
}
