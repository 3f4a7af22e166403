package ova

import (
	"archive/tar"
	"bytes"
	"crypto"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/panalvm/panal/ovf"
)

// WriterOptions say how an archive is written.
type WriterOptions struct {
	// Name is what the descriptor, manifest and certificate are called, without
	// the ending: "web".
	Name string
	// Digest is the manifest's algorithm; 0 is SHA256.
	Digest ovf.Algorithm
	// NoManifest leaves the manifest out, and with it the certificate.
	NoManifest bool
	// Key signs the manifest, with the certificate that Chain begins with; nil
	// leaves it unsigned.
	Key   crypto.Signer
	Chain []*x509.Certificate
	// ModTime is the time of all members; zero is 1970, so that the same content
	// makes the same archive.
	ModTime time.Time
}

// Writer writes an archive, member by member, in one pass; a pipe will do. The
// descriptor comes first, the files in the order of its References, and Close
// adds manifest and certificate, unless WriteManifest did. It is for one
// goroutine.
//
// A tar header states the size of what follows. Of a file whose size is not
// known beforehand, Create finds it out, by writing the header afterwards or
// else by way of a temporary file.
type Writer struct {
	options  WriterOptions
	out      *positioned
	manifest ovf.Manifest
	promised *ovf.Manifest // that was written before the files; nil if it comes at the end
	names    map[string]bool
	open     *MemberWriter
	failed   error
}

// positioned counts what is written.
type positioned struct {
	w io.Writer
	n int64
}

func (p *positioned) Write(b []byte) (int, error) {
	n, err := p.w.Write(b)
	p.n += int64(n)
	return n, err
}

// NewWriter begins an archive. When w is an io.WriteSeeker that stands at its
// start, as a new file, Create needs no temporary files.
func NewWriter(w io.Writer, o WriterOptions) (*Writer, error) {
	if o.Digest == 0 {
		o.Digest = ovf.SHA256
	}
	if err := checkName(o.Name+".ovf", false); err != nil {
		return nil, fmt.Errorf("writing an archive of the name %q: %w", o.Name, err)
	}
	return &Writer{options: o, out: &positioned{w: w}, names: map[string]bool{}}, nil
}

// WriteEnvelope writes the descriptor, as the first member.
func (w *Writer) WriteEnvelope(env *ovf.Envelope, version ovf.Version) error {
	var b bytes.Buffer
	if err := ovf.Write(&b, env, version); err != nil {
		return err
	}
	return w.WriteDescriptor(b.Bytes())
}

// WriteDescriptor is WriteEnvelope of a descriptor as it is.
func (w *Writer) WriteDescriptor(text []byte) error {
	if len(w.names) > 0 {
		return fmt.Errorf("writing an archive: the descriptor must be its first member")
	}
	return w.Add(w.options.Name+".ovf", int64(len(text)), bytes.NewReader(text))
}

// Add writes a member of so many bytes. When content has more or less, the
// archive is spoilt: that error and every later one say so.
func (w *Writer) Add(name string, size int64, content io.Reader) error {
	m, err := w.Begin(name, size)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{m}, struct{ io.Reader }{content}, make([]byte, pieceSize))
	return errors.Join(err, m.Close())
}

// Begin begins a member of so many bytes, which the caller writes and closes.
// With more or less the archive is spoilt, as by Add.
func (w *Writer) Begin(name string, size int64) (*MemberWriter, error) {
	if err := w.admit(name); err != nil {
		return nil, err
	}
	header, err := headerOf(name, size, w.options.ModTime)
	if err != nil {
		return nil, fmt.Errorf("writing the member %q: %w", name, err)
	}
	if _, err := w.out.Write(header); err != nil {
		return nil, w.fail(name, err)
	}
	w.open = &MemberWriter{w: w, name: name, left: size, digest: w.digester(size)}
	return w.open, nil
}

// admit judges whether a member may come now.
func (w *Writer) admit(name string) error {
	if err := checkName(name, false); err != nil {
		return fmt.Errorf("writing the member %q: %w", name, err)
	}
	switch folded := strings.ToLower(name); {
	case w.failed != nil:
		return w.failed
	case w.open != nil:
		return fmt.Errorf("writing the member %q: %q was not closed", name, w.open.name)
	case w.names[folded]:
		return fmt.Errorf("writing the member %q: there is one of that name: %w", name, ErrName)
	case len(w.names) == 0 && folded != strings.ToLower(w.options.Name)+".ovf":
		return fmt.Errorf("writing the member %q: the descriptor must come first", name)
	default:
		w.names[folded] = true
	}
	return nil
}

