package vdi_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/vdi"
)

// built is an image put together by hand, from the offsets of VirtualBox's
// VDICore.h, so that errors in our own reading of it do not cancel out.
type built struct {
	version uint32
	kind    uint32
	block   uint32
	extra   uint32
	size    uint64
	blocks  []uint32 // the map
	used    uint32
	plus    bool // has the second geometry

	id, modified, parent, parentModified byte // each UUID is 16 times this
	comment                              string
	data                                 []byte // behind the map
}

func uuidOf(b byte) string {
	h := strings.Repeat(string("0123456789abcdef"[b>>4])+string("0123456789abcdef"[b&15]), 16)
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

func (b built) bytes() []byte {
	var p []byte
	u32 := func(v ...uint32) {
		for _, x := range v {
			p = binary.LittleEndian.AppendUint32(p, x)
		}
	}
	padded := func(s string, n int) { p = append(append(p, s...), make([]byte, n-len(s))...) }
	u64 := func(v uint64) { p = binary.LittleEndian.AppendUint64(p, v) }
	uuids := func(all ...byte) {
		for _, x := range all {
			p = append(p, bytes.Repeat([]byte{x}, 16)...)
		}
	}
	padded("<<< innotek VirtualBox Disk Image >>>\n", 64)
	u32(0xbeda107f, b.version)
	if b.version>>16 == 0 {
		u32(b.kind, 0)
		padded(b.comment, 256)
		u32(20, 16, 63, 512)
		u64(b.size)
		u32(b.block, uint32(len(b.blocks)), b.used)
		uuids(b.id, b.modified, b.parent)
		u32(b.blocks...)
		return append(p, b.data...)
	}
	length, end := uint32(384), 456
	if b.plus {
		length, end = 400, 472
	}
	offData := uint32(end + 4*len(b.blocks))
	u32(length, b.kind, 0)
	padded(b.comment, 256)
	u32(uint32(end), offData, 20, 16, 63, 512, 0)
	u64(b.size)
	u32(b.block, b.extra, uint32(len(b.blocks)), b.used)
	uuids(b.id, b.modified, b.parent, b.parentModified)
	if b.plus {
		u32(2, 255, 63, 512)
	}
	u32(b.blocks...)
	p = append(p, make([]byte, int(offData)-len(p))...)
	return append(p, b.data...)
}

const (
	nothing = 0xffffffff
	zero    = 0xfffffffe
)

// places is data for places of a size, each filled with its own byte.
func places(size int, fill ...byte) []byte {
	var p []byte
	for _, b := range fill {
		p = append(p, bytes.Repeat([]byte{b}, size)...)
	}
	return p
}

func openBuilt(t *testing.T, files map[string][]byte, name string, o disk.Options) (disk.Image, error) {
	t.Helper()
	fs := memfs.New()
	for n, p := range files {
		fs.Put(n, p)
	}
	o.FS, o.Formats = fs, formats
	img, err := disk.Open(name, o)
	if err == nil {
		t.Cleanup(func() { _ = img.Close() })
	}
	return img, err
}

func mustOpen(t *testing.T, files map[string][]byte, name string, o disk.Options) disk.Image {
	t.Helper()
	img, err := openBuilt(t, files, name, o)
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func TestHeaderRevisions(t *testing.T) {
	want := append(places(4096, 7), append(make([]byte, 8192), places(4096, 9)...)...)
	base := built{
		kind: 1, block: 4096, size: 16384, blocks: []uint32{1, nothing, zero, 0}, used: 2,
		id: 0x11, modified: 0x22, comment: "old", data: places(4096, 9, 7),
	}
	for _, test := range []struct {
		name    string
		version uint32
		plus    bool
		shows   string
		grows   bool
	}{
		{"0.1", 0x00000001, false, "0.1", false},
		{"0.2", 0x00000002, false, "0.2", false},
		{"1.0", 0x00010000, false, "1.0", true},
		{"1.1", 0x00010001, false, "1.1", true},
		{"1.1 with logical geometry", 0x00010001, true, "1.1", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := base
			b.version, b.plus = test.version, test.plus
			img := mustOpen(t, map[string][]byte{"a.vdi": b.bytes()}, "a.vdi", disk.Options{Write: true})
			disktest.Holds(t, img, want)
			info := disk.Describe(img)
			if info.Version != test.shows || info.UUID != uuidOf(0x11) || info.Modified != uuidOf(0x22) || info.Comment != "old" || info.BlockSize != 4096 {
				t.Errorf("described as %+v", info)
			}
			heads := 16
			if test.plus {
				heads = 255
			}
			if info.Geometry == nil || info.Geometry.Heads != heads {
				t.Errorf("geometry %+v, want %d heads", info.Geometry, heads)
			}
			if info.Creator != "innotek VirtualBox" {
				t.Errorf("creator %q", info.Creator)
			}
			content := bytes.Clone(want)
			disktest.Scribble(t, img, content, 3)
			disktest.Holds(t, img, content)
			if disk.Describe(img).Modified == uuidOf(0x22) {
				t.Error("the modification UUID is as it was, after a write")
			}
			err := disk.Resize(img, 1<<20)
			if test.grows && err != nil || !test.grows && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("resize: %v", err)
			}
			if err == nil {
				disktest.Holds(t, img, append(content, make([]byte, 1<<20-len(content))...))
			}
			disktest.Sound(t, img, disk.Note)
		})
	}
}

