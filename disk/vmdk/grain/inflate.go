package grain

import (
	"encoding/binary"
	"math/bits"
)

// Decoding deflate (RFC 1951) from memory to memory: all of the stream is there,
// and its length is known, so that bits are taken eight bytes at a time and there
// is no window to slide. Measured, it takes two thirds of the time
// of klauspost/compress, which decodes streams.

// How many bits the first look into a table takes. Longer codes need a second.
const (
	literalBits  = 11
	distanceBits = 8
	maxCode      = 15
)

// An entry of a decoding table: the value from bit 16 on, extra bits or the
// bits of a second table from bit 8 to 15, what it is from bit 5 to 7, and the
// length of the code below. 0 is no code.
const (
	isLiteral  = 1 << 5 // also a distance, and the length of a code
	isLength   = 2 << 5
	isEnd      = 3 << 5
	isSubtable = 4 << 5
	kindMask   = 7 << 5
	lengthMask = 31
)

// inflater decodes streams, one at a time.
type inflater struct {
	literals  [1 << 12]uint32 // 2342 are needed at the most (zlib's enough.c)
	distances [1 << 10]uint32 // 402 are
	codes     [1 << 7]uint32
	lengths   [320]uint8
	fixed     bool // the tables are those of fixed codes
}

// source is the stream, and bits that were taken from it.
type source struct {
	in   []byte
	pos  int
	bits uint64
	n    uint // how many bits there are
}

// refill makes sure of 56 bits; behind the end they are zero.
func (s *source) refill() {
	if s.pos+8 <= len(s.in) {
		s.bits |= binary.LittleEndian.Uint64(s.in[s.pos:]) << s.n
		s.pos += int(63-s.n) >> 3
		s.n |= 56
		return
	}
	for s.n <= 56 {
		if s.pos < len(s.in) {
			s.bits |= uint64(s.in[s.pos]) << s.n
		}
		s.pos++
		s.n += 8
	}
}

func (s *source) take(n uint) uint32 {
	v := uint32(s.bits & (1<<n - 1))
	s.bits >>= n
	s.n -= n
	return v
}

// overrun tells whether more was taken than there is.
func (s *source) overrun() bool { return s.pos-int(s.n>>3) > len(s.in) }

// inflate decodes in into out, and returns how long the output and the stream
// are; ok is false when the stream is damaged or longer than out.
func (f *inflater) inflate(out, in []byte) (n, used int, ok bool) {
	s := source{in: in}
	for last := false; !last; {
		s.refill()
		last = s.take(1) == 1
		switch s.take(2) {
		case 0:
			n, ok = s.stored(out, n)
		case 1:
			f.fixedTables()
			n, ok = f.block(&s, out, n)
		case 2:
			if ok = f.dynamicTables(&s); ok {
				n, ok = f.block(&s, out, n)
			}
		default:
			ok = false
		}
		if !ok || s.overrun() {
			return n, 0, false
		}
	}
	return n, s.pos - int(s.n>>3), true
}

// stored copies a block that is not compressed (RFC 1951, 3.2.4).
func (s *source) stored(out []byte, n int) (int, bool) {
	s.pos -= int(s.n >> 3)
	s.bits, s.n = 0, 0
	if s.pos < 0 || s.pos+4 > len(s.in) {
		return n, false
	}
	length := int(binary.LittleEndian.Uint16(s.in[s.pos:]))
	check := int(binary.LittleEndian.Uint16(s.in[s.pos+2:]))
	s.pos += 4
	if length != check^0xffff || length > len(s.in)-s.pos || length > len(out)-n {
		return n, false
	}
	copy(out[n:], s.in[s.pos:s.pos+length])
	s.pos += length
	return n + length, true
}

// block decodes a compressed block (RFC 1951, 3.2.3).
func (f *inflater) block(s *source, out []byte, n int) (int, bool) {
	for {
		s.refill()
		e := f.literals[s.bits&(1<<literalBits-1)]
		for e&kindMask == isLiteral && s.n >= 2*maxCode { // a refill is enough for three
			if n >= len(out) {
				return n, false
			}
			out[n] = byte(e >> 16)
			n++
			s.bits >>= e & lengthMask
			s.n -= uint(e & lengthMask)
			e = f.literals[s.bits&(1<<literalBits-1)]
		}
		if s.n < 48 {
			if s.pos > len(s.in)+16 {
				return n, false
			}
			s.refill()
		}
		if e&kindMask == isSubtable {
			e = f.literals[e>>16+uint32(s.bits>>literalBits)&(1<<(e>>8&0xff)-1)]
		}
		s.bits >>= e & lengthMask
		s.n -= uint(e & lengthMask)
		switch e & kindMask {
		case isLiteral:
			if n >= len(out) {
				return n, false
			}
			out[n] = byte(e >> 16)
			n++
		case isLength:
			length := int(e>>16) + int(s.take(uint(e>>8&0xff)))
			distance := f.distance(s)
			if distance == 0 || distance > n || length > len(out)-n {
				return n, false
			}
			repeat(out, n, distance, length)
			n += length
		case isEnd:
			return n, true
		default:
			return n, false
		}
	}
}

// distance decodes how far back a match lies; 0 is no code.
func (f *inflater) distance(s *source) int {
	e := f.distances[s.bits&(1<<distanceBits-1)]
	if e&kindMask == isSubtable {
		e = f.distances[e>>16+uint32(s.bits>>distanceBits)&(1<<(e>>8&0xff)-1)]
	}
	if e == 0 {
		return 0
	}
	s.take(uint(e & lengthMask))
	return int(e>>16) + int(s.take(uint(e>>8&0xff)))
}

