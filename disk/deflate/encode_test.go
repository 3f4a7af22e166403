package deflate

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decoded is what the standard library makes of a stream.
func decoded(t interface{ Fatal(...any) }, q []byte) []byte {
	p, err := io.ReadAll(flate.NewReader(bytes.NewReader(q)))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRepetitions encodes what is made of pieces of itself.
func TestRepetitions(t *testing.T) {
	var e Encoder
	rapid.Check(t, func(t *rapid.T) {
		p := rapid.SliceOfN(rapid.Byte(), 1, 300).Draw(t, "start")
		for range rapid.IntRange(0, 200).Draw(t, "pieces") {
			at := rapid.IntRange(0, len(p)-1).Draw(t, "at")
			n := rapid.IntRange(1, 700).Draw(t, "length")
			for range n { // byte by byte, so that it may overlap itself
				p = append(p, p[at])
				at++
			}
			if rapid.Bool().Draw(t, "literal") {
				p = append(p, rapid.Byte().Draw(t, "byte"))
			}
		}
		q := e.Encode(nil, p)
		if !bytes.Equal(decoded(t, q), p) {
			t.Fatalf("%d bytes became %d and came back otherwise", len(p), len(q))
		}
	})
}

// TestSegments encodes what is longer than places have numbers for.
func TestSegments(t *testing.T) {
	var e Encoder
	for _, n := range []int{segment - 1, segment, segment + 1, segment + 8, 2*segment + 5, 300000} {
		p := append(text(7, n-100), noise(7, 100)...)
		if got := decoded(t, e.Encode(nil, p)); !bytes.Equal(got, p) {
			t.Errorf("%d bytes came back otherwise", n)
		}
	}
}

// TestWords looks at every length and distance that there may be.
func TestWords(t *testing.T) {
	for n := minMatch; n <= maxMatch; n++ {
		l := lengthSymbol(n) - 257
		if more := n - int(lengthBase[l]); more < 0 || more >= 1<<lengthMore[l] {
			t.Errorf("length %d has symbol %d", n, 257+l)
		}
	}
	for n := 1; n <= window; n++ {
		token := newMatch(100, n)
		far := token.distanceSymbol()
		if more := n - int(distBase[far]); more < 0 || more >= 1<<distMore[far] || int(token&0x7fff)+1 != n || token>>23 != 256+97 {
			t.Errorf("distance %d has symbol %d, token %#x", n, far, token)
		}
	}
}

// TestLongCodes makes frequencies of which Huffman's codes are too long.
func TestLongCodes(t *testing.T) {
	var frequencies [286]uint32
	a, b := uint32(1), uint32(1)
	for i := range 40 {
		frequencies[i] = a
		a, b = b, a+b
	}
	for _, limit := range []int{7, maxCode} {
		var lengths [286]uint8
		codeLengths(lengths[:], frequencies[:], limit)
		sum := 0
		for i, l := range lengths {
			if int(l) > limit || (l > 0) != (i < 40) {
				t.Errorf("limit %d: symbol %d has a code of %d", limit, i, l)
			}
			if l > 0 {
				sum += 1 << (limit - int(l))
			}
		}
		if sum != 1<<limit {
			t.Errorf("limit %d: the code is not complete: %d of %d", limit, sum, 1<<limit)
		}
	}
}

// TestSizes compares sizes with the standard library's, whose level 6 is
// zlib's: of text of few words it finds longer matches, as it looks at more.
func TestSizes(t *testing.T) {
	var e Encoder
	var text bytes.Buffer
	r := rand.New(rand.NewPCG(1, 2))
	words := strings.Fields("grain table directory sector descriptor the of a is lies where it begins and how many there are in each file")
	for text.Len() < 65536 {
		for range 3 + r.IntN(9) {
			text.WriteString(words[min(r.IntN(len(words)), r.IntN(len(words)))] + " ")
		}
		fmt.Fprintf(&text, "at %#x.\n", r.IntN(1<<20))
	}
	p := text.Bytes()[:65536]
	if q, peer := e.Encode(nil, p), compressed(t, p, 6); len(q) > len(peer)+len(peer)/8 {
		t.Errorf("ours takes %d bytes, level 6 %d", len(q), len(peer))
	}
}

// TestRoundTrip encodes what rapid thinks of behind what is there, and decodes
// it with our decoder and the standard library's.
func TestRoundTrip(t *testing.T) {
	var e Encoder
	var d Decoder
	rapid.Check(t, func(t *rapid.T) {
		p := noise(rapid.Byte().Draw(t, "seed"), rapid.IntRange(0, 70000).Draw(t, "n"))
		if mask := rapid.Byte().Draw(t, "mask"); rapid.Bool().Draw(t, "masked") {
			for i := range p {
				p[i] &= mask
			}
		}
		q := e.Encode([]byte("before"), p)
		if !bytes.HasPrefix(q, []byte("before")) {
			t.Fatal("what was there is gone")
		}
		q = append(q[6:], "padding"...)
		got := make([]byte, len(p))
		if n, used, err := d.Decode(got, q); n != len(p) || used != len(q)-7 || err != nil || !bytes.Equal(p, got) {
			t.Fatalf("decoded %d of %d bytes from %d: %v", n, len(p), used, err)
		}
		if !bytes.Equal(p, decoded(t, q)) {
			t.Fatal("the standard library decoded it otherwise")
		}
	})
}

// TestWindow sees to it that no match lies farther back than is allowed: what
// comes again behind more than the window is not found.
func TestWindow(t *testing.T) {
	for _, window := range []int{1 << 12, 1 << 15} {
		e := Encoder{Window: window}
		for _, gap := range []int{window / 2, window, window + 1, 2 * window} {
			once := noise(9, 2000)
			p := append(bytes.Clone(once), bytes.Repeat([]byte("abcdefgh"), (gap-len(once)+7)/8)...)
			p = append(p[:gap], once...)
			q := e.Encode(nil, p)
			if !bytes.Equal(decoded(t, q), p) {
				t.Fatalf("window %d, gap %d: it came back otherwise", window, gap)
			}
			if found := len(q) < 3500; found != (gap <= window) {
				t.Errorf("window %d: what comes again behind %d bytes took %d", window, gap, len(q))
			}
		}
	}
}

func TestIncompressible(t *testing.T) {
	p := noise(1, 65536)
	with := func(at int, q []byte) []byte {
		r := bytes.Clone(p)
		copy(r[at:], q)
		return r
	}
	for name, q := range map[string][]byte{
		"noise that repeats":             with(32768, p[100:32800]),
		"noise of which some repeats":    with(60000, p[5000:6200]),
		"noise with a block of zeros":    with(4096, make([]byte, 4096)),
		"noise with a block of text":     with(61440, text(1, 4096)),
		"text":                           text(2, 65536),
		"little":                         p[:1000],
		"a cluster of which a half is 0": append(make([]byte, 2048), p[:2048]...),
	} {
		if Incompressible(q) {
			t.Errorf("%s was taken for incompressible", name)
		}
	}
	var e Encoder
	for seed := range 100 {
		for _, n := range []int{4096, 5000, 65536, 65536 + 100, 2 << 20} {
			if n > 65536 && seed > 3 {
				continue
			}
			p := noise(byte(seed), n)
			if !Incompressible(p) {
				t.Errorf("%d bytes of noise %d were taken for compressible", n, seed)
			}
			if q := e.Encode(nil, p); len(q) > n+5*(1+n/65535) {
				t.Errorf("%d bytes of noise became %d", n, len(q))
			}
		}
	}
	for i := range p {
		p[i] &= 0x7f
	}
	if Incompressible(p) {
		t.Error("seven bits a byte were taken for incompressible")
	}
}

// FuzzEncode encodes anything, and has the standard library decode it.
func FuzzEncode(f *testing.F) {
	for _, p := range samples()[:8] {
		f.Add(p, false)
		f.Add(p, true)
	}
	wide, narrow := Encoder{}, Encoder{Window: 1 << 12}
	f.Fuzz(func(t *testing.T, p []byte, window bool) {
		e := &wide
		if window {
			e = &narrow
		}
		if q := e.Encode(nil, p); !bytes.Equal(decoded(t, q), p) {
			t.Fatalf("%d bytes became %d and came back otherwise", len(p), len(q))
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	var e Encoder
	p := text(1, 65536)
	dst := make([]byte, 0, 70000)
	b.SetBytes(65536)
	b.ReportAllocs()
	for b.Loop() {
		_ = e.Encode(dst, p)
	}
}
