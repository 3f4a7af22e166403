package vhdx

import (
	"encoding/binary"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
)

// targets are where a file has what is worth damaging, with the lengths.
func targets() [][2]int64 {
	return [][2]int64{
		{65536, 80},
		{131072, 80},
		{196608, 112},
		{262144, 112},
		{1 << 20, 32768},
		{2 << 20, 256},
		{2<<20 + 65536, 256},
		{handBAT, 128},
		{handBAT + 8*4096, 8}, // of the first bitmap
		{handBlocks, 8192},
	}
}

// damaged is an image with some numbers changed: each twelve bytes of a recipe say
// where and to what. Checksums are right, for what they keep out is not of interest.
func damaged(recipe []byte) hand {
	link := "{" + handWrite + "}"
	var h hand
	switch first(recipe) % 3 {
	case 0:
		h = parent(512)
	case 1:
		h = child(512, "parent_linkage", link, "relative_path", "p.vhdx")
	case 2:
		h = dirty(512)
	}
	all := targets()
	for recipe = recipe[min(1, len(recipe)):]; len(recipe) >= 12; recipe = recipe[12:] {
		where := all[int(recipe[0])%len(all)]
		at := where[0] + int64(binary.LittleEndian.Uint16(recipe[1:]))%where[1]
		n := 1 << (recipe[3] % 4)
		copy(h[at:at+int64(n)], recipe[4:])
	}
	h.sealLog()
	return h.seal()
}

func first(p []byte) byte {
	if len(p) == 0 {
		return 0
	}
	return p[0]
}

// sealLog computes the checksums of what looks like entries of the log.
func (h hand) sealLog() {
	for off := int64(1 << 20); off < 1<<20+65536; off += 4096 {
		n := int64(binary.LittleEndian.Uint32(h[off+8:]))
		if string(h[off:off+4]) == "loge" && n >= 4096 && n <= 65536 {
			h.put(off+4, uint32(0))
			h.put(off+4, sum(h[off:off+n], 4))
		}
	}
}

// FuzzOpen opens, reads, checks and writes images that are damaged where it
// counts.
func FuzzOpen(f *testing.F) {
	for kind := range byte(3) {
		f.Add([]byte{kind})
		f.Add([]byte{kind, 7, 0, 0, 3, 7, 0, 64, 0, 0, 0, 0, 0}) // block 0 partly, in place
		f.Add([]byte{kind, 6, 8, 0, 3, 0, 0, 0, 0, 0, 64, 0, 0}) // 64 TiB
		f.Add([]byte{kind, 4, 12, 0, 2, 0, 255, 0, 0, 0, 0, 0, 0})
		f.Add([]byte{kind, 2, 32, 0, 3, 0, 0, 0, 0, 1, 0, 0, 0})
	}
	f.Fuzz(func(t *testing.T, recipe []byte) {
		if len(recipe) > 400 {
			return
		}
		if err := disktest.Hostile(formats(), damaged(recipe)); err != nil {
			t.Fatal(err)
		}
	})
}