// repeat copies what lies distance before n.
func repeat(out []byte, n, distance, length int) {
	from := n - distance
	if distance >= length {
		copy(out[n:n+length], out[from:from+length])
		return
	}
	for done := 0; done < length; {
		done += copy(out[n+done:n+length], out[from:n+done])
	}
}

// Lengths and distances: RFC 1951, 3.2.5.
var (
	lengthBase = [...]uint16{3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258}
	lengthMore = [...]uint8{0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4, 4, 5, 5, 5, 5, 0}
	distBase   = [...]uint16{
		1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385, 513, 769,
		1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577,
	}
	distMore  = [...]uint8{0, 0, 0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13}
	codeOrder = [...]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}
)

func literalEntry(symbol int) uint32 {
	switch {
	case symbol < 256:
		return uint32(symbol)<<16 | isLiteral
	case symbol == 256:
		return isEnd
	case symbol-257 < len(lengthBase):
		return uint32(lengthBase[symbol-257])<<16 | uint32(lengthMore[symbol-257])<<8 | isLength
	}
	return 0
}

func distanceEntry(symbol int) uint32 {
	if symbol >= len(distBase) {
		return 0
	}
	return uint32(distBase[symbol])<<16 | uint32(distMore[symbol])<<8 | isLiteral
}

func codeEntry(symbol int) uint32 { return uint32(symbol)<<16 | isLiteral }

// fixedTables makes the tables of RFC 1951, 3.2.6.
func (f *inflater) fixedTables() {
	if f.fixed {
		return
	}
	f.fixed = true
	for i := range 288 {
		switch {
		case i < 144, i >= 280:
			f.lengths[i] = 8
		case i < 256:
			f.lengths[i] = 9
		default:
			f.lengths[i] = 7
		}
	}
	buildTable(f.literals[:], literalBits, f.lengths[:288], literalEntry)
	for i := range 30 {
		f.lengths[i] = 5
	}
	buildTable(f.distances[:], distanceBits, f.lengths[:30], distanceEntry)
}

// dynamicTables reads the codes of a block (RFC 1951, 3.2.7).
func (f *inflater) dynamicTables(s *source) bool {
	f.fixed = false
	s.refill()
	literals, distances, codes := int(s.take(5))+257, int(s.take(5))+1, int(s.take(4))+4
	clear(f.lengths[:19])
	for i := range codes {
		if s.n < 3 {
			s.refill()
		}
		f.lengths[codeOrder[i]] = uint8(s.take(3))
	}
	if !buildTable(f.codes[:], 7, f.lengths[:19], codeEntry) || !f.readLengths(s, literals+distances) {
		return false
	}
	if f.lengths[256] == 0 {
		return false
	}
	return buildTable(f.literals[:], literalBits, f.lengths[:literals], literalEntry) &&
		buildTable(f.distances[:], distanceBits, f.lengths[literals:literals+distances], distanceEntry)
}

// readLengths reads the lengths of codes, which are coded themselves.
func (f *inflater) readLengths(s *source, count int) bool {
	for i := 0; i < count; {
		s.refill()
		e := f.codes[s.bits&127]
		if e == 0 || s.pos > len(s.in)+16 {
			return false
		}
		s.take(uint(e & lengthMask))
		symbol, times, value := e>>16, 1, uint8(0)
		switch symbol {
		case 16:
			if i == 0 {
				return false
			}
			value, times = f.lengths[i-1], 3+int(s.take(2))
		case 17:
			times = 3 + int(s.take(3))
		case 18:
			times = 11 + int(s.take(7))
		default:
			value = uint8(symbol)
		}
		if times > count-i {
			return false
		}
		for ; times > 0; times-- {
			f.lengths[i] = value
			i++
		}
	}
	return true
}

// buildTable makes a decoding table of the lengths of codes. A code that is
// oversubscribed is refused; of an incomplete one the rest decodes to no code.
func buildTable(table []uint32, first uint, lengths []uint8, entry func(symbol int) uint32) bool {
	var count, next [maxCode + 2]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	code := 0
	for l := 1; l <= maxCode; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
		if code+count[l] > 1<<l {
			return false
		}
	}
	clear(table[:1<<first])
	free := uint32(1) << first
	for symbol, l := range lengths {
		if l == 0 {
			continue
		}
		reversed := uint32(bits.Reverse16(uint16(next[l])) >> (16 - l))
		next[l]++
		e := entry(symbol)
		if e != 0 {
			e |= uint32(l)
		}
		if uint(l) <= first {
			for i := reversed; i < 1<<first; i += 1 << l {
				table[i] = e
			}
			continue
		}
		if !putLong(table, first, &free, reversed, uint(l), e) {
			return false
		}
	}
	return true
}

// putLong puts a code into the second table that its first bits lead to. All
// second tables are as large as the longest code needs.
func putLong(table []uint32, first uint, free *uint32, reversed uint32, l uint, e uint32) bool {
	const more = maxCode
	head := reversed & (1<<first - 1)
	size := uint32(1) << (more - first)
	if table[head]&kindMask != isSubtable {
		if int(*free+size) > len(table) {
			return false
		}
		table[head] = *free<<16 | uint32(more-first)<<8 | isSubtable
		clear(table[*free : *free+size])
		*free += size
	}
	base := table[head] >> 16
	for i := reversed >> first; i < size; i += 1 << (l - first) {
		table[base+i] = e
	}
	return true
}
