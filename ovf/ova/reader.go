package ova

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"

	"github.com/panalvm/panal/ovf"
)

// Options say how an archive is read.
type Options struct {
	Limits Limits
	// Digests are the algorithms to compute of members that come before the
	// manifest; nil means all, lest the manifest asks for one that was not
	// computed. Empty, and not nil, means none: then Verify cannot judge those.
	// Of an archive in a file, [Archive.Manifest] tells beforehand which.
	Digests []ovf.Algorithm
	// KeepGoing makes Next go on behind a member that is not what the manifest
	// says; Verify tells of it.
	KeepGoing bool
}

// Reader reads an archive member by member. It is for one goroutine.
type Reader struct {
	options     Options
	in          *unpacked
	scan        *scanner
	current     *Member
	members     []Entry
	sums        map[string]Sums // of members that were read
	manifest    *ovf.Manifest
	manifestRaw []byte
	manifestAs  string // its name
	certificate *ovf.Certificate
	failed      error // what Next gives from now on
}

// NewReader begins to read an archive. What r has is read ahead of what was
// asked for.
func NewReader(r io.Reader, o Options) (*Reader, error) {
	o.Limits = o.Limits.orDefaults()
	if o.Digests == nil {
		o.Digests = ovf.Algorithms()
	}
	in, err := unpack(r, o.Limits)
	if err != nil {
		return nil, err
	}
	reader := &Reader{options: o, in: in, sums: map[string]Sums{}}
	reader.scan = newScanner(in, func() int64 { return in.n }, o.Limits)
	return reader, nil
}

// Close stops reading. It does not close what NewReader was given.
func (r *Reader) Close() error {
	if r.current != nil {
		r.current.abandon()
	}
	r.in.close()
	r.failed = errors.New("the archive was closed")
	return nil
}

// Member is a file in the archive, to be read once, from its start.
type Member struct {
	Entry
	reader  *Reader
	content io.Reader
	digest  *digester
	left    int64
	err     error // what Read gives from now on
}

// Next goes to the next member, in the archive's order. What was not read of
// the one before is passed over, and digested all the same. Behind the last
// it gives io.EOF. When the manifest has come and the one before is not what
// it says, the error is an *ovf.MismatchError, within an *Error.
//
// The manifest and the certificate are members too; the Reader has read them
// when Next gives them.
func (r *Reader) Next() (*Member, error) {
	if r.failed != nil {
		return nil, r.failed
	}
	m, err := r.next()
	if err != nil {
		r.failed = err
	}
	return m, err
}

func (r *Reader) next() (*Member, error) {
	if err := r.finish(); err != nil {
		return nil, err
	}
	r.in.header = r.in.n + maxHeaders
	e, err := r.scan.next()
	r.in.header = 0
	if errors.Is(err, io.EOF) {
		return nil, r.drain()
	}
	if err != nil {
		return nil, err
	}
	r.members = append(r.members, e)
	m := &Member{Entry: e, reader: r, content: r.scan.tar, left: e.Size}
	if e.Kind == Manifest || e.Kind == Certificate {
		if err := r.readSmall(m); err != nil {
			return nil, &Error{Member: e.Name, Offset: e.Offset, Err: err}
		}
	}
	m.digest = newDigester(r.algorithms(e), e.Size <= pieceSize)
	r.current = m
	return m, nil
}

// algorithms chooses what is computed of a member.
func (r *Reader) algorithms(e Entry) []ovf.Algorithm {
	if r.manifest == nil {
		return r.options.Digests
	}
	var needed []ovf.Algorithm
	for _, d := range r.manifest.Of(e.Name) {
		if !slices.Contains(needed, d.Algorithm) {
			needed = append(needed, d.Algorithm)
		}
	}
	return needed
}

