package qcow2_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/qcow2"
)

func TestVersionOneIsRefusedByName(t *testing.T) {
	name := filepath.Join(t.TempDir(), "old.img")
	run(t, "qemu-img", "create", "-f", "qcow", name, "1M")
	for _, format := range []string{"", "qcow2"} {
		o := options(false)
		o.Format = format
		_, err := disk.Open(name, o)
		if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "opened as qcow") {
			t.Errorf("opened as %q: %v", format, err)
		}
	}
}

func TestQCOWIsNotAskedForByMistake(t *testing.T) {
	_, err := disk.Create(filepath.Join(t.TempDir(), "x"), disk.CreateOptions{
		FS: hostfs.Everywhere(), Formats: []*disk.Format{qcow2.Format}, Format: "qcow", Size: 1 << 20,
	})
	var usage *disk.UsageError
	if !errors.As(err, &usage) {
		t.Errorf("the name of version 1 makes something: %v", err)
	}
}

func TestSizesAreWholeSectors(t *testing.T) {
	for _, c := range []struct{ size, want int64 }{{0, 0}, {1, 512}, {1000, 1024}, {1 << 20, 1 << 20}, {1<<20 + 1, 1<<20 + 512}} {
		name := filepath.Join(t.TempDir(), "ours.qcow2")
		img := make1(t, name, disk.CreateOptions{Size: c.size})
		if img.Size() != c.want {
			t.Errorf("%d bytes became %d; want %d", c.size, img.Size(), c.want)
		}
		if err := disk.Resize(img, 2<<20+c.size); err != nil {
			t.Fatal(err)
		}
		if got := img.Size(); got != 2<<20+c.want {
			t.Errorf("grown to %d bytes, it has %d", 2<<20+c.size, got)
		}
		closeImage(t, img)
		sound(t, name)
		sameAsQEMU(t, name, make([]byte, 2<<20+c.want))
	}
}

func TestStreamsHaveWholeSectors(t *testing.T) {
	name, model := filepath.Join(t.TempDir(), "ours.qcow2"), noise(100_001, 3)
	var pipe bytes.Buffer
	sink, err := disk.NewStream(&pipe, disk.CreateOptions{
		Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: int64(len(model)),
		Data: []disk.Extent{{Len: int64(len(model)), State: disk.Data}},
	})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, sink, model)
	writeFile(t, name, pipe.Bytes())
	sound(t, name)
	sameAsQEMU(t, name, append(model, make([]byte, 100_352-len(model))...))
}

func TestParentsWithColonsCanBeFound(t *testing.T) {
	dir := t.TempDir()
	model := noise(1<<20, 7)
	for _, base := range []string{"a:b.raw", "json:x", "sub/c:d"} {
		path := filepath.Join(dir, base)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		writeFile(t, path, model)
		parent := openImage(t, path, false)
		name := filepath.Join(dir, "child.qcow2")
		img := make1(t, name, disk.CreateOptions{Size: 1 << 20, Parent: parent, ParentName: base, ParentFormat: "raw"})
		closeImage(t, img)
		sameAsQEMU(t, name, model)
		img = openImage(t, name, true)
		if err := img.(disk.Reparenter).SetParent(parent, base, "raw"); err != nil {
			t.Fatal(err)
		}
		closeImage(t, img)
		closeImage(t, parent)
		img = openImage(t, name, false)
		if !bytes.Equal(content(t, img), model) {
			t.Errorf("%s reads wrong", base)
		}
		closeImage(t, img)
		sameAsQEMU(t, name, model)
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
}

// TestRepairKeepsWhatBrokenPointersLedTo breaks pointers, repairs, and puts them
// back: all must be as it was.
func TestRepairKeepsWhatBrokenPointersLedTo(t *testing.T) {
	for _, c := range []struct {
		name   string
		inL1   bool
		broken uint64
		also   func(p []byte, block int64) // is wrong besides, and can be mended
	}{
		{"L2 table behind the end", true, 1<<63 | 1<<48, nil},
		{"L2 table not aligned", true, 1<<63 | 0x50200, nil},
		{"cluster behind the end", false, 1<<63 | 1<<40, nil},
		{"cluster not aligned", false, 1<<63 | 0x60200, nil},
		{"and a refcount is too low", true, 1<<63 | 1<<48, func(p []byte, block int64) { put16(p, block, 0) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "q.qcow2")
			run(t, "qemu-img", "create", "-f", "qcow2", name, "4M")
			qemuIO(t, name, "write -P 1 0 1M", "write -P 2 2M 300k")
			p, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := func(off int64) int64 { return int64(binary.BigEndian.Uint64(p[off:]) & offsetOfEntry) }
			entry, block := at(40), at(at(48))
			if !c.inL1 {
				entry = at(entry)
			}
			right := binary.BigEndian.Uint64(p[entry:])
			put64(p, entry, c.broken)
			if c.also != nil {
				c.also(p, block)
			}
			writeFile(t, name, p)
			repairKeeps(t, name)
			if p, err = os.ReadFile(name); err != nil {
				t.Fatal(err)
			}
			if got := binary.BigEndian.Uint64(p[entry:]); got != c.broken {
				t.Errorf("the broken entry %#x became %#x", c.broken, got)
			}
			put64(p, entry, right)
			writeFile(t, name, p)
			want := make([]byte, 4<<20)
			copy(want, bytes.Repeat([]byte{1}, 1<<20))
			copy(want[2<<20:], bytes.Repeat([]byte{2}, 300<<10))
			sameAsQEMU(t, name, want)
			if c.also == nil {
				sound(t, name)
			} else if v := qemuCheck(t, name); v.Corruptions > 0 { // old refcounts are leaked
				t.Errorf("put back, QEMU finds %+v", v)
			}
		})
	}
}

const offsetOfEntry = 0x00fffffffffffe00

// repairKeeps repairs an image with broken pointers, and looks that it says what
// it leaves alone.
func repairKeeps(t *testing.T, name string) {
	t.Helper()
	img := openImage(t, name, true)
	defer closeImage(t, img)
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		if f.Severity == disk.Leak && f.Remedy != "" {
			t.Errorf("%q is to be mended: %s", f.Reason, f.Remedy)
		}
	}
	mended, err := disk.Repair(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if n := len(mended.Findings); n == 0 || !strings.Contains(mended.Findings[n-1].Reason, "no refcount is lowered") {
		t.Errorf("not said: %+v", mended.Findings)
	}
}
