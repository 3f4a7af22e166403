package vmdk_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/internal/testenv"
)

// builder puts little-endian numbers and bytes into a file.
type builder []byte

func (b *builder) room(n int) {
	if len(*b) < n {
		*b = append(*b, make([]byte, n-len(*b))...)
	}
}

func (b *builder) u32(at int, v uint32) { b.room(at + 4); binary.LittleEndian.PutUint32((*b)[at:], v) }

func (b *builder) u64(at int, v uint64) { b.room(at + 8); binary.LittleEndian.PutUint64((*b)[at:], v) }
func (b *builder) put(at int, p []byte) { b.room(at + len(p)); copy((*b)[at:], p) }

// What the hand-made extents hold: 20 MiB, with data at a few places.
const handmadeSize = 20 << 20

func handmadeContent(grain int, grains ...int) []byte {
	p := make([]byte, handmadeSize)
	for _, g := range grains {
		copy(p[g*grain:], bytes.Repeat([]byte{byte(g), 'g', byte(g >> 8)}, grain)[:grain])
	}
	return p
}

// cowdGrains are the grains of cowdImage, of one sector.
var cowdGrains = []int{0, 1, 4095, 4096, 40000, handmadeSize/512 - 1}

// cowdImage is a COWD extent: header, directory at sector 4, tables of 4096
// entries, grains.
func cowdImage() []byte {
	var b builder
	content := handmadeContent(512, cowdGrains...)
	sectors := handmadeSize / 512
	tables := (sectors + 4095) / 4096
	b.put(0, []byte("COWD"))
	for at, v := range map[int]int{4: 1, 8: 3, 12: sectors, 16: 1, 20: 4, 24: tables} {
		b.u32(at, uint32(v))
	}
	next := 5 // sector
	for _, g := range cowdGrains {
		gde := 4*512 + 4*(g/4096)
		b.room(gde + 4)
		if binary.LittleEndian.Uint32(b[gde:]) == 0 {
			b.u32(gde, uint32(next))
			next += 32
		}
		table := int(binary.LittleEndian.Uint32(b[gde:]))
		b.u32(table*512+4*(g%4096), uint32(next))
		b.put(next*512, content[g*512:(g+1)*512])
		next++
	}
	return b
}

var seGrains = []int{0, 3, 4095, 4096, handmadeSize/4096 - 1}

// seImage is a seSparse extent with grains of 4 KiB and tables of 4096 entries.
// Grain 1 is zero, grain 2 unmapped.
func seImage() []byte {
	var b builder
	content := handmadeContent(4096, seGrains...)
	const volatile, gd, tables, grains = 1, 8, 16, 16 + 2*64
	for i, v := range map[int]uint64{
		0: 0xcafebabe, 1: 0x200000001, 2: handmadeSize / 512, 3: 8, 4: 64,
		10: volatile, 11: 1, 12: 2, 13: 1, 14: 3, 15: 1, 16: gd, 17: 1, 18: tables, 19: 2 * 64, 24: grains, 25: 1000,
	} {
		b.u64(8*i, v)
	}
	b.u64(volatile*512, 0xcafecafe)
	b.room(volatile*512 + 512)
	b.u64(gd*512, 1<<60|1) // the first table lies second
	b.u64(gd*512+8, 1<<60)
	for n, g := range seGrains {
		number := uint64(n + 1)
		table := 1 - g/4096
		entry := 3<<60 | number&0xfff<<48 | number>>12
		b.u64((tables+64*table)*512+8*(g%4096), entry)
		b.put((grains+8*int(number))*512, content[g*4096:(g+1)*4096])
	}
	b.u64((tables+64)*512+8*1, 2<<60)
	b.u64((tables+64)*512+8*2, 1<<60)
	return b
}

func handmadeDescriptor(kind, line string) []byte {
	return []byte("# Disk DescriptorFile\nversion=1\nCID=12345678\nparentCID=ffffffff\ncreateType=\"" + kind + "\"\n\n# Extent description\n" + line + "\n\n#DDB\nddb.adapterType = \"lsilogic\"\n")
}

