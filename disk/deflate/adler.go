package deflate

// Adler-32 (RFC 1950, 8.2): two sums modulo 65521, the second of which adds the
// first up.
const (
	adlerModulus = 65521
	// adlerRow is how many bytes are summed before a sum is reduced: few enough
	// for 32 bits, and a multiple of 32.
	adlerRow = 5536
)

// Adler32 is the checksum of p, as zlib streams end with it (RFC 1950).
func Adler32(p []byte) uint32 {
	a, b := uint64(1), uint64(0)
	for len(p) > 0 {
		n := min(len(p), adlerRow)
		whole := n &^ 31
		if whole > 0 {
			plain, weighted := sums(p[:whole])
			b += a*uint64(whole) + weighted
			a += plain
		}
		for _, c := range p[whole:n] {
			a += uint64(c)
			b += a
		}
		a, b = a%adlerModulus, b%adlerModulus
		p = p[n:]
	}
	return uint32(b<<16 | a)
}

// plainSums is the sum of the bytes of p, and their sum weighted: the last
// counts once, the one before twice. It is sums in Go; p is at most a row.
func plainSums(p []byte) (plain, weighted uint64) {
	var a, b uint32
	for len(p) >= 4 {
		q := p[:4:4]
		b += 4*a + 4*uint32(q[0]) + 3*uint32(q[1]) + 2*uint32(q[2]) + uint32(q[3])
		a += uint32(q[0]) + uint32(q[1]) + uint32(q[2]) + uint32(q[3])
		p = p[4:]
	}
	return uint64(a), uint64(b)
}
