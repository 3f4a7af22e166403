package hostfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"github.com/panalvm/panal/disk"
	"golang.org/x/sys/unix"
)

// File is a file or a block device of the host.
type File struct {
	file   *os.File
	write  bool
	device int64   // a block device's capacity; 0 of a file
	early  *early  // of a file that is being made; nil of others
	direct *direct // past the page cache; nil where that is not tried
	staged *staged // what it is in a Stage; nil of others

	naming sync.Mutex // guards fresh
	fresh  string     // the directory of a new file, until its name is durable
}

var (
	_ disk.File        = (*File)(nil)
	_ disk.Puncher     = (*File)(nil)
	_ disk.Holed       = (*File)(nil)
	_ disk.RangeCopier = (*File)(nil)
	_ disk.Allocated   = (*File)(nil)
	_ disk.Samer       = (*File)(nil)
	_ disk.Device      = (*File)(nil)
)

// wrap makes a File of an open one that is a regular file or a block device.
func wrap(file *os.File, write bool) (*File, error) {
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	f := &File{file: file, write: write}
	switch mode := info.Mode(); {
	case mode.IsRegular():
	case mode.IsDir():
		return nil, &fs.PathError{Op: "open", Path: file.Name(), Err: errors.New("is a directory")}
	case mode&fs.ModeDevice != 0 && mode&fs.ModeCharDevice == 0:
		if f.device, err = file.Seek(0, io.SeekEnd); err != nil {
			return nil, err
		}
	default:
		return nil, &fs.PathError{Op: "open", Path: file.Name(), Err: errors.New("neither a file nor a block device")}
	}
	return f, nil
}

// Name is the path that the file was opened by.
func (f *File) Name() string { return f.file.Name() }

// Fd is the descriptor, for as long as the file is open.
func (f *File) Fd() uintptr { return f.file.Fd() }

// ReadAt reads.
func (f *File) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// WriteAt writes.
func (f *File) WriteAt(p []byte, off int64) (int, error) {
	if !f.write {
		return 0, f.readOnly("write")
	}
	if f.device > 0 {
		if err := disk.InRange(off, int64(len(p)), f.device); err != nil {
			return 0, &fs.PathError{Op: "write", Path: f.Name(), Err: err}
		}
	}
	n, err := f.writeByPieces(p, off)
	f.early.wrote(f.file, off, int64(n))
	return n, err
}

// writePiece is how much one call to the kernel writes, in bytes. File systems
// keep in one piece of memory what one call writes, and large pieces can be dear:
// on a virtual machine whose host takes back what is free, writes of 1 MiB took up
// to three times as much of the processors as pieces of this length, and at other
// times as much. Shorter ones cost a tenth more.
const writePiece = 256 << 10

func (f *File) writeByPieces(p []byte, off int64) (int, error) {
	for done := 0; done < len(p); {
		n, err := f.direct.write(p[done:], off+int64(done)), error(nil)
		if n == 0 {
			n, err = f.file.WriteAt(p[done:min(len(p), done+writePiece)], off+int64(done))
		}
		if done += n; err != nil {
			return done, err
		}
	}
	return len(p), nil
}

