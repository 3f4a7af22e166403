package vmdk_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// openMem opens an image in memory.
func openMem(m *memfs.FS, name string, o disk.Options) (disk.Image, error) {
	o.FS, o.Formats = m, formats
	return disk.Open(name, o)
}

func mustOpen(t testing.TB, m *memfs.FS, name string, o disk.Options) disk.Image {
	t.Helper()
	img, err := openMem(m, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// filledStream is a stream of ours and its content.
func filledStream(t *testing.T) (file, content []byte) {
	t.Helper()
	content = mixed(1<<20, 2)
	return small(t, "streamOptimized"), content
}

// TestStreamsThatAreCut finds grains by their markers.
func TestStreamsThatAreCut(t *testing.T) {
	file, content := filledStream(t)
	m := memfs.New()
	m.Put("noend.vmdk", file[:len(file)-1024]) // without footer and end
	img := mustOpen(t, m, "noend.vmdk", disk.Options{})
	if !bytes.Equal(readAll(t, img), content) {
		t.Error("without its footer it reads otherwise")
	}
	report, err := disk.Check(context.Background(), img)
	if worst, _ := report.Worst(); err != nil || worst != disk.Damage || !disk.Describe(img).Corrupt {
		t.Errorf("the lost end is not reported: %v, %v", report, err)
	}
	m.Put("half.vmdk", file[:len(file)/2])
	img = mustOpen(t, m, "half.vmdk", disk.Options{})
	got := readAll(t, img)
	same := 0
	for off := 0; off < len(got); off += 64 << 10 {
		if bytes.Equal(got[off:off+64<<10], content[off:off+64<<10]) {
			same++
		}
	}
	if same < 5 {
		t.Errorf("of half a stream %d grains were found", same)
	}
	broken := bytes.Clone(file)
	at := bytes.LastIndex(broken, []byte("KDMV"))
	binary.LittleEndian.PutUint64(broken[at+56:], 1<<40) // the footer's grain directory
	m.Put("wild.vmdk", broken)
	img = mustOpen(t, m, "wild.vmdk", disk.Options{})
	if !bytes.Equal(readAll(t, img), content) {
		t.Error("with a wild grain directory it reads otherwise")
	}
	if report, err = disk.Check(context.Background(), img); err != nil || len(report.Findings) != 1 || report.Findings[0].Severity != disk.Note {
		t.Errorf("a stream that is complete but for its directory: %+v, %v", report, err)
	}
}

// TestDamagedGrain names the place of a grain that cannot be decoded.
func TestDamagedGrain(t *testing.T) {
	file, _ := filledStream(t)
	m := memfs.New()
	file = bytes.Clone(file)
	file[128*512+60] ^= 0xff
	m.Put("a.vmdk", file)
	var bad *disk.FormatError
	if _, err := mustOpen(t, m, "a.vmdk", disk.Options{}).ReadAt(make([]byte, 1<<20), 0); !errors.As(err, &bad) || bad.Offset != 128*512 {
		t.Errorf("got %v", err)
	}
}

// tables are where the first table and its copy lie in an image of ours.
func tables(file []byte) (first, second int) {
	le := binary.LittleEndian
	rgd, gd := int(le.Uint64(file[48:]))*512, int(le.Uint64(file[56:]))*512
	return int(le.Uint32(file[gd:])) * 512, int(le.Uint32(file[rgd:])) * 512
}

// harm is a way to damage an image that small made.
type harm struct {
	damage func(p []byte)
	lost   bool   // whether what small wrote is
	says   string // what a finding says
}

// harms are ways to damage tables. entry and copyOf are where the first copy and
// the second tell of grain 1, which holds what small wrote.
func harms(entry, copyOf int) map[string]harm {
	le := binary.LittleEndian
	return map[string]harm{
		"first entry zeroed":    {func(p []byte) { le.PutUint32(p[entry:], 0) }, false, "differ from the second copy"},
		"first entry dangling":  {func(p []byte) { le.PutUint32(p[entry:], 1<<30) }, false, "behind the end of the file"},
		"second entry zeroed":   {func(p []byte) { le.PutUint32(p[copyOf:], 0) }, false, "differ from the second copy"},
		"both dangling":         {func(p []byte) { le.PutUint32(p[entry:], 1<<30); le.PutUint32(p[copyOf:], 1<<30) }, true, "behind the end of the file"},
		"two on one":            {func(p []byte) { copy(p[entry+4:], p[entry:entry+4]); copy(p[copyOf+4:], p[entry:entry+4]) }, false, "lie upon each other"},
		"first directory lost":  {func(p []byte) { le.PutUint64(p[56:], 1<<40) }, false, "first grain directory cannot be read"},
		"second directory lost": {func(p []byte) { le.PutUint64(p[48:], 1<<40) }, false, "second grain directory cannot be read"},
		"first table lost":      {func(p []byte) { le.PutUint32(p[int(le.Uint64(p[56:]))*512:], 1<<30) }, false, "is not in the file"},
		"unclean":               {func(p []byte) { p[72] = 1 }, false, "not closed"},
		"no CID":                {func(p []byte) { copy(p[bytes.Index(p, []byte("\nCID=")):], "\nXID=") }, false, "no readable CID"},
	}
}

// TestRepair damages tables in many ways.
func TestRepair(t *testing.T) {
	original := small(t, "monolithicSparse")
	first, second := tables(original)
	if binary.LittleEndian.Uint32(original[first+4:]) == 0 {
		t.Fatal("grain 1 is not there")
	}
	for name, c := range harms(first+4, second+4) {
		t.Run(name, func(t *testing.T) {
			file := bytes.Clone(original)
			c.damage(file)
			m := memfs.New()
			m.Put("a.vmdk", file)
			img := mustOpen(t, m, "a.vmdk", disk.Options{Write: true})
			report, err := disk.Check(context.Background(), img)
			if err != nil || len(report.Findings) == 0 || !strings.Contains(report.Findings[0].Reason, c.says) {
				t.Fatalf("check found %+v, %v", report.Findings, err)
			}
			if report, err = disk.Repair(context.Background(), img); err != nil || len(report.Findings) == 0 {
				t.Fatalf("repaired %+v, %v", report.Findings, err)
			}
			write(t, img, []byte("other"), 500000)
			closed(t, img)
			img = mustOpen(t, m, "a.vmdk", disk.Options{})
			sound(t, img, disk.Leak)
			if report, _ = disk.Check(context.Background(), img); len(report.Findings) > 0 && report.Findings[0].Severity == disk.Note {
				t.Errorf("still %+v", report.Findings)
			}
			want := make([]byte, 1<<20)
			copy(want[500000:], "other")
			if !c.lost {
				copy(want[100000:], "something")
			}
			got := readAll(t, img)
			if name == "two on one" {
				copy(want[128<<10:192<<10], want[64<<10:])
			}
			if !bytes.Equal(got, want) {
				t.Error("the content differs")
			}
		})
	}
}

// TestExtentsOfEverySort reads a disk that is put together of many.
func TestExtentsOfEverySort(t *testing.T) {
	m := memfs.New()
	text := "# Disk DescriptorFile\r\nversion=1\r\nCID=1\r\nparentCID=ffffffff\r\ncreateType=\"custom\"\r\n# Extent description\r\n" +
		"RW 2048 SPARSE \"one.vmdk\"\r\nRW 8 ZERO\r\nRDONLY 2 FLAT \"my \"odd\" flat.bin\" 1\r\nRW 40960 VMFSSPARSE \"cowd.vmdk\"\r\nRW 40960 SESPARSE \"se.vmdk\"\r\nRW 1 VMFS \"my \"odd\" flat.bin\"\r\n"
	flat := append(append(bytes.Repeat([]byte{1}, 512), bytes.Repeat([]byte{2}, 512)...), bytes.Repeat([]byte{3}, 512)...)
	m.Put("one.vmdk", small(t, "monolithicSparse"))
	m.Put(`my "odd" flat.bin`, flat)
	m.Put("cowd.vmdk", cowdImage())
	m.Put("se.vmdk", seImage())
	m.Put("all.vmdk", []byte(text))
	want := make([]byte, 1<<20+8*512)
	copy(want[100000:], "something")
	want = append(want, flat[512:]...)
	want = append(want, handmadeContent(512, cowdGrains...)...)
	want = append(want, handmadeContent(4096, seGrains...)...)
	want = append(want, flat[:512]...)
	img := mustOpen(t, m, "all.vmdk", disk.Options{})
	if !bytes.Equal(readAll(t, img), want) {
		t.Error("the content differs")
	}
	m.Put("rdm.vmdk", []byte("version=1\ncreateType=\"vmfsRDM\"\nRW 10 VMFSRDM \"x-rdm.vmdk\"\n"))
	if _, err := openMem(m, "rdm.vmdk", disk.Options{}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("a raw device mapping: %v", err)
	}
	m.Put("gone.vmdk", []byte("version=1\ncreateType=\"monolithicFlat\"\nRW 10 FLAT \"gone-flat.vmdk\" 0\n"))
	if _, err := openMem(m, "gone.vmdk", disk.Options{}); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "gone-flat.vmdk") {
		t.Errorf("an extent that is not there: %v", err)
	}
	m.Put("bar.vmdk", []byte("version=1\ncreateType=\"custom\"\nRW 1 ZERO\nNOACCESS 10 FLAT \"gone-flat.vmdk\" 0\n"))
	if _, err := mustOpen(t, m, "bar.vmdk", disk.Options{}).ReadAt(make([]byte, 10), 600); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("an extent without access: %v", err)
	}
	m.Put("ro.vmdk", []byte("version=1\nCID=1\ncreateType=\"custom\"\nRW 1 ZERO\nRDONLY 1 FLAT \"one.vmdk\" 0\n"))
	if _, err := mustOpen(t, m, "ro.vmdk", disk.Options{Write: true}).(disk.Writer).WriteAt([]byte("x"), 700); !errors.Is(err, disk.ErrReadOnly) {
		t.Errorf("writing to an extent that is for reading: %v", err)
	}
}

