package grain_test

import (
	"bytes"
	"compress/zlib"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk/vmdk/grain"
	"pgregory.net/rapid"
)

// random is n bytes that nothing compresses.
func random(seed uint64, n int) []byte {
	p := make([]byte, n)
	r := rand.NewChaCha8([32]byte{byte(seed)})
	_, _ = r.Read(p)
	return p
}

// TestRoundTrip encodes what rapid thinks of, and decodes it with our decoder
// and with the standard library's.
func TestRoundTrip(t *testing.T) {
	var c grain.Codec
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(0, 70000).Draw(t, "n")
		p := random(uint64(rapid.Byte().Draw(t, "seed")), n)
		if mask := rapid.Byte().Draw(t, "mask"); rapid.Bool().Draw(t, "masked") {
			for i := range p {
				p[i] &= mask
			}
		}
		q, err := c.Encode([]byte("before"), p)
		if err != nil || !bytes.HasPrefix(q, []byte("before")) {
			t.Fatal(err)
		}
		q = append(q[6:], "padding"...)
		got := make([]byte, n)
		if k, err := c.Decode(got, q); k != n || err != nil || !bytes.Equal(p, got) {
			t.Fatalf("decoded %d of %d: %v", k, n, err)
		}
		r, err := zlib.NewReader(bytes.NewReader(q))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(p, got) {
			t.Fatalf("the standard library decoded %d of %d: %v", len(got), n, err)
		}
	})
}

func TestDamage(t *testing.T) {
	var c grain.Codec
	p := bytes.Repeat([]byte("some text, "), 1000)
	good, err := c.Encode(nil, p)
	if err != nil {
		t.Fatal(err)
	}
	dst := make([]byte, len(p))
	for i := range good {
		bad := bytes.Clone(good)
		bad[i] ^= 0x41
		if n, err := c.Decode(dst, bad); err == nil && !bytes.Equal(p, dst[:n]) {
			t.Errorf("byte %d changed, and nobody noticed", i)
		}
		if _, err := c.Decode(dst, good[:i]); !errors.Is(err, grain.ErrCorrupt) {
			t.Errorf("cut at %d: %v", i, err)
		}
	}
	if _, err := c.Decode(dst[:len(dst)-1], good); !errors.Is(err, grain.ErrCorrupt) {
		t.Errorf("a stream longer than its grain: %v", err)
	}
	if n, err := c.Decode(make([]byte, len(p)+5), good); n != len(p) || err != nil {
		t.Errorf("a stream shorter than its grain: %d, %v", n, err)
	}
}

func FuzzDecode(f *testing.F) {
	var c grain.Codec
	q, err := c.Encode(nil, []byte("hello"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(q)
	f.Fuzz(func(_ *testing.T, p []byte) { _, _ = c.Decode(make([]byte, 4096), p) })
}

// FuzzInflate compares with the standard library's decoder.
func FuzzInflate(f *testing.F) {
	var c grain.Codec
	for _, p := range [][]byte{nil, []byte("hello hello hello hello"), random(1, 300), bytes.Repeat([]byte{7}, 5000)} {
		for _, level := range []int{0, 1, 6, 9} {
			var b bytes.Buffer
			w, err := zlib.NewWriterLevel(&b, level)
			if err != nil {
				f.Fatal(err)
			}
			_, _ = w.Write(p)
			if err := w.Close(); err != nil {
				f.Fatal(err)
			}
			f.Add(b.Bytes())
		}
	}
	f.Fuzz(func(t *testing.T, p []byte) {
		got := make([]byte, 65536)
		n, err := c.Decode(got, p)
		r, failed := zlib.NewReader(bytes.NewReader(p))
		var want []byte
		if failed == nil {
			want, failed = io.ReadAll(io.LimitReader(r, 65537))
		}
		if fits := failed == nil && len(want) <= len(got); fits != (err == nil) || fits && !bytes.Equal(got[:n], want) {
			t.Fatalf("decoded %d bytes, %v; the standard library %d, %v", n, err, len(want), failed)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	var c grain.Codec
	p := random(3, 65536)
	for i := range p {
		p[i] = "etaoin shrdlu cm"[p[i]&15]
	}
	q, err := c.Encode(nil, p)
	if err != nil {
		b.Fatal(err)
	}
	b.SetBytes(65536)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Decode(p, q); err != nil {
			b.Fatal(err)
		}
	}
}
