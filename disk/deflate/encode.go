package deflate

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// How many tokens are weighed together when blocks are cut: where the next so
// many are of another sort, a block with codes of its own is begun.
const blockStep = 2048

// headerCost is what the codes of a block take, about, in bits.
const headerCost = 500

// symbols counts how often each code would be used.
type symbols struct {
	literals  [286]uint32
	distances [30]uint32
	extra     int // bits that are not coded
}

// Encoder encodes streams, one at a time. The zero Encoder is ready.
type Encoder struct {
	// Window is how far back matches may lie, in bytes, at most the 32768 that
	// the format allows, which 0 stands for. It must not change.
	Window int

	finder finder
	list   []token
	scales scales
	codes  struct {
		literals  [286]uint16
		distances [30]uint16
		lengths   [19]uint16
	}
	sizes struct {
		all     [316]uint8 // those of literals, then those of distances, as they are in use
		literal [286]uint8
		dist    [30]uint8
		code    [19]uint8
	}
	words words
	out   writer
}

// scales are tables of what does not change.
type scales struct {
	ready   bool
	lengths [maxMatch + 1]uint8   // the symbol of a length, less 257
	weights [segment / 16]float32 // n times the logarithm of n
}

func (s *scales) prepare() {
	if s.ready {
		return
	}
	s.ready = true
	for n := range s.lengths {
		s.lengths[n] = uint8(lengthSymbol(minMatch+n) - 257)
	}
	for n := range s.weights {
		s.weights[n] = float32(weight(n))
	}
}

func weight(n int) float64 {
	if n == 0 {
		return 0
	}
	return float64(n) * math.Log2(float64(n))
}

// words are a block's codes as they are written: the bits, with extra bits of
// lengths, and how many there are from bit 24 on. Of distances, what is to be
// subtracted for the extra bits, how many of these there are, and the code's bits,
// are kept beside the code.
type words struct {
	first     [512]uint32 // as a token has them
	distances [32]distanceWord
}

type distanceWord struct {
	code, base uint16
	size, more uint8
}

// Encode appends the stream of p to dst: never much more than p.
func (d *Encoder) Encode(dst, p []byte) []byte {
	if Incompressible(p) {
		return store(dst, p)
	}
	q := d.compress(p)
	if len(q) > len(p)+5*(1+len(p)/65535) {
		return store(dst, p)
	}
	return append(dst, q...)
}

// store appends stored blocks (RFC 1951, 3.2.4).
func store(dst, src []byte) []byte {
	const most = 65535
	for {
		n := min(len(src), most)
		final := byte(0)
		if n == len(src) {
			final = 1
		}
		dst = append(dst, final, byte(n), byte(n>>8), ^byte(n), ^byte(n>>8))
		dst = append(dst, src[:n]...)
		if src = src[n:]; final == 1 {
			return dst
		}
	}
}

// compress is the compressed form of p, until the next.
func (d *Encoder) compress(p []byte) []byte {
	d.scales.prepare()
	reach := d.Window
	if reach == 0 {
		reach = window
	}
	d.list = d.finder.tokens(d.list[:0], p, reach)
	d.out.start(2*len(p) + 1024*(len(p)/blockStep+2)) // a byte takes 15 bits at the most
	from := 0
	var current, next symbols
	for at := 0; at < len(d.list); at += blockStep {
		next.count(&d.scales, d.list[at:min(at+blockStep, len(d.list))])
		if at == from {
			current = next
			continue
		}
		both := current.plus(&next)
		if both.cost(&d.scales) <= current.cost(&d.scales)+next.cost(&d.scales)+headerCost {
			current = both
			continue
		}
		d.block(d.list[from:at], &current, false)
		from, current = at, next
	}
	d.block(d.list[from:], &current, true)
	return d.out.end()
}

func (s *symbols) count(t *scales, list []token) {
	var first [512]uint32
	var distances [32]uint32
	for _, token := range list {
		first[token>>23]++
		distances[token.distanceSymbol()]++
	}
	*s = symbols{}
	copy(s.literals[:256], first[:])
	for n, times := range first[256:] {
		l := t.lengths[n]
		s.literals[257+int(l)] += times
		s.extra += int(times) * int(lengthMore[l])
	}
	copy(s.distances[:], distances[:])
	for symbol, times := range s.distances {
		s.extra += int(times) * int(distMore[symbol])
	}
}

func (s *symbols) plus(o *symbols) symbols {
	sum := *s
	for i, n := range o.literals {
		sum.literals[i] += n
	}
	for i, n := range o.distances {
		sum.distances[i] += n
	}
	sum.extra += o.extra
	return sum
}

// cost is about how many bits the symbols take: their entropy.
func (s *symbols) cost(t *scales) float32 {
	return float32(s.extra) + t.entropy(s.literals[:]) + t.entropy(s.distances[:])
}

func (s *scales) entropy(frequencies []uint32) float32 {
	total, sum := uint32(0), float32(0)
	for _, f := range frequencies {
		total += f
		sum += s.weight(f)
	}
	return s.weight(total) - sum
}

func (s *scales) weight(n uint32) float32 {
	if int(n) < len(s.weights) {
		return s.weights[n]
	}
	return float32(weight(int(n)))
}

// lengthSymbol is the code of a length (RFC 1951, 3.2.5).
func lengthSymbol(length int) int {
	n := uint(length - minMatch)
	switch {
	case length == maxMatch:
		return 285
	case n < 8:
		return 257 + int(n)
	}
	e := uint(bits.Len(n)) - 3
	return 257 + int(e*4+n>>e)
}

