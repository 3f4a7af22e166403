package media

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
)

// TestLayersReadAsBefore makes chains of images in which there is data, and zeros over data of the images below, as
// guests write and discard them, and does with them whatever is done with a machine's images while it is off:
// afterwards all that is left reads as before.
func TestLayersReadAsBefore(t *testing.T) {
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue && !disktest.Thorough() {
		if err := f.Value.Set("10"); err != nil {
			t.Fatal(err)
		}
	}
	for _, work := range []struct {
		name string
		do   func(c chain) error
		left map[string]string // images, and which they were to read as
	}{
		{"commit", func(c chain) error {
			return CommitLayer(t.Context(), c.dir, c.drive(), "2.qcow2", "1.qcow2", nil, quiet)
		}, map[string]string{"1.qcow2": "2.qcow2"}},
		{"pull", func(c chain) error { return PullLayer(t.Context(), c.dir, c.drive(), "2.qcow2", "1.qcow2", nil, quiet) }, map[string]string{"2.qcow2": "2.qcow2", "3.qcow2": "3.qcow2"}},
		{"pull into the topmost", func(c chain) error {
			return PullLayer(t.Context(), c.dir, c.drive(), "3.qcow2", "2.qcow2", nil, quiet)
		}, map[string]string{"3.qcow2": "3.qcow2", "2.qcow2": "2.qcow2"}},
		{"copy as a difference", func(c chain) error { return c.copied(t.Context(), "copy.qcow2") }, map[string]string{"copy.qcow2": "3.qcow2"}},
		{"draw in, below first", func(c chain) error {
			if err := c.drawn(t.Context(), "low.qcow2", "", "1.qcow2", ""); err != nil {
				return err
			}
			return c.drawn(t.Context(), "high.qcow2", "low.qcow2", "3.qcow2", "1.qcow2")
		}, map[string]string{"low.qcow2": "1.qcow2", "high.qcow2": "3.qcow2"}},
		{"draw in what it was made from", func(c chain) error {
			if err := os.Rename(filepath.Join(c.dir, "0.qcow2"), filepath.Join(c.dir, "source")); err != nil {
				return err
			}
			drive := api.Drive{File: "1.qcow2", Mode: api.Overlay, Source: filepath.Join(c.dir, "source"), Format: "qcow2"}
			if err := PullSource(t.Context(), c.dir, drive, nil, quiet); err != nil {
				return err
			}
			return os.Remove(filepath.Join(c.dir, "source"))
		}, map[string]string{"1.qcow2": "1.qcow2", "3.qcow2": "3.qcow2"}},
	} {
		t.Run(work.name, rapid.MakeCheck(func(t *rapid.T) {
			c, views := anyChain(t)
			defer os.RemoveAll(c.dir)
			if err := work.do(c); err != nil {
				t.Fatal(err)
			}
			for image, was := range work.left {
				got, err := c.view(image)
				if err != nil {
					t.Fatal(err)
				}
				if at := firstDifference(got, views[was]); at >= 0 {
					t.Fatalf("%s does not read as %s did: byte %d is %#x, and was %#x", image, was, at, got[at], views[was][at])
				}
			}
		}))
	}
}

// chain is a folder with the images 0.qcow2 to 3.qcow2, of which each stands on the one before.
type chain struct{ dir string }

const chainBlocks, chainBlock = 24, 64 << 10

func quiet(int64, int64) {}

func (c chain) drive() api.Drive { return api.Drive{File: "3.qcow2", Mode: api.Own} }

// anyChain draws a chain, and what its images read as.
func anyChain(t *rapid.T) (c chain, views map[string][]byte) {
	dir, err := os.MkdirTemp("", "layers")
	if err != nil {
		t.Fatal(err)
	}
	c, views = chain{dir}, map[string][]byte{}
	content := make([]byte, chainBlocks*chainBlock)
	for n := range 4 {
		image := fmt.Sprintf("%d.qcow2", n)
		if n == 0 {
			err = CreateEmpty(filepath.Join(dir, image), api.Size(len(content)), nil)
		} else {
			err = CreateLayer(dir, image, fmt.Sprintf("%d.qcow2", n-1))
		}
		if err == nil {
			err = c.write(t, image, content)
		}
		if err != nil {
			t.Fatal(err)
		}
		views[image] = bytes.Clone(content)
	}
	return c, views
}

