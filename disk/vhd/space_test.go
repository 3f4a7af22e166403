package vhd_test

import (
	"slices"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
)

// working is an image that is worked on, and what it holds.
type working struct {
	t       *testing.T
	fs      *memfs.FS
	img     disk.Image
	content []byte
}

func workOn(t *testing.T, file, content []byte) *working {
	t.Helper()
	w := &working{t: t, fs: memfs.New(), content: content}
	w.fs.Put("a.vhd", file)
	w.open()
	return w
}

func (w *working) open() {
	w.t.Helper()
	var err error
	if w.img, err = disk.Open("a.vhd", disk.Options{FS: w.fs, Formats: formats, Write: true}); err != nil {
		w.t.Fatal(err)
	}
	disktest.Holds(w.t, w.img, w.content)
	disktest.Sound(w.t, w.img, disk.Leak)
}

func (w *working) zero(off, n int) {
	w.t.Helper()
	clear(w.content[off : off+n])
	if err := disk.Zero(w.img, int64(off), int64(n)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *working) write(off, n int, fill byte) {
	w.t.Helper()
	p := slices.Repeat([]byte{fill}, n)
	copy(w.content[off:], p)
	if _, err := w.img.(disk.Writer).WriteAt(p, int64(off)); err != nil {
		w.t.Fatal(err)
	}
}

func (w *working) sync() {
	w.t.Helper()
	if err := w.img.(disk.Writer).Sync(); err != nil {
		w.t.Fatal(err)
	}
	disktest.Holds(w.t, w.img, w.content)
	disktest.Sound(w.t, w.img, disk.Leak)
}

// reopen closes the image and opens it anew.
func (w *working) reopen() {
	w.t.Helper()
	disktest.Finish(w.t, w.img)
	w.open()
}

// Blocks of one sector, one behind the other: what two neighbours of a block give
// up is no room that begins before it and ends behind it.
func TestGivenUpNeighboursOfABlock(t *testing.T) {
	full := []byte{0x80}
	b := built{kind: 3, current: 5 * 512, id: 1, block: 512, blocks: []*blockOf{
		{full, sectors(1)}, {full, sectors(2)}, {full, sectors(3)}, {full, sectors(4)}, {full, sectors(5)},
	}}
	w := workOn(t, b.bytes(), sectors(1, 2, 3, 4, 5))
	w.zero(0, 512)
	w.zero(2*512, 512)
	w.zero(4*512, 512)
	w.sync()
	for _, i := range []int{0, 2, 4} {
		w.write(i*512, 512, byte(10+i))
	}
	w.sync()
	w.reopen()
}

// A table that was moved behind the last block lies between blocks later.
func TestGivenUpNeighboursOfTheTable(t *testing.T) {
	const block = 4096
	fs := memfs.New()
	img, err := disk.Create("a.vhd", disk.CreateOptions{FS: fs, Formats: formats, Format: "vhd", Size: 100 * block, Options: map[string]string{"blockSize": "4K"}})
	if err != nil {
		t.Fatal(err)
	}
	w := &working{t: t, fs: fs, img: img, content: make([]byte, 200*block)}
	w.write(0, 3*block, 1)
	if err := disk.Resize(img, 200*block); err != nil {
		t.Fatal(err)
	}
	w.write(150*block, 3*block, 2)
	w.sync()
	w.zero(0, 3*block)
	w.zero(150*block, 3*block)
	w.sync()
	w.write(10*block, 8*block, 3)
	w.sync()
	w.reopen()
}
