package parallels_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/parallels"
)

func TestClustersAreWhereTheTableSays(t *testing.T) {
	for name, c := range map[string]struct {
		image hds
		want  string
	}{
		"new, by clusters":      {hds{bat: []uint32{2, 0, 1, 3}, letters: "abc"}, "b.ac"},
		"old, by sectors":       {hds{old: true, bat: []uint32{16, 0, 8, 24}, letters: "abc"}, "b.ac"},
		"old, unaligned":        {hds{old: true, tracks: 8, dataOff: 3, bat: []uint32{11, 3}, letters: "ab"}, "ba"},
		"adjacent is one run":   {hds{bat: []uint32{1, 2, 3, 4}, letters: "abcd"}, "abcd"},
		"marked as empty":       {hds{bat: []uint32{1, 2}, letters: "ab", flags: 1}, ".."},
		"the table is short":    {hds{bat: []uint32{1}, sectors: 24, letters: "a"}, "a.."},
		"the last is cut short": {hds{bat: []uint32{1, 2}, letters: "a", tail: bytes.Repeat([]byte{0}, 100)}, "a."},
		"upper half of old":     {hds{old: true, bat: []uint32{8}, sectors: 0xFF00000000 + 8, letters: "a"}, "a"},
	} {
		t.Run(name, func(t *testing.T) {
			img := mustOpen(t, alone(c.image), "a.hds", disk.Options{})
			defer mustClose(t, img)
			if have := letters(t, img); have != c.want {
				t.Errorf("it reads as %s; it should be %s", have, c.want)
			}
		})
	}
}

func TestBadHeadersAreRefused(t *testing.T) {
	change := func(off int, p ...byte) []byte {
		b := hds{bat: []uint32{1}, letters: "a"}.bytes()
		copy(b[off:], p)
		return b
	}
	for name, c := range map[string]struct {
		image []byte
		want  string
	}{
		"version":          {change(16, 3), "version 3"},
		"no cluster":       {change(28, 0, 0, 0, 0), "no sectors"},
		"huge cluster":     {change(28, 0, 0, 0, 0x7F), "more than"},
		"huge table":       {change(32, 0xFF, 0xFF, 0xFF, 0x7F), "beyond the end"},
		"huge disk":        {change(36, 0, 0, 0, 0, 0, 0, 0, 0x7F), "more than can be addressed"},
		"huge extension":   {change(56, 0, 0, 0, 0, 0, 0, 0, 0x7F), "extension"},
		"half a header":    {change(0)[:40], "sectors"},
		"cluster in table": {hds{old: true, bat: []uint32{0, 0}, letters: "a"}.bytes(), ""},
	} {
		t.Run(name, func(t *testing.T) {
			fs := alone(hds{})
			fs.Put("a.hds", c.image)
			img, err := openIn(fs, "a.hds", disk.Options{Format: "parallels"})
			if err == nil {
				mustClose(t, img)
			}
			if c.want == "" && err == nil {
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) && name != "half a header" {
				t.Errorf("error %v; it should speak of %q", err, c.want)
			}
		})
	}
}

func TestWildPointersAreNotFollowed(t *testing.T) {
	img := mustOpen(t, alone(hds{bat: []uint32{1, 77}, letters: "a"}), "a.hds", disk.Options{})
	defer mustClose(t, img)
	var bad *disk.FormatError
	if _, err := img.ReadAt(make([]byte, 8192), 0); !errors.As(err, &bad) || bad.Offset != 68 {
		t.Errorf("reading beyond the end of the file: %v", err)
	}
}

func TestADamagedImageIsRepairedBeforeItIsWritten(t *testing.T) {
	fs := alone(hds{bat: []uint32{1, 1, 9, 2, 0}, letters: "abl"})
	img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	if _, err := img.(disk.Writer).WriteAt([]byte{1}, 0); err == nil || !strings.Contains(err.Error(), "repair") {
		t.Fatalf("writing to a damaged image: %v", err)
	}
	found := mustCheck(t, img)
	for _, want := range []string{"cluster 1 lies at 0x1000, where another", "cluster 2 lies at 0x9000, beyond"} {
		if !strings.Contains(reasons(t, found), want) {
			t.Errorf("check does not say %q:\n%s", want, reasons(t, found))
		}
	}
	if _, err := disk.Repair(context.Background(), img); err != nil {
		t.Fatal(err)
	}
	mustClose(t, img)

	img = mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	defer mustClose(t, img)
	if have := letters(t, img); have != "aa.b." {
		t.Errorf("repaired, it reads as %s", have)
	}
	if r := mustCheck(t, img); len(r.Findings) > 0 && r.Findings[0].Severity == disk.Damage {
		t.Errorf("after repair: %s", reasons(t, r))
	}
	if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{'z'}, 4096), 0); err != nil {
		t.Fatal(err)
	}
	if have := letters(t, img); have != "za.b." {
		t.Errorf("the copy is not the cluster's own: %s", have)
	}
}

