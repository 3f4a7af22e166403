package framing_test

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/panalvm/panal/internal/framing"
	"pgregory.net/rapid"
)

// Whatever the lines and however they come in, they come out as they were.
func TestLines(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		line := rapid.Custom(func(t *rapid.T) string {
			return strings.Repeat(rapid.StringMatching(`[^\n]{0,9}`).Draw(t, "text"), rapid.IntRange(0, 2000).Draw(t, "times"))
		})
		want := rapid.SliceOfN(line, 0, 5).Draw(t, "lines")
		var source io.Reader = strings.NewReader(strings.Join(append(want, ""), "\n"))
		if rapid.Bool().Draw(t, "byte by byte") {
			source = iotest.OneByteReader(source)
		}
		r := framing.NewReader(source)
		for _, w := range want {
			if got, err := r.Line(1 << 20); err != nil || string(got) != w {
				t.Fatalf("got %q, %v, want %q", got, err, w)
			}
		}
		if _, err := r.Line(1 << 20); err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	})
}

func TestLineLimits(t *testing.T) {
	for _, c := range []struct {
		text  string
		limit int
		want  error
	}{
		{"12345\n", 5, nil},
		{"123456\n", 5, framing.ErrTooLong},
		{strings.Repeat("x", 10000) + "\n", 10000, nil},
		{strings.Repeat("x", 10001) + "\n", 10000, framing.ErrTooLong},
		{strings.Repeat("x", 100000), 10000, framing.ErrTooLong},
		{"unfinished", 100, io.ErrUnexpectedEOF},
		{"", 100, io.EOF},
	} {
		line, err := framing.NewReader(strings.NewReader(c.text)).Line(c.limit)
		if !errors.Is(err, c.want) || (err == nil && len(line) != len(c.text)-1) {
			t.Errorf("%.10q of %d, limit %d: %d bytes, %v", c.text, len(c.text), c.limit, len(line), err)
		}
	}
}

func TestSkipPast(t *testing.T) {
	r := framing.NewReader(strings.NewReader(strings.Repeat("junk\n", 5000) + "\xffrest\n"))
	if err := r.SkipPast(0xff); err != nil {
		t.Fatal(err)
	}
	if line, err := r.Line(100); err != nil || string(line) != "rest" {
		t.Errorf("got %q, %v", line, err)
	}
	if err := r.SkipPast(0xff); err != io.EOF {
		t.Errorf("got %v", err)
	}
}

func TestWithin(t *testing.T) {
	ours, theirs := net.Pipe()
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	read := func() error {
		_, err := ours.Read(make([]byte, 1))
		return err
	}
	var timeout net.Error
	if err := framing.Within(ctx, ours.SetReadDeadline, read); !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Fatalf("got %v, want a timeout", err)
	}
	go func() { _, _ = theirs.Write([]byte("x")) }()
	if err := framing.Within(t.Context(), ours.SetReadDeadline, read); err != nil {
		t.Errorf("the deadline was not lifted: %v", err)
	}
}
