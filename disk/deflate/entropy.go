package deflate

import "encoding/binary"

// sample is how much is looked at first, which most often tells.
const sample = 4096

// Incompressible tells whether deflate would save nothing worth having: all
// bytes are about as frequent, and nothing repeats. It takes a few percent of
// the time that finding out by compressing would.
func Incompressible(p []byte) bool {
	// Of so few random bytes frequencies differ more. At 1.05 times as much as
	// of random bytes, Huffman codes alone would save half a percent.
	return len(p) >= sample && flatHistogram(p[:sample], 130) && flatHistogram(p, 105) && !repeats(p)
}

// flatHistogram compares the sum of squared frequencies with what it is of bytes
// that are equally frequent: it is at most so many percent of that.
func flatHistogram(p []byte, percent uint64) bool {
	var a, b [256]uint32 // two, as one would wait for itself where bytes repeat
	for i := 0; i+1 < len(p); i += 2 {
		a[p[i]]++
		b[p[i+1]]++
	}
	sum := uint64(0)
	for i := range a {
		c := uint64(a[i] + b[i])
		sum += c * c
	}
	n := uint64(len(p))
	return sum*256*100 < n*n*percent
}

// repeats looks for sequences of eight bytes that come twice: it remembers
// every sixteenth, and looks each of the last quarter up, so that it sees what
// comes there of 23 bytes that came before.
func repeats(p []byte) bool {
	var at [4096]uint32
	slot := func(i int) (v uint64, place *uint32) {
		v = binary.LittleEndian.Uint64(p[i:])
		return v, &at[v*0x9e3779b97f4a7c15>>52]
	}
	tail := len(p) - len(p)/4
	for i := 0; i < tail; i += 16 {
		v, place := slot(i)
		if j := *place; j > 0 && binary.LittleEndian.Uint64(p[j-1:]) == v {
			return true
		}
		*place = uint32(i + 1)
	}
	for i := tail; i+8 <= len(p); i++ {
		v, place := slot(i)
		if j := *place; j > 0 && binary.LittleEndian.Uint64(p[j-1:]) == v {
			return true
		}
		if i%16 == 0 {
			*place = uint32(i + 1)
		}
	}
	return false
}