func (w *Writer) digester(size int64) *digester {
	if w.options.NoManifest {
		return newDigester(nil, true)
	}
	return newDigester([]ovf.Algorithm{w.options.Digest}, size >= 0 && size <= pieceSize)
}

// fail remembers that the archive is spoilt.
func (w *Writer) fail(name string, err error) error {
	w.failed = &Error{Member: name, Offset: w.out.n, Err: fmt.Errorf("writing: %w", err)}
	return w.failed
}

// headerOf makes a member's header: ustar, which every reader knows; GNU's for
// 8 GiB and more; PAX only for names that no other has room for.
func headerOf(name string, size int64, at time.Time) ([]byte, error) {
	if at.IsZero() {
		at = time.Unix(0, 0)
	}
	var failed error
	for _, format := range []tar.Format{tar.FormatUSTAR, tar.FormatGNU, tar.FormatPAX} {
		var b bytes.Buffer
		h := &tar.Header{Typeflag: tar.TypeReg, Name: name, Size: size, Mode: 0o644, ModTime: at.Truncate(time.Second), Format: format}
		if failed = tar.NewWriter(&b).WriteHeader(h); failed == nil && (format != tar.FormatGNU || len(name) <= 100) {
			return b.Bytes(), nil
		}
	}
	return nil, failed
}

// Close writes manifest and certificate, and the archive's end. It does not
// close what NewWriter was given.
func (w *Writer) Close() error {
	if w.failed != nil {
		return w.failed
	}
	if len(w.names) == 0 || w.open != nil {
		return fmt.Errorf("ending an archive: it has no descriptor, or its last member was not closed")
	}
	if err := w.end(); err != nil {
		return err
	}
	w.failed = errors.New("writing an archive: it was closed")
	_, err := w.out.Write(make([]byte, 1024))
	return err
}

// end writes the manifest, or sees that all that it promised came.
func (w *Writer) end() error {
	if w.options.NoManifest {
		return nil
	}
	if w.promised == nil {
		return w.seal(&w.manifest)
	}
	for _, d := range w.promised.Digests {
		if len(w.manifest.Of(d.File)) == 0 {
			return w.fail(d.File, fmt.Errorf("the manifest was written with it: %w", ErrMissing))
		}
	}
	return nil
}

// WriteManifest writes manifest and certificate behind the descriptor, which is
// where readers that do not go through the whole archive look for them. The
// digests of all files must be known, with the writer's algorithm; files that
// turn out to be others are an *ovf.MismatchError.
func (w *Writer) WriteManifest(files []ovf.Digest) error {
	if len(w.names) != 1 || w.options.NoManifest {
		return fmt.Errorf("writing the manifest: its place is behind the descriptor, in an archive that has one")
	}
	for _, d := range files {
		if d.Algorithm != w.options.Digest {
			return fmt.Errorf("writing the manifest: the digest of %q is %s, not %s", d.File, d.Algorithm, w.options.Digest)
		}
	}
	promised := &ovf.Manifest{Digests: slices.Concat(w.manifest.Digests, files)}
	if err := w.seal(promised); err != nil {
		return err
	}
	w.promised = promised
	return nil
}

// digested takes the digest of a member that was written.
func (w *Writer) digested(d ovf.Digest) error {
	w.manifest.Digests = append(w.manifest.Digests, d)
	if w.promised == nil {
		return nil
	}
	for _, promised := range w.promised.Of(d.File) {
		if err := promised.Verify(d.Sum); err != nil {
			return w.fail(d.File, err)
		}
	}
	return nil
}

// seal writes manifest and certificate.
func (w *Writer) seal(manifest *ovf.Manifest) error {
	var text, certificate bytes.Buffer
	if err := manifest.Write(&text); err != nil {
		return err
	}
	name := w.options.Name + ".mf"
	if err := w.Add(name, int64(text.Len()), bytes.NewReader(text.Bytes())); err != nil || w.options.Key == nil {
		return err
	}
	signed, err := ovf.Sign(name, text.Bytes(), w.options.Digest, w.options.Key, w.options.Chain)
	if err != nil {
		return err
	}
	if err := signed.Write(&certificate); err != nil {
		return err
	}
	return w.Add(w.options.Name+".cert", int64(certificate.Len()), &certificate)
}
