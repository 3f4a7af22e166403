package client

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestFrames(t *testing.T) {
	tests := []struct {
		name, in string
		want     []frame
	}{
		{"one", "data: x\n\n", []frame{{data: []byte("x")}}},
		{"CR LF", "id: 3\r\ndata: x\r\n\r\n", []frame{{id: "3", hasID: true, data: []byte("x")}}},
		{"lines", "data: a\ndata:b\ndata\n\n", []frame{{data: []byte("a\nb\n")}}},
		{"an ID alone", "id: 3\n\n", []frame{{id: "3", hasID: true}}},
		{"one space only", "data:  x\n\n", []frame{{data: []byte(" x")}}},
		{"a pause", "retry: 100\n\nretry: x\n\n", []frame{{retry: 100 * time.Millisecond}}},
		{"comments and unknown fields", ": c\n\nevent: e\nfoo\n\ndata: x\n\n", []frame{{data: []byte("x")}}},
		{"cut off", "data: x\n\ndata: y\n", []frame{{data: []byte("x")}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			frames := newFrames(iotest.OneByteReader(strings.NewReader(test.in)))
			var got []frame
			for {
				f, err := frames.next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, f)
			}
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(frame{})); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFrameBound(t *testing.T) {
	endless := io.MultiReader(strings.NewReader("data: "), bytes.NewReader(make([]byte, 2*maxFrame)))
	if _, err := newFrames(endless).next(); !errors.Is(err, errFrame) {
		t.Errorf("an endless line: %v", err)
	}
	if _, err := newFrames(strings.NewReader(strings.Repeat("data: x\n", maxFrame/4))).next(); !errors.Is(err, errFrame) {
		t.Errorf("endless lines: %v", err)
	}
}

func FuzzFrames(f *testing.F) {
	f.Add([]byte("id: 3\ndata: x\n\nretry: 9\n\n:\n\n"))
	f.Fuzz(func(t *testing.T, in []byte) {
		frames, total := newFrames(bytes.NewReader(in)), 0
		for {
			frame, err := frames.next()
			if err != nil {
				break
			}
			total += len(frame.data) + len(frame.id)
		}
		if total > len(in) {
			t.Errorf("%d bytes out of %d", total, len(in))
		}
	})
}
