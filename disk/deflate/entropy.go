package deflate

import "encoding/binary"

const (
	// piece is how much is looked at in one place, and pieces in how many.
	piece  = 64
	pieces = 128

	// evenly is what Pearson's chi-squared of 256 classes, with a mean of 255 and a
	// deviation of 23, is below for random bytes, but for one time in a million.
	evenly = 370

	// repeats: every so manieth place is remembered, and so many places in a row
	// are looked up in every span.
	noted = 32
	span  = 512
)

// Incompressible tells whether deflate would save nothing worth having: in an
// eighth of p all bytes are about as frequent, and nothing long repeats. A block of
// 4096 bytes of text or zeros in 64 KiB of noise is seen. It takes a few percent of
// the time that finding out by compressing would.
func Incompressible(p []byte) bool {
	return len(p) >= 4096 && even(p, pieces/8) && even(p, pieces) && !repeats(p)
}

// even looks at the frequencies of bytes in so many pieces of p, and tells
// whether they may be those of random bytes.
func even(p []byte, pieces int) bool {
	var a, b [256]uint32 // two, as one would wait for itself where bytes repeat
	n := 0
	for step := max(len(p)/pieces, piece); len(p) >= piece; p = p[min(step, len(p)):] {
		for i := 0; i < piece; i += 2 {
			a[p[i]]++
			b[p[i+1]]++
		}
		n += piece
	}
	sum := 0
	for i := range a {
		c := int(a[i] + b[i])
		sum += c * c
	}
	return sum*256 < n*(n+evenly)
}

// repeats looks for sequences of eight bytes that come twice: it sees what is
// there of 1100 bytes and more that came before, wherever they lie, and
// most often less. Of what was seen a part of the hash is kept, so that nothing depends
// on chance until it is found; where parts are alike by chance, nothing is lost.
func repeats(p []byte) bool {
	var seen [4096]uint32
	for begin := 0; begin < len(p); begin += span {
		piece := p[begin:min(begin+span+7, len(p))]
		for i := 0; i+8 <= len(piece); {
			hash := binary.LittleEndian.Uint64(piece[i:]) * 0x9e3779b97f4a7c15
			place, part := &seen[hash>>52], uint32(hash>>20)
			if *place == part {
				return true
			}
			if i%noted == 0 {
				*place = part
			}
			if i++; i > noted { // on to the next that is noted
				i += noted - 1
			}
		}
	}
	return false
}
