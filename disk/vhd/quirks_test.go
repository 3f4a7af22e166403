package vhd_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/memfs"
)

// plain is a dynamic image of three blocks of 4 KiB, the first missing and the
// others in the wrong order.
func plain() built {
	full := []byte{0xff}
	return built{
		kind: 3, current: 12 << 10, id: 0x11, block: 4096,
		blocks: []*blockOf{nil, {full, sectors(1, 2, 3, 4, 5, 6, 7, 8)}, {full, sectors(9, 9, 9, 9, 9, 9, 9, 9)}},
	}
}

func plainContent() []byte {
	return append(make([]byte, 4096), sectors(1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 9, 9, 9, 9, 9)...)
}

func TestSizeRules(t *testing.T) {
	const current, geometry = 40 * 512, 2 * 4 * 4 * 512
	for _, test := range []struct {
		creator string
		chs     [3]int
		want    int64
	}{
		{"vpc ", [3]int{2, 4, 4}, geometry},
		{"qemu", [3]int{2, 4, 4}, geometry},
		{"xyz ", [3]int{2, 4, 4}, geometry},
		{"vs  ", [3]int{2, 4, 4}, geometry},
		{"win ", [3]int{2, 4, 4}, current},
		{"qem2", [3]int{2, 4, 4}, current},
		{"d2v ", [3]int{2, 4, 4}, current},
		{"tap\x00", [3]int{2, 4, 4}, current},
		{"CTXS", [3]int{2, 4, 4}, current},
		{"wa\x00\x00", [3]int{2, 4, 4}, current},
		{"vbox", [3]int{2, 4, 4}, current},
		{"vpc ", [3]int{65535, 16, 255}, current}, // the largest geometry says nothing
		{"vpc ", [3]int{0, 0, 0}, current},
		{"vpc ", [3]int{9, 9, 9}, current}, // more than the image can hold
	} {
		for _, kind := range []uint32{2, 3} {
			b := built{creator: test.creator, chs: test.chs, kind: kind, current: current, block: 4096, blocks: make([]*blockOf, 5), id: 1}
			p := b.bytes()
			if kind == 2 {
				p = append(make([]byte, current), b.footer()...)
			}
			if img := mustOpen(t, p, false); img.Size() != test.want {
				t.Errorf("creator %q, geometry %v, type %d: %d bytes, want %d", test.creator, test.chs, kind, img.Size(), test.want)
			}
		}
	}
}

func TestTableAnywhere(t *testing.T) {
	for _, at := range []int{1536, 2048, 1540, 40 << 10} {
		b := plain()
		b.tableAt = at
		img := mustOpen(t, b.bytes(), true)
		content := plainContent()
		disktest.Holds(t, img, content)
		disktest.Scribble(t, img, content, uint64(at))
		disktest.Holds(t, img, content)
	}
}

func TestFooters(t *testing.T) {
	whole := plain().bytes()
	spoil := func(p []byte, at int) []byte {
		p = bytes.Clone(p)
		p[at] ^= 0xff
		return p
	}
	for name, test := range map[string]struct {
		file   []byte
		found  disk.Severity
		doubts bool // changes are refused before it is repaired
	}{
		"as it should be":         {whole, -1, false},
		"511 bytes":               {whole[:len(whole)-1], disk.Note, false},
		"missing":                 {whole[:len(whole)-512], disk.Note, false},
		"junk behind it":          {append(bytes.Clone(whole), make([]byte, 700)...), disk.Note, false},
		"checksum wrong":          {spoil(whole, len(whole)-512+200), disk.Damage, false},
		"copy missing":            {append(make([]byte, 512), whole[512:]...), disk.Note, false},
		"copy's checksum wrong":   {spoil(whole, 200), disk.Note, false},
		"both checksums wrong":    {spoil(spoil(whole, 200), len(whole)-512+200), disk.Damage, true},
		"header's checksum wrong": {spoil(whole, 512+60), disk.Damage, true},
	} {
		t.Run(name, func(t *testing.T) {
			img := mustOpen(t, test.file, true)
			content := plainContent()
			disktest.Holds(t, img, content)
			report, err := disk.Check(t.Context(), img)
			if err != nil {
				t.Fatal(err)
			}
			if worst, any := report.Worst(); any != (test.found >= 0) || any && worst != test.found {
				t.Errorf("found %+v", report.Findings)
			}
			_, err = img.(disk.Writer).WriteAt([]byte{0}, 0)
			if var_ := new(disk.FormatError); errors.As(err, &var_) != test.doubts {
				t.Errorf("writing before the repair: %v", err)
			}
			if _, err := disk.Repair(t.Context(), img); err != nil {
				t.Fatal(err)
			}
			disktest.Sound(t, img, -1)
			disktest.Holds(t, img, content)
			disktest.Scribble(t, img, content, 3)
			if err := img.(disk.Writer).Sync(); err != nil {
				t.Fatal(err)
			}
			disktest.Sound(t, img, -1)
			disktest.Holds(t, img, content)
		})
	}
}

