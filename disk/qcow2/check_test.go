package qcow2_test

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/testenv"
)

// verdict is what qemu-img check says.
type verdict struct {
	Corruptions int64
	Leaks       int64
}

func qemuCheck(t *testing.T, name string) verdict {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), testenv.Need(t, "qemu-img"), "check", "-f", "qcow2", "--output=json", name).Output()
	var v verdict
	if failed := json.Unmarshal(out, &v); failed != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return v
}

// damages are ways to break an image. They get its bytes and the offsets of its
// tables.
var damages = []struct {
	name   string
	broken bool // not only leaks
	stays  bool // Repair cannot help
	do     func(p []byte, reftable, block, l1, l2 int64)
}{
	{"nothing", false, false, func([]byte, int64, int64, int64, int64) {}},
	{"leak", false, false, func(p []byte, _, _, _, l2 int64) { put64(p, l2, 0) }},
	{"refcount behind the end", false, false, func(p []byte, _, block, _, _ int64) { put16(p, block+2*40, 1) }},
	{"refcount too high", true, false, func(p []byte, _, block, _, _ int64) { put16(p, block+2*6, 2) }},
	{"refcount 0", true, false, func(p []byte, _, block, _, _ int64) { put16(p, block+2*6, 0) }},
	{"header's refcount 0", true, false, func(p []byte, _, block, _, _ int64) { put16(p, block, 0) }},
	{"no refcount block", true, false, func(p []byte, reftable, _, _, _ int64) { put64(p, reftable, 0) }},
	{"refcount block behind the end", true, false, func(p []byte, reftable, _, _, _ int64) { put64(p, reftable, 1<<40) }},
	{"refcount block not aligned", true, false, func(p []byte, reftable, block, _, _ int64) { put64(p, reftable, uint64(block)+512) }},
	{"copied flag lost", true, false, func(p []byte, _, _, _, l2 int64) { p[l2] &^= 0x80 }},
	{"copied flag of L1 lost", true, false, func(p []byte, _, _, l1, _ int64) { p[l1] &^= 0x80 }},
	{"cluster used twice", true, false, func(p []byte, _, _, _, l2 int64) { copy(p[l2+8:l2+16], p[l2:l2+8]) }},
	{"cluster behind the end", true, true, func(p []byte, _, _, _, l2 int64) { put64(p, l2, 1<<63|1<<40) }},
	{"cluster not aligned", true, true, func(p []byte, _, _, _, l2 int64) { p[l2+6] |= 2 }},
	{"L2 table behind the end", true, true, func(p []byte, _, _, l1, _ int64) { put64(p, l1, 1<<63|1<<40) }},
}

func put64(p []byte, at int64, v uint64) { binary.BigEndian.PutUint64(p[at:], v) }
func put16(p []byte, at int64, v uint16) { binary.BigEndian.PutUint16(p[at:], v) }

func TestCheckAgreesWithQEMU(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			name := filepath.Join(t.TempDir(), "q.qcow2")
			run(t, "qemu-img", "create", "-f", "qcow2", name, "4M")
			qemuIO(t, name, "write -P 1 0 1M", "write -P 2 2M 300k")
			p, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			at := func(off int64) int64 { return int64(binary.BigEndian.Uint64(p[off:]) & 0x00fffffffffffe00) }
			reftable, l1 := at(48), at(40)
			d.do(p, reftable, at(reftable), l1, at(l1))
			writeFile(t, name, p)
			theirs := qemuCheck(t, name)
			ours := ourCheck(t, name)
			if (theirs.Corruptions > 0) != (ours.Corruptions > 0) || (theirs.Leaks > 0) != (ours.Leaks > 0) && theirs.Corruptions == 0 {
				t.Errorf("QEMU finds %+v, we %+v", theirs, ours)
			}
			if d.broken != (ours.Corruptions > 0 || d.name == "refcount too high") {
				t.Errorf("we find %+v", ours)
			}
			repaired(t, name, d.stays)
		})
	}
}