func TestLeaksAreFoundReusedAndCut(t *testing.T) {
	fs := alone(hds{bat: []uint32{1, 0, 3, 0}, letters: "a-c--"})
	img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	if r := mustCheck(t, img); r.Leaked != 3*4096 || r.Allocated != 2 {
		t.Errorf("%d bytes leaked, %d clusters allocated", r.Leaked, r.Allocated)
	}
	if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{'b'}, 4096), 4096); err != nil {
		t.Fatal(err)
	}
	freed, err := img.(disk.Compacter).Compact(context.Background(), nil)
	if err != nil || freed != 2*4096 {
		t.Errorf("compact freed %d, %v", freed, err)
	}
	mustClose(t, img)
	if n := len(fs.Bytes("a.hds")); n != 4*4096 {
		t.Errorf("the file has %d bytes; three clusters and the header are %d", n, 4*4096)
	}
	img = mustOpen(t, fs, "a.hds", disk.Options{})
	defer mustClose(t, img)
	if have := letters(t, img); have != "abc." {
		t.Errorf("it reads as %s", have)
	}
}

func TestTheMarkIsSetWhileWriting(t *testing.T) {
	mark := func(p []byte) uint32 { return binary.LittleEndian.Uint32(p[44:]) }
	fs := alone(hds{bat: []uint32{1, 0}, letters: "a"})
	img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	if mark(fs.Bytes("a.hds")) != 0 {
		t.Error("opening alone marks the image")
	}
	if _, err := img.(disk.Writer).WriteAt([]byte{1}, 0); err != nil {
		t.Fatal(err)
	}
	if m := mark(fs.Bytes("a.hds")); m != 0x746F6E59 {
		t.Errorf("written to, the mark is %#x", m)
	}
	again := mustOpen(t, fs, "a.hds", disk.Options{})
	if !disk.Describe(again).Dirty {
		t.Error("it is not described as dirty")
	}
	mustClose(t, again)
	mustClose(t, img)
	if m := mark(fs.Bytes("a.hds")); m != 0x312E3276 {
		t.Errorf("closed, the mark is %#x", m)
	}
}

func TestStaleEntriesOfAnEmptyImageStayDead(t *testing.T) {
	fs := alone(hds{bat: []uint32{1, 2, 0}, letters: "ab", flags: 1})
	img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{'x'}, 4096), 8192); err != nil {
		t.Fatal(err)
	}
	mustClose(t, img)
	img = mustOpen(t, fs, "a.hds", disk.Options{})
	defer mustClose(t, img)
	if have := letters(t, img); have != "..x" {
		t.Errorf("it reads as %s", have)
	}
}

// extensionOf is a cluster with features.
func extensionOf(features ...uint64) []byte {
	p := make([]byte, 4096)
	le := binary.LittleEndian
	le.PutUint64(p, 0xAB234CEF23DCEA87)
	at := 24
	for i := 0; i < len(features); i += 2 { // magic, flags
		le.PutUint64(p[at:], features[i])
		le.PutUint64(p[at+8:], features[i+1])
		le.PutUint32(p[at+16:], 5)
		at += 24 + 8
	}
	sum := md5.Sum(p[24:])
	copy(p[8:], sum[:])
	return p
}

func TestFormatExtension(t *testing.T) {
	with := func(p []byte) hds {
		return hds{bat: []uint32{1, 0}, letters: "a", extOff: 16, inUse: 0x312E3276, tail: p}
	}
	t.Run("kept", func(t *testing.T) {
		p := extensionOf(0x20385FAE252CB34A, 0)
		fs := alone(with(p))
		img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
		if d := disk.Describe(img).Details; len(d) != 1 || d[0].Value != "dirty bitmap" {
			t.Errorf("it is described with %v", d)
		}
		if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{'b'}, 4096), 4096); err != nil {
			t.Fatal(err)
		}
		mustClose(t, img)
		after := fs.Bytes("a.hds")
		if !bytes.Equal(after[8192:12288], p) {
			t.Error("the extension was written over")
		}
		if m := binary.LittleEndian.Uint32(after[44:]); m != 0 {
			t.Errorf("the mark is %#x: it must say that the bitmap is out of date", m)
		}
	})
	t.Run("necessary", func(t *testing.T) {
		fs := alone(with(extensionOf(0x1234, 1)))
		if _, err := openIn(fs, "a.hds", disk.Options{Write: true}); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("for writing: %v", err)
		}
		mustClose(t, mustOpen(t, fs, "a.hds", disk.Options{}))
	})
	t.Run("broken", func(t *testing.T) {
		p := extensionOf(0x1234, 1)
		p[100] ^= 1
		img := mustOpen(t, alone(with(p)), "a.hds", disk.Options{Write: true})
		defer mustClose(t, img)
		if r := mustCheck(t, img); !strings.Contains(reasons(t, r), "checksum") {
			t.Errorf("check says: %s", reasons(t, r))
		}
		if _, err := img.(disk.Compacter).Compact(context.Background(), nil); !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("compacting around what we do not know: %v", err)
		}
	})
}

