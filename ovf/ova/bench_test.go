package ova_test

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// BenchmarkReader takes an archive of 256 MiB, with the digests of a manifest
// that came before, or all.
func BenchmarkReader(b *testing.B) {
	const size = 256 << 20
	content := strings.Repeat("0123456789abcdef", size/16)
	before := build(b, member{name: "web.ovf", content: descriptor}, member{name: "web.mf", content: manifest("d", content)}, member{name: "d", content: content})
	behind := build(b, member{name: "web.ovf", content: descriptor}, member{name: "d", content: content})
	for name, c := range map[string]struct {
		archive []byte
		digests []ovf.Algorithm
	}{"none": {behind, []ovf.Algorithm{}}, "one": {before, nil}, "all": {behind, nil}} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				r, err := ova.NewReader(bytes.NewReader(c.archive), ova.Options{Digests: c.digests})
				for err == nil {
					var m *ova.Member
					if m, err = r.Next(); err == nil {
						_, err = io.CopyBuffer(io.Discard, struct{ io.Reader }{m}, make([]byte, 1<<20))
					}
				}
				if !errors.Is(err, io.EOF) {
					b.Fatal(err)
				}
			}
		})
	}
}
