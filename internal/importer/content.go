package importer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"

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
	if s.passing || d.File == "" || d.Remote || d.Compression != "" || d.Parts != 0 || d.Encryption != "" {
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

// isAllowed tells whether a path is in one of the directories that the user
// allows.
func (s *Source) isAllowed(path string) bool {
	return slices.ContainsFunc(s.allowed, func(dir string) bool { return within(dir, path) })
}

// check refuses content that cannot be had.
func (s *Source) check(d appliance.Disk) error {
	switch {
	case d.Remote:
		return s.checkRemote(d)
	case d.Encryption != "" && s.verify != nil && s.ciphers[d.Encryption] == nil:
		return errEncrypted(s.path, d.File)
	case d.Encryption != "" && s.verify == nil:
		return problem.New(api.KindUnsupported, "decrypt it with the program that encrypted it", "import %s: %s is encrypted", s.path, d.File)
	case filepath.IsAbs(d.File):
		if s.isAllowed(d.File) && d.Compression == "" && d.Parts == 0 {
			return nil
		}
		return problem.New(api.KindRefused, "allow it with --allow "+filepath.Dir(d.File)+", or put the file beside the description",
			"import %s: its disk %s lies elsewhere", s.path, d.File)
	case !filepath.IsLocal(filepath.FromSlash(d.File)):
		return problem.New(api.KindRefused, "put the file beside the description, and name it there without the folders",
			"import %s: its disk %q is outside of the description's folder", s.path, d.File)
	case s.root != nil && !within(s.base, s.absolute(d.File)):
		return problem.New(api.KindRefused, "put the file itself beside the description", "import %s: its disk %s is a link that leads out", s.path, d.File)
	}
	return s.there(d)
}

// there refuses a file that a description names and that there is not.
func (s *Source) there(d appliance.Disk) error {
	name := d.File
	if d.Parts != 0 {
		name = part(name, 0)
	}
	switch {
	case s.members != nil && s.members.Member(name) == nil:
		return problem.New(api.KindUnreadable, "it may be a part of what was exported: get the whole of it", "import %s: its disk %s is not in it", s.path, name)
	case s.root != nil && !exists(s.absolute(name)):
		return problem.New(api.KindUnreadable, "put it beside the description", "import %s: its disk %s is not there", s.path, name)
	case d.Parts != 0 && (s.members != nil || s.root != nil):
		return s.allParts(d)
	}
	return nil
}

// within tells whether a path is in a directory or below it, links followed as
// far as they lead anywhere.
func within(dir, path string) bool {
	realDir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return false
	}
	real, err := filepath.EvalSymlinks(path)
	if err != nil { // nothing is there: opening it will say so
		realDir, real = filepath.Clean(dir), filepath.Clean(path)
	}
	inside, err := filepath.Rel(realDir, real)
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
	err = media.Intact(ctx, "import "+s.path+": its disk "+d.File, img)
	return info.Format, img.Size(), errors.Join(err, img.Close())
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
	content, err := s.read(ctx, d)
	if err != nil {
		return nil, err
	}
	defer content.Close() //nolint:errcheck // it was only read
	r, _, err := unwrap(d, contextReader{ctx, content}, -1, s.ciphers[d.Encryption])
	if err != nil {
		return nil, err
	}
	stage := hostfs.NewStage(hostfs.Everywhere())
	defer stage.Abort()
	file, err := stage.Create(filepath.Join(scratch, "content"))
	if err != nil {
		return nil, err
	}
	if _, err := diskfile.Pour(file, &limited{r: r, most: bound(d)}); err != nil {
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

// read reads a file, or its parts one after another.
func (s *Source) read(ctx context.Context, d appliance.Disk) (io.ReadCloser, error) {
	switch {
	case d.Remote:
		return s.fetch(ctx, d)
	case d.Parts == 0:
		return s.file(d.File)
	}
	return &parts{open: func(n int) (io.ReadCloser, error) { return s.file(part(d.File, n)) }}, nil
}

// regular opens a regular file of the folder: opening a pipe would wait for who
// writes it.
func (s *Source) regular(name string) (*os.File, error) {
	name = filepath.FromSlash(name)
	info, err := s.root.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is no regular file")
	}
	return s.root.Open(name)
}

// file opens a file of the source.
func (s *Source) file(name string) (io.ReadCloser, error) {
	if s.root != nil {
		return s.regular(name)
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
	// Members are all, in the order of the archive.
	Members() []ova.Entry
	// Content reads a member in place.
	Content(e *ova.Entry) *io.SectionReader
}
