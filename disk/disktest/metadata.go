package disktest

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/panalvm/panal/disk"
)

// checkResize makes a disk longer and shorter.
func checkResize(s Subject) error {
	w := newWorld(s)
	content := make([]byte, s.Size)
	noise(content, 50)
	if err := w.filled("disk", content); err != nil {
		return err
	}
	m := &model{world: w, image: "disk", content: content}
	var err error
	if m.img, err = w.open("disk", true); err != nil {
		return err
	}
	for _, size := range []int64{s.Size + 1, 2 * s.Size, 2 * s.Size, s.Size / 2, s.Block + 1, s.Block, 2*s.Block + 1, s.Size} {
		if err := m.resize(s.aligned(size)); err != nil {
			return errors.Join(err, m.img.Close())
		}
		// What is added later must be zero also where something was cut.
		if last := int64(len(m.content)) - 1; last >= 0 {
			if err := apply(m.img, m.content, op{Kind: opWrite, Place: max(0, last-3000), Len: 3001, Seed: uint64(size)}); err != nil {
				return errors.Join(err, m.img.Close())
			}
		}
		if err := m.reopen(true); err != nil {
			return fmt.Errorf("resized to %d: %w", s.aligned(size), err)
		}
	}
	for _, size := range []int64{-1, math.MaxInt64 / s.Align * s.Align} {
		if err := disk.Resize(m.img, size); err == nil && size < 0 {
			return errors.Join(fmt.Errorf("resizing to %d was not refused", size), m.img.Close())
		} else if err == nil {
			m.content = nil // a sparse disk of 8 EiB is possible; nothing to compare
		}
	}
	if m.content == nil {
		return m.finished(m.img)
	}
	return errors.Join(same(m.img, m.content), m.finished(m.img))
}

// checkCompact makes an image smaller, and cuts the power meanwhile.
func checkCompact(s Subject) error {
	w, content, err := patterned(s)
	if err != nil {
		return err
	}
	err = w.with("disk", true, func(img disk.Image) error {
		for _, o := range randomOps(seeded(60), s, 40) {
			if err := apply(img, content, o); err != nil {
				return err
			}
		}
		half := s.Size / 2 / s.Block * s.Block
		return apply(img, content, op{Kind: opZero, Place: s.Block / 2, Len: half})
	})
	if err != nil {
		return err
	}
	w.settle()
	c := &crashes{
		world: w, image: "disk", rng: seeded(61), history: newHistory(content),
		likely: s.likely(),
	}
	before, room := w.total(), w.room()
	err = w.with("disk", true, func(img disk.Image) error {
		c.watch()
		defer func() { w.mem.OnOp = nil }()
		freed, err := img.(disk.Compacter).Compact(context.Background(), func(done, total int64) {
			if done < 0 || done > total {
				c.note(func(*history) { c.failed = fmt.Errorf("compact is at %d of %d", done, total) })
			}
		})
		if err != nil {
			return err
		}
		// Of files that keep their length it is the room that they take.
		if now := w.total(); freed != before-now && (now != before || freed != room-w.room()) {
			return fmt.Errorf("compact says that %d bytes were freed; the files had %d and have %d", freed, before, now)
		}
		return errors.Join(c.failed, same(img, content), mapped(img, content), s.sound(img, disk.Note))
	})
	if err != nil {
		return err
	}
	return s.holds(w, content)
}

// total is the length of all files.
func (w *world) total() int64 {
	total := int64(0)
	for _, name := range w.mem.Names() {
		total += int64(len(w.mem.Bytes(name)))
	}
	return total
}

// room is what all files take.
func (w *world) room() int64 {
	total := int64(0)
	for _, name := range w.mem.Names() {
		if f, err := w.mem.Open(name, false); err == nil {
			n, _ := f.(disk.Allocated).Allocated() // of a memfs file this does not fail
			total += n
			_ = f.Close()
		}
	}
	return total
}

