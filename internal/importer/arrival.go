package importer

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strconv"
	"strings"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf/ova"
)

// Arrival is something to be imported that comes through a pipe: an OVA, an
// XVA, or a bare disk, each maybe compressed. What it describes is known when
// [Receive] returns; its content comes after that, once, in its own order.
//
//	a, err := Receive(stdin, …)
//	for {
//		content, err := a.Next()        // io.EOF behind the last
//		stream, rest, err := content.Stream()
//	}
//	integrity, err := a.Verify(trust)
type Arrival struct {
	Appliance *appliance.Appliance

	label   string // what it is called, for messages
	options ReceiveOptions
	in      io.ReadCloser // decompressed
	items   items
	closers []io.Closer
}

// ReceiveOptions say how something is received.
type ReceiveOptions struct {
	Choices appliance.Choices
	// Name is the machine's, for what has no name of its own.
	Name string
	// Label is what the pipe is called: a path, or "-".
	Label string
	// Passphrase decrypts what is encrypted; "" if none was given.
	Passphrase string
	// Stage makes a file without a name, for what cannot be read forward.
	Stage func() (disk.File, error)
	// Room fails when so little room is left that no more should be put into such
	// files; nil never does.
	Room func() error
}

// items is what the parts of an arrival come from.
type items interface {
	// next goes on to the next content; io.EOF behind the last.
	next() (*Content, error)
	// verify judges manifest and signature, when all has come.
	verify(t Trust) (Integrity, error)
}

// Content is a part of an arrival: a disk, mostly.
type Content struct {
	// File is what the description calls it: appliance.Disk's File.
	File string
	// Kept tells that it came before the description, and was kept.
	Kept bool

	r       io.Reader   // as it stands in the file of a disk; or
	stream  disk.Stream // as a disk
	size    int64       // of r; -1 if it is not known
	most    int64       // of r, by what the description says; 0 if it says nothing
	options ReceiveOptions
	format  string // that the description says; "" to look
	aside   int64  // see Aside
}

// Receive reads as far as the description. Errors are problems that name the
// label.
func Receive(r io.Reader, o ReceiveOptions) (*Arrival, error) {
	a := &Arrival{label: o.Label, options: o}
	if err := a.open(r); err != nil {
		_ = a.Close()
		return nil, a.explain(err)
	}
	return a, nil
}

func (a *Arrival) explain(err error) error { return explain(a.label, err) }

func (a *Arrival) open(r io.Reader) error {
	in, _, err := ova.Decompress(r, ova.Limits{})
	if errors.Is(err, io.EOF) {
		return errors.New("there is nothing to read: it is empty")
	}
	if err != nil {
		return err
	}
	a.in = in
	a.closers = append(a.closers, in)
	plain := bufio.NewReaderSize(in, 64<<10)
	head, err := plain.Peek(512)
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("it is compressed, and cut short: %w", err)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch name := tarName(head); {
	case name == "":
		return a.openDisk(plain)
	case strings.TrimPrefix(name, "./") == "ova.xml":
		return a.openXVA(plain)
	}
	return a.openOVA(plain)
}

// tarName is the name of the first member, if this is the header of a tar
// archive; else empty. POSIX.1-1988, "Extended tar Format": the checksum is what
// tells.
func tarName(head []byte) string {
	if len(head) < 512 {
		return ""
	}
	want, err := strconv.ParseInt(strings.Trim(string(head[148:156]), " \x00"), 8, 64)
	if err != nil {
		return ""
	}
	sum := int64(0)
	for i, b := range head {
		if i >= 148 && i < 156 {
			b = ' '
		}
		sum += int64(b)
	}
	if sum != want {
		return ""
	}
	name, _, _ := bytes.Cut(head[:100], []byte{0})
	return string(name)
}

// openDisk makes a machine of a disk alone. How large it is shows when its first
// bytes are looked at, or at its end.
func (a *Arrival) openDisk(in *bufio.Reader) error {
	base := path.Base(a.label)
	for _, packing := range []string{".gz", ".zst"} {
		base = strings.TrimSuffix(base, packing)
	}
	name := a.options.Name
	if name == "" {
		if name = strings.TrimSuffix(base, path.Ext(base)); a.label == "-" || strings.HasPrefix(a.label, "/dev/") || strings.HasPrefix(a.label, "/proc/") {
			return problem.New(api.KindInvalid, "give the machine a name with --name", "import %s: a bare disk has no name of its own", a.label)
		}
	}
	file := base
	if a.label == "-" {
		file = name
	}
	// Nothing says how large it may be: it is bounded by the room that there is.
	head, ended := in.Peek(in.Size())
	if ended != nil && !errors.Is(ended, io.EOF) {
		return ended
	}
	r := &roomy{r: in, room: a.options.Room}
	c := &Content{File: file, r: r, size: -1, options: a.options}
	s, rest, err := disk.OpenStream(r, c.streamOptions())
	size, format := int64(0), ""
	switch {
	case err == nil:
		size, format = max(0, s.Size()), s.Describe().Format
		c.r, c.stream = nil, &bare{Stream: s, label: a.label}
		if ended != nil && s.Describe().Guessed {
			if err := noDisk(a.label, int64(len(head))); err != nil {
				return errors.Join(err, s.Close())
			}
		}
		a.closers = append(a.closers, s)
	case errors.Is(err, disk.ErrForward):
		c.r = rest
	default:
		return err
	}
	m := appliance.Machine{ID: name}
	m.Spec.Name = appliance.CleanName(name)
	m.Spec.Drives = []api.Drive{{Name: "disk0", Kind: api.Disk, Mode: api.Own, Size: api.Size(size)}}
	if size == 0 {
		m.Notes = append(m.Notes, appliance.Notef("disk disk0", "how large it is shows when all of it has come"))
	}
	m.Disks = []appliance.Disk{{Drive: "disk0", File: c.File, Format: format, Size: size}}
	a.Appliance = &appliance.Appliance{Kind: appliance.KindDisk, Name: m.Spec.Name, Machines: []appliance.Machine{m}}
	a.items = &single{content: c}
	return nil
}

