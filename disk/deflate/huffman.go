package deflate

import (
	"math/bits"
	"slices"
)

// codeLengths gives each symbol with a frequency the length of its code, at
// most limit: Huffman's algorithm, then codes that became too long are shortened
// at the cost of others. At least two symbols get a code, as some decoders need.
func codeLengths(lengths []uint8, frequencies []uint32, limit int) {
	var leaves [320]uint64 // frequency << 16 | symbol
	n := 0
	for symbol, f := range frequencies {
		lengths[symbol] = 0
		if f > 0 {
			leaves[n] = uint64(f)<<16 | uint64(symbol)
			n++
		}
	}
	for symbol := 0; n < 2; symbol++ {
		if frequencies[symbol] == 0 {
			leaves[n] = uint64(symbol)
			n++
		}
	}
	slices.Sort(leaves[:n])
	var count [320]int
	depths(leaves[:n], &count)
	restrict(&count, limit)
	i := 0
	for l := limit; l > 0; l-- { // the rarest get the longest
		for range count[l] {
			lengths[leaves[i]&0xffff] = uint8(l)
			i++
		}
	}
}

// depths counts how many leaves of Huffman's tree lie how deep. Leaves are
// ascending by frequency.
func depths(leaves []uint64, count *[320]int) {
	var weight [640]uint64
	var parent [640]int
	n := len(leaves)
	for i, l := range leaves {
		weight[i] = l >> 16
	}
	leaf, inner := 0, n
	for next := n; next < 2*n-1; next++ {
		for range 2 {
			pick := leaf
			if leaf >= n || inner < next && weight[inner] < weight[leaf] {
				pick = inner
				inner++
			} else {
				leaf++
			}
			weight[next] += weight[pick]
			parent[pick] = next
		}
	}
	var depth [640]int
	for i := 2*n - 3; i >= 0; i-- {
		depth[i] = depth[parent[i]] + 1
		if i < n {
			count[depth[i]]++
		}
	}
}

// restrict shortens codes that are longer than limit (Kraft's sum stays 1).
func restrict(count *[320]int, limit int) {
	for l := limit + 1; l < len(count); l++ {
		count[limit] += count[l]
		count[l] = 0
	}
	total := 0
	for l := 1; l <= limit; l++ {
		total += count[l] << (limit - l)
	}
	for total > 1<<limit {
		count[limit]--
		for l := limit - 1; l > 0; l-- {
			if count[l] > 0 {
				count[l]--
				count[l+1] += 2
				break
			}
		}
		total--
	}
}

// codes are canonical (RFC 1951, 3.2.2), the first bit lowest.
func canonical(codes []uint16, lengths []uint8) {
	var count, next [maxCode + 2]int
	for _, l := range lengths {
		count[l]++
	}
	count[0] = 0
	code := 0
	for l := 1; l <= maxCode; l++ {
		code = (code + count[l-1]) << 1
		next[l] = code
	}
	for symbol, l := range lengths {
		if l > 0 {
			codes[symbol] = bits.Reverse16(uint16(next[l])) >> (16 - l)
			next[l]++
		}
	}
}
