package grain

import (
	"bytes"
	"compress/zlib"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// decoded is what the standard library makes of a stream.
func decoded(t interface{ Fatal(...any) }, q []byte) []byte {
	r, err := zlib.NewReader(bytes.NewReader(q))
	if err != nil {
		t.Fatal(err)
	}
	p, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// TestRepetitions encodes what is made of pieces of itself.
func TestRepetitions(t *testing.T) {
	var c Codec
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
		q, err := c.Encode(nil, p)
		if err != nil || !bytes.Equal(decoded(t, q), p) {
			t.Fatalf("%d bytes became %d and came back otherwise: %v", len(p), len(q), err)
		}
	})
}

// TestPlacesStartAnew goes over the end of the numbers that places have.
func TestPlacesStartAnew(t *testing.T) {
	d := &deflater{}
	d.finder.base = math.MaxInt32 - 400000
	p := bytes.Repeat([]byte("abcdefghij0123456789"), 3000)
	for i := range 12 {
		p[i] ^= 0x55
		q := d.deflate([]byte{0x78, 0x9c}, p)
		got := make([]byte, len(p))
		if n, _, ok := (&inflater{}).inflate(got, q[2:]); !ok || n != len(p) || !bytes.Equal(got, p) {
			t.Fatalf("grain %d came back otherwise", i)
		}
	}
	if d.finder.base > math.MaxInt32/2 {
		t.Error("the numbers did not begin anew")
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
	var c Codec
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
	q, err := c.Encode(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w, _ := zlib.NewWriterLevel(&b, 6)
	if _, err := w.Write(p); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if len(q) > b.Len()+b.Len()/8 {
		t.Errorf("ours takes %d bytes, level 6 %d", len(q), b.Len())
	}
}

func BenchmarkEncode(b *testing.B) {
	var c Codec
	p := make([]byte, 65536)
	for i := range p {
		p[i] = "etaoin shrdlu cm"[i*i/7%16]
	}
	dst := make([]byte, 0, 70000)
	b.SetBytes(65536)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Encode(dst, p); err != nil {
			b.Fatal(err)
		}
	}
}
