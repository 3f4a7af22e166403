package deflate

import (
	"bytes"
	"hash/adler32"
	"math/rand/v2"
	"testing"
)

// TestAdler32 compares with the standard library, with the largest sums too.
func TestAdler32(t *testing.T) {
	noise := make([]byte, 70000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(noise)
	for _, p := range [][]byte{noise, bytes.Repeat([]byte{0xff}, 70000), make([]byte, 70000)} {
		for _, n := range []int{0, 1, 3, 31, 32, 33, 63, 64, 100, adlerRow - 1, adlerRow, adlerRow + 1, 2 * adlerRow, 2*adlerRow + 33, 65535, 65536, len(p)} {
			if got, want := Adler32(p[:n]), adler32.Checksum(p[:n]); got != want {
				t.Errorf("%d bytes: %#x instead of %#x", n, got, want)
			}
		}
	}
}

// FuzzSums compares the sums that processors help with with those in Go.
func FuzzSums(f *testing.F) {
	f.Add([]byte("some text of more than thirty-two bytes, and so on and so forth"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if p = p[:min(len(p), adlerRow)&^31]; len(p) == 0 {
			return
		}
		a, b := sums(p)
		if plain, weighted := plainSums(p); a != plain || b != weighted {
			t.Fatalf("%d bytes: %d, %d instead of %d, %d", len(p), a, b, plain, weighted)
		}
	})
}

func BenchmarkAdler32(b *testing.B) {
	p := make([]byte, 65536)
	b.SetBytes(int64(len(p)))
	for b.Loop() {
		_ = Adler32(p)
	}
}
