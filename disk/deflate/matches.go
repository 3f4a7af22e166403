package deflate

import (
	"encoding/binary"
	"math/bits"
)

// Finding matches for deflate, in content that is all in memory. There are no
// chains to follow from place to place: each hash has a bucket of the newest
// places in one number, the newest lowest, which are looked at without
// waiting for one another. A hash of seven bytes finds long matches, however
// often their first bytes come, among four places; one of four bytes the others,
// among two (four would save a tenth of a percent); matches of three have the
// newest place only.

const (
	window   = 1 << 15 // how far back a match may lie (RFC 1951, 3.2.5)
	minMatch = 3

	// segment is how much is looked at by itself: places are numbers of 16
	// bits. It is what grains and most clusters have.
	segment = 1 << 16

	longBits  = 14
	shortBits = 14
	threeBits = 12

	niceLength = 130  // a match that is good enough at once
	lazyLength = 20   // one that is good enough not to look at the next place
	farThree   = 1024 // a match of three farther away costs more than literals
)

// finder finds matches. A place that was never put is 0: what lies there is
// compared like all else.
type finder struct {
	content [segment + 8]byte
	end     int // of the content; zeros follow
	reach   int // how far back matches may lie
	long    [1 << longBits]uint64
	short   [1 << shortBits]uint32
	three   [1 << threeBits]uint16
}

// at is the eight bytes at a place.
func (f *finder) at(i uint16) uint64 { return binary.LittleEndian.Uint64(f.content[i:]) }

func hashLong(v uint64) uint64  { return v << 8 * 0x9e3779b97f4a7c15 >> (64 - longBits) }
func hashShort(v uint64) uint32 { return uint32(v) * 0x9e3779b1 >> (32 - shortBits) }
func hashThree(v uint64) uint32 { return uint32(v) << 8 * 0x9e3779b1 >> (32 - threeBits) }

// A token is a literal or a match, as a number that takes no branch to count or
// to write:
//
//	bit 0-14   the distance of a match, less one
//	    15-19  the symbol of the distance; of a literal noDistance
//	    23-31  a literal, or 256 more than the length less 3
type token uint32

// noDistance is a symbol that is never written.
const noDistance = 30

func newLiteral(c byte) token { return token(c)<<23 | noDistance<<15 }

func newMatch(length, distance int) token {
	return token(256-minMatch+length)<<23 | token(distanceSymbol(distance))<<15 | token(distance-1)
}

func (t token) distanceSymbol() int { return int(t >> 15 & 31) }

// tokens appends what p is made of; matches lie at most reach back.
func (f *finder) tokens(dst []token, p []byte, reach int) []token {
	for len(p) > 0 {
		n := min(len(p), segment)
		dst = f.segment(dst, p[:n], reach)
		p = p[n:]
	}
	return dst
}

// segment appends what p is made of. A match is given up for a literal when
// the one at the next place is better; so the next place is looked at whatever
// was found at this one, and what depends on chance is decided once a place.
func (f *finder) segment(dst []token, p []byte, reach int) []token {
	clear(f.long[:])
	clear(f.short[:])
	clear(f.three[:])
	f.end, f.reach = copy(f.content[:segment], p), reach
	clear(f.content[f.end:min(f.end+16, len(f.content))])
	dst = append(dst, newLiteral(p[0])) // place 0 is in all buckets
	i, end := 1, f.end-minMatch         // the last places where a match may begin
	length, distance := 0, 0
	if i < end {
		length, distance = f.longest(i, minMatch-1)
	}
	for i < end {
		from := i + 1 // the next place to be noted
		if length < lazyLength && from < end {
			next, far := f.longest(from, max(length-1, minMatch-1))
			if length < minMatch || better(next, far, length, distance) {
				dst = append(dst, newLiteral(p[i]))
				i, length, distance = from, next, far
				continue
			}
			from++
		}
		if length < minMatch {
			break
		}
		dst = append(dst, newMatch(length, distance))
		i += length
		f.skip(from, min(i, end))
		if length = 0; i < end {
			length, distance = f.longest(i, minMatch-1)
		}
	}
	for ; i < len(p); i++ {
		dst = append(dst, newLiteral(p[i]))
	}
	return dst
}

// better weighs a match at the next place, which costs a literal more.
func better(next, far, length, distance int) bool {
	return next >= minMatch && 3*(next-length)+bits.Len(uint(distance))-bits.Len(uint(far)) > 0
}

// longest is the best match at i that is longer than length, else 0. i is
// noted. Most places are looked at without a branch: which of them is the best
// cannot be predicted.
func (f *finder) longest(i, length int) (best, distance int) {
	v := f.at(uint16(i))
	hl, hs, ht := hashLong(v), hashShort(v), hashThree(v)
	long, short, three := f.long[hl], f.short[hs], f.three[ht]
	f.long[hl], f.short[hs], f.three[ht] = long<<16|uint64(i), short<<16|uint32(i), uint16(i)
	a, b, c, d := uint16(long), uint16(long>>16), uint16(long>>32), uint16(long>>48)
	if (f.at(a)^v)<<8 == 0 || (f.at(b)^v)<<8 == 0 || (f.at(c)^v)<<8 == 0 || (f.at(d)^v)<<8 == 0 {
		if best, distance = f.extend(long, i, length); best > 0 {
			return best, distance
		}
	}
	if length >= 7 {
		return 0, 0
	}
	low := uint32(max(i-f.reach, 0))
	a, b = uint16(short), uint16(short>>16)
	w := max(alike(f.at(a)^v, a, low), alike(f.at(b)^v, b, low), alike(f.at(three)^v, three, low))
	n, distance := min(int(w>>16), f.end-i), i-int(w&0xffff)
	if n <= length || n == minMatch && distance > farThree {
		return 0, 0
	}
	return n, distance
}

// alike compares places: one with more bytes alike, which x has zeros for, is
// better, and then a nearer one. It is 0 for what lies below low.
func alike(x uint64, j uint16, low uint32) uint32 {
	w := uint32(bits.TrailingZeros64(x|1<<63))>>3<<16 | uint32(j)
	if uint32(j) < low {
		w = 0
	}
	return w
}

// extend is the longest match with the places of a bucket, of which one at
// least has seven bytes alike, and may be out of reach.
func (f *finder) extend(bucket uint64, i, length int) (best, distance int) {
	most := min(f.end-i, maxMatch)
	for range 4 {
		j := int(uint16(bucket))
		bucket >>= 16
		if i-j > f.reach {
			break
		}
		if length >= 7 && f.at(uint16(j+length-7)) != f.at(uint16(i+length-7)) {
			continue
		}
		n := f.common(j, i, most)
		if n > length {
			best, distance, length = n, i-j, n
			if n >= niceLength {
				break
			}
		}
	}
	return best, distance
}

// common is how many bytes are alike from two places on, at most so many.
func (f *finder) common(j, i, most int) int {
	for n := 0; n < most; n += 8 {
		if x := f.at(uint16(j+n)) ^ f.at(uint16(i+n)); x != 0 {
			return min(n+bits.TrailingZeros64(x)>>3, most)
		}
	}
	return most
}

// skip notes the places within a match. Matches of three are not looked for there: they would save a third of a percent,
// and noting them costs a thirtieth of the time.
func (f *finder) skip(from, to int) {
	for i := from; i < to; i++ {
		v := f.at(uint16(i))
		hl, hs := hashLong(v), hashShort(v)
		f.long[hl] = f.long[hl]<<16 | uint64(i)
		f.short[hs] = f.short[hs]<<16 | uint32(i)
	}
}
