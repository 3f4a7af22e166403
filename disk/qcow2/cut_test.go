package qcow2_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/diskfault"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/qcow2"
)

// The files of the deeds' images: two parents have the same content, and one of
// them a name that does not fit into the header's first sector.
const (
	cutName  = "cut.qcow2"
	baseName = "base.qcow2"
)

var otherBase = strings.Repeat("long-", 190) + ".qcow2"

// deed is what is done with an image as a whole.
type deed struct {
	name string
	cuts int                    // of the power at each moment
	size func(size int64) int64 // that the disk has then; nil if it stays
	do   func(img disk.Image) error
}

var deeds = []deed{
	{name: "compact", cuts: 2, do: func(img disk.Image) error {
		_, err := img.(disk.Compacter).Compact(context.Background(), nil)
		return err
	}},
	{name: "grow", cuts: 2, size: func(size int64) int64 { return size + max(8*size, (128<<10-size)*600) + 512 }},
	{name: "shrink", cuts: 2, size: func(size int64) int64 { return (size/3 + 511) &^ 511 }},
	{name: "rename the parent", cuts: 20, do: func(img disk.Image) error {
		return img.(disk.Reparenter).SetParent(disk.Parent(img), otherBase, "qcow2")
	}},
	{name: "repair", cuts: 4, do: func(img disk.Image) error {
		_, err := disk.Repair(context.Background(), img)
		return err
	}},
}

// of is the deed for disks of a size.
func (d deed) of(size int64) deed {
	if d.size == nil {
		d.size = func(size int64) int64 { return size }
		return d
	}
	d.do = func(img disk.Image) error { return disk.Resize(img, d.size(size)) }
	return d
}

// used is a file system with an image that was worked on, so that it has gaps,
// leaks and blocks of zeros, and what it holds.
func used(t *testing.T, o map[string]string, seed uint64) (*memfs.FS, []byte) {
	t.Helper()
	const size = 300<<10 + 512
	fs := memfs.New()
	create := disk.CreateOptions{FS: fs, Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: size}
	model := make([]byte, size)
	if o["dataFile"] == "" {
		base := built(t, baseName, create)
		scribble(t, base, model, seed+50, 20)
		closeImage(t, base)
		fs.Put(otherBase, fs.Bytes(baseName))
		create.Parent, create.ParentName = opened(t, fs, baseName, false), baseName
		defer closeImage(t, create.Parent)
	}
	create.Options = o
	img := built(t, cutName, create)
	scribble(t, img, model, seed, 60)
	clear(model[64<<10 : 128<<10])
	if _, err := img.(disk.Writer).WriteAt(model[64<<10:128<<10], 64<<10); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	settle(fs)
	return fs, model
}

// settle makes all durable.
func settle(fs *memfs.FS) {
	for _, name := range fs.Names() {
		fs.Put(name, fs.Bytes(name))
	}
}

// packed is a file system with an image of compressed clusters, some of which
// were overwritten.
func packed(t *testing.T) (*memfs.FS, []byte) {
	t.Helper()
	fs := memfs.New()
	model := append(noise(100<<10, 1), make([]byte, 200<<10)...)
	copy(model[50<<10:], strings.Repeat("sparse text ", 20<<10))
	img := built(t, cutName, disk.CreateOptions{
		FS: fs, Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: int64(len(model)), Options: map[string]string{"clusterSize": "4096"},
	})
	sink, err := img.(disk.Compressor).Compressing()
	if err != nil {
		t.Fatal(err)
	}
	feed(t, sink, model)
	for off := 0; off < len(model); off += 24 << 10 {
		clear(model[off : off+8<<10])
		if err := disk.Zero(img, int64(off), 8<<10); err != nil {
			t.Fatal(err)
		}
	}
	closeImage(t, img)
	settle(fs)
	return fs, model
}

// recorded is a file system with an image that QEMU made, with a snapshot
// and a bitmap, and that was written since.
func recorded(t *testing.T) (*memfs.FS, []byte) {
	t.Helper()
	name := filepath.Join(t.TempDir(), cutName)
	run(t, "qemu-img", "create", "-f", "qcow2", "-o", "cluster_size=512", name, "96K")
	qemuIO(t, name, "write -P 3 0 90k")
	run(t, "qemu-img", "bitmap", "--add", "-g", "4096", name, "b")
	run(t, "qemu-img", "snapshot", "-c", "one", name)
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	fs := memfs.New()
	fs.Put(cutName, p)
	img := opened(t, fs, cutName, true)
	model := content(t, img)
	if _, err := img.(disk.Writer).WriteAt(noise(5000, 1), 0); err != nil { // the second table stays the snapshot's, too
		t.Fatal(err)
	}
	copy(model, noise(5000, 1))
	closeImage(t, img)
	settle(fs)
	return fs, model
}

