package imageserver

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/internal/diskfile"
	"github.com/panalvm/panal/internal/media"
)

// workshop makes images in a directory.
type workshop struct {
	t       *testing.T
	dir     string
	content []byte
}

func newWorkshop(t *testing.T) *workshop {
	t.Helper()
	dir, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	w := &workshop{t, dir, bytes.Repeat([]byte("the content of a disk\n"), 100_000)[:2<<20]}
	if err := os.WriteFile(w.path("seed.raw"), w.content, 0o600); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *workshop) path(name string) string { return filepath.Join(w.dir, name) }

// convert makes an image with the content.
func (w *workshop) convert(name, format string, options map[string]string) string {
	w.t.Helper()
	var place diskfile.Place
	src, err := place.Open(w.path("seed.raw"), diskfile.OpenOptions{Format: "raw"})
	if err != nil {
		w.t.Fatal(err)
	}
	defer src.Close()
	if _, err := place.Convert(w.t.Context(), src, w.path(name), diskfile.Make{Format: format, Options: options}, io.Discard, nil); err != nil {
		w.t.Fatalf("convert to %s: %v", format, err)
	}
	return w.path(name)
}

// child makes an image that stands on another one.
func (w *workshop) child(name, format, parent string) string {
	w.t.Helper()
	if _, err := (diskfile.Place{}).Create(w.path(name), diskfile.Make{Format: format, Parent: parent}); err != nil {
		w.t.Fatalf("create %s: %v", name, err)
	}
	return w.path(name)
}

// archive puts a file into a tar archive, and removes it.
func (w *workshop) archive(name, file string) string {
	w.t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		w.t.Fatal(err)
	}
	out, err := os.Create(w.path(name))
	if err != nil {
		w.t.Fatal(err)
	}
	defer out.Close()
	t := tar.NewWriter(out)
	if err := t.WriteHeader(&tar.Header{Name: filepath.Base(file), Size: int64(len(data)), Mode: 0o600}); err != nil {
		w.t.Fatal(err)
	}
	if _, err := t.Write(data); err != nil {
		w.t.Fatal(err)
	}
	if err := t.Close(); err != nil {
		w.t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		w.t.Fatal(err)
	}
	return filepath.Join(w.path(name), filepath.Base(file))
}

// TestDescriptorsAreEnough opens images of all shapes from what is handed over
// alone: their files are gone by then.
func TestDescriptorsAreEnough(t *testing.T) {
	cases := map[string]func(w *workshop) string{
		"VDI": func(w *workshop) string { return w.convert("a.vdi", "vdi", nil) },
		"VDI chain": func(w *workshop) string {
			return w.child("b.vdi", "vdi", w.convert("a.vdi", "vdi", nil))
		},
		"VHD chain": func(w *workshop) string {
			return w.child("b.vhd", "vhd", w.convert("a.vhd", "vhd", nil))
		},
		"VHDX chain of three": func(w *workshop) string {
			return w.child("c.vhdx", "vhdx", w.child("b.vhdx", "vhdx", w.convert("a.vhdx", "vhdx", nil)))
		},
		"VMDK of parts": func(w *workshop) string { return w.convert("a.vmdk", "vmdk:twoGbMaxExtentFlat", nil) },
		"VMDK delta": func(w *workshop) string {
			return w.child("b.vmdk", "vmdk", w.convert("a.vmdk", "vmdk:twoGbMaxExtentSparse", nil))
		},
		"Parallels bundle": func(w *workshop) string {
			return w.convert("a.hdd", "parallels", map[string]string{"bundle": "on"})
		},
		"QCOW2 on VMDK": func(w *workshop) string {
			return w.child("b.qcow2", "qcow2", w.convert("a.vmdk", "vmdk", nil))
		},
		"member of an archive": func(w *workshop) string {
			return w.archive("a.ova", w.convert("a.vmdk", "vmdk:streamOptimized", nil))
		},
		"parent found among others by its identity": func(w *workshop) string {
			child := w.child("b.vdi", "vdi", w.convert("a.vdi", "vdi", nil))
			for _, other := range []string{"1.vdi", "2.vdi", "3.vdi"} {
				w.convert(other, "vdi", nil)
			}
			if err := os.Rename(w.path("a.vdi"), w.path("moved.vdi")); err != nil {
				w.t.Fatal(err)
			}
			return child
		},
	}
	for name, build := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorkshop(t)
			path := build(w)
			h, err := prepare("machine", Dir(w.dir), []Image{{Ref: media.Ref{Path: path}, Export: "disk0"}})
			if err != nil {
				t.Fatal(err)
			}
			defer h.close()
			if err := os.RemoveAll(w.dir); err != nil {
				t.Fatal(err)
			}
			img := reopened(t, h)
			got := make([]byte, img.Size())
			if n, err := img.ReadAt(got, 0); n < len(got) || !bytes.Equal(got[:len(w.content)], w.content) {
				t.Errorf("read %d bytes, others than they were: %v", n, err)
			}
			if len(h.files) > 4 {
				t.Errorf("%d files are handed over", len(h.files))
			}
		})
	}
}

func duplicate(t *testing.T, file *os.File) int {
	t.Helper()
	fd, err := unix.FcntlInt(file.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	return fd
}

// reopened opens the one image of a handover as the server does, which has the
// descriptors under other numbers.
func reopened(t *testing.T, h *handover) disk.Image {
	t.Helper()
	p := h.Images[0]
	for i := range p.Files {
		p.Files[i].FD = duplicate(t, h.files[p.Files[i].FD-firstFD])
	}
	if p.Journal != 0 {
		p.Journal = duplicate(t, h.files[p.Journal-firstFD])
	}
	img, err := p.open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = img.Close() })
	return img
}

// What is handed over is bounded by what package media allows.
func TestNothingOutsideIsHandedOver(t *testing.T) {
	w, elsewhere := newWorkshop(t), newWorkshop(t)
	base := elsewhere.convert("base.vdi", "vdi", nil)
	child := w.child("child.vdi", "vdi", base)
	if h, err := prepare("machine", Dir(w.dir), []Image{{Ref: media.Ref{Path: child}, Export: "disk0"}}); err == nil {
		h.close()
		t.Error("an image was opened with a parent in another directory")
	}
}

// A descriptor that is handed over keeps its lock.
func TestLocksGoWithDescriptors(t *testing.T) {
	w := newWorkshop(t)
	path := w.convert("a.vdi", "vdi", nil)
	image := Image{Ref: media.Ref{Path: path, Format: "vdi"}, Export: "disk0", Write: true}
	h, err := prepare("machine", Dir(w.dir), []Image{image})
	if err != nil {
		t.Fatal(err)
	}
	if other, err := prepare("machine", Dir(w.dir), []Image{image}); err == nil {
		other.close()
		t.Error("two have it for writing")
	}
	h.close()
	again, err := prepare("machine", Dir(w.dir), []Image{image})
	if err != nil {
		t.Fatalf("it is locked by nobody: %v", err)
	}
	again.close()
}
