package raw_test

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/internal/testenv"
)

// TestHolesAreKept writes a little to a large disk of the host's.
func TestHolesAreKept(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	img, err := disk.Create(name, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats, Format: "raw", Size: 10 << 40})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, img)
	w := img.(disk.Writer)
	for _, off := range []int64{0, 5<<40 + 1<<20, 10<<40 - 65536} {
		if _, err := w.WriteAt(bytes.Repeat([]byte("x"), 65536), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Sync(); err != nil {
		t.Fatal(err)
	}
	states := func() (all []disk.State) {
		for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, e.State)
		}
		return all
	}
	if got := states(); len(got) != 5 {
		t.Errorf("the disk is %v", got)
	}
	if taken := disk.Describe(img).Allocated; taken > 1<<20 {
		t.Errorf("the file takes %d bytes", taken)
	}
	if err := disk.Discard(img, 5<<40, 2<<20); err != nil {
		t.Fatal(err)
	}
	if got := states(); len(got) != 3 {
		t.Errorf("after a discard the disk is %v", got)
	}
}

// TestCompactGivesRoomBack makes holes of zeros that were written.
func TestCompactGivesRoomBack(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk.img")
	content := make([]byte, 4<<20)
	copy(content[2<<20+100:], "something")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	img := open(t, hostfs.Everywhere(), name, disk.Options{Write: true})
	defer shut(t, img)
	before := disk.Describe(img).Allocated
	freed, err := img.(disk.Compacter).Compact(t.Context(), nil)
	if after := disk.Describe(img).Allocated; err != nil || freed != before-after || after > 64<<10 {
		t.Errorf("of %d bytes %d were freed and %d are taken, %v", before, freed, after, err)
	}
	if now, err := os.ReadFile(name); err != nil || !bytes.Equal(now, content) {
		t.Errorf("the content changed, %v", err)
	}
}

// TestQemuReadsTheSame compares with qemu-img, in both directions.
func TestQemuReadsTheSame(t *testing.T) {
	qemu := testenv.Need(t, "qemu-img")
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours.img"), filepath.Join(dir, "theirs.img")
	img, err := disk.Create(ours, disk.CreateOptions{FS: hostfs.Everywhere(), Formats: formats, Format: "raw", Size: 3<<20 + 512})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte("panal"), 100_000), 12345); err != nil {
		t.Fatal(err)
	}
	shut(t, img)
	if out, err := exec.Command(qemu, "convert", "-f", "raw", "-O", "raw", ours, theirs).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := open(t, hostfs.Everywhere(), ours, disk.Options{})
	defer shut(t, a)
	b := open(t, hostfs.Everywhere(), theirs, disk.Options{})
	defer shut(t, b)
	if d, err := disk.Compare(context.Background(), a, b, disk.CopyOptions{}); err != nil || !d.Same {
		t.Errorf("%+v, %v", d, err)
	}
}

// device is a file that says that it is a block device.
type device struct {
	*memfs.File
	size int64
}

func (d device) IsDevice() bool { return true }

func (d device) Size() (int64, error) { return d.size, nil }

func (d device) Truncate(int64) error { return io.ErrShortWrite }

// TestDevice makes a disk in a device that was used before.
func TestDevice(t *testing.T) {
	fs := memfs.New()
	fs.Put("sdz", bytes.Repeat([]byte("old"), 1<<20))
	reopen := func() disk.File {
		f, err := fs.Open("sdz", true)
		if err != nil {
			t.Fatal(err)
		}
		return device{f.(*memfs.File), 3 << 20}
	}
	if _, err := disk.CreateFile(reopen(), "sdz", disk.CreateOptions{Formats: formats, Format: "raw", Size: 4 << 20}); err == nil {
		t.Error("a disk larger than its device was made")
	}
	img, err := disk.CreateFile(reopen(), "sdz", disk.CreateOptions{Formats: formats, Format: "raw", Size: 2 << 20})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 2<<20)
	if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, make([]byte, 2<<20)) {
		t.Errorf("the new disk is not empty, %v", err)
	}
	if img.Size() != 2<<20 {
		t.Errorf("the new disk has %d bytes", img.Size())
	}
	shut(t, img)
	if !bytes.HasPrefix(fs.Bytes("sdz")[2<<20:], []byte("dol")) {
		t.Error("what lies behind the disk was changed")
	}

	img, err = disk.OpenFile(reopen(), "sdz", disk.Options{Formats: formats, Format: "raw", Write: true})
	if err != nil {
		t.Fatal(err)
	}
	defer shut(t, img)
	if info := disk.Describe(img); info.Variant != "device" || info.Size != 3<<20 {
		t.Errorf("%+v", info)
	}
	if err := disk.Resize(img, 1<<20); err == nil {
		t.Error("a device was resized")
	}
}

// TestSplitsPartsAreJoined reads what split(1) makes, with letters and numbers,
// also beyond where the letters last.
func TestSplitsPartsAreJoined(t *testing.T) {
	split := testenv.Need(t, "split")
	content := make([]byte, 700*512)
	for i := range content {
		content[i] = byte(i / 512 * 7)
	}
	for first, options := range map[string][]string{
		"disk.aa": {"-b", "512"}, "disk.aaa": {"-b", "1000", "-a", "3"}, "disk.000": {"-b", "4096", "-d", "-a", "3"},
	} {
		dir := t.TempDir()
		source := filepath.Join(dir, "source")
		if err := os.WriteFile(source, content, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(split, append(options, source, filepath.Join(dir, "disk."))...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		img := open(t, hostfs.Everywhere(), filepath.Join(dir, first), disk.Options{Format: "raw"})
		have := make([]byte, img.Size())
		if _, err := img.ReadAt(have, 0); err != nil || !bytes.Equal(have, content) || disk.Describe(img).Variant != "split" {
			t.Errorf("%s: %d bytes, %v, %s", first, len(have), err, disk.Describe(img).Variant)
		}
		shut(t, img)
	}
}
