package deflate

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"
)

// noise is n bytes that nothing compresses.
func noise(seed byte, n int) []byte {
	p := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(p)
	return p
}

// text is n bytes of few words.
func text(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	words := bytes.Fields([]byte("grain table directory sector descriptor the of a is lies where it begins and how many there are in each file"))
	p := make([]byte, 0, n+20)
	for len(p) < n {
		p = append(append(p, words[min(r.IntN(len(words)), r.IntN(len(words)))]...), " .,\n\t"[r.IntN(5)])
	}
	return p[:n]
}

// compressed is a stream that the standard library makes.
func compressed(t testing.TB, p []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = w.Write(p)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// agree decodes p with the standard library's decoder, and with ours into room
// bytes.
func agree(t interface{ Fatalf(string, ...any) }, d *Decoder, p []byte, room int) {
	out := make([]byte, room)
	n, used, err := d.Decode(out, p)
	in := bytes.NewReader(p)
	want, failed := io.ReadAll(io.LimitReader(flate.NewReader(in), int64(room)+1))
	common := min(n, len(want))
	switch {
	case !bytes.Equal(out[:common], want[:common]):
		t.Fatalf("the first %d bytes differ", common)
	case len(want) > room:
		if n != room || !errors.Is(err, ErrLong) {
			t.Fatalf("decoded %d bytes to room for %d: %v; the stream has more", n, room, err)
		}
	case failed != nil:
		if !errors.Is(err, ErrCorrupt) && (n != room || !errors.Is(err, ErrLong)) {
			t.Fatalf("decoded %d bytes: %v; the standard library %d: %v (%x)", n, err, len(want), failed, p[:min(len(p), 60)])
		}
	case n != len(want) || used != len(p)-in.Len() || err != nil:
		t.Fatalf("decoded %d bytes from %d: %v; the standard library %d from %d", n, used, err, len(want), len(p)-in.Len())
	}
}

// samples are contents of many sorts.
func samples() [][]byte {
	all := [][]byte{
		nil,
		{7},
		[]byte("hello hello hello hello"), noise(1, 300), noise(2, 65536), text(1, 65536), make([]byte, 65536),
		text(2, 3000), append(text(3, 30000), noise(3, 30000)...),
	}
	for period := range 20 {
		all = append(all, bytes.Repeat(noise(byte(period), period+1), 2000))
	}
	return all
}

// TestDecode decodes what the standard library makes, to exactly as much room as
// is needed, to more, and to less.
func TestDecode(t *testing.T) {
	var d Decoder
	for _, p := range samples() {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			q := append(compressed(t, p, level), "what follows"...)
			for _, room := range []int{len(p), len(p) + 1, len(p) + 5000, len(p) / 2, max(len(p)-1, 0), 0} {
				agree(t, &d, q, room)
			}
		}
	}
}

// TestDamage decodes streams that are cut anywhere, or changed.
func TestDamage(t *testing.T) {
	var d Decoder
	for _, p := range [][]byte{text(4, 3000), append(bytes.Repeat([]byte("ab"), 500), noise(5, 500)...)} {
		for _, level := range []int{0, 1, 6} {
			q := compressed(t, p, level)
			for i := range q {
				agree(t, &d, q[:i], len(p))
				bad := bytes.Clone(q)
				for _, mask := range []byte{1, 0x41, 0xff} {
					bad[i] = q[i] ^ mask
					agree(t, &d, bad, len(p))
				}
			}
		}
	}
}

// TestHostile decodes bits that no encoder would write.
func TestHostile(t *testing.T) {
	var d Decoder
	for name, q := range map[string][]byte{
		"block of type 3":                       {7, 0, 0, 0},
		"nothing":                               {},
		"stored, length contradicts":            {1, 5, 0, 5, 0, 1, 2, 3, 4, 5},
		"fixed, symbol 286":                     {0x1b, 0x03, 0, 0, 0, 0},
		"dynamic, 287 codes":                    {0xf5, 0xff, 0, 0, 0, 0, 0, 0, 0, 0},
		"dynamic, no codes of codes":            {5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"fixed, a match before the content":     {3, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
		"dynamic, repeats a length before none": {5, 0xc0, 0x24, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			agree(t, &d, q, 1000)
			if _, _, err := d.Decode(make([]byte, 1000), q); !errors.Is(err, ErrCorrupt) {
				t.Errorf("%v", err)
			}
		})
	}
}

// TestDecodeAnything decodes bits that rapid thinks of, behind a valid start.
func TestDecodeAnything(t *testing.T) {
	var d Decoder
	start := compressed(t, text(6, 2000), 6)
	rapid.Check(t, func(t *rapid.T) {
		q := bytes.Clone(start[:rapid.IntRange(0, len(start)).Draw(t, "start")])
		q = append(q, rapid.SliceOfN(rapid.Byte(), 0, 400).Draw(t, "rest")...)
		agree(t, &d, q, rapid.IntRange(0, 4000).Draw(t, "room"))
	})
}

// FuzzDecode compares with the standard library's decoder: the same content,
// and the same streams refused.
func FuzzDecode(f *testing.F) {
	for i, p := range [][]byte{nil, []byte("hello hello hello hello"), noise(1, 300), bytes.Repeat([]byte{7}, 5000), text(1, 5000)} {
		for _, level := range []int{flate.HuffmanOnly, 0, 1, 6, 9} {
			f.Add(compressed(f, p, level), uint16(len(p)-i%2))
		}
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, p []byte, room uint16) { agree(t, &d, p, int(room)) })
}

func BenchmarkDecode(b *testing.B) {
	var d Decoder
	p := text(1, 65536)
	q := compressed(b, p, 6)
	b.SetBytes(65536)
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := d.Decode(p, q); err != nil {
			b.Fatal(err)
		}
	}
}