// readSmall reads a manifest or certificate, and leaves it to be read again.
func (r *Reader) readSmall(m *Member) error {
	if m.Size > maxSmall {
		return fmt.Errorf("it has %d bytes, more than %d: %w", m.Size, maxSmall, ErrLimit)
	}
	text, err := io.ReadAll(m.content)
	if err != nil {
		return cutShort(err)
	}
	m.content = bytes.NewReader(text)
	switch {
	case m.Kind == Manifest && r.manifest != nil, m.Kind == Certificate && r.certificate != nil:
		return fmt.Errorf("there are two of its kind: %w", ErrName)
	case m.Kind == Manifest:
		r.manifestRaw, r.manifestAs = text, m.Name
		r.manifest, err = parseManifest(text)
	case m.Kind == Certificate:
		r.certificate, err = ovf.ParseCertificate(bytes.NewReader(text))
	}
	return err
}

// parseManifest reads a manifest; its names become those of members.
func parseManifest(text []byte) (*ovf.Manifest, error) {
	m, err := ovf.ParseManifest(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	for i := range m.Digests {
		m.Digests[i].File = path.Clean(m.Digests[i].File)
	}
	return m, nil
}

// finish reads the rest of the current member and keeps its digests.
func (r *Reader) finish() error {
	m := r.current
	if m == nil {
		return nil
	}
	if m.err != nil && !errors.Is(m.err, io.EOF) {
		return m.err
	}
	if _, err := io.CopyBuffer(io.Discard, struct{ io.Reader }{m}, make([]byte, pieceSize)); err != nil {
		return err
	}
	r.current = nil
	return r.judge(m.Entry)
}

// judge compares a member with the manifest, if that has come.
func (r *Reader) judge(e Entry) error {
	if r.manifest == nil || r.options.KeepGoing || e.Kind == Manifest || e.Kind == Certificate {
		return nil
	}
	for _, d := range r.manifest.Of(e.Name) {
		if sum, ok := r.sums[e.Name][d.Algorithm]; ok {
			if err := d.Verify(sum); err != nil {
				return &Error{Member: e.Name, Offset: e.Offset, Err: err}
			}
		}
	}
	return nil
}

// drain reads what lies behind the end: padding, and the checksum of a
// compressed stream.
func (r *Reader) drain() error {
	buffer := make([]byte, 64<<10)
	for zeros := true; ; {
		n, err := r.in.Read(buffer)
		if zeros && len(bytes.Trim(buffer[:n], "\x00")) > 0 {
			zeros = false
			r.scan.find(ovf.Warning, "", "there is something behind the archive's end, which is not read")
		}
		switch {
		case errors.Is(err, io.EOF):
			return io.EOF
		case err != nil:
			return &Error{Offset: r.in.n, Err: cutShort(err)}
		case r.in.n > r.scan.end+maxTrailing:
			return &Error{Offset: r.in.n, Err: fmt.Errorf("more than %d bytes lie behind the archive's end: %w", maxTrailing, ErrLimit)}
		}
	}
}

// Read reads the member's content. When the archive ends within it, the error
// is an *Error.
func (m *Member) Read(p []byte) (int, error) {
	if m.err != nil {
		return 0, m.err
	}
	n, err := m.content.Read(p)
	m.left -= int64(n)
	m.digest.write(p[:n])
	switch {
	case errors.Is(err, io.EOF) && m.left == 0:
		m.end(io.EOF)
	case err != nil:
		m.end(&Error{Member: m.Name, Offset: m.Offset + m.Size - m.left, Err: cutShort(err)})
	}
	if n > 0 {
		return n, nil
	}
	return 0, m.err
}

// end ends reading, and keeps the digests of a whole member.
func (m *Member) end(err error) {
	m.err = err
	sums := m.digest.finish()
	if errors.Is(err, io.EOF) {
		m.reader.sums[m.Name] = sums
	}
}

// abandon stops what computes digests.
func (m *Member) abandon() {
	if m.err == nil {
		m.end(errors.New("the archive was closed"))
	}
}

// Sums are the member's digests, once it was read to its end; nil before. When
// the manifest has come, they are those that it asks for.
func (m *Member) Sums() Sums { return m.reader.sums[m.Name] }
