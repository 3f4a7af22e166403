package disk

import (
	"io"
	"slices"
	"strings"
	"time"
)

// Format is what a format's package exports: a value, to be put into
// Options.Formats. Open is needed; what else is nil the format cannot do.
type Format struct {
	Name       string    // what people type: "vdi"
	Aliases    []string  // what other programs call it, any case: "vpc", "Standard"
	Extensions []string  // of file names, without the dot; for guesses of names, never of formats
	Title      string    // in a line: "VirtualBox Disk Image"
	Variants   []Variant // the first is made unless another is asked for
	Options    []Option  // what -o takes when creating, of all variants

	// Probe tells how sure it is that a file is of this format. It reads little,
	// and may look anywhere: some are signed at their end.
	Probe func(s Sample) Confidence
	// Open opens an image; Source.File becomes its own and is closed with it, also when Open fails.
	Open func(s *Source) (Image, error)
	// Create makes an empty image in Target.File, durable when it returns, and
	// opens it for writing. After an error the caller removes the files that were made.
	Create func(t *Target) (Image, error)
	// Stream makes an image in one pass to something that cannot seek. It reads
	// the target's options, size and map, and neither its FS nor its File.
	Stream func(w io.Writer, t *Target) (Sink, error)
	// Forward begins to read an image that comes through a pipe. ErrForward says
	// that this one cannot be read so. Of one that can, it calls nothing but Read.
	Forward func(p *Pipe) (Stream, error)
	// Encrypts says that Create makes encrypted images.
	Encrypts bool
	// Trailer says that there are images that only their end tells from raw
	// disks: of a pipe, the name has to.
	Trailer bool
}

// named tells whether a file is called as those of the format are.
func (f *Format) named(name string) bool {
	extension := name[strings.LastIndexByte(name, '.')+1:]
	return len(extension) < len(name) && slices.ContainsFunc(f.Extensions, func(e string) bool { return strings.EqualFold(e, extension) })
}

// Variant is a kind of image within a format, as in "vmdk:streamOptimized".
type Variant struct {
	Name    string   // what people type behind the colon
	Aliases []string // other programs' names, any case: "Fixed"
	Title   string   // in a line
	Create  bool     // Format.Create makes it
	Write   bool     // written in place at random, and grows by that
	Stream  bool     // Format.Stream makes it
	Parent  bool     // can be a differencing image
	Always  bool     // its blocks are always compressed: it is filled through a Compressor
}

// Option is something that may be chosen when an image is made.
type Option struct {
	Name     string   // what people type: "blockSize"
	Aliases  []string // other programs' names, any case and with any underscores: "compression_type"
	Kind     Kind     // what it takes
	Choices  []string // of a Choice
	Default  string   // as it would be typed; "" if it depends
	Min, Max int64    // of Bytes and Number, inclusive; both 0: unlimited
	Variants []string // those that it is for; nil: all
	Help     string   // in a line
}

// Kind is what an option takes.
type Kind int

// Kinds of options.
const (
	Text   Kind = iota
	Bytes       // a size, "2M"
	Number      // a whole number
	Switch      // "on" or "off"
	Choice      // one of Choices
)

// Confidence is how sure a probe is; the surest format is taken.
type Confidence int

// Degrees of confidence.
const (
	No       Confidence = 0   // it is not of this format
	Fallback Confidence = 1   // raw: anything is
	Possible Confidence = 20  // little speaks for it
	Likely   Confidence = 60  // a signature that other content may have by chance
	Certain  Confidence = 100 // a signature, and fields that agree with it
)

// Sample is what a probe looks at.
type Sample struct {
	io.ReaderAt        // the whole file
	Size        int64  // its length
	Name        string // its name, "" if it has none
	Head        []byte // its first bytes, up to SampleHead
	Tail        []byte // its last bytes, up to SampleTail
}

// How much of a file a Sample holds already.
const (
	SampleHead = 64 << 10
	SampleTail = 4 << 10
)

// NewSample reads what a Sample holds.
func NewSample(r io.ReaderAt, size int64, name string) (Sample, error) {
	s := Sample{ReaderAt: r, Size: size, Name: name}
	var err error
	if s.Head, err = slurp(r, 0, min(size, SampleHead)); err != nil {
		return s, err
	}
	n := min(size, SampleTail)
	s.Tail, err = slurp(r, size-n, n)
	return s, err
}

