package console

import (
	"errors"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// Log is the file that QEMU appends a serial line's output to. QEMU never
// makes it shorter, so the daemon does, while QEMU goes on writing: the oldest
// part is cut out of the file in place, which moves the end that QEMU appends
// to without a byte being lost. File systems that cannot do that (it takes
// ext4, XFS or F2FS) have the file's newer part moved to its beginning instead;
// what QEMU writes in the instant before the file is shortened is lost there.
type Log struct {
	path  string
	bound int64
}

// OpenLog describes the log at path, to be kept within bound bytes. The file
// need not exist yet.
func OpenLog(path string, bound int64) *Log {
	return &Log{path: path, bound: max(bound, 64<<10)}
}

// Trim makes the file fit its bound. It is for a log that no hub is open on.
func (l *Log) Trim() error {
	file, err := os.OpenFile(l.path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = l.cut(file, 1<<62)
	return err
}

// cut leaves three quarters of the bound, so that it is not called at every
// line, and all that comes after most bytes. It returns how many it took away.
func (l *Log) cut(file *os.File, most int64) (int64, error) {
	info, err := file.Stat()
	if err != nil || info.Size() <= l.bound {
		return 0, err
	}
	excess := min(info.Size()-l.bound*3/4, most)
	if excess <= 0 {
		return 0, nil
	}
	cut, err := collapse(file, excess)
	if errors.Is(err, unix.EOPNOTSUPP) || errors.Is(err, unix.EINVAL) {
		return rewrite(file, excess)
	}
	return cut, err
}

// collapse cuts the first bytes out of a file, whole blocks of them
// (FALLOC_FL_COLLAPSE_RANGE in fallocate(2)).
func collapse(file *os.File, excess int64) (int64, error) {
	var stat unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &stat); err != nil {
		return 0, err
	}
	block := max(int64(stat.Blksize), 4096)
	length := excess / block * block
	if length == 0 {
		return 0, nil
	}
	for {
		err := unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_COLLAPSE_RANGE, 0, length)
		if err == nil {
			return length, nil
		}
		if !errors.Is(err, unix.EINTR) {
			return 0, err
		}
	}
}

// rewrite moves the newer part of a file to its beginning, with what is
// appended meanwhile, and then shortens the file.
func rewrite(file *os.File, excess int64) (int64, error) {
	to := int64(0)
	for buffer := make([]byte, 64<<10); ; {
		n, err := file.ReadAt(buffer, excess+to)
		if n == 0 && errors.Is(err, io.EOF) {
			return excess, file.Truncate(to)
		}
		if n == 0 {
			return 0, err
		}
		if _, err := file.WriteAt(buffer[:n], to); err != nil {
			return 0, err
		}
		to += int64(n)
	}
}