func built(t *testing.T, name string, o disk.CreateOptions) disk.Image {
	t.Helper()
	img, err := disk.Create(name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func opened(t *testing.T, fs disk.FS, name string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: fs, Formats: []*disk.Format{qcow2.Format}, Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// hurt makes refcounts and flags of an image wrong, as programs do that are
// killed: some too low, some too high, and the mark that says so.
func hurt(t *testing.T, fs *memfs.FS, seed uint64) {
	t.Helper()
	p := fs.Bytes(cutName)
	if binary.BigEndian.Uint32(p[4:]) == 3 {
		p[79] |= 1 // dirty
	}
	cs := int64(1) << binary.BigEndian.Uint32(p[20:])
	table := binary.BigEndian.Uint64(p[48:])
	block := int64(binary.BigEndian.Uint64(p[table:]))
	rng := rand.New(rand.NewPCG(seed, 77))
	for range 12 {
		p[block+rng.Int64N(min(cs, 40))] ^= 1 << rng.IntN(2)
	}
	fs.Put(cutName, p)
}

// outlives tells what is wrong with an image that was left: it must hold the
// content, or that of the other size, sound and for writing, too.
func outlives(fs disk.FS, model []byte, size int64, allowed disk.Severity) error {
	for _, write := range []bool{false, true, false} {
		img, err := disk.Open(cutName, disk.Options{FS: fs, Formats: []*disk.Format{qcow2.Format}, Write: write})
		if err != nil {
			return err
		}
		if err := errors.Join(holds(img, model, size), atWorst(img, allowed), rescued(img, write)); err != nil {
			return fmt.Errorf("opened (write %v): %w", write, errors.Join(err, img.Close()))
		}
		if write {
			allowed = disk.Leak
		}
		if err := img.Close(); err != nil {
			return err
		}
	}
	return nil
}

// holds compares the content, in one of two sizes.
func holds(img disk.Image, model []byte, size int64) error {
	have := make([]byte, img.Size())
	if _, err := img.ReadAt(have, 0); err != nil && err != io.EOF {
		return err
	}
	want := make([]byte, img.Size())
	copy(want, model)
	if img.Size() != int64(len(model)) {
		clear(want[min(int64(len(want)), size, int64(len(model))):])
	}
	if img.Size() != int64(len(model)) && img.Size() != size {
		return fmt.Errorf("the disk has %d bytes; it may have %d or %d", img.Size(), len(model), size)
	}
	if !bytes.Equal(have, want) {
		return fmt.Errorf("the content differs, first at %d", firstDifference(have, want))
	}
	return nil
}

func atWorst(img disk.Image, allowed disk.Severity) error {
	report, err := disk.Check(context.Background(), img)
	if worst, _ := report.Worst(); err == nil && worst > allowed {
		err = fmt.Errorf("check finds %+v", report.Findings)
	}
	return err
}

func rescued(img disk.Image, write bool) error {
	if !write {
		return nil
	}
	if _, err := disk.Repair(context.Background(), img); err != nil {
		return err
	}
	return atWorst(img, disk.Note)
}

// eachDeed runs a test for each deed with each kind of image that it is for.
func eachDeed(t *testing.T, test func(t *testing.T, d deed, fs *memfs.FS, model []byte, allowed disk.Severity)) {
	each := func(kind string, parent bool, build func() (*memfs.FS, []byte)) {
		for i, d := range deeds {
			if d.name == "rename the parent" && !parent {
				continue
			}
			t.Run(d.name+"/"+kind, func(t *testing.T) {
				fs, model := build()
				allowed := disk.Leak
				if d.name == "repair" {
					hurt(t, fs, uint64(i+len(kind)))
					allowed = disk.Damage
				}
				test(t, d.of(int64(len(model))), fs, model, allowed)
			})
		}
	}
	for i, o := range kinds {
		if o["clusterSize"] == "2M" || len(o) > 0 && !disktest.Thorough() { // see also TestUpkeep
			continue
		}
		each(label(o), o["dataFile"] == "" && o["clusterSize"] != "512", func() (*memfs.FS, []byte) { return used(t, o, uint64(i)) })
	}
	each("compressed", false, func() (*memfs.FS, []byte) { return packed(t) })
	each("snapshot and bitmap", false, func() (*memfs.FS, []byte) { return recorded(t) })
}

// Whenever the power is cut while an image is compacted, resized, repaired or
// given another parent, it is sound and holds what it held.
func TestPowerCuts(t *testing.T) {
	eachDeed(t, func(t *testing.T, d deed, fs *memfs.FS, model []byte, allowed disk.Severity) {
		img := opened(t, fs, cutName, true)
		rng, moments := rand.New(rand.NewPCG(4, 4)), 0
		fs.OnOp = func(kind, _ string) {
			moments++
			for range d.cuts {
				if err := outlives(fs.Crash(rng), model, d.size(int64(len(model))), allowed); err != nil {
					t.Fatalf("power cut %d, before a %s: %v", moments, kind, err)
				}
			}
		}
		if err := d.do(img); err != nil {
			t.Fatal(err)
		}
		fs.OnOp = nil
		if moments == 0 {
			t.Error("nothing was done to the file")
		}
		if err := outlives(fs.Crash(rng), model, img.Size(), disk.Leak); err != nil {
			t.Fatalf("power cut when all was done: %v", err)
		}
		closeImage(t, img)
	})
}

// Whatever fails below an image while it is compacted, resized, repaired or given
// another parent: this is told, nothing is lost, and it can be done again.
func TestDeedsThatFail(t *testing.T) {
	eachDeed(t, func(t *testing.T, d deed, fs *memfs.FS, model []byte, allowed disk.Severity) {
		rng := rand.New(rand.NewPCG(5, 5))
		for at := 0; ; at += 1 + rng.IntN(strides[disktest.Thorough()]) {
			fired, err := failing(fs.Crash(rng), d, at, rng.IntN(2) == 0, model, allowed)
			if err != nil {
				t.Fatalf("with a fault at operation %d: %v", at, err)
			}
			if !fired {
				return
			}
		}
	})
}

// strides are how many operations are passed over at most, by whether the tests
// are thorough.
var strides = map[bool]int{false: 12, true: 1}

// failing does a deed during which an operation on a file fails, and all later ones
// if sticky.
func failing(fs *memfs.FS, d deed, at int, sticky bool, model []byte, allowed disk.Severity) (fired bool, err error) {
	armed, rng := false, rand.New(rand.NewPCG(6, uint64(at)))
	files := &diskfault.FS{FS: fs, Fail: func(op diskfault.Op, name string) error {
		if !armed || name != cutName {
			return nil
		}
		if at--; at >= 0 || fired && !sticky {
			return nil
		}
		fired = true
		return fmt.Errorf("a %s fails (a fault of the test)", op)
	}}
	img, err := disk.Open(cutName, disk.Options{FS: files, Formats: []*disk.Format{qcow2.Format}, Write: true})
	if err != nil {
		return false, err
	}
	size := d.size(int64(len(model)))
	armed = true
	failed := d.do(img)
	armed = false
	if failed != nil && !fired {
		return fired, failed
	}
	if failed == nil && img.Size() != size {
		return fired, fmt.Errorf("no error was told, and the disk has %d bytes", img.Size())
	}
	if err := errors.Join(holds(img, model, size), outlives(fs.Crash(rng), model, size, allowed)); err != nil {
		return fired, fmt.Errorf("after it failed (%v): %w", failed, err)
	}
	if err := img.(disk.Writer).Sync(); err != nil {
		return fired, err
	}
	if after := img.Size(); after == size {
		kept := min(int64(len(model)), size)
		model = append(model[:kept:kept], make([]byte, size-kept)...)
	}
	if err := outlives(fs.Crash(rng), model, int64(len(model)), allowed); err != nil {
		return fired, fmt.Errorf("after it failed (%v) and a sync: %w", failed, err)
	}
	if err := d.do(img); err != nil {
		return fired, fmt.Errorf("again: %w", err)
	}
	if err := errors.Join(holds(img, model, size), img.Close(), outlives(fs, model, size, disk.Leak)); err != nil {
		return fired, fmt.Errorf("again: %w", err)
	}
	return fired, nil
}
