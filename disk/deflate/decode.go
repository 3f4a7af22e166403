package deflate

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrCorrupt says that a stream cannot be decoded.
var ErrCorrupt = errors.New("the deflate stream is damaged")

// ErrLong says that a stream goes on where the room for its content ends.
var ErrLong = errors.New("the deflate stream is longer than what it should decode to")

// Decoder decodes streams, one at a time. The zero Decoder is ready.
type Decoder struct {
	tables decodeTables
}

// source is the stream, and bits that were taken from it.
type source struct {
	in   []byte
	pos  int
	bits uint64
	n    uint // how many bits there are; below 64
}

// Decode decodes the stream that src begins with into dst, and tells how long
// its content is, and how many bytes of src it takes; what follows is ignored. Of
// a stream that is damaged (ErrCorrupt), or has more content than dst has room
// (ErrLong), n bytes were decoded. dst and src must not overlap.
func (d *Decoder) Decode(dst, src []byte) (n, used int, err error) {
	s := source{in: src}
	for last := false; !last; {
		s.refill()
		last = s.take(1) == 1
		switch s.take(2) {
		case 0:
			n, err = s.stored(dst, n)
		case 1:
			d.tables.fix()
			n, err = d.block(&s, dst, n)
		case 2:
			if err = d.tables.read(&s); err == nil {
				n, err = d.block(&s, dst, n)
			}
		default:
			err = fmt.Errorf("%w: a block of type 3", ErrCorrupt)
		}
		if err == nil && s.overrun() {
			err = fmt.Errorf("%w: it ends early", ErrCorrupt)
		}
		if err != nil {
			return n, 0, err
		}
	}
	return n, s.pos - int(s.n>>3), nil
}