// distanceSymbol is the code of a distance.
func distanceSymbol(distance int) int {
	n := uint(distance - 1)
	if n < 4 {
		return int(n)
	}
	e := uint(bits.Len(n)) - 2
	return int(e*2 + n>>e)
}

// block writes a block with codes of its own (RFC 1951, 3.2.7).
func (d *Encoder) block(list []token, s *symbols, last bool) {
	s.literals[256]++
	codeLengths(d.sizes.literal[:], s.literals[:], maxCode)
	codeLengths(d.sizes.dist[:], s.distances[:], maxCode)
	canonical(d.codes.literals[:], d.sizes.literal[:])
	canonical(d.codes.distances[:], d.sizes.dist[:])
	final := uint64(0)
	if last {
		final = 1
	}
	d.out.put(final|2<<1, 3)
	d.header()
	d.tokens(list)
	d.out.put(uint64(d.codes.literals[256]), uint(d.sizes.literal[256]))
}

// header writes the lengths of the codes.
func (d *Encoder) header() {
	literals, distances := used(d.sizes.literal[:], 257), used(d.sizes.dist[:], 1)
	all := append(d.sizes.all[:0], d.sizes.literal[:literals]...)
	all = append(all, d.sizes.dist[:distances]...)
	var frequencies [19]uint32
	runs(all, func(symbol, _, _ int) { frequencies[symbol]++ })
	codeLengths(d.sizes.code[:], frequencies[:], 7)
	canonical(d.codes.lengths[:], d.sizes.code[:])
	count := len(codeOrder)
	for count > 4 && d.sizes.code[codeOrder[count-1]] == 0 {
		count--
	}
	d.out.put(uint64(literals-257)|uint64(distances-1)<<5|uint64(count-4)<<10, 14)
	for _, symbol := range codeOrder[:count] {
		d.out.put(uint64(d.sizes.code[symbol]), 3)
	}
	runs(all, func(symbol, more, n int) {
		d.out.put(uint64(d.codes.lengths[symbol]), uint(d.sizes.code[symbol]))
		d.out.put(uint64(more), uint(n))
	})
}

// used is how many lengths there are up to the last that is not 0.
func used(lengths []uint8, least int) int {
	n := len(lengths)
	for n > least && lengths[n-1] == 0 {
		n--
	}
	return n
}

// runs puts lengths into words: a length, or how often one comes again, with n
// bits that tell more.
func runs(all []uint8, word func(symbol, more, n int)) {
	for i := 0; i < len(all); {
		n := 1
		for i+n < len(all) && all[i+n] == all[i] {
			n++
		}
		i += n
		value := int(all[i-1])
		if value != 0 {
			word(value, 0, 0)
			n--
		}
		for n > 0 {
			switch {
			case value == 0 && n >= 11:
				k := min(n, 138)
				word(18, k-11, 7)
				n -= k
			case value == 0 && n >= 3:
				word(17, n-3, 3)
				n = 0
			case n >= 3:
				k := min(n, 6)
				word(16, k-3, 2)
				n -= k
			default:
				word(value, 0, 0)
				n--
			}
		}
	}
}

// spell makes words of the codes.
func (d *Encoder) spell() {
	w := &d.words
	for i := range 256 {
		w.first[i] = uint32(d.codes.literals[i]) | uint32(d.sizes.literal[i])<<24
		l := d.scales.lengths[i]
		code, size := uint32(d.codes.literals[257+int(l)]), uint32(d.sizes.literal[257+int(l)])
		w.first[256+i] = code | uint32(i+minMatch-int(lengthBase[l]))<<size | (size+uint32(lengthMore[l]))<<24
	}
	for i := range d.codes.distances {
		w.distances[i] = distanceWord{d.codes.distances[i], distBase[i] - 1, d.sizes.dist[i], distMore[i]}
	}
}

// tokens writes what the block is made of.
func (d *Encoder) tokens(list []token) {
	d.spell()
	p, pos, acc, n := d.out.p, d.out.pos, d.out.bits, d.out.n
	for _, t := range list { // to 7 bits come 48 at the most
		w := d.words.first[t>>23]
		acc |= uint64(w&0xffffff) << (n & 63)
		n += uint(w >> 24)
		far := &d.words.distances[t.distanceSymbol()]
		acc |= uint64(far.code) << (n & 63)
		n += uint(far.size)
		acc |= uint64(t&0x7fff-token(far.base)) << (n & 63)
		n += uint(far.more)
		binary.LittleEndian.PutUint64(p[pos:], acc)
		pos += int(n >> 3)
		acc >>= n & 56
		n &= 7
	}
	d.out.pos, d.out.bits, d.out.n = pos, acc, n
}

// writer puts bits behind bytes.
type writer struct {
	p    []byte
	pos  int
	bits uint64
	n    uint // less than 8
}

// start begins anew, with room for so many bytes and a word.
func (w *writer) start(room int) {
	if room+8 > len(w.p) {
		w.p = make([]byte, room+8)
	}
	w.pos, w.bits, w.n = 0, 0, 0
}

// put appends up to 48 bits.
func (w *writer) put(v uint64, n uint) {
	w.bits |= v << (w.n & 63)
	w.n += n
	binary.LittleEndian.PutUint64(w.p[w.pos:], w.bits)
	w.pos += int(w.n >> 3)
	w.bits >>= w.n & 56
	w.n &= 7
}

// end fills the last byte up.
func (w *writer) end() []byte {
	if w.n > 0 {
		w.put(0, 8-w.n)
	}
	return w.p[:w.pos]
}
