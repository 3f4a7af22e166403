package crash

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/client"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
)

// TestImportWithinADisk kills the daemon in the midst of a disk, cancels the next attempt, and goes on: what was read
// before is not read again, which is seen by putting other content there that looks the same from outside.
func TestImportWithinADisk(t *testing.T) {
	program := needs(t)
	t.Parallel()
	w := newWorld(t, program, still(t))
	w.keeps = true
	w.image()
	source := filepath.Join(w.images, "large.img")
	want := w.noise(source, 300<<20)
	ask := func(c *client.Client) (api.Task, error) {
		return c.Import(w.ctx, api.ImportRequest{Source: source, Name: subject, Resume: true})
	}

	w.restart("kill:import.part-kept@2")
	_ = w.with(func(c *client.Client) error { _, err := ask(c); return err })
	w.died(nil)
	w.blot(source, 1<<20, 99<<20)
	w.begin("wait:import.part-kept")
	ended := w.cancel(true, ask)
	if ended.State != api.TaskCancelled || !strings.Contains(ended.Error.Error()+ended.Error.Help, "of its disk are kept") {
		t.Errorf("the task is %s: %v", ended.State, ended.Error)
	}
	w.blot(source, 100<<20, 28<<20)
	w.restart("")
	w.must(w.importResuming(source, subject))
	machine := w.get(subject)
	if got := w.digest(filepath.Join(machine.Folder, machine.Spec.Drives[0].File)); got != want {
		t.Error("the disk does not read as the source did: what was copied was read again")
	}
	w.nothingKept()
	w.sound()
}

// noise makes a disk that looks as if a machine could start from it, and returns the digest of it.
func (w *world) noise(path string, size int64) [sha256.Size]byte {
	w.t.Helper()
	file, err := os.Create(path)
	w.must(err)
	sum := sha256.New()
	first := make([]byte, 512) // one that a machine starts from
	first[0] = 0xfa
	copy(first[510:], "\x55\xaa")
	_, err = io.Copy(io.MultiWriter(file, sum), io.MultiReader(bytes.NewReader(first), io.LimitReader(rand.NewChaCha8([32]byte{3}), size-512)))
	w.must(errors.Join(err, file.Close()))
	return [sha256.Size]byte(sum.Sum(nil))
}

// blot puts other content into a file, which keeps its time.
func (w *world) blot(path string, off, n int64) {
	w.t.Helper()
	info, err := os.Stat(path)
	w.must(err)
	file, err := os.OpenFile(path, os.O_WRONLY, 0)
	w.must(err)
	_, err = file.WriteAt(make([]byte, n), off)
	w.must(errors.Join(err, file.Close(), os.Chtimes(path, time.Time{}, info.ModTime())))
}

// digest is that of what an image reads as.
func (w *world) digest(path string) [sha256.Size]byte {
	w.t.Helper()
	img, err := disk.Open(path, disk.Options{FS: hostfs.Everywhere(), Formats: formats.All(), Format: "qcow2"})
	w.must(err)
	defer img.Close()
	sum := sha256.New()
	_, err = io.Copy(sum, io.NewSectionReader(img, 0, img.Size()))
	w.must(err)
	return [sha256.Size]byte(sum.Sum(nil))
}
