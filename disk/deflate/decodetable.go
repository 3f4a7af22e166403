package deflate

import (
	"fmt"
	"math/bits"
)

// How many bits the first look into a table takes. Longer codes need a second.
const (
	literalBits  = 11
	distanceBits = 8
	codeBits     = 7
	maxCode      = 15
)

// An entry of a decoding table:
//
//	bit 0-5    the bits that are taken, with extra bits
//	    8-11   those of them that are the code; of a second table, the bits that
//	           are an index of it
//	    12-15  what it is
//	    16-31  a literal, the least length or distance, or where the second
//	           table begins
const (
	isSubtable = 1 << 12 // and special
	isEnd      = 1 << 13 // and special
	isSpecial  = 1 << 14 // alone: no code
	isLiteral  = 1 << 15
)

// decodeTables are what the codes of a block are decoded by.
type decodeTables struct {
	literals  [1 << 12]uint32 // 2342 are needed at the most (zlib's enough.c)
	distances [1 << 9]uint32  // 402 are
	codes     [1 << codeBits]uint32
	lengths   [320]uint8 // of the codes: literals' first, then distances'
	fixed     bool       // the tables are those of fixed codes
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

// How many codes there may be (RFC 1951, 3.2.7).
const (
	maxLiterals  = 286
	maxDistances = 30
)

// literalEntry is the entry of a symbol with a code of n bits.
func literalEntry(symbol, n int) uint32 {
	switch {
	case symbol < 256:
		return uint32(symbol)<<16 | isLiteral | uint32(n)
	case symbol == 256:
		return isSpecial | isEnd | uint32(n)
	case symbol-257 < len(lengthBase):
		return uint32(lengthBase[symbol-257])<<16 | uint32(n)<<8 | uint32(n) + uint32(lengthMore[symbol-257])
	}
	return isSpecial
}

func distanceEntry(symbol, n int) uint32 {
	if symbol >= len(distBase) {
		return isSpecial
	}
	return uint32(distBase[symbol])<<16 | uint32(n)<<8 | uint32(n) + uint32(distMore[symbol])
}

func codeEntry(symbol, n int) uint32 { return uint32(symbol)<<16 | uint32(n) }

// fix makes the tables of RFC 1951, 3.2.6.
func (t *decodeTables) fix() {
	if t.fixed {
		return
	}
	t.fixed = true
	for i := range t.lengths {
		switch {
		case i < 144, i >= 280 && i < 288:
			t.lengths[i] = 8
		case i < 256:
			t.lengths[i] = 9
		case i < 280:
			t.lengths[i] = 7
		default:
			t.lengths[i] = 5
		}
	}
	buildTable(t.literals[:], literalBits, t.lengths[:288], literalEntry)
	buildTable(t.distances[:], distanceBits, t.lengths[288:320], distanceEntry)
}

// read reads the codes of a block (RFC 1951, 3.2.7).
func (t *decodeTables) read(s *source) error {
	t.fixed = false
	s.refill()
	literals, distances, codes := int(s.take(5))+257, int(s.take(5))+1, int(s.take(4))+4
	if literals > maxLiterals || distances > maxDistances {
		return fmt.Errorf("%w: a block with %d and %d codes", ErrCorrupt, literals, distances)
	}
	var lengths [19]uint8
	for i := range codes {
		if s.n < 3 {
			s.refill()
		}
		lengths[codeOrder[i]] = uint8(s.take(3))
	}
	if !buildTable(t.codes[:], codeBits, lengths[:], codeEntry) || !t.readLengths(s, literals+distances) {
		return fmt.Errorf("%w: the lengths of a block's codes cannot be decoded", ErrCorrupt)
	}
	if !buildTable(t.literals[:], literalBits, t.lengths[:literals], literalEntry) ||
		!buildTable(t.distances[:], distanceBits, t.lengths[literals:literals+distances], distanceEntry) {
		return fmt.Errorf("%w: the codes of a block are not complete, or more than that", ErrCorrupt)
	}
	return nil
}

// readLengths reads the lengths of codes, which are coded themselves.
func (t *decodeTables) readLengths(s *source, count int) bool {
	for i := 0; i < count; {
		if s.n < codeBits+7 {
			s.refill()
			if s.overrun() {
				return false
			}
		}
		e := t.codes[s.bits&(1<<codeBits-1)]
		if e&isSpecial != 0 {
			return false
		}
		s.take(uint(e & 63))
		times, value := 1, uint8(0)
		switch symbol := e >> 16; symbol {
		case 16:
			if i == 0 {
				return false
			}
			value, times = t.lengths[i-1], 3+int(s.take(2))
		case 17:
			times = 3 + int(s.take(3))
		case 18:
			times = 11 + int(s.take(7))
		default:
			t.lengths[i] = uint8(symbol)
			i++
			continue
		}
		if times > count-i {
			return false
		}
		for ; times > 0; times-- {
			t.lengths[i] = value
			i++
		}
	}
	return true
}

// buildTable makes a decoding table of the lengths of codes. They must be
// complete, but for a single code of one bit, and none at all.
func buildTable(table []uint32, first int, lengths []uint8, entry func(symbol, n int) uint32) bool {
	var count, next [maxCode + 2]int
	for _, l := range lengths {
		count[l]++
	}
	used := len(lengths) - count[0]
	count[0] = 0
	room := 1 // of codes with so many bits
	for l := 1; l <= maxCode; l++ {
		room = room*2 - count[l]
		if room < 0 {
			return false
		}
		next[l+1] = next[l] + count[l]
	}
	if room > 0 {
		for i := range table[:1<<first] {
			table[i] = isSpecial
		}
		if used == 0 {
			return true
		}
		if used > 1 || count[1] != 1 {
			return false
		}
	}
	var sorted [320]uint16 // symbols, by the lengths of their codes
	for symbol, l := range lengths {
		if l > 0 {
			sorted[next[l]] = uint16(symbol)
			next[l]++
		}
	}
	if room > 0 {
		e := entry(int(sorted[0]), 1)
		for i := 0; i < 1<<first; i += 2 {
			table[i] = e
		}
		return true
	}
	fillTable(table, first, sorted[:used], &count, entry)
	return true
}

// fillTable gives symbols, in the order of their codes, their entries. While
// codes become longer the table doubles.
func fillTable(table []uint32, first int, sorted []uint16, count *[maxCode + 2]int, entry func(symbol, n int) uint32) {
	code, l, size := 0, 0, 1 // code has its first bit lowest
	for l < first {
		l++
		copy(table[size:2*size], table[:size])
		size *= 2
		for range count[l] {
			table[code] = entry(int(sorted[0]), l)
			sorted = sorted[1:]
			code = following(code, l)
		}
	}
	free, head, end := size, -1, 0
	start := 0
	for l++; l <= maxCode; l++ {
		for left := count[l]; left > 0; left-- {
			if prefix := code & (size - 1); prefix != head {
				head, start = prefix, free
				n := subtableBits(l, first, left, count)
				end = start + 1<<n
				free = end
				table[prefix] = uint32(start)<<16 | isSpecial | isSubtable | uint32(n)<<8 | uint32(first)
			}
			e := entry(int(sorted[0]), l-first)
			sorted = sorted[1:]
			for i := start + code>>first; i < end; i += 1 << (l - first) {
				table[i] = e
			}
			code = following(code, l)
		}
	}
}

// following is the code of n bits behind one, the first bit lowest; 0 behind
// the last.
func following(code, n int) int {
	free := ^code & (1<<n - 1)
	if free == 0 {
		return 0
	}
	bit := 1 << (bits.Len(uint(free)) - 1)
	return code&(bit-1) | bit
}

// subtableBits is how many bits a second table has that begins with codes of l
// bits, of which there are left: enough for the longest codes with its prefix.
func subtableBits(l, first, left int, count *[maxCode + 2]int) int {
	n := l - first
	for used := left; used < 1<<n; {
		n++
		used = used<<1 + count[first+n]
	}
	return n
}