// slurp reads n bytes, less where the file ends.
func slurp(r io.ReaderAt, off, n int64) ([]byte, error) {
	p := make([]byte, n)
	k, err := r.ReadAt(p, off)
	if err == io.EOF {
		err = nil
	}
	return p[:k], err
}

// Probe finds the format that is surest, and how sure it is. Without any
// it is nil and No.
func Probe(formats []*Format, s Sample) (*Format, Confidence) {
	var best *Format
	var sure Confidence
	for _, f := range formats {
		if f.Probe == nil {
			continue
		}
		if c := f.Probe(s); c > sure {
			best, sure = f, c
		}
	}
	return best, sure
}

// Find looks a format up by a name or an alias, "vdi" or "VDI:fixed" or
// "vmdk:streamOptimized". variant is "" unless one was named.
func Find(formats []*Format, name string) (f *Format, variant string, err error) {
	name, sub, hasSub := strings.Cut(name, ":")
	for _, f := range formats {
		if !strings.EqualFold(f.Name, name) && !slices.ContainsFunc(f.Aliases, func(a string) bool { return strings.EqualFold(a, name) }) {
			continue
		}
		if !hasSub {
			return f, "", nil
		}
		v, err := f.Variant(sub)
		if err != nil {
			return nil, "", err
		}
		return f, v.Name, nil
	}
	return nil, "", Usage("there is no image format %q; there are %s", name, strings.Join(names(formats), ", "))
}

// Variant looks a variant up by a name or an alias; "" is the first.
func (f *Format) Variant(name string) (Variant, error) {
	if name == "" && len(f.Variants) > 0 {
		return f.Variants[0], nil
	}
	all := make([]string, 0, len(f.Variants))
	for _, v := range f.Variants {
		if sameTerms(v.Name, name) || slices.ContainsFunc(v.Aliases, func(a string) bool { return sameTerms(a, name) }) {
			return v, nil
		}
		all = append(all, v.Name)
	}
	return Variant{}, Usage("%s has no variant %q; it has %s", f.Name, name, strings.Join(all, ", "))
}

// sameTerms tells whether two names of variants mean the same: VBoxManage puts
// one together of terms in any order, "Split2G,Fixed", and "Standard" among others
// says nothing.
func sameTerms(a, b string) bool {
	return strings.EqualFold(a, b) || strings.Contains(b, ",") && slices.Equal(terms(a), terms(b))
}

func terms(name string) []string {
	all := strings.Split(strings.ToLower(name), ",")
	all = slices.DeleteFunc(all, func(term string) bool { return term == "standard" })
	if len(all) == 0 {
		return []string{"standard"}
	}
	slices.Sort(all)
	return all
}

func names(formats []*Format) []string {
	all := make([]string, len(formats))
	for i, f := range formats {
		all[i] = f.Name
	}
	return all
}

// Target is what an image is made in and what it is to be.
type Target struct {
	FS   FS     // for further files
	Name string // the image's own name
	File File   // new and empty; it becomes the image's own and is closed with it, also after an error

	Variant      Variant
	Size         int64             // of the disk, bytes
	Parent       Image             // of a differencing image, else nil; stays the caller's and open; the new image reads through it until it is closed
	ParentName   string            // what is written into the image as the parent's path
	ParentFormat string            // the parent's format's name
	UUID         string            // "" for a random one
	Created      time.Time         // the zero time for now
	Data         []Extent          // Stream only: the ranges that will be appended, ascending; formats that need to know beforehand
	Encryption   []byte            // the LUKS header of an image that is to be encrypted, else nil
	Keys         Keys              // opens that; nil leaves the content locked
	chosen       map[string]string // options by name, checked and with defaults
}

// Text is an option as it was chosen, or its default.
func (t *Target) Text(name string) string { return t.chosen[name] }

// Int is a Bytes or Number option; 0 if it has no default and was not chosen.
func (t *Target) Int(name string) int64 {
	n, _ := ParseSize(t.chosen[name])
	return n
}

// On is a Switch option.
func (t *Target) On(name string) bool { return t.chosen[name] == "on" }

// Sibling makes a further file of the image, by a name relative to the
// image's directory.
func (t *Target) Sibling(name string) (File, error) {
	resolved, err := t.FS.Resolve(t.Name, name)
	if err != nil {
		return nil, err
	}
	return t.FS.Create(resolved)
}
