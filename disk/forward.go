package disk

import (
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
)

// forward is the file of an image that comes through a pipe. What is read
// behind the place that was reached makes it go there. What it passes on the
// way is kept; what was given as content is not, nor can it be had again.
type forward struct {
	mu   sync.Mutex // guards what follows
	pipe *Pipe
	size int64
	pos  int64 // how far the pipe was read
	kept keeper
	over bool // the pipe's end has come, where it was not known to be
	stop bool // reading may not go on: see stay
	want int64
}

// endless is the length of a file that is not known: what no table can reach.
const endless = 1 << 46

// errAhead says that something lies behind the place that was reached.
var errAhead = errors.New("it lies ahead")

// ReadAt reads what was kept, or goes on.
func (f *forward) ReadAt(p []byte, off int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	short := false
	if off < 0 || off >= f.size {
		return 0, io.EOF
	}
	if int64(len(p)) > f.size-off {
		p, short = p[:f.size-off], true
	}
	end := off + int64(len(p))
	if end > f.pos {
		if f.stop {
			f.want = end
			return 0, errAhead
		}
		if err := f.keepUntil(end); err != nil {
			return 0, err
		}
	}
	if end > f.size { // the file was shorter than was thought
		p, short = p[:max(0, f.size-off)], true
	}
	if err := f.kept.read(p, off); err != nil {
		return 0, err
	}
	if short {
		return len(p), io.EOF
	}
	return len(p), nil
}

// keepUntil reads on to an offset and keeps what passes.
func (f *forward) keepUntil(end int64) error {
	buffer := make([]byte, min(end-f.pos, 256<<10))
	for f.pos < end {
		n, err := io.ReadFull(f.pipe, buffer[:min(end-f.pos, int64(len(buffer)))])
		if err := f.kept.write(buffer[:n], f.pos); err != nil {
			return err
		}
		f.pos += int64(n)
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			f.over, f.size = true, f.pos
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// content reads content, of which nothing is kept that lies ahead.
func (f *forward) content(p []byte, off int64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	behind := p[:max(0, min(int64(len(p)), f.pos-off))]
	if err := f.kept.read(behind, off); err != nil {
		return err
	}
	ahead := p[len(behind):]
	if len(ahead) == 0 {
		return nil
	}
	off += int64(len(behind))
	if err := f.keepUntil(off); err != nil {
		return err
	}
	n, err := io.ReadFull(f.pipe, ahead)
	f.pos += int64(n)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return Corrupt(f.pipe.format.Name, f.pos, "the file ends within its content")
	}
	return err
}

// stay lets nothing be read that lies ahead while do works; how far that would
// have had to be read is returned.
func (f *forward) stay(do func() error) (want int64, err error) {
	f.mu.Lock()
	f.stop = true
	f.mu.Unlock()
	err = do()
	f.mu.Lock()
	f.stop = false
	want = f.want
	f.mu.Unlock()
	return want, err
}

// Size is the length of the file, as far as it is known.
func (f *forward) Size() (int64, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.size, nil
}

// WriteAt refuses.
func (f *forward) WriteAt([]byte, int64) (int, error) { return 0, ErrReadOnly }

// Truncate refuses.
func (f *forward) Truncate(int64) error { return ErrReadOnly }

// Sync has nothing to do.
func (f *forward) Sync() error { return nil }

// Close gives back what was kept.
func (f *forward) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.kept.close()
}

// keeper keeps ranges of a file: in memory, or in a file if there is one.
type keeper struct {
	format string
	make   func() (File, error)
	file   File
	ranges []keptRange // ascending, none touching the next
	bytes  int64
}

// keptRange is a range that was kept; data is nil when it is in the file.
type keptRange struct {
	off, end int64
	data     []byte
}

// maxKept is how much is kept in memory, bytes.
const maxKept = 32 << 20

// maxRanges bounds how many ranges are kept apart from one another.
const maxRanges = 1 << 20

// write keeps what follows on everything that was kept before.
func (k *keeper) write(p []byte, off int64) error {
	if len(p) == 0 {
		return nil
	}
	k.bytes += int64(len(p))
	if k.make == nil && k.bytes > maxKept {
		return fmt.Errorf("%s: more than %d bytes stand in it before what tells what they are for: %w", k.format, maxKept, ErrForward)
	}
	last := len(k.ranges) - 1
	if last < 0 || k.ranges[last].end != off {
		if last >= maxRanges {
			return fmt.Errorf("%s: its content and its tables alternate too often: %w", k.format, ErrForward)
		}
		k.ranges = append(k.ranges, keptRange{off: off, end: off})
		last++
	}
	k.ranges[last].end += int64(len(p))
	if k.make == nil {
		k.ranges[last].data = append(k.ranges[last].data, p...)
		return nil
	}
	if k.file == nil {
		var err error
		if k.file, err = k.make(); err != nil {
			return err
		}
	}
	_, err := k.file.WriteAt(p, off)
	return err
}

// read reads what was kept.
func (k *keeper) read(p []byte, off int64) error {
	for len(p) > 0 {
		i, _ := slices.BinarySearchFunc(k.ranges, off, func(r keptRange, off int64) int {
			if r.end <= off {
				return -1
			}
			return 1
		})
		if i == len(k.ranges) || k.ranges[i].off > off {
			return fmt.Errorf("%s: something leads back to %#x, which has passed: %w", k.format, off, ErrForward)
		}
		r := k.ranges[i]
		n := min(int64(len(p)), r.end-off)
		if r.data != nil {
			copy(p, r.data[off-r.off:])
		} else if m, err := k.file.ReadAt(p[:n], off); int64(m) < n {
			return err
		}
		p, off = p[n:], off+n
	}
	return nil
}

func (k *keeper) close() error {
	k.ranges = nil
	if k.file == nil {
		return nil
	}
	err := k.file.Close()
	k.file = nil
	return err
}
