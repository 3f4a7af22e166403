package importer

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/media"
	"github.com/panalvm/panal/internal/problem"
	"github.com/panalvm/panal/ovf/ova"
)

// Ref is where the content of a drive lies, to be used in place. It is false
// for what was compressed or cut into parts besides, and for a new empty disk.
func (s *Source) Ref(d appliance.Disk) (media.Ref, bool) {
	if d.File == "" || d.Remote || d.Compression != "" || d.Parts != 0 {
		return media.Ref{}, false
	}
	ref := media.Ref{Path: s.absolute(d.File), Snapshot: d.Snapshot}
	if d.Format == "raw" {
		ref.Format = "raw" // a guest that wrote another format's header must not choose what is read
	}
	return ref, true
}

// absolute is the path of a file that a description names.
func (s *Source) absolute(name string) string {
	if filepath.IsAbs(name) {
		return filepath.Clean(name)
	}
	return filepath.Join(s.base, filepath.FromSlash(name))
}

// isAllowed tells whether an absolute path is in one of the directories that
// the user allows, links followed.
func (s *Source) isAllowed(path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		real = filepath.Clean(path)
	}
	for _, dir := range s.allowed {
		if dir, err = filepath.EvalSymlinks(dir); err != nil {
			continue
		}
		if inside, err := filepath.Rel(dir, real); err == nil && filepath.IsLocal(inside) {
			return true
		}
	}
	return false
}

// check refuses content that cannot be had.
func (s *Source) check(d appliance.Disk) error {
	switch {
	case d.Remote:
		return problem.New(api.KindRefused, "fetch it yourself, put it beside the description, and name it there",
			"import %s: its disk lies elsewhere, at %s", s.path, d.File)
	case d.Encryption != "":
		return problem.New(api.KindUnsupported, "decrypt it with the program that encrypted it", "import %s: %s is encrypted", s.path, d.File)
	case filepath.IsAbs(d.File):
		if s.isAllowed(d.File) && d.Compression == "" && d.Parts == 0 {
			return nil
		}
		return problem.New(api.KindRefused, "allow it with --allow "+filepath.Dir(d.File)+", or put the file beside the description",
			"import %s: its disk %s lies elsewhere", s.path, d.File)
	case !filepath.IsLocal(filepath.FromSlash(d.File)):
		return problem.New(api.KindRefused, "put the file beside the description", "import %s: its disk %q is outside", s.path, d.File)
	case s.root != nil && !within(s.base, s.absolute(d.File)):
		return problem.New(api.KindRefused, "put the file itself beside the description", "import %s: its disk %s is a link that leads out", s.path, d.File)
	}
	return nil
}

// within tells whether a path is in a directory or below it, links followed.
// One that leads nowhere is.
func within(dir, path string) bool {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return true
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false
	}
	inside, err := filepath.Rel(dir, real)
	return err == nil && filepath.IsLocal(inside)
}

// look is [media.Look] at the content of a drive.
func (s *Source) look(d appliance.Disk) (media.Chain, media.Guess, error) {
	if err := s.check(d); err != nil {
		return nil, media.Guess{}, err
	}
	ref, _ := s.Ref(d)
	return media.Look(ref)
}

// Look tells the format and the size that the guest sees of a drive's content.
func (s *Source) Look(ctx context.Context, d appliance.Disk, scratch string) (format string, size int64, err error) {
	if d.File == "" {
		return "", d.Size, nil
	}
	img, err := s.Image(ctx, d, scratch)
	if err != nil {
		return "", 0, err
	}
	info := disk.Describe(img)
	return info.Format, img.Size(), img.Close()
}

// Image opens the content of a drive for reading, with all that it stands on.
// Scratch is a folder for files without a name, which what is compressed or cut
// into parts is put together in.
func (s *Source) Image(ctx context.Context, d appliance.Disk, scratch string) (disk.Image, error) {
	if err := s.check(d); err != nil {
		return nil, err
	}
	if ref, ok := s.Ref(d); ok {
		img, _, err := media.OpenImage(ref, media.OpenOptions{})
		return img, err
	}
	img, err := s.assemble(ctx, d, scratch)
	if err != nil {
		return nil, explain(s.path, fmt.Errorf("%s: %w", d.File, err))
	}
	return img, nil
}