func ourCheck(t *testing.T, name string) verdict {
	t.Helper()
	img := openImage(t, name, false)
	defer closeImage(t, img)
	report, err := disk.Check(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	var v verdict
	for _, f := range report.Findings {
		switch f.Severity {
		case disk.Damage:
			v.Corruptions++
		case disk.Leak:
			v.Leaks++
		case disk.Note:
		}
	}
	return v
}

// repaired repairs an image and lets both check it.
func repaired(t *testing.T, name string, stays bool) {
	t.Helper()
	img := openImage(t, name, true)
	if _, err := disk.Repair(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	if stays {
		if v := ourCheck(t, name); v.Corruptions == 0 {
			t.Errorf("what cannot be repaired is gone: %+v", v)
		}
		return
	}
	sound(t, name)
}

func TestADirtyImageIsCountedAnewBeforeWriting(t *testing.T) {
	name := filepath.Join(t.TempDir(), "q.qcow2")
	run(t, "qemu-img", "create", "-f", "qcow2", "-o", "lazy_refcounts=on", name, "4M")
	// QEMU is killed before it writes the refcounts.
	out, err := exec.CommandContext(t.Context(), testenv.Need(t, "qemu-io"), "-f", "qcow2", "-c", "write -P 5 0 1M", "-c", "flush", "-c", "sigraise 9", name).CombinedOutput()
	if err == nil {
		t.Fatalf("qemu-io was not killed: %s", out)
	}
	img := openImage(t, name, false)
	if !disk.Describe(img).Dirty {
		t.Error("not dirty")
	}
	if got := content(t, img); got[0] != 5 || got[1<<20-1] != 5 || got[1<<20] != 0 {
		t.Error("a dirty image reads wrong")
	}
	closeImage(t, img)
	img = openImage(t, name, true)
	if _, err := img.(disk.Writer).WriteAt([]byte("new"), 3<<20); err != nil {
		t.Fatal(err)
	}
	want := content(t, img)
	closeImage(t, img)
	sound(t, name)
	sameAsQEMU(t, name, want)
	if info := run(t, "qemu-img", "info", name); strings.Contains(info, "dirty") {
		t.Error(info)
	}
}

// patched is a new image with bytes of its header changed.
func patched(t *testing.T, create string, patch func(p []byte)) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "q.qcow2")
	run(t, "qemu-img", "create", "-f", "qcow2", "-o", create, name, "4M")
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	patch(p)
	writeFile(t, name, p)
	return name
}

func TestACorruptImageIsReadAndNotWritten(t *testing.T) {
	name := patched(t, "compat=1.1", func(p []byte) { p[79] |= 2 })
	img := openImage(t, name, true)
	if got := content(t, img); len(got) != 4<<20 {
		t.Error("not read")
	}
	_, err := img.(disk.Writer).WriteAt([]byte("x"), 0)
	var bad *disk.FormatError
	if !errors.As(err, &bad) || !disk.Describe(img).Corrupt {
		t.Errorf("written: %v", err)
	}
	if _, err := disk.Repair(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	if _, err := img.(disk.Writer).WriteAt([]byte("x"), 0); err != nil {
		t.Errorf("after repair: %v", err)
	}
	closeImage(t, img)
	sound(t, name)
}

func TestUnknownFeatures(t *testing.T) {
	name := patched(t, "compat=1.1", func(p []byte) { p[72] |= 0x80 })
	if _, err := disk.Open(name, options(false)); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "bit 63") {
		t.Errorf("an unknown feature: %v", err)
	}
	name = patched(t, "compat=1.1", func(p []byte) { p[79], p[112+8+2] = p[79]|1<<5, 'X'; p[112+8+1] = 5 })
	if _, err := disk.Open(name, options(false)); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), `"Xirty bit"`) {
		t.Errorf("a feature that the image names: %v", err)
	}
	name = patched(t, "compat=1.1", func(p []byte) { p[88] |= 0x40 })
	img := openImage(t, name, true)
	if _, err := img.(disk.Writer).WriteAt([]byte("x"), 0); err != nil {
		t.Fatal(err)
	}
	closeImage(t, img)
	if p, err := os.ReadFile(name); err != nil || p[88] != 0 {
		t.Errorf("an unknown autoclear bit stays: %v", err)
	}
	name = patched(t, "compat=1.1", func(p []byte) { p[35] = 2 })
	if _, err := disk.Open(name, options(false)); err == nil || !strings.Contains(err.Error(), "LUKS") {
		t.Errorf("an encrypted image without a header: %v", err)
	}
}

func TestNamesOfParents(t *testing.T) {
	dir := t.TempDir()
	base := filepath.Join(dir, "base.raw")
	writeFile(t, base, noise(1<<20, 1))
	for _, c := range []struct {
		name string
		ok   bool
	}{
		{"base.raw", true},
		{base, true},
		{"file:" + base, true},
		{`json:{"driver":"raw","file":{"driver":"file","filename":"` + base + `"}}`, true},
		{`json:{"driver":"raw","file.filename":"` + base + `"}`, true},
		{`json:{"driver":"file","filename":"` + base + `"}`, true},
		{`json:{"driver":"raw","offset":512,"file":{"driver":"file","filename":"` + base + `"}}`, false},
		{`json:{"driver":"nbd","host":"x"}`, false},
		{"nbd://host/export", false},
		{"nbd:unix:/x", false},
		{"https://host/base.raw", false},
		{"json:{", false},
	} {
		name := filepath.Join(dir, "child.qcow2")
		run(t, "qemu-img", "create", "-q", "-u", "-f", "qcow2", "-b", c.name, "-F", "raw", name, "1M")
		img, err := disk.Open(name, options(false))
		if c.ok != (err == nil) || !c.ok && !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil {
			continue
		}
		if string(content(t, img)) != string(noise(1<<20, 1)) {
			t.Errorf("%s reads wrong", c.name)
		}
		closeImage(t, img)
	}
}