// checkUUID gives an image another identity.
func checkUUID(s Subject) error {
	w, content, err := patterned(s)
	if err != nil {
		return err
	}
	for _, uuid := range []string{"12345678-9abc-4def-8123-456789abcdef", ""} {
		before := ""
		err := w.with("disk", true, func(img disk.Image) error {
			before = disk.Describe(img).UUID
			return img.(disk.Identified).SetUUID(uuid)
		})
		if err != nil {
			return fmt.Errorf("setting the UUID %q: %w", uuid, err)
		}
		err = w.with("disk", false, func(img disk.Image) error {
			now := disk.Describe(img).UUID
			if uuid != "" && now != uuid || now == before || len(now) != 36 {
				return fmt.Errorf("the UUID %q was set; the image says %q", uuid, now)
			}
			return errors.Join(same(img, content), s.sound(img, disk.Note))
		})
		if err != nil {
			return err
		}
	}
	return w.with("disk", true, func(img disk.Image) error {
		if err := img.(disk.Identified).SetUUID("not a uuid"); err == nil {
			return errors.New("an identity that is no UUID was taken")
		}
		return nil
	})
}

// checkSetParent tells a differencing image of another parent, then of none.
func checkSetParent(s Subject) error {
	w := newWorld(s)
	base := make([]byte, s.Size)
	noise(base, 70)
	if err := errors.Join(w.filled("base", base), w.filled("other", base)); err != nil {
		return err
	}
	view, err := w.link("child", "base", base, s.Size, seeded(71))
	if err != nil {
		return err
	}
	own, err := w.ownLayer("child", view)
	if err != nil {
		return err
	}
	if err := w.adoptedBy("child", "other"); err != nil {
		return err
	}
	if err := w.removeFiles("base"); err != nil {
		return err
	}
	err = w.with("child", false, func(img disk.Image) error {
		return errors.Join(same(img, view), mapped(img, view), deep(img, 2), s.sound(img, disk.Leak))
	})
	if err != nil {
		return fmt.Errorf("with another parent: %w", err)
	}
	err = w.with("child", true, func(img disk.Image) error { return img.(disk.Reparenter).SetParent(nil, "", "") })
	if errors.Is(err, errors.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return w.with("child", false, func(img disk.Image) error { return errors.Join(same(img, own), deep(img, 1)) })
}

// adoptedBy tells an image that another is its parent.
func (w *world) adoptedBy(child, parent string) error {
	other, err := w.open(parent, false)
	if err != nil {
		return err
	}
	img, err := w.open(child, true)
	if err != nil {
		return errors.Join(err, other.Close())
	}
	err = img.(disk.Reparenter).SetParent(other, w.reference(child, parent), disk.Describe(other).Format)
	return errors.Join(err, img.Close(), other.Close(), w.fs.allClosed())
}

// checkTruncated opens images that were cut anywhere.
func checkTruncated(s Subject) error {
	w, _, err := patterned(s)
	if err != nil {
		return err
	}
	whole := w.mem.Bytes(w.File("disk"))
	size := int64(len(whole))
	cuts := []int64{0, 1, 511, 512, 513, 1024, 4096, size / 2, size - 513, size - 512, size - 1}
	rng := seeded(80)
	for range 30 {
		cuts = append(cuts, rng.Int64N(size+1), rng.Int64N(min(size, 64<<10)+1))
	}
	slices.Sort(cuts)
	for _, cut := range slices.Compact(cuts) {
		if cut < 0 || cut > size {
			continue
		}
		w.mem.Put(w.File("disk"), whole[:cut])
		img, err := w.open("disk", false)
		if err == nil {
			err = errors.Join(lookThrough(img), img.Close())
		} else {
			err = nil // it may well be refused
		}
		if err = errors.Join(err, w.fs.allClosed()); err != nil {
			return fmt.Errorf("the file cut from %d to %d bytes: %w", size, cut, err)
		}
	}
	return nil
}