// assemble puts together what is cut into parts or compressed.
func (s *Source) assemble(ctx context.Context, d appliance.Disk, scratch string) (disk.Image, error) {
	content, err := s.read(d)
	if err != nil {
		return nil, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	var r io.Reader = contextReader{ctx, content}
	switch d.Compression {
	case "":
	case "gzip":
		if r, err = gzip.NewReader(r); err != nil {
			return nil, err
		}
	default:
		return nil, fmt.Errorf("it is compressed by %q, which is not understood", d.Compression)
	}
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	file, err := stage.Create(filepath.Join(scratch, "content"))
	if err != nil {
		return nil, err
	}
	limit := bound(d)
	n, err := diskfile.Pour(file, io.LimitReader(r, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("there is more of it than the %d bytes that such a disk can take", limit)
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	img, err := disk.OpenFile(file, filepath.Base(d.File), disk.Options{FS: disk.NoFS{}, Formats: formats.All()})
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return img, nil
}

// slack is how much longer a file may be than the disk that it holds: tables,
// and content that does not compress.
const slack = 64 << 20

// bound is how long a disk's file may be. What a description says too low is
// the description's fault; what never ends must not fill the pool.
func bound(d appliance.Disk) int64 {
	const largest = 64 << 40
	if d.Size <= 0 || d.Size > largest {
		return largest
	}
	return d.Size + d.Size/8 + slack
}

// maxParts bounds the parts of a disk: they are numbered with nine digits, and
// each costs an opening.
const maxParts = 1 << 20

// read reads a file, or its parts one after another.
func (s *Source) read(d appliance.Disk) (io.ReadCloser, error) {
	if d.Parts == 0 {
		return s.file(d.File)
	}
	return &parts{open: func(n int) (io.ReadCloser, error) { return s.file(fmt.Sprintf("%s.%09d", d.File, n)) }}, nil
}

// parts reads the parts of a file until there is no further one.
type parts struct {
	open func(int) (io.ReadCloser, error)
	next int
	now  io.ReadCloser
}

// Read reads on, into the next part where one ends.
func (p *parts) Read(b []byte) (int, error) {
	for {
		if p.now == nil {
			part, err := p.open(p.next)
			switch {
			case errors.Is(err, os.ErrNotExist) && p.next > 0:
				return 0, io.EOF
			case err != nil:
				return 0, err
			case p.next == maxParts:
				return 0, fmt.Errorf("it is cut into more than %d parts", maxParts)
			}
			p.now = part
			p.next++
		}
		n, err := p.now.Read(b)
		if n > 0 || err == nil {
			return n, nil //nolint:nilerr // an error comes again with the next call
		}
		if !errors.Is(err, io.EOF) {
			return 0, err
		}
		if err := p.Close(); err != nil {
			return 0, err
		}
	}
}

// Close closes the part that is open.
func (p *parts) Close() error {
	if p.now == nil {
		return nil
	}
	err := p.now.Close()
	p.now = nil
	return err
}

// file opens a file of the source.
func (s *Source) file(name string) (io.ReadCloser, error) {
	if s.root != nil {
		return s.root.Open(filepath.FromSlash(name))
	}
	if s.members == nil {
		return nil, errNoMember(name)
	}
	entry := s.members.Member(name)
	if entry == nil {
		return nil, errNoMember(name)
	}
	return io.NopCloser(s.members.Content(entry)), nil
}

// archiveOf is what a source needs of an archive.
type archiveOf interface {
	// Member finds a member by its name; nil if there is none.
	Member(name string) *ova.Entry
	// Content reads a member in place.
	Content(e *ova.Entry) *io.SectionReader
}
