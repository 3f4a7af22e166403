package disktest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"

	"github.com/panalvm/panal/disk"
)

// randomOps are operations that change content and nothing else.
func randomOps(rng *rand.Rand, s Subject, count int) []op {
	ops := make([]op, count)
	for i := range ops {
		length := 1 + rng.Int64N([]int64{600, 5000, s.Block + 1, 3 * s.Block}[rng.IntN(4)])
		place := rng.Int64N(2 * s.Size)
		switch rng.IntN(3) {
		case 0:
			place = place / s.Block * s.Block
		case 1: // whole blocks, which may change hands
			place, length = place/s.Block*s.Block, (1+rng.Int64N(3))*s.Block
		}
		ops[i] = op{[]kind{opWrite, opWrite, opWrite, opWriteZeros, opZero, opDiscard}[rng.IntN(6)], place, length, rng.Uint64()}
	}
	return ops
}

// link makes a differencing image over parent, whose disk holds below; it
// changes the new disk, and returns what it then holds.
func (w *world) link(image, parent string, below []byte, size int64, rng *rand.Rand) ([]byte, error) {
	view := resized(below, size)
	img, cleanup, err := w.derive(image, size, parent)
	if err != nil {
		return nil, err
	}
	err = func() error {
		if err := errors.Join(same(img, view), mapped(img, view)); err != nil {
			return fmt.Errorf("a new differencing image: %w", err)
		}
		for _, o := range randomOps(rng, w.Subject, 12) {
			if err := apply(img, view, o); err != nil {
				return fmt.Errorf("%v: %w", o, err)
			}
		}
		return errors.Join(same(img, view), mapped(img, view))
	}()
	if err = errors.Join(err, cleanup()); err != nil {
		return nil, err
	}
	return view, w.fs.allClosed()
}

// chainSizes are the sizes of the disks of chains.
func (s Subject) chainSizes() [][3]int64 {
	equal := [3]int64{s.Size, s.Size, s.Size}
	if s.SameSize {
		return [][3]int64{equal}
	}
	half, more := s.aligned(s.Size/2), s.aligned(s.Size+s.Size/3)
	return [][3]int64{equal, {s.Size, half, more}, {half, more, s.Size}, {s.Size, more, half}}
}

// checkChain builds chains of three images.
func checkChain(s Subject) error {
	for n, sizes := range s.chainSizes() {
		rng := seeded(uint64(20 + n))
		w := newWorld(s)
		view := pattern(sizes[0], s.Block, rng.Uint64())
		if err := w.filled("base", view); err != nil {
			return err
		}
		view, err := w.link("middle", "base", view, sizes[1], rng)
		if err == nil {
			view, err = w.link("top", "middle", view, sizes[2], rng)
		}
		if err == nil {
			err = w.throughTop(view, rng)
		}
		if err != nil {
			return fmt.Errorf("disks of %d bytes: %w", sizes, err)
		}
	}
	return nil
}

// throughTop reads and writes the upmost of a chain of three.
func (w *world) throughTop(view []byte, rng *rand.Rand) error {
	err := w.with("top", false, func(img disk.Image) error {
		return errors.Join(same(img, view), mapped(img, view), layered(img, view), deep(img, 3), w.sound(img, disk.Leak))
	})
	if err != nil {
		return err
	}
	before := w.snapshot()
	err = w.with("top", true, func(img disk.Image) error {
		for _, o := range randomOps(rng, w.Subject, 20) {
			if err := apply(img, view, o); err != nil {
				return fmt.Errorf("%v: %w", o, err)
			}
		}
		return errors.Join(same(img, view), mapped(img, view))
	})
	if err != nil {
		return err
	}
	if err := w.unchangedFiles(before, w.File("base"), w.File("middle")); err != nil {
		return fmt.Errorf("a write to the child: %w", err)
	}
	return w.with("top", false, func(img disk.Image) error {
		return errors.Join(same(img, view), mapped(img, view), w.sound(img, disk.Leak))
	})
}

// deep checks how many images a chain has, and that each names its parent.
func deep(img disk.Image, want int) error {
	have := 1
	for parent := disk.Parent(img); parent != nil; parent = disk.Parent(parent) {
		if disk.Describe(img).Parent == nil {
			return fmt.Errorf("the image at depth %d has a parent and does not describe it", have-1)
		}
		img = parent
		have++
	}
	if have != want {
		return fmt.Errorf("the chain has %d images; it should have %d", have, want)
	}
	return nil
}

// layered checks what the layers of a chain claim.
func layered(img disk.Image, content []byte) error {
	at := int64(0)
	for layer, err := range disk.Layers(context.Background(), img) {
		if err != nil {
			return fmt.Errorf("layers, at %d: %w", at, err)
		}
		if layer.Off != at {
			return fmt.Errorf("a layer begins at %d; the one before ends at %d", layer.Off, at)
		}
		at = layer.End()
		part := content[layer.Off:at]
		if layer.State != disk.Data && !isZero(part) {
			return fmt.Errorf("[%d,+%d) is %v in all layers and holds data", layer.Off, layer.Len, layer.State)
		}
		if layer.State == disk.Data {
			if err := placed(layer.Extent, part); err != nil {
				return fmt.Errorf("depth %d: %w", layer.Depth, err)
			}
		}
	}
	if at != int64(len(content)) {
		return fmt.Errorf("the layers end at %d of %d", at, len(content))
	}
	return nil
}

