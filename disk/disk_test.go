package disk_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
)

// layer is an image in memory of blocks that may be missing.
type layer struct {
	size   int64
	blocks map[int64][]byte // by number; nil for a zero block
	parent disk.Image
}

const block = 4096

func newLayer(size int64, parent disk.Image) *layer {
	return &layer{size: size, blocks: map[int64][]byte{}, parent: parent}
}

func (l *layer) Size() int64        { return l.size }
func (l *layer) Close() error       { return nil }
func (l *layer) Sync() error        { return nil }
func (l *layer) CanWrite() bool     { return true }
func (l *layer) Parent() disk.Image { return l.parent }

func (l *layer) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(l, p, off, func(e disk.Extent, p []byte) error {
		copy(p, l.blocks[e.Off/block][e.Off%block:])
		return nil
	})
}

func (l *layer) Map(off, n int64) (disk.Extent, error) {
	e := disk.Extent{Off: off, Len: min(n, block-off%block)}
	if content, ok := l.blocks[off/block]; ok {
		e.State = disk.Zeroed
		if content != nil {
			e.State = disk.Data
		}
	}
	return e, nil
}

func (l *layer) WriteAt(p []byte, off int64) (int, error) {
	if err := disk.InRange(off, int64(len(p)), l.size); err != nil {
		return 0, err
	}
	for done := 0; done < len(p); {
		at := off + int64(done)
		i := at / block
		if l.blocks[i] == nil {
			fresh := make([]byte, block)
			if _, zero := l.blocks[i]; !zero {
				if err := disk.ReadParent(l.parent, fresh, i*block); err != nil {
					return done, err
				}
			}
			l.blocks[i] = fresh
		}
		done += copy(l.blocks[i][at%block:], p[done:])
	}
	return len(p), nil
}

func (l *layer) SetParent(parent disk.Image, _, _ string) error {
	l.parent = parent
	return nil
}

// some draws an image with a random content.
func some(t *rapid.T, label string, parent disk.Image) *layer {
	l := newLayer(rapid.Int64Range(1, 3<<20).Draw(t, label+" size"), parent)
	rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, label+" content"), 0))
	for range rng.IntN(40) {
		switch i := rng.Int64N((l.size + block - 1) / block); rng.IntN(3) {
		case 0:
			l.blocks[i] = nil
		default:
			l.blocks[i] = make([]byte, block)
			l.blocks[i][rng.IntN(block)] = byte(rng.IntN(4)) // sometimes all zero
		}
	}
	return l
}

func content(t *rapid.T, img disk.Image) []byte {
	p := make([]byte, img.Size())
	if n, err := img.ReadAt(p, 0); n != len(p) || err != nil && err != io.EOF {
		t.Fatalf("read %d of %d: %v", n, len(p), err)
	}
	return p
}

func padded(p []byte, n int) []byte { return append(bytes.Clone(p), make([]byte, max(0, n-len(p)))...) }

func TestACopyReadsAsItsSource(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		src := some(t, "child", some(t, "parent", nil))
		dst := newLayer(src.size+rapid.Int64Range(0, 9999).Draw(t, "more"), nil)
		if err := disk.Copy(context.Background(), dst, src, disk.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(padded(content(t, src), int(dst.size)), content(t, dst)) {
			t.Fatal("the copy differs")
		}
		for i, p := range dst.blocks {
			if bytes.Equal(p, make([]byte, block)) {
				t.Fatalf("block %d is zero, and was written", i)
			}
		}
	})
}

func TestCompareFindsTheFirstDifference(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		a, b := some(t, "a", nil), some(t, "b", nil)
		if rapid.Bool().Draw(t, "alike") {
			b.blocks = map[int64][]byte{}
			for i, p := range a.blocks {
				if (i+1)*block <= b.size {
					b.blocks[i] = bytes.Clone(p)
				}
			}
		}
		got, err := disk.Compare(context.Background(), a, b, disk.CopyOptions{})
		if err != nil {
			t.Fatal(err)
		}
		n := int(max(a.size, b.size))
		p, q := padded(content(t, a), n), padded(content(t, b), n)
		want := int64(-1)
		for i := range p {
			if p[i] != q[i] {
				want = int64(i)
				break
			}
		}
		if got.Offset != want || got.Same != (want < 0) || got.Longer != a.size-b.size {
			t.Fatalf("got %+v; they differ at %d", got, want)
		}
	})
}

func TestRebaseKeepsTheContent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		child := some(t, "child", some(t, "old parent", nil))
		before := content(t, child)
		var parent disk.Image
		if rapid.Bool().Draw(t, "with a parent") {
			parent = some(t, "new parent", nil)
		}
		if err := disk.Rebase(context.Background(), child, parent, "", "", disk.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if child.parent != parent || !bytes.Equal(before, content(t, child)) {
			t.Fatal("the child reads otherwise now")
		}
	})
}

func TestCommitMakesTheParentReadAsTheChild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		parent := some(t, "parent", nil)
		child := some(t, "child", parent)
		parent.size = max(parent.size, child.size)
		want := content(t, child)
		if err := disk.Commit(context.Background(), child, parent, disk.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(want, content(t, parent)[:len(want)]) {
			t.Fatal("the parent differs from what the child was")
		}
	})
}

func TestCopyStopsWhenToldTo(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	src := newLayer(64<<20, nil)
	for i := range src.size / block {
		src.blocks[i] = bytes.Repeat([]byte{1}, block)
	}
	err := disk.Copy(ctx, newLayer(src.size, nil), src, disk.CopyOptions{Progress: func(done, _ int64) {
		if done > 0 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{
		"0": 0, "512": 512, "64K": 64 << 10, "64KiB": 64 << 10, "20g": 20 << 30, "1.5T": 3 << 39, "7E": 7 << 60, "3 ": 3,
	} {
		if got, err := disk.ParseSize(text); got != want || err != nil {
			t.Errorf("%q is %d, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "K", "-1", "1X", "8E", "1.5", "0x10", "1e3", "99999999999999999999", "NaN", "InfK"} {
		if got, err := disk.ParseSize(text); err == nil {
			t.Errorf("%q is taken for %d", text, got)
		}
	}
}
