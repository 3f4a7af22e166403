package media

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
)

// BenchmarkLayers reads a disk of which every image holds a part, through 1, 10 and 50 of them, plain
// and encrypted.
func BenchmarkLayers(b *testing.B) {
	for _, sealed := range []bool{false, true} {
		for _, layers := range []int{1, 10, 50} {
			b.Run(fmt.Sprintf("encrypted=%t/layers=%d", sealed, layers), func(b *testing.B) { readThrough(b, layers, sealed) })
		}
	}
}

func readThrough(b *testing.B, layers int, sealed bool) {
	const size, piece = 32 << 20, 1 << 20
	folder := b.TempDir()
	var header []byte
	var keys disk.Keys
	if sealed {
		made, err := luks.New([]byte("x"), 10)
		must(b, err)
		header, keys = made, luks.NewKeys([]byte("x"))
	}
	p := make([]byte, piece)
	for i := range p {
		p[i] = byte(i * 7)
	}
	name := func(n int) string { return fmt.Sprintf("%d.qcow2", n) }
	for n := range layers {
		if n == 0 {
			must(b, CreateEmpty(filepath.Join(folder, name(n)), size, header))
		} else {
			must(b, CreateLayer(folder, name(n), name(n-1)))
		}
		img, err := openAlone(folder, name(n), keys)
		must(b, err)
		for at := int64(n) * piece; at < size; at += int64(layers) * piece {
			_, err := img.(disk.Writer).WriteAt(p, at)
			must(b, err)
		}
		must(b, img.Close())
	}
	img, err := OpenLayers(folder, api.Drive{File: name(layers - 1), Mode: api.Own}, false, keys)
	must(b, err)
	defer img.Close()
	b.SetBytes(size)
	for b.Loop() {
		for at := int64(0); at < size; at += piece {
			_, err := img.ReadAt(p, at)
			must(b, err)
		}
	}
}

func must(b *testing.B, err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