// bare is a disk of which nothing but its content tells that it is one.
type bare struct {
	disk.Stream
	label string
}

// Next refuses at the end what is no disk.
func (b *bare) Next(buffer []byte) (disk.Piece, error) {
	p, err := b.Stream.Next(buffer)
	if errors.Is(err, io.EOF) && b.Describe().Guessed {
		if wrong := noDisk(b.label, b.Size()); wrong != nil {
			return p, wrong
		}
	}
	return p, err
}

// noDisk refuses content that is taken for a raw disk only for want of anything
// better, and has no disk's length, as for files: a page that a server gave instead
// of an image must not become a machine.
func noDisk(label string, size int64) error {
	if size > 0 && size%512 == 0 {
		return nil
	}
	return problem.New(api.KindUnreadable, "look at what it is: an error message of the program that gave it, maybe",
		"import %s: it is in no known image format, and %d bytes is no raw disk's length", label, size)
}

// single is one disk.
type single struct{ content *Content }

func (s *single) next() (*Content, error) {
	if s.content == nil {
		return nil, io.EOF
	}
	c := s.content
	s.content = nil
	return c, nil
}

func (s *single) verify(Trust) (Integrity, error) { return Integrity{Text: noManifest}, nil }

// Next goes on to the next content; io.EOF behind the last. What was not read of
// the one before is passed over.
func (a *Arrival) Next() (*Content, error) {
	c, err := a.items.next()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, a.explain(err)
	}
	return c, err
}

// Verify tells, when Next has given io.EOF, whether everything is what manifest
// and signature say.
func (a *Arrival) Verify(_ context.Context, t Trust) (Integrity, error) {
	out, err := a.items.verify(t.withRoots())
	if err != nil {
		return out, a.explain(err)
	}
	return out, t.demand(a.label, out)
}

// Close gives back what was kept. It does not close the pipe.
func (a *Arrival) Close() error {
	var failed error
	for i := len(a.closers) - 1; i >= 0; i-- {
		failed = errors.Join(failed, a.closers[i].Close())
	}
	a.closers = nil
	return failed
}

func (c *Content) streamOptions() disk.StreamOptions {
	o := disk.StreamOptions{Formats: formats.All(), Name: path.Base(c.File), Size: c.size, Keep: c.keep}
	if c.format == "raw" {
		o.Format = "raw" // a guest that wrote another format's header must not choose what is read
	}
	return o
}

// Stream begins to read the content as a disk. When it cannot be read forward,
// the error is disk.ErrForward, and rest is all of it.
func (c *Content) Stream() (s disk.Stream, rest io.Reader, err error) {
	if c.stream != nil {
		return c.stream, nil, nil
	}
	if c.options.Stage == nil {
		return nil, nil, fmt.Errorf("%s: there is no place for what comes before it is known what for", c.File)
	}
	if c.most > 0 && c.size > c.most {
		return nil, nil, fmt.Errorf("it has %d bytes, and a disk of the size that the description says can take %d", c.size, c.most)
	}
	s, rest, err = disk.OpenStream(c.r, c.streamOptions())
	if rest != nil && c.most > 0 {
		rest = &limited{r: rest, most: c.most}
	}
	if rest != nil {
		rest = &roomy{r: rest, room: c.options.Room}
	}
	return s, rest, err
}

// Most is how many bytes the content has at most, as it stands: its length where that is
// known, else what the description allows; 0 if nothing tells.
func (c *Content) Most() int64 {
	if c.size >= 0 {
		return c.size
	}
	return c.most
}

// Reader is the content as it stands, for what is no disk.
func (c *Content) Reader() io.Reader { return c.r }

// AsSource is the arrival as a source, for what both can tell. It closes the
// arrival. Its content is not to be had from it.
func (a *Arrival) AsSource() *Source {
	return &Source{Appliance: a.Appliance, path: a.label, closers: []io.Closer{a}, verify: a.Verify, passing: true}
}

// Explain makes a problem of an error of reading content.
func (a *Arrival) Explain(err error) error {
	if errors.Is(err, disk.ErrForward) {
		return problem.New(api.KindUnsupported, "save it to a file first, and import that", "import %s: %s", a.label, err)
	}
	return explain(a.label, err)
}

// IsPacked tells whether a file is compressed as a whole, so that it is read as
// if it came through a pipe.
func IsPacked(name string) bool {
	info, err := os.Stat(name)
	if err != nil || !info.Mode().IsRegular() {
		return false
	}
	file, err := os.Open(name)
	if err != nil {
		return false
	}
	defer file.Close()
	head := make([]byte, 4)
	_, err = io.ReadFull(file, head)
	return err == nil && ova.Compression(head) != ""
}
