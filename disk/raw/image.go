package raw

import (
	"errors"
	"fmt"
	"io"
	"sort"
	"sync"

	"github.com/panalvm/panal/disk"
)

// part is a file that holds the disk from start on.
type part struct {
	file  disk.File
	name  string
	start int64 // on the disk, bytes
}

// image is an open raw disk.
type image struct {
	write bool
	media media
	guard *guard // nil when the format was named

	mu    sync.RWMutex // guards size; held for reading by all that reads or writes
	parts []part       // ascending; at least one
	size  int64
}

var (
	_ disk.Writer     = (*image)(nil)
	_ disk.Mapper     = (*image)(nil)
	_ disk.Zeroer     = (*image)(nil)
	_ disk.Discarder  = (*image)(nil)
	_ disk.Resizer    = (*image)(nil)
	_ disk.Compacter  = (*image)(nil)
	_ disk.Describer  = (*image)(nil)
	_ disk.HostCopier = (*image)(nil)
)

// open opens a disk with all its parts.
func open(s *disk.Source) (disk.Image, error) {
	i := &image{write: s.Write, parts: []part{{file: s.File, name: s.Name}}}
	if err := i.load(s); err != nil {
		return nil, errors.Join(err, i.closeParts())
	}
	if s.Guessed && s.Write {
		i.guard = &guard{name: s.Name, probe: s.Probe}
	}
	i.media.guessed = s.Guessed
	return i, nil
}

func (i *image) load(s *disk.Source) (err error) {
	if i.size, err = s.File.Size(); err != nil {
		return err
	}
	if err := i.addParts(s); err != nil {
		return err
	}
	i.media, err = recognise(i.read, i.size)
	return err
}

// Size is the disk's size.
func (i *image) Size() int64 {
	i.mu.RLock()
	defer i.mu.RUnlock()
	return i.size
}

// CanWrite tells whether the disk was opened for writing.
func (i *image) CanWrite() bool { return i.write }

// Close closes the parts.
func (i *image) Close() error { return i.closeParts() }

func (i *image) closeParts() error {
	var failed error
	for _, p := range i.parts {
		failed = errors.Join(failed, p.file.Close())
	}
	return failed
}

// Sync makes durable what was written.
func (i *image) Sync() error {
	if !i.write {
		return disk.ErrReadOnly
	}
	for _, p := range i.parts {
		if err := p.file.Sync(); err != nil {
			return err
		}
	}
	return nil
}

// at finds the part that holds off, where in it, and how much of n it has from
// there on.
func (i *image) at(off, n int64) (file disk.File, hostOff, have int64) {
	k := 0
	if len(i.parts) > 1 {
		k = sort.Search(len(i.parts), func(k int) bool { return i.parts[k].start > off }) - 1
	}
	end := i.size
	if k+1 < len(i.parts) {
		end = i.parts[k+1].start
	}
	return i.parts[k].file, off - i.parts[k].start, min(n, end-off)
}

// each calls do for every part of a range.
func (i *image) each(off, n int64, do func(file disk.File, hostOff, from, n int64) error) error {
	for done := int64(0); done < n; {
		file, hostOff, have := i.at(off+done, n-done)
		if err := do(file, hostOff, done, have); err != nil {
			return err
		}
		done += have
	}
	return nil
}

// ReadAt reads straight from the files, without asking for holes.
func (i *image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, fmt.Errorf("read at %d: %w", off, disk.ErrRange)
	}
	i.mu.RLock()
	defer i.mu.RUnlock()
	if len(p) == 0 {
		return 0, nil
	}
	n := min(int64(len(p)), i.size-off)
	if n <= 0 {
		return 0, io.EOF
	}
	if err := i.read(p[:n], off); err != nil {
		return 0, err
	}
	if n < int64(len(p)) {
		return int(n), io.EOF
	}
	return int(n), nil
}

// read fills p from a range that the disk has.
func (i *image) read(p []byte, off int64) error {
	return i.each(off, int64(len(p)), func(file disk.File, hostOff, from, n int64) error {
		k, err := file.ReadAt(p[from:from+n], hostOff)
		if int64(k) == n {
			return nil
		}
		if errors.Is(err, io.EOF) {
			return disk.Corrupt("raw", hostOff+int64(k), "the file was made shorter while it was open: %d bytes are missing", n-int64(k))
		}
		return err
	})
}

// Map asks the file system for holes. What it does not hold it calls
// unallocated.
func (i *image) Map(off, n int64) (disk.Extent, error) {
	i.mu.RLock()
	defer i.mu.RUnlock()
	if err := disk.InRange(off, n, i.size); err != nil {
		return disk.Extent{}, err
	}
	file, hostOff, have := i.at(off, n)
	e := disk.Extent{Off: off, Len: have, State: disk.Data, File: file, HostOff: hostOff}
	holed, ok := file.(disk.Holed)
	if !ok {
		return e, nil
	}
	start, end, err := holed.NextData(hostOff)
	if err != nil {
		return disk.Extent{}, err
	}
	if start > hostOff {
		return disk.Extent{Off: off, Len: min(have, start-hostOff), State: disk.Unallocated}, nil
	}
	e.Len = min(have, max(1, end-hostOff))
	return e, nil
}

// Describe says what kind of disk it is.
func (i *image) Describe() disk.Info {
	i.mu.RLock()
	defer i.mu.RUnlock()
	info := i.media.info()
	info.Format, info.Size = "raw", i.size
	for k, p := range i.parts {
		info.Allocated += taken(p.file)
		if k > 0 {
			info.Files = append(info.Files, p.name)
		}
	}
	switch {
	case isDevice(i.parts[0].file):
		info.Variant = device
	case len(i.parts) > 1:
		info.Variant = split
	}
	return info
}

// taken is the room that a file takes; where that is not known, its length.
func taken(f disk.File) int64 {
	if a, ok := f.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			return n
		}
	}
	n, err := f.Size()
	if err != nil {
		return 0
	}
	return n
}

// isDevice tells whether a file is a block device.
func isDevice(f disk.File) bool {
	d, ok := f.(disk.Device)
	return ok && d.IsDevice()
}