// TestHandmade reads COWD and seSparse extents, as qemu-img does.
func TestHandmade(t *testing.T) {
	for _, c := range []struct {
		kind, line string
		extent     []byte
		want       []byte
	}{
		{"vmfsSparse", `RW 40960 VMFSSPARSE "x-delta.vmdk"`, cowdImage(), handmadeContent(512, cowdGrains...)},
		{"seSparse", `RW 40960 SESPARSE "x-delta.vmdk"`, seImage(), handmadeContent(4096, seGrains...)},
	} {
		t.Run(c.kind, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, "x.vmdk")
			for name, p := range map[string][]byte{"x.vmdk": handmadeDescriptor(c.kind, c.line), "x-delta.vmdk": c.extent} {
				if err := os.WriteFile(filepath.Join(dir, name), p, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			for _, name := range []string{"x.vmdk", "x-delta.vmdk"} {
				img, err := openHost(t, filepath.Join(dir, name), false)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readAll(t, img), c.want) {
					t.Errorf("%s: the content differs", name)
				}
				if got := disk.Describe(img).Variant; got != c.kind {
					t.Errorf("%s is called %s", name, got)
				}
				sound(t, img, disk.Note)
				closed(t, img)
			}
			if _, err := openHost(t, path, true); err == nil {
				t.Error("it was opened for writing")
			}
			sameAsRaw(t, path, c.want)
		})
	}
}

// TestSEJournal refuses a seSparse extent whose journal was not replayed,
// however it is come by, and reads one whose journal only has what is done. qemu-img
// does the same.
func TestSEJournal(t *testing.T) {
	const volatile, journalHeader, journal = 1 * 512, 2 * 512, 3 * 512
	done := builder(seImage())
	done.u64(volatile+8, 2)                                         // the next free table
	done.u64(volatile+16, 77)                                       // the next transaction
	done.put(journalHeader, bytes.Repeat([]byte{0x5a}, 512))        // of transactions
	done.put(journal, bytes.Repeat([]byte("old transaction "), 32)) // that are done
	dirty := builder(bytes.Clone(done))
	dirty.u64(volatile+24, 1)
	for name, c := range map[string]struct {
		extent  builder
		refused bool
	}{"done": {done, false}, "not replayed": {dirty, true}} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			base, path := filepath.Join(dir, "base.vmdk"), filepath.Join(dir, "x.vmdk")
			closed(t, create(t, base, "vmdk:vmfs", handmadeSize, nil, nil))
			handmadeDelta(t, path, base, "seSparse", `RW 40960 SESPARSE "%s"`, c.extent)
			for _, file := range []string{path, path + ".delta"} {
				img, err := openHost(t, file, false)
				if c.refused {
					if !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "journal") {
						t.Errorf("%s: %v", file, err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(readAll(t, img), handmadeContent(4096, seGrains...)) {
					t.Errorf("%s: the content differs", file)
				}
				closed(t, img)
			}
			out, err := exec.Command(testenv.Need(t, "qemu-img"), "info", path).CombinedOutput()
			if (err != nil) != c.refused {
				t.Errorf("qemu-img says otherwise: %v, %s", err, out)
			}
			child := filepath.Join(dir, "child.vmdk")
			text := strings.Replace(string(handmadeDescriptor("twoGbMaxExtentSparse", `RW 40960 ZERO`)), "parentCID=ffffffff", "parentCID=12345678\nparentFileNameHint=\"x.vmdk\"", 1)
			if err := os.WriteFile(child, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			img, err := openHost(t, child, false)
			if err == nil {
				closed(t, img)
			}
			if errors.Is(err, errors.ErrUnsupported) != c.refused {
				t.Errorf("as a parent: %v", err)
			}
		})
	}
}

// small is a small image of ours.
func small(t testing.TB, kind string) []byte { return made(t, kind, 1<<20, nil) }

// tiny is as small as it can be, for fuzzing.
func tiny(t testing.TB, kind string) []byte {
	if kind == "monolithicFlat" {
		return made(t, kind, 128<<10, nil)
	}
	return made(t, kind, 128<<10, map[string]string{"grainSize": "4K"})
}

func made(t testing.TB, kind string, size int64, options map[string]string) []byte {
	t.Helper()
	fs := memfs.New()
	img, err := disk.Create("a.vmdk", disk.CreateOptions{FS: fs, Formats: formats, Format: "vmdk:" + kind, Size: size, Options: options})
	if err != nil {
		t.Fatal(err)
	}
	if c, ok := img.(disk.Compressor); ok {
		sink, err := c.Compressing()
		if err != nil {
			t.Fatal(err)
		}
		fillSink(t, sink, mixed(size, 2))
	} else {
		write(t, img, []byte("something"), 100000)
	}
	closed(t, img)
	return fs.Bytes("a.vmdk")
}
