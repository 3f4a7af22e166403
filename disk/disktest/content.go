package disktest

import (
	"encoding/binary"
	"math/rand/v2"
)

// run is a range of bytes that are not all zero.
type run struct{ off, end int64 }

// grain is the unit by which content is told from holes.
const grain = 512

// runsOf finds the parts of content that are not zero, by grains.
func runsOf(content []byte) []run {
	var runs []run
	size := int64(len(content))
	for off := int64(0); off < size; off += grain {
		end := min(off+grain, size)
		switch last := len(runs) - 1; {
		case isZero(content[off:end]):
		case last >= 0 && runs[last].end == off:
			runs[last].end = end
		default:
			runs = append(runs, run{off, end})
		}
	}
	return runs
}

func isZero(p []byte) bool {
	for len(p) >= 8 {
		if binary.NativeEndian.Uint64(p) != 0 {
			return false
		}
		p = p[8:]
	}
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}

// seeded is a generator of random numbers that depends on the seed alone.
func seeded(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x70616e616c)) }

// noise fills p with bytes that depend on the seed, none of them zero.
func noise(p []byte, seed uint64) {
	rng := seeded(seed)
	for i := range p {
		if i%8 == 0 {
			word := rng.Uint64()
			var eight [8]byte
			binary.LittleEndian.PutUint64(eight[:], word|0x0101010101010101)
			copy(p[i:], eight[:])
		}
	}
}

// pattern is a content with data and holes that begin and end at odd
// places, with blocks that are wholly one or the other, and with text that
// compresses.
func pattern(size, block int64, seed uint64) []byte {
	rng := seeded(seed)
	content := make([]byte, size)
	for off := int64(0); off < size; {
		n := min(1+rng.Int64N(block), size-off)
		if rng.IntN(3) == 0 {
			n = min(block+rng.Int64N(2*block), size-off)
		}
		switch part := content[off : off+n]; rng.IntN(4) {
		case 0, 1:
			noise(part, rng.Uint64())
		case 2:
			for i := range part {
				part[i] = "sparse text "[i%12]
			}
		default: // a hole
		}
		off += n
	}
	return content
}

// resized is content cut, or with zeros behind.
func resized(content []byte, size int64) []byte {
	fresh := make([]byte, size)
	copy(fresh, content)
	return fresh
}
