package xva

import (
	"archive/tar"
	"bytes"
	"crypto/sha1" //nolint:gosec // the format's checksum, not a protection
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/cespare/xxhash/v2"
	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"

	"github.com/panalvm/panal/disk"
)

// chunkSize is what every chunk of a disk has but the last, which may have less.
// What is left out between two is whole chunks: their numbers tell how many.
const chunkSize = 1 << 20

// maxDisks bounds how many disks an archive has whose ova.xml names none.
const maxDisks = 1024

// maxDigest bounds a digest; real ones have 40 bytes.
const maxDigest = 256

// archive is an XVA.
type archive struct {
	file disk.File
	size int64 // of the file
	kind string
	vdis []virtualDisk
}

// archiveIn looks how an archive is compressed.
func archiveIn(file disk.File) (*archive, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	head, err := disk.ReadFull(file, 0, min(size, 512), name, "beginning")
	if err != nil {
		return nil, err
	}
	return &archive{file: file, size: size, kind: compression(head)}, nil
}

func newArchive(file disk.File) (*archive, error) {
	a, err := archiveIn(file)
	if err != nil {
		return nil, err
	}
	w, err := a.description()
	if err != nil {
		return nil, err
	}
	defer w.close()
	at := w.at()
	root, read, err := parseOva(w.tar)
	if err != nil {
		return nil, a.corrupt(at+read, "%s, at its byte %d: %v", ovaName, read, noEOF(err))
	}
	a.vdis = disksOf(root)
	return a, nil
}