func TestRepairedFooterIsRead(t *testing.T) {
	whole := plain().bytes()
	fs := memfs.New()
	fs.Put("a.vhd", whole[:len(whole)-512])
	img, err := disk.Open("a.vhd", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := disk.Repair(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	disktest.Finish(t, img)
	if !bytes.Equal(fs.Bytes("a.vhd"), whole) {
		t.Error("the repaired file is not the whole one again")
	}
}

func TestFixedIsFoundByItsEnd(t *testing.T) {
	b := built{kind: 2, current: 8192, id: 3}
	content := sectors(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16)
	inner := append(bytes.Clone(content), b.footer()...)
	img := mustOpen(t, inner, true)
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, -1)

	// A fixed disk that begins like a VHD, for there is one on it.
	outer := built{kind: 2, current: uint64(len(inner)), id: 4}
	copyOfDynamic := plain().bytes()
	outer.current = uint64(len(copyOfDynamic))
	img = mustOpen(t, append(bytes.Clone(copyOfDynamic), outer.footer()...), false)
	disktest.Holds(t, img, copyOfDynamic)

	short := b.footer()[:511]
	binary.BigEndian.PutUint32(short[64:], binary.BigEndian.Uint32(short[64:]))
	disktest.Holds(t, mustOpen(t, append(bytes.Clone(content), short...), false), content)

	if _, err := openBuilt(t, map[string][]byte{"a.vhd": content}, "a.vhd", disk.Options{}); !errors.Is(err, disk.ErrUnknownFormat) {
		t.Errorf("what has no footer was opened: %v", err)
	}
}

func TestBitmapsOfDynamicImages(t *testing.T) {
	b := plain()
	b.blocks[1].bitmap = []byte{0xf0} // half of the sectors have no bit
	img := mustOpen(t, b.bytes(), true)
	content := plainContent()
	disktest.Holds(t, img, content) // they are read all the same, as QEMU does
	disktest.Scribble(t, img, content, 1)
	disktest.Holds(t, img, content)

	b = plain()
	b.creator = "tap\x00" // but XenServer's images may lie on a volume with old data
	b.blocks[1].bitmap = []byte{0xf0}
	img = mustOpen(t, b.bytes(), true)
	content = plainContent()
	clear(content[4096+2048 : 8192])
	disktest.Holds(t, img, content)
	disktest.Scribble(t, img, content, 2)
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, disk.Leak)

	b.batmap = []byte{0x40} // block 1 is whole, whatever its bitmap says
	img = mustOpen(t, b.bytes(), true)
	content = plainContent()
	disktest.Holds(t, img, content)
	if err := disk.Resize(img, 1<<20); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("growing beyond the batmap: %v", err)
	}
	if err := disk.Resize(img, 8192); err != nil {
		t.Fatal(err)
	}
	if err := disk.Resize(img, 12288); err != nil {
		t.Fatal(err)
	}
	clear(content[8192:])
	disktest.Holds(t, img, content)
	if err := disk.Zero(img, 4096, 4096); err != nil {
		t.Fatal(err)
	}
	if err := img.(disk.Writer).Sync(); err != nil {
		t.Fatal(err)
	}
	clear(content[4096:8192])
	if _, err := img.(disk.Writer).WriteAt([]byte("again"), 6000); err != nil {
		t.Fatal(err)
	}
	copy(content[6000:], "again")
	disktest.Holds(t, img, content)
}

// A bitmap is a whole sector also where a block has less than a byte's worth of
// sectors.
func TestBlocksOfFewSectors(t *testing.T) {
	for n := 1; n <= 4; n *= 2 {
		first, last := sectors(1, 2, 3, 4)[:512*n], sectors(5, 6, 7, 8)[:512*n]
		b := built{kind: 3, current: uint64(3 * 512 * n), id: 1, block: uint32(512 * n), blocks: []*blockOf{
			{[]byte{0xf0}, first}, nil, {[]byte{0xf0}, last},
		}}
		content := slices.Concat(first, make([]byte, 512*n), last)
		img := mustOpen(t, b.bytes(), true)
		disktest.Holds(t, img, content)
		disktest.Sound(t, img, -1)
		disktest.Scribble(t, img, content, uint64(n))
		disktest.Holds(t, img, content)
		disktest.Sound(t, img, -1)
	}
}

