package nbd_test

import (
	"fmt"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/nbd"
)

// chain is three layers: the top has data in [0,64K) and zeros in [64K,128K);
// its parent data in [96K,192K); its parent, which is shorter, data in [160K,200K).
func chain() *memory {
	bottom := newMemory(240 << 10)
	fill(bottom, 160<<10, 40<<10, disk.Data)
	middle := newMemory(256 << 10)
	middle.parent = bottom
	fill(middle, 96<<10, 96<<10, disk.Data)
	top := newMemory(256 << 10)
	top.parent = middle
	fill(top, 0, 64<<10, disk.Data)
	fill(top, 64<<10, 64<<10, disk.Zeroed)
	return top
}

func fill(m *memory, off, n int, state disk.State) {
	for i := off / granule; i < (off+n)/granule; i++ {
		m.states[i] = state
	}
	if state == disk.Data {
		copy(m.data[off:off+n], pattern(off, n))
	}
}

func TestBlockStatusOfAChain(t *testing.T) {
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: chain()})
	const k = 1024
	for _, try := range []struct {
		flags       uint16
		off, length uint64
		allocation  string
		depth       string
	}{
		{0, 0, 256 * k, "[65536:0 65536:3 73728:0 57344:3]", "[131072:1 65536:2 8192:3 40960:0 16384:2]"},
		{0, 32 * k, 64 * k, "[32768:0 32768:3]", "[65536:1]"},
		{reqOne, 0, 256 * k, "[65536:0]", "[131072:1]"},
		{reqOne, 1, 512, "[512:0]", "[512:1]"},
		{0, 255 * k, k, "[1024:3]", "[1024:2]"},
	} {
		for _, options := range [][]uint32{{optStructured}, {optExtended}} {
			c := connect(t, socket, options...)
			got := c.status(try.flags, try.off, try.length)
			if fmt.Sprint(got[1]) != try.allocation || fmt.Sprint(got[2]) != try.depth {
				t.Errorf("%+v: %v %v", try, got[1], got[2])
			}
		}
	}
}

// A reply does not list without end: the client goes on from where it ends.
func TestBlockStatusOfManyExtents(t *testing.T) {
	const size = 10_000 * granule
	m := newMemory(size)
	for i := range m.states {
		if i%2 == 0 {
			m.states[i] = disk.Data
		}
	}
	_, socket := serve(t, nbd.Options{}, nbd.Export{Image: m})
	c := connect(t, socket, optStructured)
	replies, extents, off := 0, 0, uint64(0)
	for ; off < size; replies++ {
		for _, e := range c.status(0, off, size-off)[1] {
			if want := uint64(off/granule%2) * 3; e.n != granule || e.flag != want {
				t.Fatalf("at %d: %v", off, e)
			}
			off += e.n
			extents++
		}
	}
	if replies != 3 || extents != 10_000 {
		t.Errorf("%d replies with %d extents", replies, extents)
	}
}
