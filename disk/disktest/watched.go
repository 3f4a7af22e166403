package disktest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// watched is a file system that knows which of its files are open, and may
// limit what is done with them.
type watched struct {
	*memfs.FS
	limit *limit // nil is none

	mu   sync.Mutex // guards open
	open []string
}

// errLimit: an image was read or written more than its length can explain.
var errLimit = errors.New("the limit on file operations is reached")

// limit is how much may be done with files.
type limit struct {
	mu    sync.Mutex // guards ops
	ops   int        // that remain
	reach int64      // files must not become longer than this
}

func (l *limit) take(end int64) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ops--
	if l.ops < 0 {
		return errLimit
	}
	if end > l.reach {
		return fmt.Errorf("no space left for a file of %d bytes", end)
	}
	return nil
}

// exceeded tells whether there were more operations than allowed.
func (l *limit) exceeded() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ops < 0
}

// Open opens a file.
func (w *watched) Open(name string, write bool) (disk.File, error) {
	return w.watch(w.FS.Open(name, write))
}

// Create makes a file.
func (w *watched) Create(name string) (disk.File, error) {
	return w.watch(w.FS.Create(name))
}

func (w *watched) watch(f disk.File, err error) (disk.File, error) {
	if err != nil {
		return nil, err
	}
	file := f.(*memfs.File)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.open = append(w.open, file.Name())
	return &watchedFile{File: file, fs: w}, nil
}

func (w *watched) closed(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if i := slices.Index(w.open, name); i >= 0 {
		w.open = slices.Delete(w.open, i, i+1)
	}
}

// allClosed tells of files that were left open.
func (w *watched) allClosed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.open) > 0 {
		return fmt.Errorf("files were left open: %q", w.open)
	}
	return nil
}

// watchedFile is an open file of a watched FS.
type watchedFile struct {
	*memfs.File
	fs *watched
}

// ReadAt reads, within the limit.
func (f *watchedFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.fs.limit.take(0); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// WriteAt writes, within the limit.
func (f *watchedFile) WriteAt(p []byte, off int64) (int, error) {
	if err := f.fs.limit.take(off + int64(len(p))); err != nil {
		return 0, err
	}
	return f.File.WriteAt(p, off)
}

// Truncate changes the length, within the limit.
func (f *watchedFile) Truncate(size int64) error {
	if err := f.fs.limit.take(0); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Close closes.
func (f *watchedFile) Close() error {
	err := f.File.Close()
	if err == nil {
		f.fs.closed(f.Name())
	}
	return err
}
