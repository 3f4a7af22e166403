package ova_test

import (
	"bytes"
	"errors"
	"io"
	"testing"

	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/ovf"
	"github.com/panalvm/panal/ovf/ova"
)

// FuzzReader reads what may be an archive; as a stream and in place the same
// members are seen.
func FuzzReader(f *testing.F) {
	f.Add(sound(f))
	for _, text := range disktest.Seeds("ova", ".ova") {
		f.Add([]byte(text))
	}
	f.Add(gzipped(f, sound(f)))
	f.Add(zstandard(f, sound(f)))
	f.Add(build(f, member{name: "a/../b.ovf", content: descriptor}))
	f.Fuzz(func(t *testing.T, p []byte) {
		limits := ova.Limits{Members: 100, Total: 1 << 22, Ratio: 100}
		r, err := ova.NewReader(bytes.NewReader(p), ova.Options{Limits: limits, Digests: []ovf.Algorithm{ovf.SHA1}})
		if err != nil {
			return
		}
		defer r.Close()
		var streamed []ova.Entry
		for {
			m, err := r.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return
			}
			if n, err := io.Copy(io.Discard, m); err == nil && n != m.Size {
				t.Fatalf("%q has %d bytes of %d", m.Name, n, m.Size)
			}
			streamed = append(streamed, m.Entry)
		}
		_, _ = r.Verify(ova.Trust{})
		a, err := ova.Open(bytes.NewReader(p), int64(len(p)), limits)
		if errors.Is(err, errors.ErrUnsupported) {
			return // compressed
		}
		if err != nil {
			t.Fatalf("as a stream it is read, in place: %v", err)
		}
		if len(a.Members()) != len(streamed) {
			t.Fatalf("in place it has %d members, as a stream %d", len(a.Members()), len(streamed))
		}
		for i, e := range a.Members() {
			if e != streamed[i] {
				t.Fatalf("in place %+v, as a stream %+v", e, streamed[i])
			}
		}
	})
}
