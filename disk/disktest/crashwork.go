package disktest

import (
	"errors"
	"fmt"

	"github.com/panalvm/panal/disk"
)

// How much is tried with power cuts.
const (
	crashRuns  = 6 // 60 in thorough tests
	crashSteps = 60
	// crashBytes is about how many bytes of disks are looked at in a run: small
	// disks lose power more often.
	crashBytes = 32 << 20
)

// likely is how likely the power is cut at an operation: a run has several
// hundred.
func (s Subject) likely() float64 { return min(0.5, float64(crashBytes)/float64(s.Size)/300) }

// preparation makes the image "disk", one of many by the seed, and tells what
// it holds.
type preparation func(w *world, seed uint64) (content []byte, err error)

func prepareFilled(w *world, seed uint64) ([]byte, error) {
	content := pattern(w.Size, w.Block, seed)
	return content, w.filled("disk", content)
}

func prepareEmpty(w *world, _ uint64) ([]byte, error) {
	content := make([]byte, w.Size)
	return content, w.filled("disk", content)
}

func prepareChild(w *world, seed uint64) ([]byte, error) {
	content := make([]byte, w.Size)
	noise(content, seed)
	if err := w.filled("base", content); err != nil {
		return nil, err
	}
	return w.link("disk", "base", content, w.Size, seeded(seed))
}

// checkCrash works on an image and cuts the power at many moments.
func checkCrash(s Subject) error { return crashed(s, prepareFilled) }

// checkCrashNew is checkCrash on an image that is empty.
func checkCrashNew(s Subject) error { return crashed(s, prepareEmpty) }

// checkCrashChild is checkCrash on a differencing image.
func checkCrashChild(s Subject) error { return crashed(s, prepareChild) }

// crashed runs workloads on images that prepare makes.
func crashed(s Subject, prepare preparation) error {
	runs := crashRuns
	if Thorough() {
		runs *= 10
	}
	for seed := range uint64(runs) {
		w := newWorld(s)
		content, err := prepare(w, seed)
		if err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
		w.settle()
		c := &crashes{
			world: w, image: "disk", rng: seeded(seed), history: newHistory(content),
			likely: s.likely(),
		}
		c.watch()
		if err := c.work(content, seed); err != nil {
			return fmt.Errorf("run %d: %w", seed, err)
		}
		if c.count == 0 {
			return errors.New("the power was never cut: the workload writes nothing")
		}
	}
	return nil
}

// settle makes all files durable.
func (w *world) settle() {
	for name, content := range w.snapshot() {
		w.mem.Put(name, content)
	}
}

// work is the workload; seed makes it one of many.
func (c *crashes) work(content []byte, seed uint64) error {
	img, err := c.open(c.image, true)
	if err != nil {
		return err
	}
	rng := seeded(seed)
	for step, o := range randomOps(rng, c.Subject, crashSteps) {
		switch rng.IntN(20) {
		case 0, 1, 2:
			o = op{Kind: opSync}
		case 3:
			o = op{Kind: opReopen}
		case 4:
			o = op{Kind: opResize, Place: c.Size/2 + rng.Int64N(c.Size)}
		}
		if img, content, err = c.step(img, content, o); err != nil {
			return fmt.Errorf("step %d, %v: %w", step, o, errors.Join(err, img.Close()))
		}
	}
	return img.Close()
}

// step does one operation and keeps the history.
func (c *crashes) step(img disk.Image, content []byte, o op) (disk.Image, []byte, error) {
	var err error
	switch o.Kind {
	case opSync:
		if err = img.(disk.Writer).Sync(); err == nil {
			c.note(func(h *history) { h.settle(content) })
		}
	case opReopen:
		var again disk.Image
		if err = img.Close(); err == nil {
			again, err = c.open(c.image, true)
		}
		if err != nil {
			return img, content, err
		}
		img = again
	case opResize:
		content, err = c.resize(img, content, o.Place)
	default:
		err = c.change(img, content, o)
	}
	if err == nil {
		err = c.verdict()
	}
	return img, content, err
}

// change does an operation that changes content.
func (c *crashes) change(img disk.Image, content []byte, o op) error {
	off, n := o.on(int64(len(content)))
	after := append([]byte(nil), content...)
	clear(after[off : off+n])
	if o.Kind == opWrite {
		noise(after[off:off+n], o.Seed)
	}
	c.note(func(h *history) { h.add(after, off, n) })
	err := apply(img, content, o)
	if o.Kind == opDiscard {
		c.note(func(h *history) { h.add(content, off, n) })
	}
	return err
}

// resize changes the disk's size, to a multiple of sectors.
func (c *crashes) resize(img disk.Image, content []byte, place int64) ([]byte, error) {
	size := c.aligned(place)
	size = (size + sector - 1) / sector * sector
	if !c.resizable(int64(len(content)), size) || size%c.Align != 0 || int64(len(content))%sector != 0 {
		return content, nil
	}
	c.note(func(h *history) { h.resizing(size) })
	if err := disk.Resize(img, size); err != nil {
		return content, err
	}
	c.note(func(h *history) { h.resized(size) })
	return resized(content, size), nil
}

// note changes the history.
func (c *crashes) note(what func(*history)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	what(c.history)
}

// verdict cuts the power after an operation, and gives what failed so far.
func (c *crashes) verdict() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failed == nil && c.rng.Float64() < c.likely {
		c.cut("after an operation")
	}
	return c.failed
}
