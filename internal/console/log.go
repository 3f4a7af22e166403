package console

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// Log is the file that QEMU appends a serial line's output to. QEMU never
// makes it shorter, so the hub does, while QEMU goes on writing: the oldest
// part is cut out of the file in place, which moves the end that QEMU appends
// to without a byte being lost. File systems that cannot do that (it takes
// ext4, XFS or F2FS) have the file's newer part rewritten instead; what QEMU
// writes in that moment may be lost there.
type Log struct {
	path  string
	bound int64

	mu    sync.Mutex // guards grown
	grown int64      // bytes since the file was last looked at
}

// OpenLog describes the log at path, to be kept within bound bytes. The file
// need not exist yet.
func OpenLog(path string, bound int64) *Log {
	return &Log{path: path, bound: max(bound, 64<<10)}
}

// Grown tells the log that n bytes were printed. Now and then it then trims
// the file.
func (l *Log) Grown(n int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.grown += int64(n); l.grown < l.bound/8 {
		return nil
	}
	l.grown = 0
	return l.trim()
}

// Trim makes the file fit its bound.
func (l *Log) Trim() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.trim()
}

// Tail is the last n bytes of the log, less if there is less.
func (l *Log) Tail(n int64) ([]byte, error) {
	file, err := os.Open(l.path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	size, err := file.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	if _, err := file.Seek(max(0, size-n), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(file, n))
}

// trim leaves three quarters of the bound, so that it is not called at every
// line; l.mu is held.
func (l *Log) trim() error {
	file, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil || info.Size() <= l.bound {
		return err
	}
	excess := info.Size() - l.bound*3/4
	err = collapse(file, excess)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return rewrite(file, excess)
	}
	return err
}

// collapse cuts the first bytes out of a file, whole blocks of them
// (FALLOC_FL_COLLAPSE_RANGE in fallocate(2)).
func collapse(file *os.File, excess int64) error {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return err
	}
	block := max(int64(stat.Blksize), 4096)
	length := excess / block * block
	if length == 0 {
		return nil
	}
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, length)
}

// rewrite moves the newer part of a file to its beginning.
func rewrite(file *os.File, excess int64) error {
	kept, err := io.ReadAll(io.NewSectionReader(file, excess, 1<<62))
	if err != nil {
		return err
	}
	if err := file.Truncate(0); err != nil {
		return err
	}
	// QEMU may have appended since: its bytes are where the end was then, at 0.
	_, err = file.WriteAt(kept, 0)
	return err
}