func TestExtraBytesBeforeBlocks(t *testing.T) {
	place := func(b byte) []byte { return append(places(512, 0xee), places(4096, b)...) }
	b := built{
		version: 0x00010001, kind: 1, block: 4096, extra: 512, size: 8192, blocks: []uint32{1, 0}, used: 2,
		id: 1, modified: 2, data: append(place(5), place(6)...),
	}
	img := mustOpen(t, map[string][]byte{"a.vdi": b.bytes()}, "a.vdi", disk.Options{Write: true})
	content := places(4096, 6, 5)
	disktest.Holds(t, img, content)
	if err := disk.Resize(img, 20<<10); err != nil {
		t.Fatal(err)
	}
	content = append(content, make([]byte, 12<<10)...)
	disktest.Scribble(t, img, content, 8)
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, disk.Note)
}

func TestEndOfFile(t *testing.T) {
	full := built{
		version: 0x00010001, kind: 1, block: 4096, size: 12288, blocks: []uint32{0, 1, 2}, used: 3,
		id: 1, modified: 2, data: places(4096, 5, 6, 7),
	}
	t.Run("last block shorter", func(t *testing.T) {
		p := full.bytes()
		img := mustOpen(t, map[string][]byte{"a.vdi": p[:len(p)-1000]}, "a.vdi", disk.Options{Write: true})
		content := places(4096, 5, 6, 7)
		clear(content[len(content)-1000:])
		disktest.Holds(t, img, content)
		disktest.Sound(t, img, disk.Note)
		disktest.Scribble(t, img, content, 1)
		disktest.Holds(t, img, content)
	})
	t.Run("last block missing", func(t *testing.T) {
		p := full.bytes()
		img := mustOpen(t, map[string][]byte{"a.vdi": p[:len(p)-4096]}, "a.vdi", disk.Options{})
		disktest.Holds(t, img, append(places(4096, 5, 6), make([]byte, 4096)...))
	})
	t.Run("two blocks missing", func(t *testing.T) {
		p := full.bytes()
		files := map[string][]byte{"a.vdi": p[:len(p)-8192]}
		img := mustOpen(t, files, "a.vdi", disk.Options{Write: true})
		var bad *disk.FormatError
		if _, err := img.ReadAt(make([]byte, 10), 4096); !errors.As(err, &bad) {
			t.Fatalf("reading a block that was cut off gave %v", err)
		}
		if _, err := img.(disk.Writer).WriteAt([]byte{1}, 0); !errors.As(err, &bad) {
			t.Fatalf("writing to a damaged image gave %v", err)
		}
		if _, err := disk.Repair(t.Context(), img); err != nil {
			t.Fatal(err)
		}
		content := append(places(4096, 5), make([]byte, 8192)...)
		disktest.Holds(t, img, content)
		disktest.Sound(t, img, disk.Note)
		disktest.Scribble(t, img, content, 2)
		disktest.Holds(t, img, content)
	})
}

func TestRepair(t *testing.T) {
	b := built{
		version: 0x00010001, kind: 1, block: 4096, size: 5 * 4096, blocks: []uint32{3, 1, 3, nothing, 5}, used: 2,
		id: 1, modified: 2, data: places(4096, 1, 2, 3, 4, 5, 6, 7),
	}
	img := mustOpen(t, map[string][]byte{"a.vdi": b.bytes()}, "a.vdi", disk.Options{Write: true})
	content := append(places(4096, 4, 2, 4, 0), places(4096, 6)...)
	disktest.Holds(t, img, content)
	if err := disk.Zero(img, 0, 4096); err == nil {
		t.Fatal("an image with two blocks in one place was changed")
	}
	report, err := disk.Repair(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if worst, _ := report.Worst(); worst != disk.Damage || len(report.Findings) != 2 {
		t.Errorf("mended %+v", report.Findings)
	}
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, disk.Note)
	disktest.Scribble(t, img, content, 2)
	disktest.Holds(t, img, content)
	if err := img.(disk.Writer).Sync(); err != nil {
		t.Fatal(err)
	}
	disktest.Sound(t, img, disk.Note)
}