// TestParentsOfEveryName finds parents by Windows' paths, beside the child, and
// by VirtualBox's UUIDs, and tells both CIDs when they differ.
func TestParentsOfEveryName(t *testing.T) {
	m := memfs.New()
	m.Put("base.vmdk", small(t, "monolithicSparse"))
	base := mustOpen(t, m, "base.vmdk", disk.Options{})
	cid := ""
	for _, d := range disk.Describe(base).Details {
		if d.Name == "CID" {
			cid = d.Value
		}
	}
	child := func(settings string) error {
		m.Put("child.vmdk", []byte("version=1\nCID=7\ncreateType=\"monolithicSparse\"\n"+settings+"\nRW 2048 SPARSE \"delta.vmdk\"\n"))
		m.Put("delta.vmdk", emptyExtent(t))
		img, err := openMem(m, "child.vmdk", disk.Options{})
		if err != nil {
			return err
		}
		p := make([]byte, 9)
		if _, err := img.ReadAt(p, 100000); err != nil || string(p) != "something" {
			t.Errorf("through %q: %q, %v", settings, p, err)
		}
		return img.Close()
	}
	for _, settings := range []string{
		"parentCID=" + cid + "\nparentFileNameHint=\"base.vmdk\"",
		"parentCID=" + cid + "\nparentFileNameHint=\"C:\\Virtual Machines\\x\\base.vmdk\"",
		"parentCID=" + cid + "\nparentFileNameHint=\"/vmfs/volumes/abc/base.vmdk\"",
		"parentCID=" + cid,
		"parentCID=ffffffff\nddb.uuid.parent=\"" + disk.Describe(base).UUID + "\"",
	} {
		if err := child(settings); err != nil {
			t.Errorf("%q: %v", settings, err)
		}
	}
	err := child("parentCID=01234567\nparentFileNameHint=\"base.vmdk\"")
	if !errors.Is(err, disk.ErrWrongParent) || !strings.Contains(err.Error(), cid) || !strings.Contains(err.Error(), "01234567") {
		t.Errorf("a parent that was changed: %v", err)
	}
	if err := child("parentCID=" + cid + "\nparentFileNameHint=\"other.vmdk\""); !errors.Is(err, disk.ErrNoParent) {
		t.Errorf("a parent that is gone: %v", err)
	}
	if err := child("parentCID=7\nparentFileNameHint=\"child.vmdk\""); !errors.Is(err, disk.ErrCycle) {
		t.Errorf("its own parent: %v", err)
	}
}

