package disktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/memfs"
)

// Upkeep breaks off what is done to images beside reading and writing them: they
// are repaired, compacted, resized, and get another identity and another parent,
// while the power is cut and while files fail. The image must open each time
// with what it held, and the work, done anew, must complete it. damaged are files of
// the subject's format in which a check finds damage, by a name; they are repaired.
func Upkeep(t *testing.T, s Subject, damaged map[string][]byte) {
	s = s.withDefaults()
	if s.Rare && !Thorough() {
		t.Skip("tried when PANAL_THOROUGH is set")
	}
	for _, c := range append(chores(), repairs(damaged)...) {
		if !c.applies(s) {
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			if err := errors.Join(c.whole(s), c.cut(s), c.faulty(s)); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// chore is something that is done to an image.
type chore struct {
	name    string
	applies func(s Subject) bool
	// prepare makes the image "disk", and what else is needed.
	prepare func(w *world) error
	do      func(w *world, img disk.Image) error
	// after changes what the image holds into what it holds when all is done; nil
	// changes nothing. own is what it holds without its parent.
	after func(s Subject, content, own []byte) []byte
	worst disk.Severity // that a check may find in what is left
	idle  bool          // there may be nothing to do
}

func chores() []chore {
	resize := func(to func(s Subject) int64) (func(*world, disk.Image) error, func(Subject, []byte, []byte) []byte) {
		return func(w *world, img disk.Image) error { return disk.Resize(img, w.aligned(to(w.Subject))) },
			func(s Subject, content, _ []byte) []byte { return resized(content, s.aligned(to(s))) }
	}
	grow, grown := resize(func(s Subject) int64 { return 3*s.Size + s.Block/2 })
	shrink, shrunk := resize(func(s Subject) int64 { return s.Size / 2 })
	return []chore{
		{name: "compact", applies: compacts, prepare: (*world).worn, do: dense, worst: disk.Leak, idle: true},
		{name: "compact a child", applies: func(s Subject) bool { return compacts(s) && parents(s) }, prepare: (*world).wornChild, do: compact, worst: disk.Leak, idle: true},
		{name: "grow", applies: func(s Subject) bool { return writes(s) && !s.FixedSize }, prepare: (*world).worn, do: grow, after: grown, worst: disk.Leak},
		{name: "grow a child", applies: func(s Subject) bool { return children(s) && !s.FixedSize }, prepare: (*world).wornChild, do: grow, after: grown, worst: disk.Leak},
		{name: "shrink", applies: func(s Subject) bool { return writes(s) && !s.FixedSize && !s.GrowOnly }, prepare: (*world).worn, do: shrink, after: shrunk, worst: disk.Leak},
		{name: "identity", applies: identified, prepare: (*world).worn, do: func(_ *world, img disk.Image) error { return img.(disk.Identified).SetUUID("") }, worst: disk.Leak},
		{name: "parent", applies: reparents, prepare: (*world).wornChild, do: changeParent, worst: disk.Leak},
		{
			name: "no parent", applies: reparents, prepare: (*world).wornChild,
			do:    func(_ *world, img disk.Image) error { return img.(disk.Reparenter).SetParent(nil, "", "") },
			after: func(_ Subject, _, own []byte) []byte { return own }, worst: disk.Leak,
		},
		{name: "repair", applies: repairable, prepare: (*world).leaking, do: repair, worst: disk.Leak, idle: true},
	}
}

func repairable(s Subject) bool { return writes(s) && has[disk.Repairer](s) }

// repairs are the chores of repairing images.
func repairs(damaged map[string][]byte) []chore {
	var all []chore
	for name, file := range damaged {
		all = append(all, chore{
			name: "repair " + name, applies: repairable, do: repair, worst: disk.Damage,
			prepare: func(w *world) error { w.mem.Put(w.File("disk"), file); return nil },
		})
	}
	return all
}

func compact(_ *world, img disk.Image) error {
	_, err := img.(disk.Compacter).Compact(context.Background(), nil)
	return err
}

// dense compacts an image without parent. It then has no block but those that
// hold something, unless it is one that keeps all.
func dense(w *world, img disk.Image) error {
	if err := compact(w, img); err != nil {
		return err
	}
	report, err := disk.Check(context.Background(), img)
	if worst, _ := report.Worst(); err != nil || worst > disk.Note {
		return errors.Join(err, fmt.Errorf("when compacted a check finds %+v", report.Findings))
	}
	if report.Allocated == report.Blocks {
		return nil
	}
	blocks, block := int64(0), make([]byte, w.Block)
	for off := int64(0); off < img.Size(); off += w.Block {
		n, err := img.ReadAt(block, off)
		if ignoreEOF(err) != nil {
			return err
		}
		if !isZero(block[:n]) {
			blocks++
		}
	}
	if report.Allocated != blocks || report.Leaked > 0 {
		return fmt.Errorf("when compacted it has %d blocks of which %d hold something, and %d bytes are used by nothing", report.Allocated, blocks, report.Leaked)
	}
	return nil
}

func repair(_ *world, img disk.Image) error {
	_, err := img.(disk.Repairer).Repair(context.Background())
	return err
}

// changeParent names another image with the same content as parent.
func changeParent(w *world, img disk.Image) error {
	other, err := disk.Open(w.File("other"), disk.Options{FS: w.mem, Formats: w.Formats, Format: w.openAs()})
	if err != nil {
		return err
	}
	err = img.(disk.Reparenter).SetParent(other, w.reference("disk", "other"), disk.Describe(other).Format)
	return errors.Join(err, other.Close())
}

// worn makes an image with gaps and with blocks of zeros.
func (w *world) worn() error {
	content := pattern(w.Size, w.Block, 90)
	if err := w.filled("disk", content); err != nil {
		return err
	}
	return w.wear("disk", content)
}

// wear leaves an image with gaps and with blocks of zeros.
func (w *world) wear(image string, content []byte) error {
	return w.with(image, true, func(img disk.Image) error {
		for i, o := range append(randomOps(seeded(91), w.Subject, 30), op{Kind: opZero, Place: 0, Len: w.Block}, op{Kind: opWriteZeros, Place: 2 * w.Block, Len: w.Block}) {
			if err := apply(img, content, o); err != nil {
				return err
			}
			if i%7 == 0 {
				if err := img.(disk.Writer).Sync(); err != nil {
					return err
				}
			}
		}
		return nil
	})
}

// wornChild makes a differencing image, and two images that its parent can be.
func (w *world) wornChild() error {
	base := make([]byte, w.Size)
	noise(base, 92)
	if err := errors.Join(w.filled("base", base), w.filled("other", base)); err != nil {
		return err
	}
	content, err := w.link("disk", "base", base, w.Size, seeded(93))
	if err != nil {
		return err
	}
	return w.wear("disk", content)
}

// leaking makes an image that was not closed: it has blocks that nothing
// points to.
func (w *world) leaking() error {
	if err := w.worn(); err != nil {
		return err
	}
	w.settle()
	img, err := w.open("disk", true)
	if err != nil {
		return err
	}
	content := make([]byte, img.Size())
	if _, err := img.ReadAt(content, 0); ignoreEOF(err) != nil {
		return errors.Join(err, img.Close())
	}
	for _, o := range randomOps(seeded(94), w.Subject, 20) {
		if err := apply(img, content, o); err != nil {
			return errors.Join(err, img.Close())
		}
	}
	left := w.mem.Bytes(w.File("disk"))
	err = w.finished(img)
	w.mem.Put(w.File("disk"), left)
	return err
}

// job is a chore and an image that it is done to.
type job struct {
	chore
	*world
	content, after []byte  // what the image holds, and is to hold
	known          []bool  // by sector; of a damaged image not all can be read
	either         history // what it may hold meanwhile
}

// job prepares a chore.
func (c chore) job(s Subject) (*job, error) {
	j := &job{chore: c, world: newWorld(s)}
	if err := c.prepare(j.world); err != nil {
		return nil, fmt.Errorf("preparing: %w", err)
	}
	j.settle()
	err := j.with("disk", false, func(img disk.Image) error { return j.learn(img) })
	if err != nil {
		return nil, err
	}
	own := j.content
	if j.known == nil {
		if own, err = j.ownLayer("disk", j.content); err != nil {
			return nil, err
		}
	}
	j.after = j.content
	if c.after != nil {
		j.after = c.after(j.Subject, j.content, own)
	}
	j.either = *newHistory(j.content)
	if len(j.after) != len(j.content) {
		j.either.resizing(int64(len(j.after)))
	}
	j.either.add(resized(j.after, int64(max(len(j.after), len(j.content)))), 0, int64(len(j.after)))
	return j, nil
}

// learn reads what an image holds, as far as that can be read.
func (j *job) learn(img disk.Image) error {
	j.content = make([]byte, img.Size())
	if _, err := img.ReadAt(j.content, 0); err == nil || j.chore.worst < disk.Damage {
		return ignoreEOF(err)
	}
	j.known = make([]bool, (img.Size()+sector-1)/sector)
	for k := range j.known {
		part := j.content[int64(k)*sector : min((int64(k)+1)*sector, img.Size())]
		_, err := img.ReadAt(part, int64(k)*sector)
		j.known[k] = ignoreEOF(err) == nil
	}
	return nil
}

// reads checks that an image holds what was or what is to be.
func (j *job) reads(img disk.Image) error {
	if j.known == nil {
		_, err := j.either.explains(img)
		return err
	}
	have := make([]byte, sector)
	for k, known := range j.known {
		off := int64(k) * sector
		n, err := img.ReadAt(have, off)
		if want := j.content[off:min(off+sector, int64(len(j.content)))]; known && (ignoreEOF(err) != nil || mismatch(have[:n], want) >= 0) {
			return fmt.Errorf("the sector at %d holds % x… (%w); it held % x…", off, have[:16], err, want[:16])
		}
	}
	return nil
}

// done checks that the chore is.
func (j *job) done(img disk.Image) error {
	if j.known != nil {
		return errors.Join(j.reads(img), j.sound(img, disk.Leak))
	}
	return errors.Join(same(img, j.after), j.sound(img, disk.Leak))
}

// stillOpen is done for an image that was not closed: it may go on reading
// through a parent that it has no more.
func (j *job) stillOpen(img disk.Image) error {
	if j.chore.name == "no parent" {
		return j.reads(img)
	}
	return j.done(img)
}

// whole does the chore without anything going wrong.
func (c chore) whole(s Subject) error {
	j, err := c.job(s)
	if err != nil {
		return err
	}
	return j.completes(j.world)
}

// completes does the chore, which must then be done.
func (j *job) completes(w *world) error {
	err := w.with("disk", true, func(img disk.Image) error {
		if err := j.do(w, img); err != nil {
			return err
		}
		return j.stillOpen(img)
	})
	if err != nil {
		return fmt.Errorf("doing all of it: %w", err)
	}
	return w.with("disk", false, j.done)
}

// outlives checks what is left when the chore was broken off.
func (j *job) outlives(left *memfs.FS) error {
	w := worldOf(j.Subject, left)
	err := w.with("disk", false, func(img disk.Image) error { return errors.Join(j.reads(img), j.sound(img, j.worst)) })
	if err != nil {
		return err
	}
	return j.completes(w)
}

// cut cuts the power.
func (c chore) cut(s Subject) error {
	j, err := c.job(s)
	if err != nil {
		return err
	}
	rng, moments, failed := seeded(95), 0, error(nil)
	likely := min(1, float64(4*crashBytes)/float64(s.Size)/100)
	err = j.with("disk", true, func(img disk.Image) error {
		j.mem.OnOp = func(kind, _ string) {
			if failed != nil || rng.Float64() > likely && moments > 0 {
				return
			}
			moments++
			if err := j.outlives(j.mem.Crash(rng)); err != nil {
				failed = fmt.Errorf("power cut %d, before a %s: %w", moments, kind, err)
			}
		}
		err := j.do(j.world, img)
		j.mem.OnOp = nil
		return errors.Join(failed, err)
	})
	if err == nil && moments == 0 && !c.idle {
		return errors.New("nothing was done to any file")
	}
	return err
}

// faulty lets each operation on a file fail, of the later ones some.
func (c chore) faulty(s Subject) error {
	j, err := c.job(s)
	if err != nil {
		return err
	}
	start := j.mem
	for _, kind := range []diskfault.Op{diskfault.Write, diskfault.Sync, diskfault.Truncate, diskfault.Punch, diskfault.Read} {
		for n, fired := 0, true; fired; n += 1 + n/sparing() {
			for _, sticky := range []bool{false, true} {
				if !Thorough() && sticky != (n%4 == 3) {
					continue // of those that are tried, n is 0, 1, 3, 7, 15…
				}
				j.world = worldOf(j.Subject, start.Crash(seeded(0))) // all is durable: a copy
				f := &failing{op: kind, after: n, sticky: sticky}
				if fired, err = j.hurt(f); err != nil {
					return fmt.Errorf("when %s number %d fails (and all after it: %v): %w", kind, n, sticky, err)
				}
			}
		}
	}
	return nil
}

// sparing is how many of the operations on files fail, the more the greater.
func sparing() int {
	if Thorough() {
		return 16
	}
	return 1
}

// failing lets operations on files fail.
type failing struct {
	op     diskfault.Op
	after  int // operations of this kind that succeed
	sticky bool
	fired  bool
	off    bool
}

func (f *failing) fail(op diskfault.Op, _ string) error {
	if f.off || op != f.op {
		return nil
	}
	if f.after--; f.after >= 0 || f.fired && !f.sticky {
		return nil
	}
	f.fired = true
	return errFault
}

// hurt does the chore while something fails, and tells whether it did.
func (j *job) hurt(f *failing) (fired bool, err error) {
	f.off = true
	o := j.options(true)
	o.FS = &diskfault.FS{FS: j.fs, Fail: f.fail}
	img, err := disk.Open(j.File("disk"), o)
	if err != nil {
		return false, err
	}
	f.off = false
	failed := j.do(j.world, img)
	f.off = !f.sticky
	if err := errors.Join(said(failed, f), j.reads(img)); err != nil && !f.sticky {
		return f.fired, errors.Join(err, img.Close())
	}
	closed := img.Close()
	if err := errors.Join(said(closed, f), j.fs.allClosed()); err != nil {
		return f.fired, err
	}
	if err := j.outlives(j.mem); err != nil {
		return f.fired, fmt.Errorf("it was told as %v, then as %v: %w", failed, closed, err)
	}
	return f.fired, nil
}

// said checks that an error is one that can be, and says it once.
func said(err error, f *failing) error {
	switch {
	case err == nil:
		return nil
	case !f.fired:
		return fmt.Errorf("nothing failed, and yet: %w", err)
	case !errors.Is(err, errFault):
		return fmt.Errorf("what failed is not told: %w", err)
	case strings.Count(err.Error(), errFault.Error()) > 1:
		return fmt.Errorf("it is told twice: %w", err)
	}
	return nil
}

func ignoreEOF(err error) error {
	if err == io.EOF {
		return nil
	}
	return err
}
