package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
)

// DefaultDepth is how many images a chain may have unless Options say otherwise.
const DefaultDepth = 256

// Options say how an image is to be opened.
type Options struct {
	FS       FS        // where its file, siblings and parents are
	Formats  []*Format // those that are known
	Format   string    // a name for Find; "" to look at the content
	Write    bool      // open for writing; parents never are
	Alone    bool      // without its parent: what it lacks reads as zeros
	Snapshot string    // an ID or a name of Snapshotter.Snapshots, to be opened instead of the current state; read-only
	MaxDepth int       // the longest chain; 0 is DefaultDepth
	Keys     Keys      // opens encrypted images, parents too; nil leaves their content locked
	// Opened, when set, is told of each image of the chain that was opened, by
	// what name, a parent before its child.
	Opened func(name string, img Image)
}

func (o Options) opened(name string, img Image) {
	if o.Opened != nil {
		o.Opened(name, img)
	}
}

// Open opens the image that is named, with its parents.
func Open(name string, o Options) (Image, error) {
	if o.MaxDepth == 0 {
		o.MaxDepth = DefaultDepth
	}
	img, err := (&chain{options: o}).open(name, o.Format, o.Write)
	if err == nil {
		o.opened(name, img)
	}
	return img, err
}

// OpenFile opens an image in a file that is open already; name is what it is
// called in o.FS, for its siblings. The file is the image's then, and closed with it,
// also when OpenFile fails.
func OpenFile(f File, name string, o Options) (Image, error) {
	if o.MaxDepth == 0 {
		o.MaxDepth = DefaultDepth
	}
	if o.FS == nil {
		o.FS = NoFS{}
	}
	return (&chain{options: o, names: []string{name}}).openFile(f, name, o.Format, o.Write)
}

// Source is what a format opens an image from.
type Source struct {
	File     File   // the image's own file
	Name     string // what it is called in its FS
	Write    bool   // whether the image is to be writable
	Snapshot string // a snapshot to be opened, "" for the current state
	Alone    bool   // whether parents are to be left out
	Keys     Keys   // opens it if it is encrypted; nil leaves its content locked
	Guessed  bool   // no format was named and no signature found: raw must refuse to write one

	chain *chain
}

// ParentRef is how an image names its parent.
type ParentRef struct {
	Paths  []string // as they stand in the image, the best first
	Format string   // the parent's format, "" if the image does not say and it is to be recognised
	Search bool     // whether the siblings are tried, when no path leads to it
	// Accept tells whether an image is the parent: nil, or an error that says
	// what is wrong with it (wrapping ErrWrongParent). It may be nil.
	Accept func(Image) error
}

// OpenParent opens the parent of the image, for reading. It is nil when the
// source is to be opened alone. When nothing is found, or only what is not
// accepted, the error is ErrNoParent or ErrWrongParent and says what was tried.
func (s *Source) OpenParent(ref ParentRef) (Image, error) {
	if s.Alone {
		return nil, nil
	}
	return s.chain.parent(s.Name, ref)
}

// OpenSibling opens a further file of the image, by the path that stands in
// the image.
func (s *Source) OpenSibling(ref string) (File, error) {
	name, err := s.chain.options.FS.Resolve(s.Name, ref)
	if err != nil {
		return nil, err
	}
	return s.chain.options.FS.Open(name, s.Write)
}

// FS is where the image's files are, for a format that makes or removes some
// of them when the image changes its size.
func (s *Source) FS() FS { return s.chain.options.FS }

// FoundParent tells whoever opens the image of a parent that the format put
// together itself, and by what name that can be opened (see Options.Opened).
func (s *Source) FoundParent(name string, parent Image) { s.chain.options.opened(name, parent) }

// Probe says what a sample would be taken for.
func (s *Source) Probe(sample Sample) (*Format, Confidence) {
	return Probe(s.chain.options.Formats, sample)
}

// maxOpened is how many files are opened in all while one image and its parents
// are: images that name each other in many ways could keep us busy for years.
const maxOpened = 16 << 10

// chain is the opening of one image and its parents.
type chain struct {
	options Options
	names   []string // of the images that are being opened, a child before its parent
	opened  int      // files so far
	alone   bool     // parents are left out for now
}

func (c *chain) open(name, format string, write bool) (Image, error) {
	if slices.Contains(c.names, name) {
		return nil, fmt.Errorf("%s: %w", name, ErrCycle)
	}
	if len(c.names) >= c.options.MaxDepth {
		return nil, fmt.Errorf("%s: %w: more than %d images", name, ErrDepth, c.options.MaxDepth)
	}
	if c.opened++; c.opened > maxOpened {
		return nil, fmt.Errorf("%s: %w: more than %d files were looked at", name, ErrDepth, maxOpened)
	}
	file, err := c.options.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	c.names = append(c.names, name)
	defer func() { c.names = c.names[:len(c.names)-1] }()
	return c.openFile(file, name, format, write)
}

