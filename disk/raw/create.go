package raw

import (
	"errors"
	"fmt"
	"io"

	"github.com/panalvm/panal/disk"
)

// defaultSplit is the size of parts unless another is asked for: what every
// file system can hold.
const defaultSplit = 2 << 30

// create makes an empty disk: files that are one hole.
func create(t *disk.Target) (disk.Image, error) {
	i := &image{write: true, size: t.Size, parts: []part{{file: t.File, name: t.Name}}}
	if err := i.make(t); err != nil {
		return nil, errors.Join(err, i.closeParts())
	}
	i.media.variant = plain
	return i, nil
}

func (i *image) make(t *disk.Target) error {
	limit := t.Int("split")
	if t.Variant.Name == split && limit == 0 {
		limit = defaultSplit
	}
	if limit > 0 {
		if err := i.makeParts(t, limit); err != nil {
			return err
		}
	} else if err := blank(t.File, t.Size); err != nil {
		return err
	}
	return i.Sync()
}

// makeParts makes the parts of a split disk.
func (i *image) makeParts(t *disk.Target, limit int64) error {
	numbers, ok := numberingOf(t.Name)
	if !ok || !numbers.isFirst() {
		return disk.Usage("the first part of a split disk must be called .000, .001 or .aa")
	}
	if (t.Size+limit-1)/limit > maxParts {
		return disk.Usage("%d bytes in parts of %d are more than %d files; choose larger parts", t.Size, limit, maxParts)
	}
	if err := blank(t.File, min(limit, t.Size)); err != nil {
		return err
	}
	for start := limit; start < t.Size; start += limit {
		name := numbers.name(numbers.first + len(i.parts))
		file, err := t.Sibling(name)
		if err != nil {
			return err
		}
		i.parts = append(i.parts, part{file, name, start})
		if err := blank(file, min(limit, t.Size-start)); err != nil {
			return err
		}
	}
	return nil
}

// blank makes size bytes of a file read as zeros. What has a length already
// is a device, or was used before.
func blank(f disk.File, size int64) error {
	have, err := f.Size()
	if err != nil {
		return err
	}
	if isDevice(f) {
		if have < size {
			return disk.Usage("the device has %d bytes, too few for a disk of %d", have, size)
		}
		return disk.PunchHole(f, 0, size)
	}
	if have > 0 {
		if err := f.Truncate(0); err != nil {
			return err
		}
	}
	return f.Truncate(size)
}

// sink writes a disk to a pipe, zeros and all.
type sink struct {
	w    io.Writer
	at   int64
	size int64
}

// sinkBlock is how much a sink takes at once.
const sinkBlock = 1 << 20

func newSink(w io.Writer, t *disk.Target) (*sink, error) {
	if t.Int("split") > 0 {
		return nil, disk.Usage("a disk that is written to a pipe cannot be split; pipe it into split(1)")
	}
	return &sink{w: w, size: t.Size}, nil
}

// BlockSize is the length of a block.
func (s *sink) BlockSize() int { return sinkBlock }

// Encode leaves a block as it is.
func (s *sink) Encode(dst, block []byte) ([]byte, error) {
	if len(dst) == 0 {
		return block, nil
	}
	return append(dst, block...), nil
}

// Append writes a block, and the zeros before it.
func (s *sink) Append(off int64, encoded []byte) error {
	if off < s.at || disk.InRange(off, int64(len(encoded)), s.size) != nil {
		return fmt.Errorf("raw: block [%d,+%d) after %d bytes of %d", off, len(encoded), s.at, s.size)
	}
	if err := s.zeros(off); err != nil {
		return err
	}
	n, err := s.w.Write(encoded)
	s.at += int64(n)
	return err
}

// zeros writes zeros up to an offset.
func (s *sink) zeros(end int64) error {
	var none [64 << 10]byte
	for s.at < end {
		n, err := s.w.Write(none[:min(int64(len(none)), end-s.at)])
		s.at += int64(n)
		if err != nil {
			return err
		}
	}
	return nil
}

// Close writes the zeros at the end.
func (s *sink) Close() error { return s.zeros(s.size) }