func TestAPlainDiskIsNotMadeALookalike(t *testing.T) {
	fs := alone(hds{})
	fs.Put("a.hds", make([]byte, 4096))
	img := mustOpen(t, fs, "a.hds", disk.Options{Format: "parallels", Write: true})
	defer mustClose(t, img)
	w := img.(disk.Writer)
	if _, err := w.WriteAt([]byte("Withou"), 0); err != nil {
		t.Fatal(err)
	}
	if _, err := w.WriteAt([]byte("FreSpacExt"), 6); !errors.Is(err, disk.ErrLookalike) {
		t.Errorf("completing the magic: %v", err)
	}
}

// tableFile counts how often a file is read.
type tableFile struct {
	disk.FS
	reads *atomic.Int64
}

func (f tableFile) Open(name string, write bool) (disk.File, error) {
	file, err := f.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	return countedFile{file.(*memfs.File), f.reads}, nil
}

type countedFile struct {
	*memfs.File
	reads *atomic.Int64
}

func (f countedFile) ReadAt(p []byte, off int64) (int, error) {
	f.reads.Add(1)
	return f.File.ReadAt(p, off)
}

// A table of 2^28 entries, a hole but for the last one and one in its midst.
func TestTheHolesOfATableAreNotRead(t *testing.T) {
	const entries, cluster = 1 << 28, 4096
	const table = (64 + 4*entries + cluster - 1) / cluster * cluster
	fs, reads := memfs.New(), new(atomic.Int64)
	h := parallels.NewTestHeader(true, cluster/512, entries, entries*cluster/512, table/512)
	fs.Put("a.hds", h.Encode())
	f, err := fs.Open("a.hds", true)
	if err != nil {
		t.Fatal(err)
	}
	for i, index := range []int64{entries / 2, entries - 1} {
		place := binary.LittleEndian.AppendUint32(nil, uint32(table/cluster+i))
		_, e1 := f.WriteAt(place, 64+4*index)
		_, e2 := f.WriteAt(bytes.Repeat([]byte{byte('a' + i)}, cluster), table+int64(i)*cluster)
		if err := errors.Join(e1, e2); err != nil {
			t.Fatal(err)
		}
	}
	img := mustOpen(t, tableFile{fs, reads}, "a.hds", disk.Options{})
	defer mustClose(t, img)
	var data []int64
	for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State == disk.Data {
			data = append(data, e.Off/cluster, e.Len/cluster)
		}
	}
	if want := []int64{entries / 2, 1, entries - 1, 1}; !slices.Equal(data, want) {
		t.Errorf("clusters with data are %v; they should be %v", data, want)
	}
	if r := mustCheck(t, img); r.Allocated != 2 || len(r.Findings) > 0 {
		t.Errorf("the check says %+v", r)
	}
	if n := reads.Load(); n > 100 {
		t.Errorf("the file was read %d times", n)
	}
}

// Entries that lie over each other at the end of a file of 84 bytes name
// clusters of 4 MiB, which a repair gives copies of their own.
func TestARepairWritesNoClustersOfZeros(t *testing.T) {
	h := parallels.NewTestHeader(false, 8<<10, 200, 200*8<<10, 0)
	fs := memfs.New()
	image := append(h.Encode(), bytes.Repeat([]byte{2, 0, 0, 0}, 200)...)
	fs.Put("a.hds", append(image, make([]byte, 1024-len(image)+100)...))
	img := mustOpen(t, fs, "a.hds", disk.Options{Write: true})
	if r, err := disk.Repair(t.Context(), img); err != nil || len(r.Findings) != 199 {
		t.Fatalf("mended %d, %v", len(r.Findings), err)
	}
	mustClose(t, img)
	f, err := fs.Open("a.hds", false)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := f.(disk.Allocated).Allocated(); n > 4<<20 || err != nil {
		t.Errorf("the file takes %d bytes, %v", n, err)
	}
	img = mustOpen(t, fs, "a.hds", disk.Options{})
	defer mustClose(t, img)
	if r := mustCheck(t, img); r.Allocated != 200 || reasons(t, r) != "" {
		t.Errorf("the check says %s", reasons(t, r))
	}
}

func TestSizes(t *testing.T) {
	for options, sizes := range map[string]map[int64]bool{
		"ext":     {512: true, 513: false, 10 << 40: true, 1 << 51: false},
		"classic": {512: true, 2<<40 - 512: true, 2 << 40: false},
	} {
		for size, fits := range sizes {
			fs := alone(hds{})
			img, err := disk.Create("b.hds", disk.CreateOptions{
				FS: fs, Formats: formats, Format: "parallels", Size: size, Options: map[string]string{"layout": options},
			})
			if fits != (err == nil) || !fits && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("%s: creating %d bytes: %v", options, size, err)
			}
			if err == nil {
				mustClose(t, img)
			}
		}
	}
}
