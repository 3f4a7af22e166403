package hostfs

import (
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
)

// Stage is an FS whose new files have no name until Commit gives them theirs:
// whatever happens before, a kill included, leaves nothing behind. Where the
// file system cannot have files without a name, they have a hidden one, and a
// kill leaves that. A directory that is not there is made by Commit, in one that is.
//
//	stage := NewStage(fs)
//	defer stage.Abort()
//	img, err := disk.Create(name, disk.CreateOptions{FS: stage, …})
//	…                                     // fill it, Close it
//	err = stage.Commit(false)
//
// Until then nothing of it outlasts a power cut, so that a Sync of such a file does
// nothing; Commit makes it durable.
type Stage struct {
	*FS
	staged []*staged
}

// staged is a file that is to be called name.
type staged struct {
	name   string
	handle *os.File // of its own, so that the image may close its
	hidden string   // the name that it has meanwhile; "" if none
	made   string   // the directory that was made for it; "" if it was there
	named  atomic.Bool
}

// NewStage makes files within what base allows.
func NewStage(base *FS) *Stage { return &Stage{FS: base} }

// Create makes a file that is to be called name, which must not exist
// unless Commit is told to replace it.
func (s *Stage) Create(name string) (disk.File, error) {
	if !s.allowed(name) {
		return nil, outside(name)
	}
	for _, other := range s.staged {
		if other.name == name {
			return nil, &fs.PathError{Op: "create", Path: name, Err: fs.ErrExist}
		}
	}
	file, hidden, err := nameless(name)
	if err != nil {
		return nil, err
	}
	own, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	made := &staged{name: name, handle: os.NewFile(uintptr(own), name), hidden: hidden}
	s.staged = append(s.staged, made)
	return &File{file: file, write: true, early: new(early), staged: made, direct: openDirect(file)}, nil
}

// Names are what the files that were made are to be called.
func (s *Stage) Names() []string {
	names := make([]string, len(s.staged))
	for i, f := range s.staged {
		names[i] = f.name
	}
	return names
}

// Infos are the files that were made, in the order of Names, as they are now: by
// what os.SameFile compares they are known again under the names that Commit gives them.
func (s *Stage) Infos() ([]fs.FileInfo, error) {
	infos := make([]fs.FileInfo, len(s.staged))
	for i, f := range s.staged {
		var err error
		if infos[i], err = f.handle.Stat(); err != nil {
			return nil, err
		}
	}
	return infos, nil
}

// Remove forgets a file that was made here; others it leaves alone.
func (s *Stage) Remove(name string) error {
	for i, f := range s.staged {
		if f.name == name {
			s.staged = append(s.staged[:i], s.staged[i+1:]...)
			return f.discard()
		}
	}
	return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
}

// Commit makes the files durable and then gives them their names, the one that
// was made first the last, so that an image appears when its parts are there.
// Without replace, a name that exists is fs.ErrExist, and none of the files appears.
func (s *Stage) Commit(replace bool) error {
	if !replace {
		if err := s.free(); err != nil {
			return err
		}
	}
	if err := s.Sync(); err != nil {
		return err
	}
	var named []string
	for i := len(s.staged) - 1; i >= 0; i-- {
		f := s.staged[i]
		if err := f.publish(replace); err != nil {
			for _, name := range named {
				_ = os.Remove(name)
			}
			for _, f := range s.staged {
				if f.made != "" {
					_ = os.Remove(f.made)
				}
			}
			return err
		}
		f.named.Store(true)
		if !replace {
			named = append(named, f.name)
		}
	}
	var failed error
	for _, f := range s.staged {
		failed = errors.Join(failed, f.handle.Close(), syncDir(filepath.Dir(f.name)))
	}
	s.staged = nil
	return failed
}

// atOneTime is how many files are synced at once. The journal of a file system is
// written for all that wait for it, and a split disk may have thousands.
const atOneTime = 64

// Sync makes durable what was written to the files, for who wants to look
// whether he still wants them when that is done.
func (s *Stage) Sync() error {
	var group errgroup.Group
	group.SetLimit(atOneTime)
	for _, f := range s.staged {
		group.Go(f.handle.Sync)
	}
	return group.Wait()
}

// free tells whether none of the names is taken: asked before the first is
// given, because a file that lost its name again cannot have another.
func (s *Stage) free() error {
	for _, f := range s.staged {
		if _, err := os.Lstat(f.name); err == nil {
			return &fs.PathError{Op: "create", Path: f.name, Err: fs.ErrExist}
		}
	}
	return nil
}

// Abort forgets what was not committed.
func (s *Stage) Abort() {
	for _, f := range s.staged {
		_ = f.discard()
	}
	s.staged = nil
}

func (f *staged) discard() error {
	err := f.handle.Close()
	if f.hidden != "" {
		err = errors.Join(err, os.Remove(f.hidden))
	}
	return err
}

// publish gives a file its name.
func (f *staged) publish(replace bool) error {
	to := f.name
	if replace {
		to = besides(f.name)
	}
	err := f.link(to)
	if errors.Is(err, fs.ErrNotExist) {
		err = f.linkInNew(to)
	}
	if err != nil {
		return &fs.PathError{Op: "create", Path: f.name, Err: err}
	}
	if !replace {
		return nil
	}
	if info, err := os.Lstat(f.name); err == nil && info.Mode()&(fs.ModeDevice|fs.ModeNamedPipe|fs.ModeSocket) != 0 {
		refused := &fs.PathError{Op: "replace", Path: f.name, Err: errors.New("it is a device, a pipe or a socket, and no file")}
		return errors.Join(refused, os.Remove(to))
	}
	if err := os.Rename(to, f.name); err != nil {
		return errors.Join(err, os.Remove(to))
	}
	return nil
}

func (f *staged) link(to string) error {
	if f.hidden == "" {
		return unix.Linkat(unix.AT_FDCWD, fmt.Sprintf("/proc/self/fd/%d", f.handle.Fd()), unix.AT_FDCWD, to, unix.AT_SYMLINK_FOLLOW)
	}
	if err := os.Link(f.hidden, to); err != nil {
		return err
	}
	return os.Remove(f.hidden)
}

// linkInNew makes the file's directory, which was not there.
func (f *staged) linkInNew(to string) error {
	dir := filepath.Dir(to)
	if err := os.Mkdir(dir, 0o777); err != nil {
		return err
	}
	if err := f.link(to); err != nil {
		return errors.Join(err, os.Remove(dir))
	}
	f.made = dir
	return syncDir(filepath.Dir(dir))
}

// nameless makes a file in the directory of name, or in the one above when that
// is not there yet.
func nameless(name string) (file *os.File, hidden string, err error) {
	dir := filepath.Dir(name)
	if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
		dir = filepath.Dir(dir)
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o666)
	if err == nil {
		return os.NewFile(uintptr(fd), name), "", nil
	}
	if err == unix.EOPNOTSUPP || err == unix.EISDIR || err == unix.ENOENT {
		hidden = besides(filepath.Join(dir, filepath.Base(name)))
		file, err = os.OpenFile(hidden, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
	}
	if err != nil {
		if e, ok := errors.AsType[*fs.PathError](err); ok {
			err = e.Err // the hidden name tells nobody anything
		}
		return nil, "", &fs.PathError{Op: "create", Path: name, Err: err}
	}
	return file, hidden, nil
}

func besides(name string) string {
	return filepath.Join(filepath.Dir(name), fmt.Sprintf(".%s.%08x.part", filepath.Base(name), rand.Uint32()))
}
