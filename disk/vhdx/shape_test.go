package vhdx

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// looked is a file that is read by offsets of the specification alone.
type looked struct {
	t    *testing.T
	file disk.File
	bat  int64
	meta int64
}

// look opens a file and finds its two regions.
func look(t *testing.T, mem *memfs.FS, name string) looked {
	t.Helper()
	f, err := mem.Open(name, true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	l := looked{t: t, file: f}
	for i := range int64(l.u32(196608 + 8)) {
		id, off := make([]byte, 4), 196608+16+32*i
		l.read(id, off)
		where := int64(l.u64(off + 16))
		if bytes.Equal(id, []byte{0x66, 0x77, 0xc2, 0x2d}) {
			l.bat = where
		} else {
			l.meta = where
		}
	}
	return l
}

func (l looked) read(p []byte, off int64) {
	l.t.Helper()
	if _, err := l.file.ReadAt(p, off); err != nil {
		l.t.Fatal(err)
	}
}

func (l looked) u32(off int64) uint32 {
	p := make([]byte, 4)
	l.read(p, off)
	return binary.LittleEndian.Uint32(p)
}

func (l looked) u64(off int64) uint64 {
	p := make([]byte, 8)
	l.read(p, off)
	return binary.LittleEndian.Uint64(p)
}

// entry is where an entry of the table lies.
func (l looked) entry(index int64) int64 { return l.bat + 8*index }

// put changes an entry.
func (l looked) put(index int64, v uint64) {
	l.t.Helper()
	if _, err := l.file.WriteAt(binary.LittleEndian.AppendUint64(nil, v), l.entry(index)); err != nil {
		l.t.Fatal(err)
	}
}

// Every size of blocks with every size of sectors: each entry stands where the
// specification says, which depends on both, and the bitmaps stand between them.
func TestEveryBlockSize(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		for block := mib; block <= 256*mib; block *= 2 {
			for _, of := range []string{"alone", "child"} {
				t.Run(fmt.Sprintf("%d/%dM/%s", sector, block/mib, of), func(t *testing.T) { tryShape(t, sector, block, of == "child") })
			}
		}
	}
}

func tryShape(t *testing.T, sector, block int64, child bool) {
	ratio := sector << 23 / block // payload blocks a bitmap
	size := (2*ratio+2)*block + sector
	mem := memfs.New()
	o := disk.CreateOptions{FS: mem, Formats: formats(), Format: "vhdx", Size: size, Options: map[string]string{optionBlock: fmt.Sprintf("%dM", block/mib), optionLogical: fmt.Sprint(sector)}}
	if child {
		base, err := disk.Create("base.vhdx", o)
		if err != nil {
			t.Fatal(err)
		}
		defer base.Close()
		o.Parent, o.ParentName = base, "base.vhdx"
	}
	img, err := disk.Create("a.vhdx", o)
	if err != nil {
		t.Fatal(err)
	}
	// The last sector of a block, one at each side of both borders between
	// chunks, and the end of the disk.
	blocks := []int64{0, 1, ratio - 1, ratio, 2*ratio - 1, 2 * ratio, 2*ratio + 2}
	within := func(b int64) int64 { return min(block, size-b*block) - sector }
	mark := func(b int64) []byte { return bytes.Repeat(fmt.Appendf(nil, "%-16d", b), int(sector/16)) }
	for _, b := range blocks {
		if _, err := img.(disk.Writer).WriteAt(mark(b), b*block+within(b)); err != nil {
			t.Fatal(err)
		}
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	l := look(t, mem, "a.vhdx")
	have := make([]byte, sector)
	for _, b := range blocks {
		e := l.u64(l.entry(b + b/ratio))
		if l.read(have, int64(e>>20<<20)+within(b)); !bytes.Equal(have, mark(b)) {
			t.Errorf("block %d has the entry %#x, where % x… is", b, e, have[:16])
		}
		whole := b == blocks[len(blocks)-1] // of one sector, which was written
		if state := e & 7; state != 6 && !(child && !whole && state == 7) {
			t.Errorf("block %d has the state %d", b, state)
		} else if state == 7 {
			l.bit(b, block, sector, ratio, within(b))
		}
	}
	// What was put together by other means is read by us.
	if !child {
		one, other := l.u64(l.entry(1)), l.u64(l.entry(ratio+1))
		l.put(1, other)
		l.put(ratio+1, one)
		blocks[1], blocks[3] = ratio, 1
	}
	if img, err = disk.Open("a.vhdx", disk.Options{FS: mem, Formats: formats()}); err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	sound(t, img, disk.Note)
	for i, b := range []int64{0, 1, ratio - 1, ratio, 2*ratio - 1, 2 * ratio, 2*ratio + 2} {
		if _, err := img.ReadAt(have, b*block+within(b)); err != nil || !bytes.Equal(have, mark(blocks[i])) {
			t.Errorf("block %d reads as %q (%v)", b, have[:16], err)
		}
		if _, err := img.ReadAt(have[:1], b*block); err != nil || within(b) > 0 && have[0] != 0 {
			t.Errorf("block %d begins with %#x (%v)", b, have[0], err)
		}
	}
}

// bit checks that the bitmap has the one bit of the sector that was written.
func (l looked) bit(b, block, sector, ratio, within int64) {
	l.t.Helper()
	e := l.u64(l.entry(b/ratio*(ratio+1) + ratio))
	if e&7 != 6 {
		l.t.Errorf("the bitmap of block %d has the state %d", b, e&7)
	}
	first := b % ratio * (block / sector)
	bitmap := make([]byte, max(1, block/sector/8))
	l.read(bitmap, int64(e>>20<<20)+first/8)
	want := make([]byte, len(bitmap))
	want[within/sector/8] = 1 << (within / sector % 8)
	if !bytes.Equal(bitmap, want) {
		l.t.Errorf("the bitmap of block %d is not that of one sector at %d", b, within)
	}
}
