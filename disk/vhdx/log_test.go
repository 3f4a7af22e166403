package vhdx

import (
	"bytes"
	"fmt"
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
	other     bool // belongs to another log
}

// write puts an entry into the log of h, around its end if need be.
func (l logged) write(h hand) {
	count := len(l.sectors) + len(l.zeros)
	head := (64 + 32*count + 4095) / 4096 * 4096
	e := make(hand, head+4096*len(l.sectors))
	copy(e, "loge")
	e.put(8, []uint32{uint32(len(e)), l.tail})
	e.put(16, l.sequence)
	e.put(24, uint32(count))
	if e.guid(32, handLog); l.other {
		e.guid(32, handWrite)
	}
	e.put(48, []uint64{uint64(len(h)), max(l.last, uint64(len(h)))})
	at, data := int64(64), int64(head)
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

// many is an entry for so many sectors one after the other.
func many(l logged, count int, fill byte) logged {
	l.sectors = map[int64]byte{}
	for i := range int64(count) {
		l.sectors[handBlocks+i*4096] = fill
	}
	return l
}

// row is entries one after the other from pos on, each of one sector; the last
// needs those from the one called oldest on.
func row(pos, count, oldest int) []logged {
	var all []logged
	for i := range count {
		tail := (pos + min(i, oldest)*8192) % (1 << 20)
		all = append(all, logged{
			pos: uint32((pos + i*8192) % (1 << 20)), tail: uint32(tail), sequence: uint64(100 + i),
			sectors: map[int64]byte{handBlocks + int64(i)*4096: byte('a' + i)},
		})
	}
	return all
}

// rowed is what a row changes.
func rowed(from, to int) (all []filled) {
	for i := from; i < to; i++ {
		all = append(all, filled{int64(i) * 4096, 4096, byte('a' + i)})
	}
	return all
}

// filled is a range of the disk that is all one byte.
type filled struct {
	off, n int64
	fill   byte
}

func TestReplay(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		t.Run(fmt.Sprint(sector), func(t *testing.T) { testReplay(t, sector) })
	}
}

func testReplay(t *testing.T, sector int64) {
	for name, c := range map[string]struct {
		log  []logged
		want []filled
	}{
		"more than one sector of descriptors": {[]logged{many(logged{sequence: 1}, 200, 'x')}, []filled{{0, 200 * 4096, 'x'}}},
		"descriptors around the end":          {[]logged{many(logged{pos: 1<<20 - 4096, tail: 1<<20 - 4096, sequence: 1}, 200, 'x')}, []filled{{0, 200 * 4096, 'x'}}},
		"many that are torn":                  {[]logged{many(logged{sequence: 1, torn: true}, 200, 'x')}, nil},
		"a row":                               {row(0, 20, 0), rowed(0, 20)},
		"a row that needs its end":            {row(0, 20, 12), rowed(12, 20)},
		"a row around the end":                {row(1<<20-5*8192, 20, 0), rowed(0, 20)},
		"a row around the end, its end":       {row(1<<20-5*8192, 20, 4), rowed(4, 20)},
		"the midst is torn": {
			append(row(0, 3, 0)[:1], logged{pos: 8192, sequence: 101, sectors: map[int64]byte{handBlocks + 4096: 'y'}, torn: true}, row(0, 3, 0)[2]),
			rowed(0, 1),
		},
		"the midst is of another log": {
			append(row(0, 3, 0)[:1], logged{pos: 8192, sequence: 101, sectors: map[int64]byte{handBlocks + 4096: 'y'}, other: true}, row(0, 3, 0)[2]),
			rowed(0, 1),
		},
		"an older row behind a newer": {append(row(0, 3, 0), logged{pos: 1 << 19, tail: 1 << 19, sequence: 50, sectors: map[int64]byte{handBlocks + 1<<20: 'o'}}), rowed(0, 3)},
		"nothing":                     {},
		"one":                         {[]logged{{sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}}, []filled{{0, 4096, 'x'}}},
		"the later rules": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x', handBlocks + 4096: 'x'}}, {pos: 12288, sequence: 2, sectors: map[int64]byte{handBlocks: 'y'}}},
			[]filled{{0, 4096, 'y'}, {4096, 4096, 'x'}},
		},
		"only from the tail on": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, tail: 8192, sequence: 2, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]filled{{4096, 4096, 'y'}},
		},
		"zeros over a sector": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, sequence: 2, zeros: map[int64]int64{handBlocks: 8192}}},
			[]filled{{0, 8192, 0}},
		},
		"a sector over zeros": {
			[]logged{{pos: 0, sequence: 1, zeros: map[int64]int64{handBlocks: 8192}}, {pos: 4096, sequence: 2, sectors: map[int64]byte{handBlocks: 'x'}}},
			[]filled{{0, 4096, 'x'}, {4096, 4096, 0}},
		},
		"the end is torn": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, sequence: 2, sectors: map[int64]byte{handBlocks: 'y'}, torn: true}},
			[]filled{{0, 4096, 'x'}},
		},
		"a gap in the numbers": {
			[]logged{{pos: 0, sequence: 1, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192, tail: 8192, sequence: 3, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]filled{{4096, 4096, 'y'}},
		},
		"around the end": {
			[]logged{
				{pos: 1<<20 - 8192, tail: 1<<20 - 8192, sequence: 8, sectors: map[int64]byte{handBlocks: 'x', handBlocks + 4096: 'x'}},
				{pos: 4096, tail: 1<<20 - 8192, sequence: 9, sectors: map[int64]byte{handBlocks + 4096: 'y'}},
			},
			[]filled{{0, 4096, 'x'}, {4096, 4096, 'y'}},
		},
		"the tail is lost": {
			[]logged{{pos: 0, tail: 8192 * 4, sequence: 7, sectors: map[int64]byte{handBlocks: 'x'}}, {pos: 8192 * 8, tail: 8192 * 8, sequence: 4, sectors: map[int64]byte{handBlocks + 4096: 'y'}}},
			[]filled{{4096, 4096, 'y'}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := parent(sector)
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