// write changes an image that is open with all below, as a guest would.
func (c chain) write(t *rapid.T, image string, content []byte) error {
	img, _, err := OpenImage(Ref{Path: filepath.Join(c.dir, image), Format: "qcow2"}, OpenOptions{Write: true})
	if err != nil {
		return err
	}
	for i := range rapid.IntRange(0, 12).Draw(t, "writes") {
		at := rapid.Int64Range(0, int64(len(content))-512).Draw(t, "place") &^ 511
		if rapid.Bool().Draw(t, "at a block") {
			at &^= chainBlock - 1
		}
		p := content[at:min(at+rapid.SampledFrom([]int64{512, chainBlock, 3 * chainBlock}).Draw(t, "length"), int64(len(content)))]
		switch rapid.IntRange(0, 3).Draw(t, "what") {
		case 0:
			clear(p)
			err = disk.Zero(img, at, int64(len(p)))
		case 1:
			clear(p)
			_, err = img.(disk.Writer).WriteAt(p, at)
		default:
			for k := range p {
				p[k] = byte(i + k + int(image[0]))
			}
			_, err = img.(disk.Writer).WriteAt(p, at)
		}
		if err != nil {
			break
		}
	}
	if err == nil {
		err = syncImage(img)
	}
	if closed := img.Close(); err == nil {
		err = closed
	}
	return err
}

// view is what an image reads as.
func (c chain) view(image string) ([]byte, error) {
	img, err := OpenLayers(c.dir, api.Drive{File: image, Mode: api.Own}, false, nil)
	if err != nil {
		return nil, err
	}
	defer img.Close() //nolint:errcheck // it was only read
	p := make([]byte, img.Size())
	return p, disk.ReadParent(img, p, 0)
}

func (c chain) foreign(image string) (*Foreign, error) {
	return OpenForeign(Ref{Path: filepath.Join(c.dir, image), Format: "qcow2"})
}

// copied makes an image above 0.qcow2 that reads as 3.qcow2.
func (c chain) copied(ctx context.Context, image string) error {
	return c.between("3.qcow2", "0.qcow2", func(from, below *Foreign) error {
		return CreateDifferenceCopy(ctx, c.dir, image, "0.qcow2", from, below, quiet)
	})
}

// drawn draws an image in, above one that reads as below does.
func (c chain) drawn(ctx context.Context, image, on, from, below string) error {
	return c.between(from, below, func(from, below *Foreign) error {
		return DrawLayer(ctx, c.dir, image, on, from, below, quiet)
	})
}

// between opens two images; the lower one is nil for "".
func (c chain) between(from, below string, do func(from, below *Foreign) error) error {
	upper, err := c.foreign(from)
	if err != nil {
		return err
	}
	defer upper.Close() //nolint:errcheck // it was only read
	if below == "" {
		return do(upper, nil)
	}
	lower, err := c.foreign(below)
	if err != nil {
		return err
	}
	defer lower.Close() //nolint:errcheck // likewise
	return do(upper, lower)
}

// TestDrawLayerOfAnotherSize draws images in above ones that are longer or shorter, and stand below them or have nothing
// to do with them: a disk that grew, or another one that a snapshot has by the same name. What is drawn in has their
// content, and their size, also when it is done again.
func TestDrawLayerOfAnotherSize(t *testing.T) {
	const mib = 1 << 20
	for name, c := range map[string]struct {
		below, size int64
		chained     bool
	}{
		"longer": {3 * mib, 8*mib + 512, false}, "grown": {3 * mib, 8*mib + 512, true},
		"shorter": {8 * mib, 3 * mib, false}, "as long": {8 * mib, 8 * mib, false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := chain{t.TempDir()}
			fill := func(file, on string, size int64, b byte) {
				t.Helper()
				o := disk.CreateOptions{Size: size}
				if on != "" {
					below, err := dir.foreign(on)
					if err != nil {
						t.Fatal(err)
					}
					defer below.Close()
					o.Parent, o.ParentName, o.ParentFormat = below.Image, on, "qcow2"
				}
				if err := create(filepath.Join(dir.dir, file), o); err != nil {
					t.Fatal(err)
				}
				img, _, err := OpenImage(Ref{Path: filepath.Join(dir.dir, file), Format: "qcow2"}, OpenOptions{Write: true})
				if err != nil {
					t.Fatal(err)
				}
				for _, at := range []int64{mib, size - 512} {
					if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{b}, 512), at); err != nil {
						t.Fatal(err)
					}
				}
				if err := errors.Join(syncImage(img), img.Close()); err != nil {
					t.Fatal(err)
				}
			}
			on := ""
			if c.chained {
				on = "below.qcow2"
			}
			fill("below.qcow2", "", c.below, 1)
			fill("from.qcow2", on, c.size, 2)
			if err := dir.drawn(t.Context(), "low.qcow2", "", "below.qcow2", ""); err != nil {
				t.Fatal(err)
			}
			want, err := dir.view("from.qcow2")
			if err != nil {
				t.Fatal(err)
			}
			for range 2 {
				if err := dir.drawn(t.Context(), "high.qcow2", "low.qcow2", "from.qcow2", "below.qcow2"); err != nil {
					t.Fatal(err)
				}
				got, err := dir.view("high.qcow2")
				if err != nil {
					t.Fatal(err)
				}
				if at := firstDifference(got, want); at >= 0 {
					t.Fatalf("it has %d bytes, and the image %d; they differ from byte %d", len(got), len(want), at)
				}
			}
		})
	}
}

func firstDifference(a, b []byte) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	if len(a) != len(b) {
		return min(len(a), len(b))
	}
	return -1
}
