package disk

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// ErrForward is an image that cannot be read from its beginning to its end in
// one go, because something in it leads back. It has to lie in a file.
var ErrForward = errors.New("the image needs random access, and cannot be read from a pipe; save it to a file first")

// Stream is an image that is read once, from the first byte of its file to the
// last, as from a pipe. It gives the disk's content in the order of the file,
// each byte at most once; what it does not give is zero.
//
//	s.Next(buffer)      one at a time, until io.EOF
//	s.Decode(dst, p)    from many goroutines, any order
//	s.Close()           once, at the end
type Stream interface {
	// Size is the size of the disk in bytes; -1 as long as that is not known:
	// of raw content of unknown length, until Next gave io.EOF.
	Size() int64
	// Describe says what the headers tell.
	Describe() Info
	// Next reads the next piece. It may use buffer, whatever is in it, for the
	// piece's Raw. io.EOF says that the image is complete, and is as it should be
	// as far as its format can tell; ErrForward that it cannot be read on.
	Next(buffer []byte) (Piece, error)
	// Decode gives the p.Len bytes of the disk that a piece holds, in dst or, when
	// nothing is to be decoded, in p.Raw. dst has MaxPiece bytes.
	Decode(dst []byte, p Piece) ([]byte, error)
	// Close gives back what reading took. It does not close what it read from.
	Close() error
}

// Piece is a part of a disk, as it stands in the image.
type Piece struct {
	Off, Len int64 // on the disk, bytes; Len is at most MaxPiece
	Raw      []byte
}

// MaxPiece is how many bytes of the disk a piece has at most.
const MaxPiece = 4 << 20

// StreamOptions say how an image is to be read forward.
type StreamOptions struct {
	Formats []*Format // those that are known
	Format  string    // a name for Find; "" to look at the content
	Name    string    // what the file is called, for guesses; may be ""
	Size    int64     // the length of the file, bytes; 0 or less if it is not known
	// Keep makes a file for what stands in an image before it is known what it is
	// for. Without it that is kept in memory, and more than a few MiB is ErrForward.
	Keep func() (File, error)
}

// OpenStream begins to read an image forward. When it cannot be read so, the
// error is ErrForward, and rest gives again all that r had: to be put together
// in a file. After success rest is nil, and r is the stream's.
func OpenStream(r io.Reader, o StreamOptions) (s Stream, rest io.Reader, err error) {
	if o.Size <= 0 {
		o.Size = -1
	}
	r = StrictEnd(r)
	head := make([]byte, SampleHead)
	n, err := io.ReadFull(r, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, nil, err
	}
	head = head[:n]
	whole := io.MultiReader(bytes.NewReader(head), r)
	if n < SampleHead && o.Size > int64(n) {
		return nil, whole, fmt.Errorf("the image ends after %d of %d bytes: %w", n, o.Size, io.ErrUnexpectedEOF)
	}
	f, err := o.format(head)
	if err != nil {
		return nil, whole, err
	}
	if f.Forward == nil {
		return nil, whole, fmt.Errorf("%s: %w", f.Name, ErrForward)
	}
	in := &Pipe{r: whole, Size: o.Size, Name: o.Name, Head: head, format: f, formats: o.Formats, keep: o.Keep}
	s, err = f.Forward(in)
	if err == nil {
		in.Opened()
		return s, nil, nil
	}
	return nil, in.rest(), err
}

// format finds the format of an image by its beginning.
func (o StreamOptions) format(head []byte) (*Format, error) {
	if o.Format != "" {
		f, _, err := Find(o.Formats, o.Format)
		return f, err
	}
	sample := Sample{ReaderAt: bytes.NewReader(head), Size: int64(len(head)), Name: o.Name, Head: head}
	if len(head) < SampleHead { // that is all of it
		sample.Tail = head[max(0, len(head)-SampleTail):]
	}
	f, sure := Probe(o.Formats, sample)
	if f == nil {
		return nil, ErrUnknownFormat
	}
	if sure > Fallback {
		return f, nil
	}
	for _, named := range o.Formats { // a fixed VHD is raw up to its last sector
		if named.Trailer && named.named(o.Name) {
			return named, nil
		}
	}
	return f, nil
}

// Pipe is what a format reads an image forward from.
type Pipe struct {
	Size int64  // the length of the file, bytes; -1 if it is not known
	Name string // what the file is called, "" if that is not known
	Head []byte // its first bytes, up to SampleHead, which Read gives again

	r       io.Reader
	format  *Format
	formats []*Format
	keep    func() (File, error)
	read    bytes.Buffer // what was read, until the image is open
	opened  bool
}

// maxHead bounds what is remembered of an image until it is open.
const maxHead = 64 << 20

// Read reads on.
func (p *Pipe) Read(b []byte) (int, error) {
	if !p.opened && p.read.Len()+len(b) > maxHead {
		return 0, fmt.Errorf("%s: its headers are longer than %d bytes: %w", p.format.Name, maxHead, ErrForward)
	}
	n, err := p.r.Read(b)
	if !p.opened {
		p.read.Write(b[:n])
	}
	return n, err
}

// Opened says that nothing of what is read from now on is needed again.
func (p *Pipe) Opened() { p.opened, p.read = true, bytes.Buffer{} }

// rest is everything from the beginning on.
func (p *Pipe) rest() io.Reader { return io.MultiReader(&p.read, p.r) }