// Where blocks are lost, what lies in the gaps may be what they held: it stays
// there for who wants to look at it, until nothing is damaged any more.
func TestRepairKeepsGapsBesideLostBlocks(t *testing.T) {
	const block = 16 << 10
	fs := memfs.New()
	fs.Put("a.vdi", built{
		version: 0x00010001, kind: 1, block: block, size: 5 * block, blocks: []uint32{5, 1, nothing, 7, 9}, used: 11,
		id: 1, modified: 2, data: places(block, 1, 2, 3, 4, 5, 6, 8),
	}.bytes())
	repair := func() (told []disk.Finding) {
		t.Helper()
		img, err := disk.Open("a.vdi", disk.Options{FS: fs, Formats: formats, Write: true})
		if err != nil {
			t.Fatal(err)
		}
		found, err := disk.Check(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		report, err := disk.Repair(t.Context(), img)
		if err != nil {
			t.Fatal(err)
		}
		found.Findings = slices.DeleteFunc(found.Findings, func(f disk.Finding) bool { return f.Remedy == "" })
		if !slices.Equal(found.Findings, report.Findings) {
			t.Errorf("the check promised %+v, and %+v was mended", found.Findings, report.Findings)
		}
		disktest.Holds(t, img, slices.Concat(places(block, 6, 2), make([]byte, 3*block)))
		disktest.Finish(t, img)
		return report.Findings
	}
	const offData = 456 + 4*5
	before := fs.Bytes("a.vdi")[offData:]
	if told := repair(); len(told) != 3 {
		t.Errorf("mended %+v", told)
	}
	if after := fs.Bytes("a.vdi")[offData:]; !bytes.Equal(before, after) {
		t.Error("the data was changed, in which lost blocks may be found")
	}
	repair()
	if after := fs.Bytes("a.vdi")[offData:]; len(after) != 2*block {
		t.Errorf("repaired again, there are %d bytes of data for two blocks", len(after))
	}
}

// chainOf is a base with two children, the middle one an undo image.
func chainOf() map[string][]byte {
	return map[string][]byte{
		"dir/base.vdi": built{
			version: 0x00010001, kind: 2, block: 4096, size: 16384, blocks: []uint32{0, 1, 2, 3}, used: 4,
			id: 0xa1, modified: 0xa2, data: places(4096, 1, 2, 3, 4),
		}.bytes(),
		"dir/{b1}.vdi": built{
			version: 0x00010001, kind: 3, block: 4096, size: 16384, blocks: []uint32{nothing, 0, zero, nothing}, used: 1,
			id: 0xb1, modified: 0xb2, parent: 0xa1, parentModified: 0xa2, data: places(4096, 12),
		}.bytes(),
		"dir/{c1}.vdi": built{
			version: 0x00010001, kind: 4, block: 8192, size: 16384, blocks: []uint32{nothing, nothing}, used: 0,
			id: 0xc1, modified: 0xc2, parent: 0xb1, parentModified: 0xb2,
		}.bytes(),
		"dir/other.vdi": built{version: 0x00010001, kind: 1, block: 4096, size: 4096, blocks: []uint32{nothing}, id: 0xd1, modified: 0xd2}.bytes(),
		"dir/noise.txt": []byte("no image at all"),
	}
}

func TestChainByUUID(t *testing.T) {
	files := chainOf()
	img := mustOpen(t, files, "dir/{c1}.vdi", disk.Options{Write: true})
	content := append(places(4096, 1, 12, 0), places(4096, 4)...)
	disktest.Holds(t, img, content)
	info := disk.Describe(img)
	if info.Parent == nil || info.Parent.UUID != uuidOf(0xb1) || info.Variant != "differencing" {
		t.Errorf("described as %+v", info)
	}
	if err := disk.Zero(img, 100, 50); err != nil {
		t.Fatal(err)
	}
	clear(content[100:150])
	disktest.Holds(t, img, content)
	disktest.Scribble(t, img, content, 4)
	disktest.Holds(t, img, content)
}

func TestParentMissing(t *testing.T) {
	files := chainOf()
	delete(files, "dir/base.vdi")
	_, err := openBuilt(t, files, "dir/{c1}.vdi", disk.Options{})
	if !errors.Is(err, disk.ErrNoParent) {
		t.Fatalf("error %v", err)
	}
	img := mustOpen(t, files, "dir/{c1}.vdi", disk.Options{Alone: true})
	disktest.Holds(t, img, make([]byte, 16384))
}

func TestParentChanged(t *testing.T) {
	files := chainOf()
	fs := memfs.New()
	for n, p := range files {
		fs.Put(n, p)
	}
	base, err := disk.Open("dir/base.vdi", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	disktest.Scribble(t, base, make([]byte, 16384), 1)
	modified := disk.Describe(base).Modified
	disktest.Finish(t, base)
	_, err = disk.Open("dir/{b1}.vdi", disk.Options{FS: fs, Formats: formats})
	if !errors.Is(err, disk.ErrWrongParent) || !strings.Contains(err.Error(), modified) || !strings.Contains(err.Error(), uuidOf(0xa2)) {
		t.Fatalf("error %v; it should be ErrWrongParent and name both modification UUIDs", err)
	}
}

func TestHostileHeaders(t *testing.T) {
	good := built{version: 0x00010001, kind: 1, block: 4096, size: 8192, blocks: []uint32{0, 1}, used: 2, id: 1, modified: 2, data: places(4096, 1, 2)}
	for name, change := range map[string]func(p []byte){
		"blocks overflow":        func(p []byte) { binary.LittleEndian.PutUint32(p[0x180:], 0xffffffff) },
		"disk larger than map":   func(p []byte) { binary.LittleEndian.PutUint64(p[0x170:], 1<<40) },
		"negative size":          func(p []byte) { binary.LittleEndian.PutUint64(p[0x170:], 1<<63) },
		"block size 0":           func(p []byte) { binary.LittleEndian.PutUint32(p[0x178:], 0) },
		"block size odd":         func(p []byte) { binary.LittleEndian.PutUint32(p[0x178:], 5000) },
		"map in the header":      func(p []byte) { binary.LittleEndian.PutUint32(p[0x154:], 8) },
		"data in the map":        func(p []byte) { binary.LittleEndian.PutUint32(p[0x158:], 456) },
		"type 9":                 func(p []byte) { p[0x4c] = 9 },
		"header of 10 bytes":     func(p []byte) { binary.LittleEndian.PutUint32(p[0x48:], 10) },
		"extra without measure":  func(p []byte) { binary.LittleEndian.PutUint32(p[0x17c:], 0xfffffe00) },
		"extra of megabytes":     func(p []byte) { p[0x17e] = 0xc3 }, // moving a block took 12 MiB
		"version of the future":  func(p []byte) { p[0x46] = 2 },
		"signature of something": func(p []byte) { p[0x40] = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			p := good.bytes()
			change(p)
			var bad *disk.FormatError
			if _, err := openBuilt(t, map[string][]byte{"a.vdi": p}, "a.vdi", disk.Options{Format: "vdi"}); !errors.As(err, &bad) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestGrowBeyondTheRoomOfTheMap(t *testing.T) {
	for _, kind := range []uint32{1, 2} {
		b := built{
			version: 0x00010001, kind: kind, block: 4096, size: 3 * 4096, blocks: []uint32{2, 0, 1}, used: 3,
			id: 1, modified: 2, data: places(4096, 1, 2, 3),
		}
		img := mustOpen(t, map[string][]byte{"a.vdi": b.bytes()}, "a.vdi", disk.Options{Write: true})
		content := places(4096, 3, 1, 2)
		for _, size := range []int64{2 << 20, 3 << 20, 64 << 20, 1 << 20, 65 << 20} {
			if err := disk.Resize(img, size); err != nil {
				t.Fatal(err)
			}
			content = append(content[:min(len(content), int(size))], make([]byte, max(0, int(size)-len(content)))...)
			disktest.Scribble(t, img, content, uint64(size))
			disktest.Holds(t, img, content)
		}
		if err := img.(disk.Writer).Sync(); err != nil {
			t.Fatal(err)
		}
		disktest.Sound(t, img, disk.Leak)
	}
}

func TestOddSizeIsRoundedToSectors(t *testing.T) {
	b := built{version: 0x00010001, kind: 1, block: 4096, size: 4096 + 100, blocks: []uint32{0, 1}, used: 2, id: 1, modified: 2, data: places(4096, 1, 2)}
	img := mustOpen(t, map[string][]byte{"a.vdi": b.bytes()}, "a.vdi", disk.Options{Write: true})
	disktest.Holds(t, img, append(places(4096, 1), places(512, 2)...))
	var unsupported *disk.UnsupportedError
	if err := disk.Resize(img, 9000); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), "9216") {
		t.Errorf("resizing to an odd size gave %v; it should name the nearest size", err)
	}
}

func TestLargeSparse(t *testing.T) {
	fs := memfs.New()
	img, err := disk.Create("big.vdi", disk.CreateOptions{FS: fs, Formats: formats, Format: "vdi", Size: 10 << 40})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := img.(disk.Writer).WriteAt([]byte("far"), 9<<40); err != nil {
		t.Fatal(err)
	}
	disktest.Finish(t, img)
	if img, err = disk.Open("big.vdi", disk.Options{FS: fs, Formats: []*disk.Format{vdi.Format}}); err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	count := 0
	for e, err := range disk.Extents(t.Context(), img, 0, img.Size()) {
		if err != nil {
			t.Fatal(err)
		}
		if e.State == disk.Data {
			count++
		}
	}
	if count != 1 {
		t.Errorf("%d extents of data, want 1", count)
	}
}
