package vhdx

import (
	"bytes"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

const handLog = "77777777-2222-4333-8444-555555555555"

// logged is an entry of a log, put together by hand.
type logged struct {
	pos, tail uint32
	sequence  uint64
	sectors   map[int64]byte  // file offset: what fills the sector
	zeros     map[int64]int64 // file offset: length
	last      uint64
	torn      bool
}

// write puts an entry into the log of h, around its end if need be.
func (l logged) write(h hand) {
	count := len(l.sectors) + len(l.zeros)
	e := make(hand, 4096+4096*len(l.sectors))
	copy(e, "loge")
	e.put(8, []uint32{uint32(len(e)), l.tail})
	e.put(16, l.sequence)
	e.put(24, uint32(count))
	e.guid(32, handLog)
	e.put(48, []uint64{uint64(len(h)), max(l.last, uint64(len(h)))})
	at, data := int64(64), int64(4096)
	for off, n := range l.zeros {
		copy(e[at:], "zero")
		e.put(at+8, []uint64{uint64(n), uint64(off), l.sequence})
		at += 32
	}
	for off, fill := range l.sectors {
		copy(e[at:], "desc")
		copy(e[at+4:], bytes.Repeat([]byte{fill}, 12))
		e.put(at+16, []uint64{uint64(off), l.sequence})
		copy(e[data:], bytes.Repeat([]byte{fill}, 4096))
		copy(e[data:], "data")
		e.put(data+4, uint32(l.sequence>>32))
		e.put(data+4092, uint32(l.sequence))
		at, data = at+32, data+4096
	}
	e.put(4, sum(e, 4))
	if l.torn {
		e[len(e)-100]++
	}
	const log, length = 1 << 20, 1 << 20
	for i, b := range e {
		h[log+(int(l.pos)+i)%length] = b
	}
}

// dirty is an image with a log of two entries that are to be replayed.
func dirty(sector int64) hand {
	h := parent(sector)
	h.guid(131072+48, handLog)
	logged{pos: 0, tail: 0, sequence: 5, sectors: map[int64]byte{handBlocks: 'x', handBlocks + 8192: 'x'}}.write(h)
	logged{pos: 12288, tail: 0, sequence: 6, sectors: map[int64]byte{handBlocks: 'y'}, zeros: map[int64]int64{handBlocks + 1<<20: 65536}}.write(h)
	return h.seal()
}

func TestReplay(t *testing.T) {
	type change struct {
		off, n int64
		fill   byte
	}
	for name, c := range map[string]struct {
		log  []logged
		want []change
	}{
		"nothing": {},
		"one":     {[]logged{{sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}}, []change{{0, 4096, 'x'}}},
		"the later rules": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x', handBlocks + 4096: 'x'}}, {pos: 12288, sequence: 2, sectors: map[int64]byte{handBlocks: 'y'}}},
			[]change{{0, 4096, 'y'}, {4096, 4096, 'x'}},
		},
		"only from the tail on": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, tail: 8192, sequence: 2, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]change{{4096, 4096, 'y'}},
		},
		"zeros over a sector": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, sequence: 2, zeros: map[int64]int64{handBlocks: 8192}}},
			[]change{{0, 8192, 0}},
		},
		"a sector over zeros": {
			[]logged{{pos: 0, sequence: 1, zeros: map[int64]int64{handBlocks: 8192}}, {pos: 4096, sequence: 2, sectors: map[int64]byte{handBlocks: 'x'}}},
			[]change{{0, 4096, 'x'}, {4096, 4096, 0}},
		},
		"the end is torn": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, sequence: 2, sectors: map[int64]byte{handBlocks: 'y'}, torn: true}},
			[]change{{0, 4096, 'x'}},
		},
		"a gap in the numbers": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, tail: 8192, sequence: 3, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]change{{4096, 4096, 'y'}},
		},
		"around the end": {
			[]logged{
				{pos: 1<<20 - 8192, tail: 1<<20 - 8192, sequence: 8, sectors: map[int64]byte{handBlocks: 'x', handBlocks + 4096: 'x'}},
				{pos: 4096, tail: 1<<20 - 8192, sequence: 9, sectors: map[int64]byte{handBlocks + 4096: 'y'}},
			},
			[]change{{0, 4096, 'x'}, {4096, 4096, 'y'}},
		},
		"the tail is lost": {
			[]logged{{pos: 0, tail: 8192 * 4, sequence: 7, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192 * 8, tail: 8192 * 8, sequence: 4, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]change{{4096, 4096, 'y'}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := parent(512)
			h.guid(131072+48, handLog)
			for _, e := range c.log {
				e.write(h)
			}
			h.seal()
			want := bytes.Repeat([]byte{'p'}, 4<<20)
			for _, w := range c.want {
				copy(want[w.off:], bytes.Repeat([]byte{w.fill}, int(w.n)))
			}
			mem := memfs.New()
			mem.Put("a.vhdx", h)
			for _, write := range []bool{false, true, false} {
				img, err := opened(t, mem, "a.vhdx", write)
				if err != nil {
					t.Fatalf("write %v: %v", write, err)
				}
				same(t, img, want)
				sound(t, img, disk.Note)
				if dirty := disk.Describe(img).Dirty; dirty != (!write && len(c.want) > 0 && bytes.Equal(mem.Bytes("a.vhdx"), h)) {
					t.Errorf("write %v: it says that it is dirty: %v", write, dirty)
				}
				if err := img.Close(); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

func TestALogMakesTheFileLonger(t *testing.T) {
	h := parent(512)
	h.guid(131072+48, handLog)
	h.entry(0, 0, 0)
	const added = handBlocks + 4<<20
	logged{sequence: 1, sectors: map[int64]byte{added: 'x'}, last: added + 1<<20}.write(h)
	h.entry(0, 6, added)
	mem := memfs.New()
	mem.Put("a.vhdx", h.seal())
	want := bytes.Repeat([]byte{'p'}, 4<<20)
	clear(want[:1<<20])
	copy(want, bytes.Repeat([]byte{'x'}, 4096))
	for _, write := range []bool{false, true, false} {
		img, err := opened(t, mem, "a.vhdx", write)
		if err != nil {
			t.Fatal(err)
		}
		same(t, img, want)
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(mem.Bytes("a.vhdx")); n != added+1<<20 {
		t.Errorf("the file has %d bytes", n)
	}
}

func TestAFileThatWasCutIsNotReplayed(t *testing.T) {
	h := dirty(512)
	mem := memfs.New()
	mem.Put("a.vhdx", h[:len(h)-1<<20])
	if _, err := opened(t, mem, "a.vhdx", false); err == nil {
		t.Error("it was opened")
	}
}
