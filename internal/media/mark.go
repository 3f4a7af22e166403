package media

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/problem"
)

// Mark is by what it shows that an image has been changed: the files that it and all that
// it stands on consist of, and what it says of itself.
type Mark struct {
	Files []FileMark `json:"files"`
	// Modified is what the formats have that changes with the content, of the image first.
	Modified []string `json:"modified,omitempty"`
}

// FileMark is one file of an image.
type FileMark struct {
	Path string    `json:"path"`
	Size int64     `json:"size"` // bytes
	Time time.Time `json:"time"` // when it was written last
}

// MarkOf looks at an image and at all that it stands on. Devices have no mark: they
// tell neither how much they hold nor when they were written.
func MarkOf(ref Ref) (mark Mark, err error) {
	img, links, err := OpenImage(ref, OpenOptions{})
	if err != nil {
		return mark, gone(ref, err)
	}
	defer func() { err = errors.Join(err, img.Close()) }()
	for _, link := range links {
		if err := mark.add(link); err != nil {
			return mark, gone(ref, err)
		}
	}
	return mark, nil
}

func (m *Mark) add(link diskfile.Link) error {
	if link.Info.Modified != "" {
		m.Modified = append(m.Modified, link.Info.Modified)
	}
	for _, name := range append([]string{link.Name}, link.Info.Files...) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(filepath.Dir(link.Name), name)
		}
		if err := m.addFile(name); err != nil {
			return err
		}
	}
	return nil
}

// addFile adds a file, or the archive that it is a member of.
func (m *Mark) addFile(name string) error {
	name = archiveOf(name)
	info, err := os.Stat(name)
	known := slices.ContainsFunc(m.Files, func(f FileMark) bool { return f.Path == name })
	if err != nil || known || !info.Mode().IsRegular() {
		return err
	}
	m.Files = append(m.Files, FileMark{Path: name, Size: info.Size(), Time: info.ModTime().UTC()})
	return nil
}

// Changed says in what an image differs from how it was when it got the mark that
// before is; "" if in nothing.
func (m Mark) Changed(before Mark) string {
	for _, was := range before.Files {
		i := slices.IndexFunc(m.Files, func(f FileMark) bool { return f.Path == was.Path })
		if i < 0 {
			return fmt.Sprintf("it does not consist of %s any more", was.Path)
		}
		switch is := m.Files[i]; {
		case is.Size != was.Size:
			return fmt.Sprintf("%s had %d bytes then and has %d now", was.Path, was.Size, is.Size)
		case !is.Time.Equal(was.Time):
			return fmt.Sprintf("%s was last written at %s then and at %s now", was.Path, stamp(was.Time), stamp(is.Time))
		}
	}
	switch {
	case len(m.Files) != len(before.Files):
		return "it consists of more files than then"
	case !slices.Equal(m.Modified, before.Modified):
		return fmt.Sprintf("its content had the mark %v then and has %v now", before.Modified, m.Modified)
	}
	return ""
}

// stamp is a time as precise as a change can be quick.
func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05.000 MST") }

// gone makes an error of an image that is not where it was say so.
func gone(ref Ref, err error) error {
	if _, missing := os.Stat(archiveOf(ref.Path)); !errors.Is(missing, fs.ErrNotExist) {
		return err
	}
	return problem.New(problem.Of(err).Kind, "put it back to where it was", "the image %s that it stands on is not there any more", ref.Path)
}

// archiveOf is the file that a name leads to: itself, the archive that it is a member
// of, or the first part of the name that is not there.
func archiveOf(name string) string {
	dir := filepath.Dir(name)
	if _, err := os.Lstat(name); dir == name || !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		return name
	}
	if info, err := os.Stat(dir); err == nil && info.IsDir() {
		return name
	}
	return archiveOf(dir)
}
