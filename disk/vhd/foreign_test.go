package vhd_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/internal/testenv"
)

// file is the whole of a fixed image, its content given.
func (b built) file(content []byte) []byte { return append(bytes.Clone(content), b.footer()...) }

// Where QEMU knows a creator it takes the same of the two sizes as we do.
func TestQEMUTakesTheSameSize(t *testing.T) {
	qemu := testenv.Need(t, "qemu-img")
	const current = 40 * 512
	for _, creator := range []string{"vpc ", "vs  ", "qemu", "win ", "qem2", "d2v ", "tap\x00", "CTXS"} {
		for _, chs := range [][3]int{{2, 4, 4}, {65535, 16, 255}} {
			for _, kind := range []uint32{2, 3} {
				b := built{creator: creator, chs: chs, kind: kind, current: current, block: 4096, blocks: make([]*blockOf, 5), id: 1}
				p := b.bytes()
				if kind == 2 {
					p = b.file(make([]byte, current))
				}
				name := filepath.Join(t.TempDir(), "a.vhd")
				if err := os.WriteFile(name, p, 0o600); err != nil {
					t.Fatal(err)
				}
				out, err := exec.CommandContext(t.Context(), qemu, "info", "-f", "vpc", "--output=json", name).Output()
				if err != nil {
					t.Fatal(err)
				}
				var info struct {
					Size int64 `json:"virtual-size"`
				}
				if err := json.Unmarshal(out, &info); err != nil {
					t.Fatal(err)
				}
				if img := mustOpen(t, p, false); img.Size() != info.Size {
					t.Errorf("creator %q, geometry %v, type %d: %d bytes, and QEMU says %d", creator, chs, kind, img.Size(), info.Size)
				}
			}
		}
	}
}

// What programs write is described by the program's name and its marks.
func TestCreatorsAreNamed(t *testing.T) {
	for creator, want := range map[string]string{
		"win ": "Hyper-V", "tap\x00": "XenServer", "wa\x00\x00": "Azure", "d2v ": "disk2vhd", "vpc ": "Virtual PC", "vs  ": "Virtual Server",
		"vbox": "VirtualBox", "CTXS": "XenConverter", "new1": "new1", "\xff\x00\x00\x00": "?",
	} {
		for _, kind := range []uint32{2, 3} {
			b := built{creator: creator, kind: kind, current: 12 << 10, block: 4096, blocks: plain().blocks, id: 0x11, stamp: 86400}
			p := b.bytes()
			if kind == 2 {
				p = b.file(plainContent())
			}
			img := mustOpen(t, p, true)
			disktest.Holds(t, img, plainContent())
			info := disk.Describe(img)
			if info.Creator != want || info.UUID != uuidOf(0x11) || info.Created.Format("2006-01-02") != "2000-01-02" {
				t.Errorf("creator %q, type %d: %+v", creator, kind, info)
			}
			content := plainContent()
			disktest.Scribble(t, img, content, uint64(kind))
			disktest.Holds(t, img, content)
			disktest.Sound(t, img, disk.Leak)
			if info := disk.Describe(img); info.Creator != want {
				t.Errorf("creator %q, type %d: written, it became %q", creator, kind, info.Creator)
			}
		}
	}
}

// XenServer hides parents by a mark, and saved states have one.
func TestMarksAreShown(t *testing.T) {
	b := plain()
	b.creator = "tap\x00"
	foot := b.footer()
	foot[84], foot[85] = 1, 1
	p := b.bytes()
	copy(p, sum(foot, 64))
	copy(p[len(p)-512:], foot)
	shown := map[string]string{}
	for _, d := range disk.Describe(mustOpen(t, p, false)).Details {
		shown[d.Name] = d.Value
	}
	if shown["hidden"] != "yes" || shown["saved state"] != "yes" {
		t.Errorf("%v", shown)
	}
}