// refill makes sure of 56 bits; behind the end they are zero.
func (s *source) refill() {
	if s.pos+8 <= len(s.in) {
		s.bits |= binary.LittleEndian.Uint64(s.in[s.pos:]) << (s.n & 63)
		s.pos += int(63-s.n) >> 3
		s.n |= 56
		return
	}
	for s.n < 56 {
		if s.pos < len(s.in) {
			s.bits |= uint64(s.in[s.pos]) << (s.n & 63)
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

// stored copies a block that is not compressed (RFC 1951, 3.2.4).
func (s *source) stored(out []byte, n int) (int, error) {
	s.pos -= int(s.n >> 3)
	s.bits, s.n = 0, 0
	if s.pos < 0 || s.pos+4 > len(s.in) {
		return n, fmt.Errorf("%w: it ends early", ErrCorrupt)
	}
	length := int(binary.LittleEndian.Uint16(s.in[s.pos:]))
	check := int(binary.LittleEndian.Uint16(s.in[s.pos+2:]))
	s.pos += 4
	if length != check^0xffff {
		return n, fmt.Errorf("%w: the length of a stored block contradicts itself", ErrCorrupt)
	}
	k := copy(out[n:], s.in[s.pos:min(s.pos+length, len(s.in))])
	s.pos += k
	switch {
	case k == length:
		return n + k, nil
	case n+k == len(out):
		return n + k, ErrLong
	}
	return n + k, fmt.Errorf("%w: it ends early", ErrCorrupt)
}

// What the quick loop wants to be left: of the stream, for three refills; of the
// room, for literals, the longest match, and what copying it overshoots.
const (
	inSlack  = 3 * 8
	outSlack = 3 + maxMatch + 16
	maxMatch = 258
)

// block decodes a compressed block (RFC 1951, 3.2.3).
func (d *Decoder) block(s *source, out []byte, n int) (int, error) {
	for {
		var state outcome
		if n, state = d.quick(s, out, n); state == goesOn {
			n, state = d.careful(s, out, n)
		}
		switch state {
		case ended:
			return n, nil
		case full:
			return n, ErrLong
		case damaged:
			return n, fmt.Errorf("%w behind %d bytes of content", ErrCorrupt, n)
		}
	}
}

// outcome is why decoding stopped.
type outcome int

const (
	goesOn  outcome = iota // what is left is too little to be quick with
	ended                  // the block
	full                   // the output
	damaged                // the stream
)

// quick decodes until the block ends, or little is left of the stream or of
// the room.
func (d *Decoder) quick(s *source, out []byte, n int) (int, outcome) {
	var (
		in        = s.in
		inEnd     = len(in) - inSlack
		outEnd    = len(out) - outSlack
		pos       = s.pos
		acc       = s.bits
		have      = s.n // its lowest 6 bits count
		literals  = &d.tables.literals
		distances = &d.tables.distances
		state     = goesOn
	)
	if pos > inEnd || n > outEnd {
		return n, goesOn
	}
	pos, acc, have = fill(in, pos, acc, have)
	e := literals[acc&(1<<literalBits-1)]
loop:
	for pos <= inEnd && n <= outEnd { // there are 56 bits, and e is the next symbol's
		if e&isLiteral != 0 {
			acc, have = drop(acc, have, e)
			out[n] = byte(e >> 16)
			n++
			e = literals[acc&(1<<literalBits-1)]
			if e&isLiteral != 0 {
				acc, have = drop(acc, have, e)
				out[n] = byte(e >> 16)
				n++
				e = literals[acc&(1<<literalBits-1)]
				if e&isLiteral != 0 {
					acc, have = drop(acc, have, e)
					out[n] = byte(e >> 16)
					n++
					pos, acc, have = fill(in, pos, acc, have)
					e = literals[acc&(1<<literalBits-1)]
					continue
				}
			}
		}
		if e&isSpecial != 0 {
			if e&isSubtable != 0 {
				acc, have = drop(acc, have, e)
				e = literals[second(acc, e)%uint32(len(literals))]
			}
			switch {
			case e&isLiteral != 0:
				out[n] = byte(e >> 16)
				n++
				acc, have = drop(acc, have, e)
				pos, acc, have = fill(in, pos, acc, have)
				e = literals[acc&(1<<literalBits-1)]
				continue
			case e&isEnd != 0:
				acc, have = drop(acc, have, e)
				state = ended
				break loop
			case e&isSpecial != 0:
				state = damaged
				break loop
			}
		}
		length := number(acc, e)
		acc, have = drop(acc, have, e)

		pos, acc, have = fill(in, pos, acc, have)
		e = distances[acc&(1<<distanceBits-1)]
		if e&isSpecial != 0 {
			if e&isSubtable != 0 {
				acc, have = drop(acc, have, e)
				e = distances[second(acc, e)%uint32(len(distances))]
			}
			if e&isSpecial != 0 {
				state = damaged
				break
			}
		}
		from := n - number(acc, e)
		acc, have = drop(acc, have, e)
		pos, acc, have = fill(in, pos, acc, have)
		e = literals[acc&(1<<literalBits-1)]
		if from < 0 {
			state = damaged
			break
		}
		end := n + length
		if n-from >= 16 {
			*(*[16]byte)(out[n:]) = *(*[16]byte)(out[from:])
			for n += 16; n < end; n += 16 {
				from += 16
				*(*[16]byte)(out[n:]) = *(*[16]byte)(out[from:])
			}
		} else {
			spread(out, n, from, end)
		}
		n = end
	}
	s.pos, s.bits, s.n = pos, acc, have&63
	return n, state
}

// fill adds to the bits in acc, of which there are have (its lowest six bits
// count), so that there are 56 at least. The compiler puts it, and those below,
// where they are called.
func fill(in []byte, pos int, acc uint64, have uint) (int, uint64, uint) {
	return pos + int(^have&63)>>3, acc | binary.LittleEndian.Uint64(in[pos:])<<(have&63), have | 56
}

// drop takes the bits of an entry.
func drop(acc uint64, have uint, e uint32) (uint64, uint) { return acc >> (e & 63), have - uint(e) }

// number is the length or distance of an entry, with its extra bits, which are
// behind its code.
func number(acc uint64, e uint32) int { return int(e>>16) + int(acc&(1<<(e&63)-1)>>(e>>8&15)) }

// second is the place of the entry in a second table.
func second(acc uint64, e uint32) uint32 { return e>>16 + uint32(acc)&(1<<(e>>8&15)-1) }

// spread repeats the fewer than 16 bytes between from and n until end, and
// may go on for up to 8 bytes.
func spread(out []byte, n, from, end int) {
	distance := n - from
	if distance == 1 {
		v := uint64(out[from]) * 0x0101010101010101
		for ; n < end; n += 8 {
			binary.LittleEndian.PutUint64(out[n:], v)
		}
		return
	}
	for distance < 8 { // copying all there is doubles the distance
		v := binary.LittleEndian.Uint64(out[from:])
		binary.LittleEndian.PutUint64(out[n:], v)
		n += distance
		distance *= 2
	}
	for ; n < end; n += 8 {
		binary.LittleEndian.PutUint64(out[n:], binary.LittleEndian.Uint64(out[n-distance:]))
	}
}

// careful decodes one symbol, wherever the stream or the room may end.
func (d *Decoder) careful(s *source, out []byte, n int) (int, outcome) {
	s.refill()
	e := lookUp(s, d.tables.literals[:], literalBits)
	switch {
	case e&isLiteral != 0:
		s.take(uint(e & 63))
		if s.overrun() {
			return n, damaged
		}
		if n == len(out) {
			return n, full
		}
		out[n] = byte(e >> 16)
		return n + 1, goesOn
	case e&isEnd != 0:
		s.take(uint(e & 63))
		return n, ended
	case e&isSpecial != 0:
		return n, damaged
	}
	length := s.number(e)
	e = lookUp(s, d.tables.distances[:], distanceBits)
	if e&isSpecial != 0 {
		return n, damaged
	}
	distance := s.number(e)
	if distance > n || s.overrun() {
		return n, damaged
	}
	end := min(n+length, len(out))
	for i := n; i < end; i++ {
		out[i] = out[i-distance]
	}
	if end < n+length {
		return end, full
	}
	return end, goesOn
}

// lookUp finds the entry of the next symbol, and takes the bits that lead to
// its second table.
func lookUp(s *source, table []uint32, first uint) uint32 {
	e := table[s.bits&(1<<first-1)]
	if e&isSubtable != 0 {
		s.take(uint(e & 63))
		e = table[second(s.bits, e)]
	}
	return e
}

// number takes a symbol and its extra bits.
func (s *source) number(e uint32) int {
	s.take(uint(e >> 8 & 15))
	return int(e>>16) + int(s.take(uint(e&63-e>>8&15)))
}
