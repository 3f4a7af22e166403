package disktest

import (
	"bytes"
	"errors"
	"fmt"
	"sync"

	"github.com/panalvm/panal/disk"
)

// compress fills an empty image through its Compressor.
func compress(img disk.Image, content []byte) error {
	c, ok := img.(disk.Compressor)
	if !ok {
		return fmt.Errorf("%T is no disk.Compressor, and its variant takes compressed blocks only", img)
	}
	sink, err := c.Compressing()
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	return feed(sink, content)
}

// feed puts a content into a sink: several blocks are encoded at once, blocks
// of zeros are left out but for a few.
func feed(sink disk.Sink, content []byte) error {
	block := int64(sink.BlockSize())
	if block <= 0 || block&(block-1) != 0 {
		return fmt.Errorf("a sink with blocks of %d bytes, which is no power of two", block)
	}
	size := int64(len(content))
	const together = 4
	for off := int64(0); off < size; off += together * block {
		if err := feedSome(sink, content, off, min(off+together*block, size)); err != nil {
			return err
		}
	}
	if err := sink.Close(); err != nil {
		return fmt.Errorf("closing the sink: %w", err)
	}
	return nil
}

func feedSome(sink disk.Sink, content []byte, start, end int64) error {
	block := int64(sink.BlockSize())
	count := (end - start + block - 1) / block
	parts, encoded, failed := make([][]byte, count), make([][]byte, count), make([]error, count)
	var working sync.WaitGroup
	for i := range count {
		off := start + i*block
		part := bytes.Clone(content[off:min(off+block, end)])
		if isZero(part) && off/block%5 != 0 {
			continue
		}
		parts[i] = part
		working.Go(func() { encoded[i], failed[i] = sink.Encode([]byte("kept"), part) })
	}
	working.Wait()
	if err := errors.Join(failed...); err != nil {
		return fmt.Errorf("encoding: %w", err)
	}
	for i, e := range encoded {
		if e == nil {
			continue
		}
		off := start + int64(i)*block
		kept := bytes.HasPrefix(e, []byte("kept"))
		if !kept && !sameSlice(e, parts[i]) {
			return errors.New("what Encode gave is neither appended to what it was given, nor the block")
		}
		if kept {
			e = e[len("kept"):]
		}
		if err := sink.Append(off, e); err != nil {
			return fmt.Errorf("appending the block at %d: %w", off, err)
		}
	}
	return nil
}

// sameSlice tells whether two slices are the same memory.
func sameSlice(a, b []byte) bool { return len(a) == len(b) && len(a) > 0 && &a[0] == &b[0] }

// checkCompress fills an image with compressed blocks.
func checkCompress(s Subject) error {
	for seed, content := range contents(s) {
		w := newWorld(s)
		img, err := w.create("disk", int64(len(content)))
		if err != nil {
			return err
		}
		if err := compress(img, content); err != nil {
			return errors.Join(err, img.Close())
		}
		if err := errors.Join(same(img, content), mapped(img, content)); err != nil {
			return errors.Join(fmt.Errorf("content %d: %w", seed, err), img.Close())
		}
		if err := w.finished(img); err != nil {
			return err
		}
		if err := s.holds(w, content); err != nil {
			return fmt.Errorf("content %d: %w", seed, err)
		}
	}
	return nil
}

// contents are contents to fill images with: a pattern, nothing at all, all
// data, and one block only.
func contents(s Subject) [][]byte {
	full := make([]byte, s.Size)
	noise(full, 8)
	last := make([]byte, s.Size)
	noise(last[s.Size-100:], 9)
	tiny := make([]byte, s.aligned(1))
	noise(tiny, 10)
	return [][]byte{pattern(s.Size, s.Block, 7), make([]byte, s.Size), full, last, tiny}
}

// holds opens the image "disk" of a world and looks through all of it.
func (s Subject) holds(w *world, content []byte) error {
	for _, write := range []bool{false, true} {
		err := w.with("disk", write && s.variant().Write, func(img disk.Image) error {
			return errors.Join(same(img, content), mapped(img, content), s.described(img), s.sound(img, disk.Note))
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// checkStream writes images to a pipe.
func checkStream(s Subject) error {
	for seed, content := range contents(s) {
		var pipe bytes.Buffer
		sink, err := disk.NewStream(&pipe, disk.CreateOptions{
			Formats: s.Formats, Format: s.kind(), Size: int64(len(content)), Options: s.Options,
			Data: extentsOf(content, 64<<10),
		})
		if err != nil {
			return err
		}
		if err := feed(sink, content); err != nil {
			return fmt.Errorf("content %d: %w", seed, err)
		}
		w := newWorld(s)
		w.mem.Put(w.File("disk"), pipe.Bytes())
		if err := s.holds(w, content); err != nil {
			return fmt.Errorf("content %d: %w", seed, err)
		}
	}
	return nil
}

// extentsOf are the ranges of content that hold data, by units.
func extentsOf(content []byte, unit int64) []disk.Extent {
	var all []disk.Extent
	size := int64(len(content))
	for off := int64(0); off < size; off += unit {
		n := min(unit, size-off)
		if !isZero(content[off : off+n]) {
			all = append(all, disk.Extent{Off: off, Len: n, State: disk.Data})
		}
	}
	return all
}
