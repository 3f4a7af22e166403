package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"testing/iotest"

	"github.com/panalvm/panal/disk"
)

// checkNew makes an image, and finds it empty and what it was to be.
func checkNew(s Subject) error {
	w := newWorld(s)
	img, err := w.create("new", s.Size)
	if err != nil {
		return fmt.Errorf("creating: %w", err)
	}
	empty := make([]byte, s.Size)
	if err := errors.Join(same(img, empty), s.described(img)); err != nil {
		return errors.Join(err, img.Close())
	}
	if err := w.finished(img); err != nil {
		return err
	}
	for _, write := range []bool{false, true} {
		err := w.with("new", write && s.variant().Write, func(img disk.Image) error {
			return errors.Join(same(img, empty), mapped(img, empty), s.described(img), s.sound(img, disk.Note))
		})
		if err != nil {
			return err
		}
	}
	if _, err := w.create("new", s.Size); err == nil {
		return errors.New("an image was created in place of one that exists")
	}
	return nil
}

// described checks what an image says of itself.
func (s Subject) described(img disk.Image) error {
	info := disk.Describe(img)
	switch variant := s.variant().Name; {
	case info.Format != s.Format.Name:
		return fmt.Errorf("the image says that its format is %q; it is %q", info.Format, s.Format.Name)
	case info.Size != img.Size():
		return fmt.Errorf("the image says that its size is %d; it is %d", info.Size, img.Size())
	case !s.known(info.Variant):
		return fmt.Errorf("the image says that it is a %q, which %s does not list", info.Variant, s.Format.Name)
	case variant != "" && info.Variant != "" && info.Variant != variant && !s.Unsigned:
		return fmt.Errorf("the image says that it is a %q; it was created as %q", info.Variant, variant)
	}
	return nil
}

// checkRead reads in every manner, within the disk, at its end and behind.
func checkRead(s Subject) error {
	w, content, err := patterned(s)
	if err != nil {
		return err
	}
	return w.with("disk", false, func(img disk.Image) error {
		if err := errors.Join(same(img, content), s.described(img), s.sound(img, disk.Note)); err != nil {
			return err
		}
		if err := iotest.TestReader(io.NewSectionReader(img, 0, img.Size()), content); err != nil {
			return err
		}
		return errors.Join(readPieces(img, content), readEnds(img, content))
	})
}

// readPieces reads ranges of all lengths.
func readPieces(img disk.Image, content []byte) error {
	rng, size := seeded(2), int64(len(content))
	for range 500 {
		off := rng.Int64N(size)
		n := min(1+rng.Int64N(1<<rng.IntN(22)), size-off)
		if err := sameAt(img, make([]byte, n), content[off:off+n], off); err != nil {
			return err
		}
	}
	return nil
}

// readEnds reads where the disk ends and where it is not.
func readEnds(img disk.Image, content []byte) error {
	size := int64(len(content))
	for _, c := range []struct {
		off  int64
		ask  int
		want int
		end  bool
	}{
		{size - 1, 1, 1, false},
		{size - 1, 2, 1, true},
		{size - 100, 5000, 100, true},
		{size, 1, 0, true},
		{size + 1, 1, 0, true},
		{size + 1<<40, 512, 0, true},
		{math.MaxInt64 - 5, 512, 0, true},
	} {
		buffer := bytes.Repeat([]byte{0xee}, c.ask)
		n, err := img.ReadAt(buffer, c.off)
		if n != c.want || c.end && err != io.EOF || !c.end && err != nil && err != io.EOF {
			return fmt.Errorf("reading %d bytes at %d of %d gave %d bytes and the error %v", c.ask, c.off, size, n, err)
		}
		if n > 0 && !bytes.Equal(buffer[:n], content[c.off:]) {
			return fmt.Errorf("reading %d bytes at %d of %d gave others than are there", c.ask, c.off, size)
		}
	}
	for _, off := range []int64{-1, math.MinInt64} {
		if n, err := img.ReadAt(make([]byte, 10), off); err == nil || err == io.EOF || n != 0 {
			return fmt.Errorf("reading at %d gave %d bytes and the error %v", off, n, err)
		}
	}
	return nil
}

// checkRange writes where the disk is not.
func checkRange(s Subject) error {
	w := newWorld(s)
	content := pattern(s.Size, s.Block, 4)
	img, err := w.create("disk", s.Size)
	if err != nil {
		return err
	}
	if err := fill(img, s.variant(), content); err != nil {
		return errors.Join(err, img.Close())
	}
	return errors.Join(beyond(img, content), img.Close())
}

// beyond tries all writing calls beyond the end, and finds nothing changed.
func beyond(img disk.Image, content []byte) error {
	size := img.Size()
	calls := map[string]func(off, n int64) error{
		"write": func(off, n int64) error {
			written, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{0xdd}, int(n)), off)
			if written != 0 {
				return fmt.Errorf("%d bytes were written", written)
			}
			return err
		},
		"zero":    func(off, n int64) error { return disk.Zero(img, off, n) },
		"discard": func(off, n int64) error { return disk.Discard(img, off, n) },
	}
	for name, call := range calls {
		for _, r := range [][2]int64{{size, 1}, {size - 1, 2}, {size - 700, 4096}, {size + 512, 512}, {-1, 1}, {-512, 1024}, {math.MaxInt64 - 5, 10}} {
			if err := call(r[0], r[1]); !errors.Is(err, disk.ErrRange) {
				return fmt.Errorf("%s [%d,+%d) of %d gave the error %w; it should be ErrRange", name, r[0], r[1], size, err)
			}
		}
		if err := call(size, 0); err != nil {
			return fmt.Errorf("%s of nothing at the disk's end: %w", name, err)
		}
		if err := same(img, content); err != nil {
			return fmt.Errorf("after %s beyond the end: %w", name, err)
		}
	}
	return nil
}