func TestDamagedTable(t *testing.T) {
	full := []byte{0xff}
	b := built{kind: 3, current: 16 << 10, id: 1, block: 4096, blocks: []*blockOf{
		{full, sectors(1, 1, 1, 1, 1, 1, 1, 1)}, {full, sectors(2, 2, 2, 2, 2, 2, 2, 2)}, {full, sectors(3, 3, 3, 3, 3, 3, 3, 3)}, nil,
	}}
	p := b.bytes()
	entry := func(i int) []byte { return p[1536+4*i:] }
	binary.BigEndian.PutUint32(entry(1), binary.BigEndian.Uint32(entry(0))) // over the first
	binary.BigEndian.PutUint32(entry(3), 1)                                 // over the header
	fs := memfs.New()
	fs.Put("a.vhd", p)
	img, err := disk.Open("a.vhd", disk.Options{FS: fs, Formats: formats, Write: true})
	if err != nil {
		t.Fatal(err)
	}
	content := make([]byte, img.Size())
	if _, err := img.ReadAt(content, 0); err != nil {
		t.Fatal(err)
	}
	if _, err := img.(disk.Writer).WriteAt([]byte{1}, 0); err == nil {
		t.Error("an image with blocks over each other was written")
	}
	report, err := disk.Repair(t.Context(), img)
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Findings) < 2 {
		t.Errorf("mended %+v", report.Findings)
	}
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, disk.Leak) // what was in the file is in it still
	if _, err := disk.Repair(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, -1)
	disktest.Scribble(t, img, content, 1)
	disktest.Holds(t, img, content)
	disktest.Finish(t, img)
	img, err = disk.Open("a.vhd", disk.Options{FS: fs, Formats: formats})
	if err != nil {
		t.Fatal(err)
	}
	disktest.Holds(t, img, content)
	disktest.Finish(t, img)
}

func TestBlockCutOff(t *testing.T) {
	p := plain().bytes()
	img := mustOpen(t, p[:len(p)-512-4096-512], true) // the last block is gone, and the footer
	if _, err := img.ReadAt(make([]byte, 8), 8192); err == nil {
		t.Error("a block that was cut off was read")
	}
	if _, err := disk.Repair(t.Context(), img); err != nil {
		t.Fatal(err)
	}
	content := plainContent()
	clear(content[8192:])
	disktest.Holds(t, img, content)
	disktest.Sound(t, img, -1)
}

func TestHostileHeaders(t *testing.T) {
	for name, change := range map[string]func(foot, head []byte){
		"block size 0":         func(_, h []byte) { binary.BigEndian.PutUint32(h[32:], 0) },
		"block size odd":       func(_, h []byte) { binary.BigEndian.PutUint32(h[32:], 5000) },
		"table beyond the end": func(_, h []byte) { binary.BigEndian.PutUint64(h[16:], 1<<62) },
		"table at 1537":        func(_, h []byte) { binary.BigEndian.PutUint64(h[16:], 1537) },
		"entries too many":     func(_, h []byte) { binary.BigEndian.PutUint32(h[28:], 0xffffffff) },
		"entries too few":      func(_, h []byte) { binary.BigEndian.PutUint32(h[28:], 1) },
		"header elsewhere":     func(f, _ []byte) { binary.BigEndian.PutUint64(f[16:], 1<<63) },
		"size of all bits":     func(f, _ []byte) { binary.BigEndian.PutUint64(f[48:], 1<<64-1) },
		"version 2":            func(f, _ []byte) { f[13] = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			p := plain().bytes()
			foot, head := p[:512], p[512:1536]
			change(foot, head)
			sum(foot, 64)
			sum(head, 36)
			copy(p[len(p)-512:], foot)
			var bad *disk.FormatError
			if _, err := openBuilt(t, map[string][]byte{"a.vhd": p}, "a.vhd", disk.Options{}); !errors.As(err, &bad) && !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestLimits(t *testing.T) {
	for _, kind := range []string{"vhd:dynamic", "vhd:fixed"} {
		const most = 2040 << 30
		img, err := disk.Create("a.vhd", disk.CreateOptions{FS: memfs.New(), Formats: formats, Format: kind, Size: most})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := img.(disk.Writer).WriteAt([]byte("last"), most-4); err != nil {
			t.Error(err)
		}
		disktest.Finish(t, img)
		var usage *disk.UsageError
		if _, err := disk.Create("b.vhd", disk.CreateOptions{FS: memfs.New(), Formats: formats, Format: kind, Size: most + 512}); !errors.As(err, &usage) {
			t.Errorf("%s of more than 2040 GiB: %v", kind, err)
		}
	}
}
