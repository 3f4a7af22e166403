package disk_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
)

// counted is a file whose reads are counted.
type counted struct {
	*hostfs.File
	reads, bytes *atomic.Int64
}

func (c counted) ReadAt(p []byte, off int64) (int, error) {
	c.reads.Add(1)
	c.bytes.Add(int64(len(p)))
	return c.File.ReadAt(p, off)
}

func (c counted) Same(other disk.File) bool {
	o, ok := other.(counted)
	return ok && c.File.Same(o.File)
}

// countingFS counts what is read of all its files.
type countingFS struct {
	*hostfs.FS
	reads, bytes atomic.Int64
}

func (c *countingFS) Open(name string, write bool) (disk.File, error) {
	f, err := c.FS.Open(name, write)
	if err != nil {
		return nil, err
	}
	return counted{f.(*hostfs.File), &c.reads, &c.bytes}, nil
}

// makeSparse makes a disk with a word every so many bytes.
func makeSparse(t *testing.T, files disk.FS, format, name, word string, size, every int64) {
	t.Helper()
	img, err := disk.Create(name, disk.CreateOptions{FS: files, Formats: formats.All(), Format: format, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	for off := int64(0); off < size; off += every {
		if _, err := img.(disk.Writer).WriteAt([]byte(word), off); err != nil {
			t.Fatal(err)
		}
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestRebaseReadsOnlyWhatDiffers rebases children of disks of 10 TiB: onto
// another, onto none, and onto the parent's parent. What is read is counted: at
// most the blocks that one of the parents holds, and the tables.
func TestRebaseReadsOnlyWhatDiffers(t *testing.T) {
	const size = 10 << 40
	for format, parents := range map[string]string{"qcow2": "raw", "vmdk": "vmdk"} {
		for to, most := range map[string]int64{
			"other": 16 << 20, // some 120 pieces of 64 KiB at the most, read in both
			"":      8 << 20,
			"base":  2 << 20, // the middle has nothing that base has not
		} {
			t.Run(fmt.Sprintf("%s to %q", format, to), func(t *testing.T) {
				dir := t.TempDir()
				inside, err := hostfs.Within(dir)
				if err != nil {
					t.Fatal(err)
				}
				files := &countingFS{FS: inside}
				at := func(name string) string { return filepath.Join(dir, name) }
				makeSparse(t, files, parents, at("base"), "one", size, size/64)
				makeSparse(t, files, parents, at("other"), "two", size, size/60)
				makeChild(t, files, format, at("middle"), "base")
				makeChild(t, files, format, at("child"), "middle")

				child := openIn(t, files, at("child"), "", true)
				var parent disk.Image
				if to != "" {
					parent = openIn(t, files, at(to), parents, false)
					defer parent.Close()
				}
				files.reads.Store(0)
				files.bytes.Store(0)
				if err := disk.Rebase(t.Context(), child, parent, to, parents, disk.CopyOptions{}); err != nil {
					t.Fatal(err)
				}
				reads, bytes := files.reads.Load(), files.bytes.Load()
				t.Logf("%d reads of %d MiB", reads, bytes>>20)
				if reads > 1500 || bytes > most {
					t.Error("these are too many")
				}
				if err := child.Close(); err != nil {
					t.Fatal(err)
				}
				sameAs(t, files, at("child"), at("base"))
			})
		}
	}
}

// makeChild makes an image that differs in nothing from its parent, which lies
// beside it.
func makeChild(t *testing.T, files disk.FS, format, name, parent string) {
	t.Helper()
	base := openIn(t, files, filepath.Join(filepath.Dir(name), parent), "", false)
	defer base.Close()
	img, err := disk.Create(name, disk.CreateOptions{
		FS: files, Formats: formats.All(), Format: format, Parent: base, ParentName: parent, ParentFormat: disk.Describe(base).Format,
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
}

func openIn(t *testing.T, files disk.FS, name, format string, write bool) disk.Image {
	t.Helper()
	img, err := disk.Open(name, disk.Options{FS: files, Formats: formats.All(), Format: format, Write: write})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

func sameAs(t *testing.T, files disk.FS, a, b string) {
	t.Helper()
	one, two := openIn(t, files, a, "", false), openIn(t, files, b, "", false)
	defer one.Close()
	defer two.Close()
	if d, err := disk.Compare(t.Context(), one, two, disk.CopyOptions{}); err != nil || !d.Same {
		t.Errorf("%s and %s: %+v, %v", a, b, d, err)
	}
}

// TestRebaseOntoAnAncestor keeps the content where the new parent is the same
// file as one of the old chain, opened again.
func TestRebaseOntoAnAncestor(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		files := memfs.New()
		var open []disk.Image
		defer func() {
			for _, img := range open {
				_ = img.Close()
			}
		}()
		const size = 5 << 20
		sizes := rapid.SampledFrom([]int64{size, size - 1<<20, size + 1<<20})
		made := func(name, format string, size int64, parent disk.Image, parentName string) disk.Image {
			img, err := disk.Create(name, disk.CreateOptions{
				FS: files, Formats: formats.All(), Format: format, Size: size, Parent: parent, ParentName: parentName,
			})
			if err != nil {
				t.Fatal(err)
			}
			for i := range rapid.IntRange(0, 6).Draw(t, name+" writes") {
				off := rapid.Int64Range(0, size-1).Draw(t, "off")
				n := rapid.Int64Range(1, min(size-off, 200<<10)).Draw(t, "n")
				if _, err := img.(disk.Writer).WriteAt(bytes.Repeat([]byte{byte(i % 3)}, int(n)), off); err != nil {
					t.Fatal(err)
				}
			}
			open = append(open, img)
			return img
		}
		format := rapid.SampledFrom([]string{"qcow2", "vhdx", "vmdk", "vdi:differencing", "vhd:differencing"}).Draw(t, "format")
		of, _, _ := strings.Cut(format, ":")
		if format == "qcow2" {
			of = rapid.SampledFrom([]string{"raw", "qcow2", "vdi", "vhd"}).Draw(t, "the base's format")
		}
		base := made("base", of, sizes.Draw(t, "base size"), nil, "")
		middle := made("middle", format, sizes.Draw(t, "middle size"), base, "base")
		child := made("child", format, sizes.Draw(t, "child size"), middle, "middle")
		before := content(t, child)
		again, err := disk.Open("base", disk.Options{FS: files, Formats: formats.All(), Format: disk.Describe(base).Format})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, again)
		if err := disk.Rebase(t.Context(), child, again, "base", disk.Describe(base).Format, disk.CopyOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := child.Close(); err != nil {
			t.Fatal(err)
		}
		now, err := disk.Open("child", disk.Options{FS: files, Formats: formats.All()})
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, now)
		if !bytes.Equal(before, content(t, now)) {
			t.Fatal("the child reads otherwise now")
		}
	})
}

// TestRebaseHidesALongerParent gives a child whose parent was shorter than itself
// one that holds data where the old one had ended.
func TestRebaseHidesALongerParent(t *testing.T) {
	for _, format := range []string{"qcow2", "vhdx", "vmdk", "vmdk:twoGbMaxExtentSparse", "vdi:differencing", "vhd:differencing"} {
		t.Run(format, func(t *testing.T) {
			files := memfs.New()
			of, _, _ := strings.Cut(format, ":")
			o := disk.CreateOptions{FS: files, Formats: formats.All(), Format: of, Size: 4<<20 + 512}
			short, err := disk.Create("short", o)
			if err != nil {
				t.Fatal(err)
			}
			defer short.Close()
			o.Size = 8 << 20
			long, err := disk.Create("long", o)
			if err != nil {
				t.Fatal(err)
			}
			defer long.Close()
			if _, err := long.(disk.Writer).WriteAt(bytes.Repeat([]byte("seen"), 2<<20), 0); err != nil {
				t.Fatal(err)
			}
			o.Format, o.Parent, o.ParentName = format, short, "short"
			child, err := disk.Create("child", o)
			if err != nil {
				t.Fatal(err)
			}
			if err := disk.Rebase(t.Context(), child, long, "long", of, disk.CopyOptions{}); err != nil {
				t.Fatal(err)
			}
			if err := child.Close(); err != nil {
				t.Fatal(err)
			}
			if err := long.Close(); err != nil {
				t.Fatal(err)
			}
			child = openIn(t, files, "child", "", false)
			defer child.Close()
			p := make([]byte, 8<<20)
			if _, err := child.ReadAt(p, 0); err != nil {
				t.Fatal(err)
			}
			if at := bytes.Index(p, []byte("seen")); at >= 0 {
				t.Errorf("the new parent is seen at %d", at)
			}
		})
	}
}
