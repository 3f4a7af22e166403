package blockmap

import (
	"bytes"
	"testing"

	"github.com/panalvm/panal/disk/memfs"
)

// scratch is a file of 64 KiB that holds no zero.
func scratch(t *testing.T) (*File, []byte) {
	t.Helper()
	fs := memfs.New()
	content := bytes.Repeat([]byte("content "), 8<<10)
	fs.Put("f", content)
	raw, err := fs.Open("f", true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = raw.Close() })
	f, err := NewFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return f, content
}

func (f *File) all(t *testing.T) []byte {
	t.Helper()
	size, err := f.raw.Size()
	if err != nil {
		t.Fatal(err)
	}
	if size != f.End() {
		t.Errorf("the file has %d bytes, and is thought to have %d", size, f.End())
	}
	p := make([]byte, size)
	if _, err := f.ReadAt(p, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

func TestClearKeepsWhatIsAround(t *testing.T) {
	for _, r := range [][2]int64{{0, 0}, {5, 10}, {4095, 2}, {4096, 4096}, {100, 20_000}, {60_000, 5536}, {60_000, 100_000}, {70_000, 10}} {
		f, want := scratch(t)
		if err := f.Clear(r[0], r[1]); err != nil {
			t.Fatal(err)
		}
		size := int64(len(want))
		clear(want[min(r[0], size):min(r[0]+r[1], size)])
		if !bytes.Equal(f.all(t), want) {
			t.Errorf("clearing %d changed something else, or not that", r)
		}
	}
}

func TestCopyGoesToTheEndAndBehind(t *testing.T) {
	for _, c := range [][3]int64{{0, 4096, 4096}, {65536, 0, 4096}, {80_000, 60_000, 20_000}, {0, 65_000, 10_000}, {100_000, 70_000, 3 << 20}} {
		f, want := scratch(t)
		to, from, n := c[0], c[1], c[2]
		if err := f.Copy(to, from, n); err != nil {
			t.Fatal(err)
		}
		piece := make([]byte, n)
		copy(piece, want[min(from, int64(len(want))):])
		have := f.all(t)
		have = append(have, make([]byte, max(0, to+n-int64(len(have))))...)
		want = append(want, make([]byte, max(0, to+n-int64(len(want))))...)
		copy(want[to:], piece)
		if !bytes.Equal(have, want) {
			t.Errorf("copying %d", c)
		}
	}
}

func TestHoldsZeros(t *testing.T) {
	f, _ := scratch(t)
	if err := f.Clear(8192, 10_000); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		off, n int64
		want   bool
	}{{8192, 10_000, true}, {8191, 10_000, false}, {8192, 10_001, false}, {65_536, 1 << 30, true}, {65_535, 10, false}, {0, 0, true}} {
		if zero, err := f.HoldsZeros(c.off, c.n); zero != c.want || err != nil {
			t.Errorf("[%d,+%d): %v, %v", c.off, c.n, zero, err)
		}
	}
}
