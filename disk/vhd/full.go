package vhd

import (
	"bytes"
	"io"
	"sync"
)

// full remembers of which blocks the bitmap is all ones, in images where
// bitmaps do not count. Other programs may look at them all the same, so that a block
// that is written gets a full one.
type full struct {
	mu   sync.Mutex // guards bits
	bits []uint64   // by block
}

func (f *full) has(index int64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return index/64 < int64(len(f.bits)) && f.bits[index/64]>>(index%64)&1 == 1
}

func (f *full) set(index int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if missing := index/64 + 1 - int64(len(f.bits)); missing > 0 {
		f.bits = append(f.bits, make([]uint64, missing)...)
	}
	f.bits[index/64] |= 1 << (index % 64)
}

func (f *full) unset(index int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if index/64 < int64(len(f.bits)) {
		f.bits[index/64] &^= 1 << (index % 64)
	}
}

// complete makes the bitmap of a block full.
func (m *image) complete(index int64, start uint32) error {
	if m.full.has(index) {
		return nil
	}
	bm := m.newBitmap(int64(start) * sector)
	bm.setAll()
	want := bm.bytes(m.Shape.Before)
	want = want[:max(1, m.Shape.Block/sector/8)]
	have := make([]byte, len(want))
	if _, err := m.File.ReadAt(have, bm.at); err != nil && err != io.EOF {
		return err
	}
	if !bytes.Equal(have, want) {
		if _, err := m.File.WriteAt(want, bm.at); err != nil {
			return err
		}
	}
	m.full.set(index)
	return nil
}
