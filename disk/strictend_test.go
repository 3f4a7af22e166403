package disk_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
)

// What is compressed and cut short is not taken for a shorter disk, wherever it is
// cut.
func TestACutStreamIsNoShorterDisk(t *testing.T) {
	plain := make([]byte, 3<<20)
	rand.NewChaCha8([32]byte{1}).Read(plain)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	for _, cut := range []int{20_000, 100_000, 1 << 20, 2<<20 + 777, packed.Len() - 1, packed.Len()} {
		z, err := gzip.NewReader(bytes.NewReader(packed.Bytes()[:cut]))
		if err != nil {
			t.Fatal(err)
		}
		n, err := drained(z)
		if whole := cut == packed.Len(); whole != (err == nil) || whole && n != int64(len(plain)) {
			t.Errorf("cut at %d of %d: %d bytes, %v", cut, packed.Len(), n, err)
		}
	}
}

// drained reads a raw disk to its end, and tells how large it was.
func drained(r io.Reader) (int64, error) {
	s, _, err := disk.OpenStream(r, disk.StreamOptions{Formats: formats.All(), Format: "raw"})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for {
		if _, err := s.Next(make([]byte, 1<<20)); errors.Is(err, io.EOF) {
			return s.Size(), nil
		} else if err != nil {
			return 0, err
		}
	}
}
