package vmdk_test

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// TestChangedHeaders changes fields of small images at random, most often to
// numbers that are special, and reads and writes what comes of it.
func TestChangedHeaders(t *testing.T) {
	seeds := [][]byte{tiny(t, "monolithicSparse"), tiny(t, "streamOptimized"), tiny(t, "monolithicFlat"), cowdImage()[:8192], seImage()[:80<<10]}
	special := []uint32{0, 1, 2, 3, 0xffffffff, 0x7fffffff, 1 << 20, 1 << 31}
	r := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		p := bytes.Clone(seeds[r.IntN(len(seeds))])
		for range 1 + r.IntN(4) {
			at := r.IntN(min(len(p), 640))
			if r.IntN(3) == 0 {
				at = r.IntN(len(p))
			}
			switch r.IntN(3) {
			case 0:
				p[at] ^= 1 << r.IntN(8)
			case 1:
				p[at] = byte(r.Uint32())
			case 2:
				binary.LittleEndian.PutUint32(p[min(at&^3, len(p)-4):], special[r.IntN(len(special))])
			}
		}
		if err := disktest.Hostile(formats, p); err != nil {
			t.Fatalf("%v: % x", err, p[:min(len(p), 80)])
		}
	}
}

// TestHugeGrains was found by TestChangedHeaders: to write into a grain of 512
// MiB took as much memory.
func TestHugeGrains(t *testing.T) {
	for _, kind := range []string{"monolithicSparse", "streamOptimized"} {
		p := bytes.Clone(tiny(t, kind))
		binary.LittleEndian.PutUint32(p[20:], 1<<20)
		if err := disktest.Hostile(formats, p); err != nil {
			t.Error(err)
		}
	}
}
