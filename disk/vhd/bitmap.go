package vhd

import (
	"encoding/binary"
	"io"
	"math/bits"
	"sync"
)

// bitmapMemory is how much of the bitmaps is kept in memory, in bytes: those
// of 16 GiB in blocks of the usual size.
const bitmapMemory = 4 << 20

// bitmaps keeps the sector bitmaps of blocks. Changed ones stay in memory
// until they are flushed: a bit may be set only when its sector is durable.
type bitmaps struct {
	img   *image
	limit int

	mu    sync.RWMutex // guards what follows, and the words of all
	known map[int64]*bitmap
	dirty int
}

// bitmap says which sectors of a block are in it. The first sector is the
// highest bit of the first word.
type bitmap struct {
	at    int64 // in the file
	words []uint64
	dirty bool
}

func newBitmaps(img *image, block int64) *bitmaps {
	return &bitmaps{img: img, limit: int(max(16, bitmapMemory/bitmapSize(block))), known: map[int64]*bitmap{}}
}

// run tells whether a sector is in its block, and how many sectors from it on,
// at most n, are alike.
func (b *bitmaps) run(index int64, start uint32, first, n int64) (set bool, length int64, err error) {
	b.mu.RLock()
	bm := b.known[index]
	b.mu.RUnlock()
	if bm == nil {
		if bm, err = b.load(index, start); err != nil {
			return false, 0, err
		}
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	set, length = bm.run(first, n)
	return set, length, nil
}

// run is bitmaps.run in one bitmap.
func (bm *bitmap) run(first, n int64) (set bool, length int64) {
	set = bm.words[first/64]<<(first%64)>>63 == 1
	for length < n {
		at := first + length
		word := bm.words[at/64]
		if set {
			word = ^word
		}
		alike := min(int64(bits.LeadingZeros64(word<<(at%64))), 64-at%64)
		length += alike
		if at%64+alike < 64 {
			break
		}
	}
	return set, min(length, n)
}

// load reads a bitmap, and forgets another if there are too many.
func (b *bitmaps) load(index int64, start uint32) (*bitmap, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.get(index, start)
}

// get is the bitmap of a block; mu is held.
func (b *bitmaps) get(index int64, start uint32) (*bitmap, error) {
	if bm := b.known[index]; bm != nil {
		return bm, nil
	}
	bm, err := b.img.readBitmap(start)
	if err != nil {
		return nil, err
	}
	if b.img.inBatmap(index) {
		bm.setAll()
	}
	b.keep(index, bm)
	return bm, nil
}

func (b *bitmaps) keep(index int64, bm *bitmap) {
	if len(b.known) >= b.limit+b.dirty {
		for other, o := range b.known {
			if !o.dirty {
				delete(b.known, other)
				break
			}
		}
	}
	b.known[index] = bm
}

// set says that sectors are in their block.
func (b *bitmaps) set(index int64, start uint32, first, n int64) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	bm, err := b.get(index, start)
	if err != nil {
		return err
	}
	if bm.set(first, n) && !bm.dirty {
		bm.dirty = true
		b.dirty++
	}
	return nil
}

// forget drops a block that was given up.
func (b *bitmaps) forget(index int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if bm := b.known[index]; bm != nil {
		if bm.dirty {
			b.dirty--
		}
		delete(b.known, index)
	}
}

// Flush writes the changed ones.
func (b *bitmaps) Flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, bm := range b.known {
		if !bm.dirty {
			continue
		}
		if _, err := b.img.File.WriteAt(bm.bytes(b.img.Shape.Before), bm.at); err != nil {
			return err
		}
		bm.dirty = false
		b.dirty--
	}
	return nil
}

// Dirty is how much waits for Flush, in bytes.
func (b *bitmaps) Dirty() int {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.dirty * int(b.img.Shape.Before)
}

// newBitmap is that of a new block, nothing in it.
func (m *image) newBitmap(at int64) *bitmap {
	return &bitmap{at: at, words: make([]uint64, max(1, (m.Shape.Block/sector+63)/64))}
}

// readBitmap reads that of a block; what lies behind the end of the file is
// not set.
func (m *image) readBitmap(start uint32) (*bitmap, error) {
	bm := m.newBitmap(int64(start) * sector)
	p := make([]byte, len(bm.words)*8)
	if _, err := m.File.ReadAt(p, bm.at); err != nil && err != io.EOF {
		return nil, err
	}
	for i := range bm.words {
		bm.words[i] = binary.BigEndian.Uint64(p[8*i:])
	}
	return bm, nil
}

// bytes is the bitmap as it stands in a file.
func (bm *bitmap) bytes(length int64) []byte {
	p := make([]byte, 0, length)
	for _, w := range bm.words {
		p = binary.BigEndian.AppendUint64(p, w)
	}
	return p[:length]
}

// set sets bits, and tells whether any was not.
func (bm *bitmap) set(first, n int64) (changed bool) {
	for n > 0 {
		k := min(n, 64-first%64)
		mask := (^uint64(0) << (64 - k)) >> (first % 64)
		if bm.words[first/64]&mask != mask {
			bm.words[first/64] |= mask
			changed = true
		}
		first, n = first+k, n-k
	}
	return changed
}

func (bm *bitmap) setAll() {
	for i := range bm.words {
		bm.words[i] = ^uint64(0)
	}
}

// empty tells whether no sector is in the block.
func (bm *bitmap) empty() bool {
	for _, w := range bm.words {
		if w != 0 {
			return false
		}
	}
	return true
}
