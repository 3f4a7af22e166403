package ova_test

import (
	"bytes"
	"compress/gzip"
	"io"
	"strings"
	"testing"

	"github.com/panalvm/panal/ovf/ova"
)

// TestGzipMembersAndWhatIsBehindThem reads members one behind another and passes over zeros, as gzip does; anything else
// behind them is refused with the reason, and is not called cut short.
func TestGzipMembersAndWhatIsBehindThem(t *testing.T) {
	member := func(text string) string {
		var out bytes.Buffer
		w := gzip.NewWriter(&out)
		if _, err := io.WriteString(w, text); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	one, two, zeros := member("one "), member("two"), strings.Repeat("\x00", 5000)
	for name, c := range map[string]struct{ packed, want, refused string }{
		"one":               {one, "one ", ""},
		"two":               {one + two, "one two", ""},
		"zeros behind":      {one + zeros, "one ", ""},
		"zeros between":     {one + zeros + two, "one two", ""},
		"a word behind":     {one + "hello", "one ", "something behind what is compressed"},
		"a byte behind":     {one + zeros + "x", "one ", "something behind what is compressed"},
		"a member cut off":  {one + two[:12], "one t", "unexpected EOF"},
		"endless zeros":     {one + strings.Repeat("\x00", 17<<20), "one ", "something behind what is compressed"},
		"an empty member":   {member("") + two, "two", ""},
		"a damaged trailer": {one[:len(one)-8] + "12345678" + two, "one ", "gzip: invalid checksum"},
	} {
		t.Run(name, func(t *testing.T) {
			r, packed, err := ova.Decompress(strings.NewReader(c.packed), ova.Limits{})
			if err != nil || !packed {
				t.Fatalf("packed %v: %v", packed, err)
			}
			defer r.Close()
			got, err := io.ReadAll(r)
			if string(got) != c.want || (err == nil) != (c.refused == "") || err != nil && !strings.Contains(err.Error(), c.refused) {
				t.Errorf("%q, %v; want %q, %q", got, err, c.want, c.refused)
			}
		})
	}
}

// TestZstdThatBeginsWithASkippableFrame is what pzstd writes.
func TestZstdThatBeginsWithASkippableFrame(t *testing.T) {
	packed := append([]byte("\x50\x2a\x4d\x18\x04\x00\x00\x00abcd"), zstandard(t, []byte("content"))...)
	if got := ova.Compression(packed[:4]); got != "zstd" {
		t.Errorf("it is called %q", got)
	}
	r, _, err := ova.Decompress(bytes.NewReader(packed), ova.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := io.ReadAll(r); string(got) != "content" || err != nil {
		t.Errorf("%q, %v", got, err)
	}
}
