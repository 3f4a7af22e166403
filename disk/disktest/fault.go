package disktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
)

// Faults lets the files of an image fail, now and then or from some moment on,
// while it is worked on: it must say so, must hold what it held, and lose
// nothing that was synced. Without a fault it must lose nothing at all.
func Faults(t *testing.T, s Subject) {
	s = s.withDefaults()
	for name, run := range map[string]func(Subject) error{"faults": checkFaults, "faults/new": checkFaultsNew, "faults/child": checkFaultsChild} {
		if !writes(s) || name == "faults/child" && !parents(s) {
			continue
		}
		t.Run(name, func(t *testing.T) {
			s.skip(t, name)
			if err := run(s); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func checkFaults(s Subject) error { return faulted(s, prepareFilled) }

func checkFaultsNew(s Subject) error { return faulted(s, prepareEmpty) }

func checkFaultsChild(s Subject) error { return faulted(s, prepareChild) }

// How much is tried with faults.
const (
	faultRuns  = 4
	faultSteps = 60
)

func faulted(s Subject, prepare preparation) error {
	runs := faultRuns
	if !Thorough() && s.Size > 1<<20 {
		runs = 2
	}
	for seed := range uint64(runs) {
		w := newWorld(s)
		content, err := prepare(w, seed)
		if err != nil {
			return fmt.Errorf("preparing: %w", err)
		}
		w.settle()
		f := &faults{crashes: &crashes{world: w, image: "disk", rng: seeded(seed), history: newHistory(content)}, content: content}
		f.files = &diskfault.FS{FS: w.fs, Fail: f.fail}
		if err := f.work(seed); err != nil {
			return fmt.Errorf("run %d: %w", seed, err)
		}
		if f.count == 0 {
			return errors.New("nothing failed: the workload writes nothing")
		}
	}
	return nil
}

// errFault is what a file gives that fails.
var errFault = errors.New("no space left (a fault of the test)")

// faults works on an image whose files fail.
type faults struct {
	*crashes
	files   *diskfault.FS
	img     disk.Image
	content []byte
	hurt    bool // something failed since the image was opened: it may refuse

	arming sync.Mutex // guards what follows
	armed  diskfault.Op
	after  int  // operations of this kind that still succeed
	sticky bool // and all later ones fail
	fired  bool
}

// fail is what diskfault asks.
func (f *faults) fail(op diskfault.Op, _ string) error {
	f.arming.Lock()
	defer f.arming.Unlock()
	if op != f.armed {
		return nil
	}
	if f.after--; f.after >= 0 || f.fired && !f.sticky {
		return nil
	}
	f.fired = true
	return errFault
}

// arm lets something fail soon, maybe.
func (f *faults) arm() {
	f.arming.Lock()
	defer f.arming.Unlock()
	f.fired = false
	if f.rng.IntN(2) == 0 {
		return
	}
	f.armed = []diskfault.Op{diskfault.Write, diskfault.Write, diskfault.Write, diskfault.Sync, diskfault.Read, diskfault.Truncate, diskfault.Punch}[f.rng.IntN(7)]
	f.after, f.sticky = f.rng.IntN(4), f.rng.IntN(2) == 0
}

// disarm ends all faults, and tells whether and where there was one.
func (f *faults) disarm() (where diskfault.Op, fired bool) {
	f.arming.Lock()
	defer f.arming.Unlock()
	where, f.armed = f.armed, ""
	return where, f.fired
}

func (f *faults) open() error {
	o := f.options(true)
	o.FS = f.files
	var err error
	f.img, err = disk.Open(f.File(f.image), o)
	f.hurt = false
	return err
}

func (f *faults) work(seed uint64) error {
	if err := f.open(); err != nil {
		return err
	}
	for step, o := range randomOps(f.rng, f.Subject, faultSteps) {
		switch f.rng.IntN(16) {
		case 0, 1, 2:
			o = op{Kind: opSync}
		case 3, 4:
			o = op{Kind: opReopen}
		case 5:
			o = op{Kind: opResize, Place: f.Size/2 + f.rng.Int64N(f.Size)}
		case 6:
			o = op{Kind: opCheck} // and compact
		}
		if err := f.step(o); err != nil {
			return fmt.Errorf("step %d, %v: %w", step, o, err)
		}
	}
	return f.img.Close()
}

// step does one operation, during which something may fail.
func (f *faults) step(o op) error {
	f.arm()
	failed := f.do(o)
	where, fired := f.disarm()
	f.hurt = f.hurt || fired
	if failed != nil && !f.hurt {
		return failed
	}
	if o.Kind == opReopen {
		if err := errors.Join(f.fs.allClosed(), f.open()); err != nil {
			return fmt.Errorf("after a %s failed in closing (%v): %w", where, failed, err)
		}
	}
	if failed == nil {
		if err := same(f.img, f.content); err != nil {
			return fmt.Errorf("no error was told (a %s failed: %v): %w", where, fired, err)
		}
	} else if err := f.accept(); err != nil {
		return fmt.Errorf("after a %s failed (%v, told as: %v): %w", where, fired, failed, err)
	}
	if fired {
		f.note(func(*history) { f.cut(fmt.Sprintf("when a %s had failed (told as: %v)", where, failed)) })
	}
	return f.failed
}

// accept takes over what an image holds after something failed.
func (f *faults) accept() error {
	have, err := f.history.explains(f.img)
	if err == nil {
		f.content = have
	}
	return err
}

func (f *faults) do(o op) (err error) {
	switch o.Kind {
	case opSync:
		if err = f.img.(disk.Writer).Sync(); err == nil {
			f.note(func(h *history) { h.settle(f.content) })
		}
	case opReopen:
		return f.img.Close()
	case opResize:
		f.content, err = f.resize(f.img, f.content, o.Place)
	case opCheck:
		_, err = disk.Check(context.Background(), f.img)
		if f.NoCheck && errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
		if c, ok := f.img.(disk.Compacter); ok && err == nil {
			_, err = c.Compact(context.Background(), nil)
		}
		if errors.Is(err, errors.ErrUnsupported) {
			err = nil
		}
	default:
		return f.change(f.img, f.content, o)
	}
	return err
}