// emptyExtent is an extent of 1 MiB without anything.
func emptyExtent(t testing.TB) []byte {
	t.Helper()
	m := memfs.New()
	img, err := disk.Create("a.vmdk", disk.CreateOptions{FS: m, Formats: formats, Format: "vmdk:twoGbMaxExtentSparse", Size: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	closed(t, img)
	return m.Bytes("a-s001.vmdk")
}

// TestSplitGrows resizes a split disk over the ends of its files.
func TestSplitGrows(t *testing.T) {
	for _, kind := range []string{"twoGbMaxExtentSparse", "twoGbMaxExtentFlat"} {
		m := memfs.New()
		img, err := disk.Create("a.vmdk", disk.CreateOptions{FS: m, Formats: formats, Format: "vmdk:" + kind, Size: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		for _, size := range []int64{7 << 30, 3 << 30, 1 << 20, 5<<30 + 512} {
			if err := disk.Resize(img, size); err != nil {
				t.Fatal(err)
			}
			write(t, img, []byte("end"), size-3)
			closed(t, img)
			img = mustOpen(t, m, "a.vmdk", disk.Options{Write: true})
			p := make([]byte, 3)
			if _, err := img.ReadAt(p, size-3); err != nil || string(p) != "end" || img.Size() != size {
				t.Fatalf("%s of %d: %d bytes, %q, %v", kind, size, img.Size(), p, err)
			}
			sound(t, img, disk.Leak)
			if files := len(m.Names()) - 1; int64(files) != (size+2<<30-64<<10-1)/(2<<30-64<<10) {
				t.Errorf("%s of %d has %d extents", kind, size, files)
			}
		}
		closed(t, img)
	}
}