// Size is the length.
func (f *File) Size() (int64, error) {
	if f.device > 0 {
		return f.device, nil
	}
	info, err := f.file.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// IsDevice tells whether it is a block device.
func (f *File) IsDevice() bool { return f.device > 0 }

// Truncate sets the length.
func (f *File) Truncate(size int64) error {
	if !f.write {
		return f.readOnly("truncate")
	}
	if f.device > 0 {
		if size != f.device {
			return &fs.PathError{Op: "truncate", Path: f.Name(), Err: fmt.Errorf("a block device of %d bytes cannot have %d", f.device, size)}
		}
		return nil
	}
	return f.file.Truncate(size)
}

// Sync makes durable what was written. A file that has no name yet is lost by
// a power cut in any case: the Stage syncs it when it gets one.
func (f *File) Sync() error {
	if !f.write || f.staged != nil && !f.staged.named.Load() {
		return nil
	}
	if err := f.file.Sync(); err != nil {
		return err
	}
	f.naming.Lock()
	defer f.naming.Unlock()
	if f.fresh == "" {
		return nil
	}
	if err := syncDir(f.fresh); err != nil {
		return err
	}
	f.fresh = ""
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Close gives the file, and its lock, back.
func (f *File) Close() error {
	f.early.wait()
	return errors.Join(f.direct.close(), f.file.Close())
}

// PunchHole frees a range; of a block device that cannot, and of a file
// system that cannot, it is errors.ErrUnsupported.
func (f *File) PunchHole(off, n int64) error {
	if !f.write {
		return f.readOnly("punch")
	}
	if n <= 0 {
		return nil
	}
	err := retry(func() error {
		return unix.Fallocate(int(f.file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
	})
	if err == unix.EOPNOTSUPP || err == unix.ENODEV || err == unix.EINVAL && f.device > 0 {
		return errors.ErrUnsupported
	}
	return f.failed("punch", err)
}

// NextData finds the next range that may hold data; where the file system
// does not say, all of it may.
func (f *File) NextData(off int64) (start, end int64, err error) {
	size, err := f.Size()
	if err != nil || off >= size {
		return size, size, err
	}
	start, err = unix.Seek(int(f.file.Fd()), off, unix.SEEK_DATA)
	switch {
	case err == unix.ENXIO:
		return size, size, nil
	case err != nil: // not known here: a device, an old file system
		return off, size, nil
	}
	end, err = unix.Seek(int(f.file.Fd()), start, unix.SEEK_HOLE)
	if err != nil {
		return start, size, nil
	}
	return start, min(end, size), nil
}

// Same tells whether another file of the host is this one.
func (f *File) Same(other disk.File) bool {
	o, ok := other.(*File)
	if !ok {
		return false
	}
	mine, err := f.file.Stat()
	if err != nil {
		return false
	}
	theirs, err := o.file.Stat()
	return err == nil && os.SameFile(mine, theirs)
}

// Allocated is the room that the file takes.
func (f *File) Allocated() (int64, error) {
	if f.device > 0 {
		return f.device, nil
	}
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.file.Fd()), &stat); err != nil {
		return 0, f.failed("stat", err)
	}
	return stat.Blocks * 512, nil
}

// CopyRange copies from another file of the host: by sharing its blocks where
// the file system can, else by having a file server copy. On others it is
// errors.ErrUnsupported: reading and writing was measured to be quicker on a quiet
// machine and no slower on a busy one, and it can leave zeros out.
func (f *File) CopyRange(off int64, src disk.File, srcOff, n int64) (int64, error) {
	from, ok := src.(*File)
	if !ok || f.device > 0 || from.device > 0 {
		return 0, errors.ErrUnsupported
	}
	if !f.write {
		return 0, f.readOnly("write")
	}
	if f.clone(off, from, srcOff, n) {
		return n, nil
	}
	if !f.served() {
		return 0, errors.ErrUnsupported
	}
	for {
		k, err := unix.CopyFileRange(int(from.file.Fd()), &srcOff, int(f.file.Fd()), &off, int(min(n, 1<<30)), 0)
		switch err {
		case nil:
			return int64(k), nil
		case unix.EINTR:
		case unix.ENOSYS, unix.EXDEV, unix.EOPNOTSUPP, unix.EINVAL:
			return 0, errors.ErrUnsupported
		default:
			return 0, f.failed("write", err)
		}
	}
}

// served tells whether a server keeps the file, which may copy without sending
// its content here and back.
func (f *File) served() bool {
	var stat unix.Statfs_t
	if err := retry(func() error { return unix.Fstatfs(int(f.file.Fd()), &stat) }); err != nil {
		return false
	}
	switch uint32(stat.Type) {
	case unix.NFS_SUPER_MAGIC, unix.SMB2_SUPER_MAGIC, unix.CIFS_SUPER_MAGIC, unix.CEPH_SUPER_MAGIC, unix.FUSE_SUPER_MAGIC:
		return true
	}
	return false
}

// clone shares the blocks of a range; it tells whether that went.
func (f *File) clone(off int64, from *File, srcOff, n int64) bool {
	return unix.IoctlFileCloneRange(int(f.file.Fd()), &unix.FileCloneRange{
		Src_fd: int64(from.file.Fd()), Src_offset: uint64(srcOff), Src_length: uint64(n), Dest_offset: uint64(off),
	}) == nil
}

func (f *File) readOnly(op string) error {
	return &fs.PathError{Op: op, Path: f.Name(), Err: disk.ErrReadOnly}
}

func (f *File) failed(op string, err error) error {
	if err == nil {
		return nil
	}
	return &fs.PathError{Op: op, Path: f.Name(), Err: err}
}

func retry(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}
