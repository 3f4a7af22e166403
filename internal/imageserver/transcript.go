package imageserver

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
)

// transcript is what the engine asked of the host's files while it opened an
// image, and was answered: enough to open it again without them.
type transcript struct {
	Files    []handed            `json:"files"`
	Resolved []resolution        `json:"resolved,omitempty"`
	Siblings map[string][]string `json:"siblings,omitempty"`
}

// handed is a file that was opened and is handed over.
type handed struct {
	Name  string `json:"name"`
	FD    int    `json:"fd"` // of the one who is handed it
	Write bool   `json:"write,omitempty"`
}

// resolution is where a reference in an image leads.
type resolution struct {
	From string `json:"from"`
	Ref  string `json:"ref"`
	Name string `json:"name"`
}

// recorder writes a transcript. It is used by one goroutine.
type recorder struct {
	disk.FS
	transcript
	kept map[string]*kept
}

// kept is a descriptor of a file that was opened.
type kept struct {
	file  *os.File
	write bool
	open  int // how often the engine has it open
}

func record(files *hostfs.FS) *recorder {
	return &recorder{FS: files, kept: map[string]*kept{}, transcript: transcript{Siblings: map[string][]string{}}}
}

// Open opens a file, and keeps a descriptor of it. The descriptor shares the
// lock.
func (r *recorder) Open(name string, write bool) (disk.File, error) {
	opened, err := r.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	file, ok := opened.(*hostfs.File)
	if !ok {
		return nil, errors.Join(errors.New("not a file of the host"), opened.Close())
	}
	k := r.kept[name]
	if k == nil || write && !k.write {
		copied, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, errors.Join(&fs.PathError{Op: "keep", Path: name, Err: err}, opened.Close())
		}
		if k != nil {
			_ = k.file.Close() // was only read
		}
		k = &kept{file: os.NewFile(uintptr(copied), name), write: write}
		r.kept[name] = k
	}
	k.open++
	return &counted{File: file, of: k}, nil
}

// counted is a file that tells when it is closed.
type counted struct {
	*hostfs.File
	of *kept
}

// Close closes the file, not the descriptor that is kept.
func (c *counted) Close() error {
	c.of.open--
	return c.File.Close()
}

// Resolve follows a reference, and notes where it led.
func (r *recorder) Resolve(from, ref string) (string, error) {
	name, err := r.FS.Resolve(from, ref)
	if err == nil {
		r.Resolved = append(r.Resolved, resolution{from, ref, name})
	}
	return name, err
}

// Siblings lists files, and notes which.
func (r *recorder) Siblings(name string) ([]string, error) {
	all, err := r.FS.Siblings(name)
	if err == nil {
		r.transcript.Siblings[name] = all
	}
	return all, err
}

// needed are the descriptors of what an image, which is still open, consists
// of: of the files that the engine has open, and of those by which the chain's images
// were opened, as their paths or those of the archives that they are in. What was only looked
// at in search of a parent is not handed over.
func (r *recorder) needed(paths []string) map[string]*kept {
	all := map[string]*kept{}
	for name, k := range r.kept {
		need := k.open > 0
		for _, path := range paths {
			need = need || path == name || strings.HasPrefix(path, name+"/")
		}
		if need {
			all[name] = k
		}
	}
	return all
}

// close closes the descriptors.
func (r *recorder) close() {
	for _, k := range r.kept {
		_ = k.file.Close() // the image has its own
	}
}

// replay answers as a transcript says. It is used by one goroutine.
type replay struct {
	disk.NoFS
	transcript
	files map[string]*hostfs.File
}

// played opens the descriptors of a transcript.
func played(t transcript) (*replay, error) {
	r := &replay{transcript: t, files: map[string]*hostfs.File{}}
	for _, h := range t.Files {
		file, err := hostfs.Of(os.NewFile(uintptr(h.FD), h.Name), h.Write)
		if err != nil {
			return nil, err
		}
		r.files[h.Name] = file
	}
	return r, nil
}

// lent is a file that stays open when the engine closes it: it may be opened
// again.
type lent struct{ *hostfs.File }

// Close does nothing; the process's end closes the descriptor.
func (lent) Close() error { return nil }

// Open gives a file that was handed over.
func (r *replay) Open(name string, write bool) (disk.File, error) {
	file := r.files[name]
	if file == nil {
		return r.NoFS.Open(name, write)
	}
	return lent{file}, nil
}

// Resolve follows a reference as it was followed before.
func (r *replay) Resolve(from, ref string) (string, error) {
	for _, known := range r.Resolved {
		if known.From == from && known.Ref == ref {
			return known.Name, nil
		}
	}
	return r.NoFS.Resolve(from, ref)
}

// Siblings lists what was listed before.
func (r *replay) Siblings(name string) ([]string, error) { return r.transcript.Siblings[name], nil }
