package deflate

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// How many tokens are weighed together when blocks are cut: where the next so
// many are of another sort, a block with codes of its own is begun.
const blockStep = 4096

// headerCost is what the codes of a block take, about, in bits.
const headerCost = 600

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
	before int // length of what was encoded last
	list   []token
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
	out writer
}

// Encode appends the stream of p to dst: never much more than p.
func (d *Encoder) Encode(dst, p []byte) []byte {
	if Incompressible(p) {
		return store(dst, p)
	}
	before := len(dst)
	dst = d.compress(dst, p)
	d.out.p = nil
	if len(dst)-before > len(p)+5*(1+len(p)/65535) {
		dst = store(dst[:before], p)
	}
	return dst
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

// compress appends the compressed form of p to dst.
func (d *Encoder) compress(dst, p []byte) []byte {
	reach := d.Window
	if reach == 0 {
		reach = window
	}
	d.finder.start(d.before, len(p), reach)
	d.before = len(p)
	d.list = d.finder.tokens(d.list[:0], p)
	d.out = writer{p: dst}
	from := 0
	var current symbols
	for at := 0; at < len(d.list); at += blockStep {
		var next symbols
		next.count(d.list[at:min(at+blockStep, len(d.list))])
		if at == from {
			current = next
			continue
		}
		both := current.plus(&next)
		if both.cost() <= current.cost()+next.cost()+headerCost {
			current = both
			continue
		}
		d.block(d.list[from:at], &current, false)
		from, current = at, next
	}
	d.block(d.list[from:], &current, true)
	return d.out.end()
}

func (s *symbols) count(list []token) {
	for _, t := range list {
		if t < matchToken {
			s.literals[t]++
			continue
		}
		l, far := lengthSymbol(t.length()), distanceSymbol(t.distance())
		s.literals[l]++
		s.distances[far]++
		s.extra += int(lengthMore[l-257]) + int(distMore[far])
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
func (s *symbols) cost() float64 {
	return float64(s.extra) + entropy(s.literals[:]) + entropy(s.distances[:])
}

func entropy(frequencies []uint32) float64 {
	total, sum := 0.0, 0.0
	for _, f := range frequencies {
		if f > 0 {
			total += float64(f)
			sum -= float64(f) * math.Log2(float64(f))
		}
	}
	if total == 0 {
		return 0
	}
	return sum + total*math.Log2(total)
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

// tokens writes what the block is made of.
func (d *Encoder) tokens(list []token) {
	for _, t := range list {
		if t < matchToken {
			d.out.put(uint64(d.codes.literals[t]), uint(d.sizes.literal[t]))
			continue
		}
		l := lengthSymbol(t.length())
		v, n := uint64(d.codes.literals[l]), uint(d.sizes.literal[l])
		v |= uint64(t.length()-int(lengthBase[l-257])) << n
		n += uint(lengthMore[l-257])
		far := distanceSymbol(t.distance())
		v |= uint64(d.codes.distances[far]) << n
		n += uint(d.sizes.dist[far])
		v |= uint64(t.distance()-int(distBase[far])) << n
		d.out.put(v, n+uint(distMore[far])) // 48 bits at the most
	}
}

// writer puts bits behind bytes.
type writer struct {
	p    []byte
	bits uint64
	n    uint // less than 16
}

// put appends up to 48 bits.
func (w *writer) put(v uint64, n uint) {
	w.bits |= v << w.n
	w.n += n
	if w.n < 16 {
		return
	}
	whole := w.n >> 3
	at := len(w.p)
	w.p = binary.LittleEndian.AppendUint64(w.p, w.bits)[:at+int(whole)]
	w.bits >>= whole * 8 // 0 when it is 8
	w.n &= 7
}

// end fills the last byte up.
func (w *writer) end() []byte {
	for w.n > 0 {
		w.p = append(w.p, byte(w.bits))
		w.bits >>= 8
		w.n -= min(w.n, 8)
	}
	return w.p
}
