package parallels_test

import (
	"bytes"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/disktest"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/testenv"
)

// qemuImg runs qemu-img.
func qemuImg(t *testing.T, args ...string) {
	t.Helper()
	program := testenv.Need(t, "qemu-img")
	if out, err := exec.Command(program, args...).CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
}

// noisy is a content with holes.
func noisy(size int, seed uint64) []byte {
	p := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed)})
	for off := 0; off+70_000 < size; off += 150_000 {
		_, _ = rng.Read(p[off : off+70_000])
	}
	return p
}

// asQEMU is what qemu-img reads an image as.
func asQEMU(t *testing.T, file string) []byte {
	t.Helper()
	raw := file + ".raw"
	qemuImg(t, "convert", "-f", "parallels", "-O", "raw", file, raw)
	p, err := os.ReadFile(raw)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestQEMUReadsWhatWeWrite(t *testing.T) {
	for name, options := range map[string]map[string]string{
		"default": {},
		"small":   {"clusterSize": "64K"},
		"classic": {"clusterSize": "256K", "layout": "classic"},
	} {
		t.Run(name, func(t *testing.T) {
			testenv.Need(t, "qemu-img")
			dir := t.TempDir()
			file := filepath.Join(dir, "a.hds")
			host, err := hostfs.Within(dir)
			if err != nil {
				t.Fatal(err)
			}
			content := noisy(5<<20+512, 1)
			img, err := disk.Create(file, disk.CreateOptions{FS: host, Formats: formats, Format: "parallels", Size: int64(len(content)), Options: options})
			if err != nil {
				t.Fatal(err)
			}
			w := img.(disk.Writer)
			for _, off := range rand.New(rand.NewPCG(1, 2)).Perm(len(content) / 100_000) { // in no order
				if _, err := w.WriteAt(content[off*100_000:(off+1)*100_000], int64(off)*100_000); err != nil {
					t.Fatal(err)
				}
			}
			clear(content[len(content)/100_000*100_000:])
			if err := disk.Zero(img, 1<<20, 2<<20); err != nil {
				t.Fatal(err)
			}
			clear(content[1<<20 : 3<<20])
			mustClose(t, img)
			qemuImg(t, "check", "-f", "parallels", file)
			if !bytes.Equal(asQEMU(t, file), content) {
				t.Error("qemu-img reads something else")
			}
			img = mustOpen(t, host, file, disk.Options{Write: true})
			if err := disk.Resize(img, 3<<30); err != nil { // the table grows over the first clusters
				t.Fatal(err)
			}
			if err := disk.Resize(img, 9<<20); err != nil {
				t.Fatal(err)
			}
			if _, err := img.(disk.Compacter).Compact(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			mustClose(t, img)
			qemuImg(t, "check", "-f", "parallels", file)
			if !bytes.Equal(asQEMU(t, file), append(content, make([]byte, 9<<20-len(content))...)) {
				t.Error("after resizing and compacting, qemu-img reads something else")
			}
		})
	}
}

func TestWeReadWhatQEMUWrites(t *testing.T) {
	for _, cluster := range []string{"1M", "64k", "512", "3M"} {
		t.Run(cluster, func(t *testing.T) {
			testenv.Need(t, "qemu-img")
			dir := t.TempDir()
			raw, file := filepath.Join(dir, "raw"), filepath.Join(dir, "a.hdd")
			content := noisy(4<<20, 2)
			if err := os.WriteFile(raw, content, 0o600); err != nil {
				t.Fatal(err)
			}
			qemuImg(t, "convert", "-f", "raw", "-O", "parallels", "-o", "cluster_size="+cluster, raw, file)
			host, err := hostfs.Within(dir)
			if err != nil {
				t.Fatal(err)
			}
			img := mustOpen(t, host, file, disk.Options{Write: true})
			have := make([]byte, len(content))
			if _, err := img.ReadAt(have, 0); err != nil || !bytes.Equal(have, content) {
				t.Fatalf("we read something else (%v)", err)
			}
			patch := noisy(200_000, 3)
			if _, err := img.(disk.Writer).WriteAt(patch, 777_777); err != nil {
				t.Fatal(err)
			}
			copy(content[777_777:], patch)
			if r := mustCheck(t, img); r.Leaked != 0 {
				t.Errorf("check: %s", reasons(t, r))
			}
			mustClose(t, img)
			qemuImg(t, "check", "-f", "parallels", file)
			if !bytes.Equal(asQEMU(t, file), content) {
				t.Error("written on by us, qemu-img reads something else")
			}
		})
	}
}

func TestCorpus(t *testing.T) {
	for _, c := range disktest.CorpusFiles(t, "hdd") {
		t.Run(c.Name, func(t *testing.T) {
			host, err := hostfs.Beside(c.Path)
			if err != nil {
				t.Fatal(err)
			}
			img, err := openIn(host, c.Path, disk.Options{})
			if filepath.Base(c.Path) == "DiskDescriptor.xml" && errors.Is(err, fs.ErrNotExist) {
				return // its .hds is not part of the corpus
			}
			if err != nil {
				t.Fatal(err)
			}
			defer mustClose(t, img)
			if compared, err := c.Verify(img); err != nil || !compared {
				t.Errorf("compared %v: %v", compared, err)
			}
			if r := mustCheck(t, img); len(r.Findings) > 0 {
				t.Errorf("check: %s", reasons(t, r))
			}
		})
	}
}

func FuzzOpen(f *testing.F) {
	m := family()
	disktest.Fuzz(f, formats,
		hds{bat: []uint32{2, 0, 1, 3}, letters: "abc"}.bytes(),
		hds{old: true, bat: []uint32{16, 0, 8, 24}, letters: "abc"}.bytes(),
		hds{bat: []uint32{1, 0}, letters: "a", extOff: 16, tail: extensionOf(0x20385FAE252CB34A, 0)}.bytes(),
		hds{bat: []uint32{1, 1, 9, 2, 0}, letters: "abl", flags: 1}.bytes(),
		m.Bytes(descr), xmlOf("", storageOf(0, 64, imageOf(guidTop, "Plain", "hostile.hds")), ""))
}