func (c *chain) openFile(file File, name, format string, write bool) (Image, error) {
	f, guessed, err := c.format(file, name, format)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	top := len(c.names) == 1
	source := &Source{
		File: file, Name: name, Write: write, Guessed: guessed,
		Alone: c.options.Alone || c.alone, Keys: c.options.Keys, chain: c,
	}
	if top {
		source.Snapshot = c.options.Snapshot
	}
	img, err := f.Open(source)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return img, nil
}

// format finds the format of a file: the one that is named, or the surest.
func (c *chain) format(file File, name, format string) (f *Format, guessed bool, err error) {
	if format != "" {
		f, _, err := Find(c.options.Formats, format)
		return f, false, err
	}
	size, err := file.Size()
	if err != nil {
		return nil, false, err
	}
	sample, err := NewSample(file, size, name)
	if err != nil {
		return nil, false, err
	}
	f, sure := Probe(c.options.Formats, sample)
	if f == nil {
		return nil, false, fmt.Errorf("%s: %w", name, ErrUnknownFormat)
	}
	return f, sure <= Fallback, nil
}

// parent opens what ref leads to, seen from the image called from.
func (c *chain) parent(from string, ref ParentRef) (Image, error) {
	candidates, failures := c.candidates(from, ref)
	for _, name := range candidates {
		img, err := c.candidate(name, ref)
		if err == nil {
			return img, nil
		}
		if errors.Is(err, ErrCycle) && !ref.Search || errors.Is(err, ErrDepth) {
			return nil, err
		}
		failures = append(failures, err)
	}
	if ref.Search {
		if img, err := c.search(from, candidates, ref); img != nil || err != nil {
			return img, err
		}
	}
	return nil, noParent(failures)
}

// candidates are the files that the paths lead to. An image that was moved
// together with its parent often has the parent beside it and names another
// place: where the parent can be recognised, that is tried last.
func (c *chain) candidates(from string, ref ParentRef) (names []string, failures []error) {
	paths := slices.Clone(ref.Paths)
	if ref.Accept != nil {
		for _, path := range ref.Paths {
			paths = append(paths, path[strings.LastIndexAny(path, `/\`)+1:])
		}
	}
	for _, path := range paths {
		name, err := c.options.FS.Resolve(from, path)
		switch {
		case err != nil:
			failures = append(failures, err)
		case !slices.Contains(names, name):
			names = append(names, name)
		}
	}
	return names, failures
}

// candidate opens an image and its parents, if it is the one that ref means.
func (c *chain) candidate(name string, ref ParentRef) (Image, error) {
	if ref.Accept != nil {
		if err := c.meant(name, ref); err != nil {
			return nil, err
		}
	}
	img, err := c.open(name, ref.Format, false)
	if err != nil {
		return nil, err
	}
	if ref.Accept != nil {
		if err := ref.Accept(img); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w", name, err), img.Close())
		}
	}
	c.options.opened(name, img)
	return img, nil
}

// meant looks at an image alone: the parents of one that is not meant are of
// no interest, and looking for them may take long.
func (c *chain) meant(name string, ref ParentRef) error {
	c.alone = true
	img, err := c.open(name, ref.Format, false)
	c.alone = false
	if err != nil {
		return err
	}
	if err := ref.Accept(img); err != nil {
		return errors.Join(fmt.Errorf("%s: %w", name, err), img.Close())
	}
	return img.Close()
}

// search tries every sibling; those that are no images at all are passed over.
func (c *chain) search(from string, tried []string, ref ParentRef) (Image, error) {
	siblings, err := c.options.FS.Siblings(from)
	if err != nil {
		return nil, nil
	}
	for _, name := range siblings {
		if slices.Contains(tried, name) || slices.Contains(c.names, name) {
			continue
		}
		img, err := c.candidate(name, ref)
		if err == nil {
			return img, nil
		}
		if errors.Is(err, ErrDepth) {
			return nil, err
		}
	}
	return nil, nil
}

// noParent puts into one error why none of the places held the parent. Where
// an image was found that is another, the places with none are not what is wrong.
func noParent(failures []error) error {
	if len(failures) == 0 {
		return ErrNoParent
	}
	if slices.ContainsFunc(failures, isWrongParent) {
		failures = slices.DeleteFunc(failures, func(err error) bool { return !isWrongParent(err) })
	}
	joined := failures[0]
	for _, f := range failures[1:] {
		joined = fmt.Errorf("%w; %w", joined, f)
	}
	if errors.Is(joined, fs.ErrNotExist) || errors.Is(joined, ErrOutside) {
		return fmt.Errorf("%w: %w", ErrNoParent, joined)
	}
	return joined
}

func isWrongParent(err error) bool { return errors.Is(err, ErrWrongParent) }
