package deflate

import (
	"encoding/binary"
	"math/bits"
)

// Finding matches for deflate, in content that is all in memory: chains of the
// places with the same hash of four bytes, the newest first, and for matches of
// three the newest place only.

const (
	window    = 1 << 15 // how far back a match may lie (RFC 1951, 3.2.5)
	minMatch  = 3
	hashBits  = 15
	hash3Bits = 12

	// How hard is tried. Measured against zlib's level 6: programs 2 % smaller,
	// logs the same, sources up to 1.5 % larger, random words of a list 6 % to 9 %.
	chainDepth = 16   // places looked at
	niceLength = 130  // a match that is good enough at once
	lazyLength = 32   // one that is good enough not to look at the next place
	goodLength = 10   // one that is good enough to look at few places for the next
	farThree   = 4096 // a match of three farther away costs more than literals
)

// finder finds matches. Places are kept with base added, so that those of
// what was before need not be cleared.
type finder struct {
	head  [1 << hashBits]int32
	head3 [1 << hash3Bits]int32
	prev  [window]int32
	base  int32
	reach int32 // how far back matches may lie
}

// start forgets what was; n bytes come.
func (f *finder) start(before, n, reach int) {
	f.reach = int32(reach)
	f.base += int32(before) + window // nothing of it is within reach
	if f.base < 0 || int(f.base)+n+2*window > 1<<31-1 || f.base == window {
		f.base = window + 1
		clear(f.head[:])
		clear(f.head3[:])
	}
}

func hash4(v uint32) uint32 { return v * 0x9e3779b1 >> (32 - hashBits) }
func hash3(v uint32) uint32 { return (v << 8) * 0x9e3779b1 >> (32 - hash3Bits) }

// insert notes place i, behind which at least four bytes lie, and returns the
// newest places before it with the same hashes.
func (f *finder) insert(v uint32, i int) (chain, three int32) {
	h, h3 := hash4(v), hash3(v)
	at := f.base + int32(i)
	chain, three = f.head[h], f.head3[h3]
	f.prev[at&(window-1)] = chain
	f.head[h], f.head3[h3] = at, at
	return chain, three
}

// longest is the best match at i that is longer than length, else 0. i is
// noted.
func (f *finder) longest(p []byte, i, length, depth int) (best, distance int) {
	v := binary.LittleEndian.Uint32(p[i:])
	chain, three := f.insert(v, i)
	at := f.base + int32(i)
	lowest := max(at-f.reach, f.base)
	limit := min(len(p)-i, maxMatch)
	if length >= limit {
		return 0, 0
	}
	if length < minMatch && three >= max(lowest, at-farThree) {
		if j := int(three - f.base); (binary.LittleEndian.Uint32(p[j:])^v)<<8 == 0 {
			best, distance, length = minMatch, i-j, minMatch
		}
	}
	for ; chain >= lowest && depth > 0; depth-- {
		j := int(chain - f.base)
		if p[j+length] == p[i+length] && binary.LittleEndian.Uint32(p[j:]) == v {
			if n := common(p[j:], p[i:i+limit]); n > length {
				best, distance, length = n, i-j, n
				if n >= niceLength || n == limit {
					break
				}
			}
		}
		next := f.prev[chain&(window-1)]
		if next >= chain {
			break // overwritten by a newer place
		}
		chain = next
	}
	return best, distance
}

// common is how many bytes a and b begin with alike, at most all of b, which
// is not longer than a.
func common(a, b []byte) int {
	n := 0
	a = a[:len(b)]
	for n+8 <= len(b) {
		if x := binary.LittleEndian.Uint64(a[n:]) ^ binary.LittleEndian.Uint64(b[n:]); x != 0 {
			return n + bits.TrailingZeros64(x)>>3
		}
		n += 8
	}
	for n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}

// A token is a literal, or a match: its length from bit 16 on, its distance
// less one below.
type token uint32

const matchToken = 1 << 31

func newMatch(length, distance int) token {
	return token(matchToken | length<<16 | (distance - 1))
}

func (t token) length() int   { return int(t>>16) & 0x1ff }
func (t token) distance() int { return int(t&0xffff) + 1 }

// tokens appends what p is made of. A match is given up for a literal when the
// one at the next place is better.
func (f *finder) tokens(dst []token, p []byte) []token {
	i, end := 0, len(p)-4 // the last places have no four bytes to be looked up by
	length, distance, known := 0, 0, false
	for i <= end {
		if !known {
			length, distance = f.longest(p, i, minMatch-1, chainDepth)
		}
		known = false
		if length < minMatch {
			dst = append(dst, token(p[i]))
			i++
			continue
		}
		if length < lazyLength && i < end {
			next, far := f.longest(p, i+1, length-1, lazyDepth(length))
			if better(next, far, length, distance) {
				dst = append(dst, token(p[i]))
				i, length, distance, known = i+1, next, far, true
				continue
			}
			dst = append(dst, newMatch(length, distance))
			f.skip(p, i+2, min(i+length, end+1))
		} else {
			dst = append(dst, newMatch(length, distance))
			f.skip(p, i+1, min(i+length, end+1))
		}
		i += length
	}
	for ; i < len(p); i++ {
		dst = append(dst, token(p[i]))
	}
	return dst
}

// lazyDepth is how many places are looked at for a better match than one of
// the given length.
func lazyDepth(length int) int {
	if length >= goodLength {
		return chainDepth / 8
	}
	return chainDepth / 2
}

// better weighs a match at the next place, which costs a literal more.
func better(next, far, length, distance int) bool {
	return next >= minMatch && 4*(next-length)+bits.Len(uint(distance))-bits.Len(uint(far)) > 0
}

// skip notes the places within a match.
func (f *finder) skip(p []byte, from, to int) {
	for i := from; i < to; i++ {
		f.insert(binary.LittleEndian.Uint32(p[i:]), i)
	}
}