// checkHidden covers a parent without any zero, uncovers nothing of it, and
// looks whether anything shines through.
func checkHidden(s Subject) error {
	for _, covered := range []bool{true, false} {
		w := newWorld(s)
		content := make([]byte, s.Size)
		noise(content, 34)
		if err := w.filled("base", content); err != nil {
			return err
		}
		img, cleanup, err := w.derive("child", s.Size, "base")
		if err != nil {
			return err
		}
		ops := []op{{Kind: opWrite, Len: s.Size, Seed: 35}}
		if !covered {
			ops = nil
		}
		for i, what := range []kind{opDiscard, opZero, opDiscard, opWriteZeros} {
			place := int64(i) * s.Size / 4
			ops = append(ops, op{what, place, 700, 0}, op{what, (place/s.Block + 1) * s.Block, s.Block, 0}, op{what, place + s.Block/2, s.Block, 0})
		}
		ops = append(ops, op{Kind: opDiscard, Len: s.Size})
		for _, o := range ops {
			if err = apply(img, content, o); err != nil {
				err = fmt.Errorf("%v, covered %v: %w", o, covered, err)
				break
			}
		}
		if err = errors.Join(err, cleanup()); err != nil {
			return err
		}
		if err := w.with("child", false, func(img disk.Image) error { return errors.Join(same(img, content), mapped(img, content)) }); err != nil {
			return fmt.Errorf("covered %v: %w", covered, err)
		}
	}
	return nil
}

// checkAlone opens a differencing image without its parent.
func checkAlone(s Subject) error {
	w := newWorld(s)
	base := make([]byte, s.Size)
	noise(base, 30)
	if err := w.filled("base", base); err != nil {
		return err
	}
	view, err := w.link("child", "base", base, s.Size, seeded(31))
	if err != nil {
		return err
	}
	own, err := w.ownLayer("child", view)
	if err != nil {
		return err
	}
	if err := w.alone("child", own); err != nil {
		return fmt.Errorf("alone, beside its parent: %w", err)
	}
	if err := w.removeFiles("base"); err != nil {
		return err
	}
	if img, err := w.open("child", false); !errors.Is(err, disk.ErrNoParent) {
		if err == nil {
			err = img.Close()
		}
		return fmt.Errorf("opening without the parent's file gave %w; it should be ErrNoParent", err)
	}
	if err := w.fs.allClosed(); err != nil {
		return fmt.Errorf("after opening failed: %w", err)
	}
	if err := w.alone("child", own); err != nil {
		return fmt.Errorf("alone, without its parent: %w", err)
	}
	return nil
}

// checkAloneZeros makes blocks zero in a differencing image that is open without its parent: they hide what the
// parent has there, though nobody can see that then.
func checkAloneZeros(s Subject) error {
	for _, what := range []kind{opZero, opWriteZeros} {
		w := newWorld(s)
		content := make([]byte, s.Size)
		noise(content, 36)
		if err := w.filled("base", content); err != nil {
			return err
		}
		img, cleanup, err := w.derive("child", s.Size, "base")
		if err != nil {
			return err
		}
		err = apply(img, content, op{opWrite, 2 * s.Block, s.Block, 37})
		if err := errors.Join(err, cleanup()); err != nil {
			return err
		}
		last := (s.Size - 1) / s.Block * s.Block
		ops := []op{{what, s.Block, 2 * s.Block, 0}, {what, last, s.Size - last, 0}}
		if err := w.changedAlone("child", content, ops); err != nil {
			return fmt.Errorf("%s: %w", kindNames[what], err)
		}
		if err := w.with("child", false, func(img disk.Image) error { return errors.Join(same(img, content), mapped(img, content)) }); err != nil {
			return fmt.Errorf("%s, with the parent again: %w", kindNames[what], err)
		}
	}
	return nil
}

// changedAlone changes an image that is open without its parent.
func (w *world) changedAlone(image string, content []byte, ops []op) error {
	options := w.options(true)
	options.Alone = true
	img, err := disk.Open(w.File(image), options)
	if err != nil {
		return err
	}
	for _, o := range ops {
		if err := apply(img, content, o); err != nil {
			return errors.Join(fmt.Errorf("%v: %w", o, err), img.Close())
		}
	}
	return w.finished(img)
}

// ownLayer is the view of an image with zeros for what only a parent holds.
func (w *world) ownLayer(image string, view []byte) ([]byte, error) {
	own := append([]byte(nil), view...)
	err := w.with(image, false, func(img disk.Image) error {
		for e, err := range disk.Extents(context.Background(), img, 0, img.Size()) {
			if err != nil {
				return err
			}
			if e.State == disk.Unallocated {
				clear(own[e.Off:e.End()])
			}
		}
		return nil
	})
	return own, err
}

// alone opens an image without its parent and compares.
func (w *world) alone(image string, want []byte) error {
	options := w.options(false)
	options.Alone = true
	img, err := disk.Open(w.File(image), options)
	if err != nil {
		return err
	}
	if disk.Parent(img) != nil {
		return errors.Join(errors.New("it has a parent"), img.Close())
	}
	if err := errors.Join(same(img, want), mapped(img, want)); err != nil {
		return errors.Join(err, img.Close())
	}
	return w.finished(img)
}

// followChild does operations on a differencing image over a parent without
// any zero.
func followChild(s Subject, ops []op) error {
	w := newWorld(s)
	content := make([]byte, s.Size)
	noise(content, 33)
	if err := w.filled("base", content); err != nil {
		return err
	}
	img, cleanup, err := w.derive("model", s.Size, "base")
	if err != nil {
		return err
	}
	if err := errors.Join(same(img, content), cleanup()); err != nil {
		return err
	}
	m := &model{world: w, image: "model", content: content}
	if m.img, err = w.open("model", true); err != nil {
		return err
	}
	return m.run(ops)
}
