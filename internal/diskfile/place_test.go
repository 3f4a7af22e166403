package diskfile

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
)

// write makes a file, and its directory.
func write(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

// content is what a disk of 3 MiB holds in these tests.
func content() []byte {
	p := make([]byte, 3<<20)
	copy(p, "boot")
	copy(p[2<<20:], bytes.Repeat([]byte("data"), 100))
	return p
}

// convert makes an image with content.
func convert(t *testing.T, to string, m Make) {
	t.Helper()
	raw := filepath.Join(t.TempDir(), "content.img")
	write(t, raw, content())
	src, err := Place{}.Open(raw, OpenOptions{Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	defer src.Close()
	if _, err := (Place{}).Convert(t.Context(), src, to, m, nil, nil); err != nil {
		t.Fatal(err)
	}
}

// holds fails the test unless the image of that name has the content.
func holds(t *testing.T, p Place, name string) {
	t.Helper()
	img, err := p.Open(name, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	want := filepath.Join(t.TempDir(), "want.img")
	write(t, want, content())
	other, err := Place{}.Open(want, OpenOptions{Format: "raw"})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if d, err := disk.Compare(t.Context(), img, other, disk.CopyOptions{}); err != nil || !d.Same {
		t.Errorf("%s: %+v, %v", name, d, err)
	}
}

// pack puts files into an archive.
func pack(t *testing.T, archive string, files ...string) {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range files {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.WriteHeader(&tar.Header{Name: filepath.Base(name), Size: int64(len(p)), Mode: 0o644}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(p); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	write(t, archive, b.Bytes())
}

func TestBundlesAreDirectories(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "disk.hdd")
	convert(t, bundle, Make{Options: map[string]string{"bundle": "on", "split": "1M"}})
	holds(t, Place{}, bundle)
	holds(t, Place{}, filepath.Join(bundle, bundleDescriptor))
	parts, err := filepath.Glob(filepath.Join(bundle, "*.hds"))
	if err != nil || len(parts) != 3 {
		t.Errorf("its parts are %v, %v", parts, err)
	}

	// A link to the bundle is the bundle; a directory without a descriptor is none.
	link := filepath.Join(dir, "link")
	if err := os.Symlink(bundle, link); err != nil {
		t.Fatal(err)
	}
	holds(t, Place{}, link)
	if _, err := (Place{}).Open(dir, OpenOptions{}); err == nil || !strings.Contains(err.Error(), "no Parallels bundle") {
		t.Errorf("a directory gives %v", err)
	}
}

func TestABundleThatFailsLeavesNoDirectory(t *testing.T) {
	dir := t.TempDir()
	bundle := filepath.Join(dir, "disk.hdd")
	_, err := Place{}.Create(bundle, Make{Size: 1 << 40, Options: map[string]string{"bundle": "on", "split": "1M"}})
	if err == nil {
		t.Fatal("a bundle of a million files was made")
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("it left %v, %v", entries, err)
	}
}

func TestMembersOfArchives(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "in"), 0o755); err != nil {
		t.Fatal(err)
	}
	disks := []string{filepath.Join(dir, "in", "sparse.vmdk"), filepath.Join(dir, "in", "flat.vmdk"), filepath.Join(dir, "in", "flat-flat.vmdk")}
	convert(t, disks[0], Make{Format: "vmdk:streamOptimized"})
	convert(t, disks[1], Make{Format: "vmdk:monolithicFlat"})
	ova := filepath.Join(dir, "some machine.ova")
	pack(t, ova, disks...)
	if err := os.RemoveAll(filepath.Join(dir, "in")); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.ova")
	if err := os.Symlink(ova, link); err != nil {
		t.Fatal(err)
	}
	for _, archive := range []string{ova, link} {
		holds(t, Place{}, filepath.Join(archive, "sparse.vmdk"))
		holds(t, Place{}, filepath.Join(archive, "flat.vmdk")) // its extent is another member
	}
	if _, err := (Place{}).Open(filepath.Join(ova, "missing.vmdk"), OpenOptions{}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing member gives %v", err)
	}
	if img, err := (Place{}).Open(filepath.Join(ova, "sparse.vmdk"), OpenOptions{Write: true}); err == nil {
		t.Errorf("a member can be written to: %v", img.Close())
	}
	if _, err := (Place{}).Open(filepath.Join(ova, "..", "..", "etc", "passwd"), OpenOptions{Format: "vdi"}); err == nil {
		t.Error("a path that leaves the archive was opened as a disk")
	}
}

func TestALinkLeadsToTheImageAndItsParts(t *testing.T) {
	dir := t.TempDir()
	real := filepath.Join(dir, "store", "disk.vmdk")
	if err := os.Mkdir(filepath.Dir(real), 0o755); err != nil {
		t.Fatal(err)
	}
	convert(t, real, Make{Format: "vmdk:twoGbMaxExtentFlat"})
	link := filepath.Join(dir, "elsewhere", "link.vmdk")
	if err := os.Mkdir(filepath.Dir(link), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(real, link); err != nil {
		t.Fatal(err)
	}
	holds(t, Place{}, link)

	// A child beside the link finds its parent where the link leads, and only if
	// it may.
	child := filepath.Join(filepath.Dir(link), "child.qcow2")
	if _, err := (Place{}).Create(child, Make{Parent: link}); err != nil {
		t.Fatal(err)
	}
	if _, err := (Place{}).Open(child, OpenOptions{}); !errors.Is(err, disk.ErrOutside) {
		t.Errorf("a parent in another directory gives %v", err)
	}
	holds(t, Place{Allow: []string{filepath.Dir(real)}}, child)
	holds(t, Place{Anywhere: true}, child)
}

func TestStandardInputRefersToNothing(t *testing.T) {
	dir := t.TempDir()
	parent, child := filepath.Join(dir, "parent.vdi"), filepath.Join(dir, "child.qcow2")
	convert(t, parent, Make{})
	holds(t, Place{Stdin: open(t, parent)}, "-")
	if _, err := (Place{}).Create(child, Make{Parent: parent}); err != nil {
		t.Fatal(err)
	}
	for _, p := range []Place{{}, {Anywhere: true}} {
		p.Stdin = open(t, child)
		if _, err := p.Open("-", OpenOptions{}); !errors.Is(err, disk.ErrOutside) {
			t.Errorf("a parent of standard input gives %v", err)
		}
	}
	if _, err := (Place{Stdin: open(t, parent)}).Open("-", OpenOptions{Write: true}); err == nil {
		t.Error("standard input was opened for writing")
	}
}

func open(t *testing.T, path string) *os.File {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestCancelled ends a conversion when it has begun, to every format.
func TestCancelled(t *testing.T) {
	for _, name := range []string{"x.vdi", "x.vmdk", "x.qcow2", "x.vhd", "x.vhdx", "x.hds", "x.img"} {
		dir := t.TempDir()
		raw := filepath.Join(t.TempDir(), "content.img")
		write(t, raw, content())
		src, err := Place{}.Open(raw, OpenOptions{Format: "raw"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		_, err = Place{}.Convert(ctx, src, filepath.Join(dir, name), Make{}, nil, func(int64, int64) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
			t.Errorf("%s: it left %v, %v", name, entries, err)
		}
		if err := src.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestChainNamesItsImages(t *testing.T) {
	dir := t.TempDir()
	base, top := filepath.Join(dir, "base.vdi"), filepath.Join(dir, "top.vdi")
	convert(t, base, Make{})
	if _, err := (Place{}).Create(top, Make{Parent: base}); err != nil {
		t.Fatal(err)
	}
	links, err := Place{}.Chain(top, OpenOptions{})
	if err != nil || len(links) != 2 || links[0].Name != top || links[1].Name != base {
		t.Fatalf("%+v, %v", links, err)
	}
	if err := os.Remove(base); err != nil {
		t.Fatal(err)
	}
	links, err = Place{}.Chain(top, OpenOptions{})
	if !errors.Is(err, disk.ErrNoParent) || len(links) != 1 {
		t.Errorf("without the parent: %+v, %v", links, err)
	}
}

// TestDigest guards the helper: what these tests compare is not empty.
func TestDigest(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.vdi")
	convert(t, path, Make{})
	img, err := Place{}.Open(path, OpenOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer img.Close()
	before, err := disktest.RawDigest(img)
	if err != nil || before == "" || img.Size() != int64(len(content())) {
		t.Errorf("%q, %d bytes, %v", before, img.Size(), err)
	}
}