// An old footer is one byte short: whoever changes the image writes a whole one.
func TestAShortFooterOfAFixedDisk(t *testing.T) {
	b := built{kind: 2, current: 12 << 10, id: 3}
	fs := memfs.New()
	whole := b.file(plainContent())
	fs.Put("a.vhd", whole[:len(whole)-1])
	content := plainContent()
	for _, write := range []bool{false, true, false} {
		img, err := disk.Open("a.vhd", disk.Options{FS: fs, Formats: formats, Write: write})
		if err != nil {
			t.Fatal(err)
		}
		disktest.Holds(t, img, content)
		if write {
			disktest.Scribble(t, img, content, 5)
			disktest.Holds(t, img, content)
		}
		disktest.Finish(t, img)
	}
	if n := len(fs.Bytes("a.vhd")); n != len(whole) {
		t.Errorf("the file has %d bytes, a whole one %d", n, len(whole))
	}
}

// A disk as long as the format allows, put together by hand: its table takes 4 MiB,
// its geometry says less than a tenth.
func TestTheGreatestDisks(t *testing.T) {
	const most = 2040 << 30
	for _, size := range []int64{most - 512, most, 127<<30 + 512, 65535 * 16 * 255 * 512, 65535*16*255*512 + 512} {
		for _, creator := range []string{"win ", "vpc "} {
			t.Run(fmt.Sprintf("%d/%q", size, creator), func(t *testing.T) {
				g := [3]int{65535, 16, 255}
				b := built{creator: creator, chs: g, kind: 3, current: uint64(size), block: 2 << 20, blocks: make([]*blockOf, (size+2<<20-1)/(2<<20)), id: 1}
				last := make([]byte, 2<<20)
				at := size - 512 - (size-512)/(2<<20)*(2<<20)
				copy(last[at:], "the last sector")
				b.blocks[len(b.blocks)-1] = &blockOf{bytes.Repeat([]byte{0xff}, 512), last}
				img := mustOpen(t, b.bytes(), true)
				if img.Size() != size {
					t.Fatalf("%d bytes", img.Size())
				}
				p := make([]byte, 15)
				if _, err := img.ReadAt(p, size-512); err != nil || string(p) != "the last sector" {
					t.Fatalf("%q, %v", p, err)
				}
				for _, off := range []int64{0, size / 2, size - 4} {
					if _, err := img.(disk.Writer).WriteAt([]byte("here"), off); err != nil {
						t.Fatal(err)
					}
				}
				disktest.Sound(t, img, disk.Leak)
				if size == most {
					if err := disk.Resize(img, most+512); !errors.Is(err, errors.ErrUnsupported) {
						t.Errorf("longer than can be: %v", err)
					}
				} else if err := disk.Resize(img, most); err != nil {
					t.Error(err)
				}
				if _, err := img.ReadAt(p[:4], size-4); string(p[:4]) != "here" {
					t.Errorf("%q, %v", p[:4], err)
				}
			})
		}
	}
}

// A footer may claim more than the format allows; what the table cannot hold is
// refused, and what it can is read.
func TestMoreThanTheFormatAllows(t *testing.T) {
	const size = 2048 << 30
	b := built{creator: "win ", kind: 3, current: size, block: 256 << 20, blocks: make([]*blockOf, size/(256<<20)), id: 1}
	img := mustOpen(t, b.bytes(), true)
	if img.Size() != size {
		t.Errorf("%d bytes", img.Size())
	}
	if _, err := img.(disk.Writer).WriteAt([]byte("far"), size-3); err != nil {
		t.Error(err)
	}
	p := b.bytes()
	foot := p[:512]
	binary.BigEndian.PutUint64(foot[48:], 2*size)
	sum(foot, 64)
	copy(p[len(p)-512:], foot)
	var bad *disk.FormatError
	if _, err := openBuilt(t, map[string][]byte{"a.vhd": p}, "a.vhd", disk.Options{}); !errors.As(err, &bad) {
		t.Errorf("twice as long as its table: %v", err)
	}
}