// description goes to ova.xml. The walker is to be closed.
func (a *archive) description() (*walker, error) {
	w, err := a.walk()
	if err != nil {
		return nil, err
	}
	h, err := w.next()
	switch {
	case err != nil:
		err = a.unreadable(w.at(), "the archive", err)
	case h.Name != ovaName:
		err = a.corrupt(0, "the archive begins with %.60q, and not with %s", h.Name, ovaName)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// corrupt says what is wrong at an offset of the archive. In one that is
// compressed as a whole that is no offset of the file, and told in words.
func (a *archive) corrupt(at int64, reason string, args ...any) error {
	err := a.wrong(at, fmt.Sprintf(reason, args...))
	return &err
}

func (a *archive) wrong(at int64, reason string) disk.FormatError {
	if a.kind == variantPlain {
		return disk.FormatError{Format: name, Offset: at, Reason: reason}
	}
	return disk.FormatError{Format: name, Offset: -1, Reason: fmt.Sprintf("at offset %#x of what it decompresses to: %s", at, reason)}
}

// unreadable says that something could not be read on from an offset.
func (a *archive) unreadable(at int64, what string, err error) error {
	return a.corrupt(at, "reading %s: %v", what, noEOF(err))
}

// walker goes through the members of an archive.
type walker struct {
	tar   *tar.Reader
	at    func() int64 // where in the archive it is: after next, at the member's content
	close func()
}

// walk begins at the archive's beginning.
func (a *archive) walk() (*walker, error) {
	section := io.NewSectionReader(a.file, 0, a.size)
	if a.kind == variantPlain {
		at := func() int64 {
			off, _ := section.Seek(0, io.SeekCurrent)
			return off
		}
		return &walker{tar: tar.NewReader(section), at: at, close: func() {}}, nil
	}
	r, done, err := decompress(a.kind, section)
	if err != nil {
		return nil, disk.Corrupt(name, 0, "%s: %v", a.kind, noEOF(err))
	}
	c := &counted{r: r}
	return &walker{tar: tar.NewReader(c), at: func() int64 { return c.n }, close: done}, nil
}

// counted counts what is read.
type counted struct {
	r io.Reader
	n int64
}

// Read reads.
func (c *counted) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// next is the next member's header, with a plain name.
func (w *walker) next() (*tar.Header, error) {
	h, err := w.tar.Next()
	if err == nil {
		h.Name = strings.TrimPrefix(h.Name, "./")
	}
	return h, err
}

// maxWindow is how far back a zstd stream may refer.
const maxWindow = 32 << 20

// decompress reads through a compression; done gives back what it takes.
func decompress(kind string, r io.Reader) (_ io.Reader, done func(), err error) {
	switch kind {
	case variantGzip:
		z, err := gzip.NewReader(r)
		return z, func() {}, err
	case variantZstd:
		z, err := zstd.NewReader(r, zstd.WithDecoderLowmem(true), zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, nil, err
		}
		return z, z.Close, nil
	}
	return r, func() {}, nil
}

// member is the name of a chunk, taken apart.
type member struct {
	ref    string
	number int64
	sum    string // the kind of digest, if it is one
}

// Kinds of digests, xapi ocaml/xapi/stream_vdi.ml.
const (
	sumSHA1 = "checksum"
	sumXXH  = "xxhash"
)

// parseMember understands "Ref:12/00000000" and "Ref:12/00000000.checksum".
func parseMember(s string) (member, bool) {
	ref, rest, ok := strings.Cut(s, "/")
	if !ok || !strings.HasPrefix(ref, "Ref:") {
		return member{}, false
	}
	digits, sum, _ := strings.Cut(rest, ".")
	n, err := strconv.ParseInt(digits, 10, 36)
	if err != nil || n < 0 || sum != "" && sum != sumSHA1 && sum != sumXXH {
		return member{}, false
	}
	return member{ref: ref, number: n, sum: sum}, true
}

// counter finds out where chunks lie on a disk.
type counter struct {
	size  int64 // of the disk; 0 if it is not known
	last  int64 // number of the last chunk, and one more
	at    int64 // behind the last chunk
	short bool  // a chunk was shorter than all but the last may be
}

// place is where a chunk lies, of which the content is at an offset of the
// archive. Chunks of no bytes have a number and no place. What would lie behind
// the disk's end is refused: either the size or the chunk is not what was exported.
// The last may go beyond it, filled up with zeros: see padded.
func (a *archive) place(c *counter, m member, length, at int64) (int64, error) {
	if m.number < c.last {
		return 0, a.corrupt(at, "chunk %s/%08d comes after one of a number as large or larger, %08d", m.ref, m.number, c.last-1)
	}
	if length > chunkSize {
		return 0, disk.Unsupported(name, "chunk %s/%08d, at offset %#x of the archive, has %d bytes; up to %d are read", m.ref, m.number, at, length, chunkSize)
	}
	if c.short && length > 0 {
		return 0, a.corrupt(at, "chunk %s/%08d comes behind one of less than %d bytes, %08d, which only the last may have", m.ref, m.number, chunkSize, c.last-1)
	}
	off := c.at + (m.number-c.last)*chunkSize // below 2^35 * 2^21
	if c.size > 0 && off+min(length, 1) > c.size {
		return 0, a.corrupt(at, "chunk %s/%08d, at %d of the disk, lies behind the %d bytes that the disk has by %s", m.ref, m.number, off, c.size, ovaName)
	}
	c.last, c.at, c.short = m.number+1, off+length, c.short || length > 0 && length < chunkSize
	return off, nil
}

// padded refuses content, read at an offset of the archive, that goes on behind the
// disk's end with more than zeros, which some programs fill the last chunk up with.
func (a *archive) padded(m member, p []byte, off, size, at int64) error {
	if size == 0 || off+int64(len(p)) <= size || len(bytes.Trim(p[size-off:], "\x00")) == 0 {
		return nil
	}
	return a.corrupt(at, "chunk %s/%08d, at %d of the disk, goes on behind the %d bytes that the disk has by %s", m.ref, m.number, off, size, ovaName)
}

// verify compares a chunk, at an offset of the archive, with its digest, as that
// stands there.
func (a *archive) verify(m member, p []byte, kind, sum string, at int64) error {
	var have string
	switch kind {
	case sumSHA1:
		h := sha1.Sum(p) //nolint:gosec // as above
		have = hex.EncodeToString(h[:])
	case sumXXH:
		have = fmt.Sprintf("%016x", xxhash.Sum64(p))
	default:
		return nil
	}
	if sum = strings.TrimSpace(sum); strings.EqualFold(have, sum) {
		return nil
	}
	return &checksumError{a.wrong(at, fmt.Sprintf("chunk %s/%08d has the %s %s; it should have %.64q", m.ref, m.number, kind, have, sum))}
}

// checksumError is a chunk that is not what was exported.
type checksumError struct{ disk.FormatError }

// Error is one line.
func (e *checksumError) Error() string { return e.FormatError.Error() }

// Unwrap is the FormatError.
func (e *checksumError) Unwrap() error { return &e.FormatError }

// disks lists the disks: those of ova.xml, or if it has none, those that have chunks.
func (a *archive) disks() ([]Disk, error) {
	var all []Disk
	for _, v := range a.vdis {
		all = append(all, Disk{Ref: v.ref, Name: v.name, Size: v.size})
	}
	if len(all) > 0 {
		return all, nil
	}
	w, err := a.walk()
	if err != nil {
		return nil, err
	}
	defer w.close()
	for {
		h, err := w.next()
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, a.unreadable(w.at(), "the archive", err)
		}
		if m, ok := parseMember(h.Name); ok && (len(all) == 0 || all[len(all)-1].Ref != m.ref) {
			all = append(all, Disk{Ref: m.ref})
		}
		if len(all) > maxDisks {
			return nil, a.corrupt(w.at(), "the archive has chunks of more than %d disks", maxDisks)
		}
	}
}

// noEOF says what an end means where none should be.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is cut short")
	}
	return err
}
