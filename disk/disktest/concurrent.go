package disktest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// stripe is the unit that concurrent writers and readers share a disk by: no
// multiple of anything, so that they meet within sectors and blocks.
const stripe = 1000

// checkConcurrent writes from several goroutines, reads and syncs from others.
func checkConcurrent(s Subject) error {
	w := newWorld(s)
	content := make([]byte, s.Size)
	img, err := w.create("disk", s.Size)
	if err != nil {
		return err
	}
	return w.together(img, content)
}

// checkConcurrentChild is checkConcurrent over a parent: blocks are copied
// while they are read.
func checkConcurrentChild(s Subject) error {
	w := newWorld(s)
	content := make([]byte, s.Size)
	noise(content, 40)
	if err := w.filled("base", content); err != nil {
		return err
	}
	_, cleanup, err := w.derive("disk", s.Size, "base")
	if err == nil {
		err = cleanup()
	}
	if err != nil {
		return err
	}
	img, err := w.open("disk", true)
	if err != nil {
		return err
	}
	return w.together(img, content)
}

// together writes two of three stripes of a disk and reads the third, which
// must not change; then it looks through all of it.
func (w *world) together(img disk.Image, content []byte) error {
	var writing, reading sync.WaitGroup
	var written atomic.Bool
	failed := make([]error, 4)
	before := append([]byte(nil), content...)
	for writer := range 2 {
		writing.Go(func() { failed[writer] = writeStripes(img, content, writer) })
	}
	reading.Go(func() {
		for failed[2] == nil {
			done := written.Load()
			if failed[2] = readStripes(img, before); done {
				return
			}
		}
	})
	reading.Go(func() {
		for failed[3] == nil && !written.Load() {
			failed[3] = img.(disk.Writer).Sync()
		}
	})
	writing.Wait()
	written.Store(true)
	reading.Wait()
	if err := errors.Join(failed...); err != nil {
		return errors.Join(err, img.Close())
	}
	if err := errors.Join(same(img, content), mapped(img, content)); err != nil {
		return errors.Join(fmt.Errorf("after concurrent writes: %w", err), img.Close())
	}
	if err := w.finished(img); err != nil {
		return err
	}
	return w.with("disk", false, func(img disk.Image) error {
		return errors.Join(same(img, content), w.sound(img, disk.Leak))
	})
}

// writeStripes writes the stripes of one of the two writers.
func writeStripes(img disk.Image, content []byte, writer int) error {
	for off := writer * stripe; off < len(content); off += 3 * stripe {
		part := content[off:min(off+stripe, len(content))]
		noise(part, uint64(off)+1)
		if n, err := img.(disk.Writer).WriteAt(part, int64(off)); err != nil || n != len(part) {
			return fmt.Errorf("writing [%d,+%d) beside others: %d written, %w", off, len(part), n, err)
		}
	}
	return nil
}

// readStripes reads the stripes that nobody writes.
func readStripes(img disk.Image, content []byte) error {
	buffer := make([]byte, stripe)
	for off := 2 * stripe; off < len(content); off += 3 * stripe {
		want := content[off:min(off+stripe, len(content))]
		if err := sameAt(img, buffer[:len(want)], want, int64(off)); err != nil {
			return fmt.Errorf("while others write beside it: %w", err)
		}
	}
	return nil
}
