package luks_test

import (
	"bytes"
	"errors"
	"testing"

	"pgregory.net/rapid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/disk/memfs"
)

// few iterations: what is tested is not how long they take.
const few = 10

func header(t *testing.T, passphrase string) []byte {
	t.Helper()
	p, err := luks.New([]byte(passphrase), few)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func key(t *testing.T, p []byte, passphrase string) []byte {
	t.Helper()
	k, err := luks.MasterKey(p, []byte(passphrase))
	if err != nil {
		t.Fatalf("with %q: %v", passphrase, err)
	}
	return k
}

func TestPassphrasesComeAndGo(t *testing.T) {
	p := header(t, "one")
	master := key(t, p, "one")
	if len(master) != 64 {
		t.Fatalf("a master key of %d bytes", len(master))
	}
	if _, err := luks.MasterKey(p, []byte("two")); !errors.Is(err, disk.ErrWrongPassphrase) {
		t.Errorf("a wrong passphrase: %v", err)
	}
	both, err := luks.Add(p, []byte("one"), []byte("two"), few)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(key(t, both, "one"), master) || !bytes.Equal(key(t, both, "two"), master) {
		t.Error("a further passphrase opens another key")
	}
	if !luks.SameKey(p, both) || luks.SameKey(p, header(t, "one")) {
		t.Error("headers are not told by their keys")
	}
	if n, err := luks.Passphrases(both); n != 2 || err != nil {
		t.Errorf("%d passphrases, %v", n, err)
	}
	other, err := luks.Remove(both, []byte("one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := luks.MasterKey(other, []byte("one")); !errors.Is(err, disk.ErrWrongPassphrase) {
		t.Errorf("one that was taken away: %v", err)
	}
	if !bytes.Equal(key(t, other, "two"), master) {
		t.Error("taking one away changed the key")
	}
	if _, err := luks.Remove(other, []byte("two")); !errors.Is(err, luks.ErrLastSlot) {
		t.Errorf("the last one: %v", err)
	}
}

func TestSlotsAreEight(t *testing.T) {
	p := header(t, "0")
	for i := 1; i < 8; i++ {
		var err error
		if p, err = luks.Add(p, []byte("0"), []byte{'0' + byte(i)}, few); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := luks.Add(p, []byte("0"), []byte("8"), few); !errors.Is(err, luks.ErrNoSlot) {
		t.Errorf("a ninth: %v", err)
	}
	for _, empty := range [][]byte{nil, make([]byte, luks.MaxPassphrase+1)} {
		if _, err := luks.New(empty, few); err == nil {
			t.Errorf("a passphrase of %d bytes was taken", len(empty))
		}
	}
}

// encrypted is an encrypted raw disk of a size in memory, with its header.
func encrypted(t testing.TB, size int64) (*memfs.FS, []byte) {
	p, err := luks.New([]byte("secret"), few)
	if err != nil {
		t.Fatal(err)
	}
	fs := memfs.New()
	f, err := fs.Create("disk.luks")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt(p, 0); err != nil {
		t.Fatal(err)
	}
	if err := f.Truncate(int64(len(p)) + size); err != nil {
		t.Fatal(err)
	}
	return fs, p
}

func open(t testing.TB, fs disk.FS, keys disk.Keys) disk.Image {
	img, err := disk.Open("disk.luks", disk.Options{FS: fs, Formats: []*disk.Format{luks.Format}, Write: true, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return img
}

// Whatever is written, in whatever pieces, reads back, and the file holds none of it.
func TestWritesReadBack(t *testing.T) {
	const size = 64 << 10
	fs, _ := encrypted(t, size)
	keys := luks.NewKeys([]byte("secret"))
	img := open(t, fs, keys)
	model := make([]byte, size)
	if _, err := img.(disk.Writer).WriteAt(model, 0); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		off := rapid.Int64Range(0, size-1).Draw(t, "off")
		p := rapid.SliceOfN(rapid.Byte(), 1, int(min(size-off, 3000))).Draw(t, "p")
		if _, err := img.(disk.Writer).WriteAt(p, off); err != nil {
			t.Fatal(err)
		}
		copy(model[off:], p)
		got := make([]byte, size)
		if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, model) {
			t.Fatalf("reads otherwise, %v", err)
		}
	})
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}
	locked := open(t, fs, nil)
	defer locked.Close()
	if _, err := locked.ReadAt(make([]byte, 1), 0); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("without a passphrase: %v", err)
	}
	if info := disk.Describe(locked); !info.Encrypted || info.Size != size {
		t.Errorf("described as %+v", info)
	}
	_, err := disk.Open("disk.luks", disk.Options{FS: fs, Formats: []*disk.Format{luks.Format}, Keys: luks.NewKeys([]byte("other"))})
	if !errors.Is(err, disk.ErrWrongPassphrase) {
		t.Errorf("with another passphrase: %v", err)
	}
}

func TestHeaderIsReplaced(t *testing.T) {
	fs, p := encrypted(t, 4096)
	img := open(t, fs, luks.NewKeys([]byte("secret")))
	if _, err := img.(disk.Writer).WriteAt([]byte("content"), 100); err != nil {
		t.Fatal(err)
	}
	both, err := luks.Add(p, []byte("secret"), []byte("further"), few)
	if err != nil {
		t.Fatal(err)
	}
	if err := img.(disk.Encrypted).SetEncryptionHeader(header(t, "secret")); err == nil {
		t.Error("a header of another master key was taken")
	}
	if err := errors.Join(img.(disk.Encrypted).SetEncryptionHeader(both), img.Close()); err != nil {
		t.Fatal(err)
	}
	img = open(t, fs, luks.NewKeys([]byte("further")))
	defer img.Close()
	got := make([]byte, 7)
	if _, err := img.ReadAt(got, 100); err != nil || string(got) != "content" {
		t.Errorf("reads %q, %v", got, err)
	}
}

// FuzzHeader opens headers of any content: they give an error or a disk, in bounded time.
func FuzzHeader(f *testing.F) {
	p, err := luks.New([]byte("x"), few)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(p[:1024])
	f.Fuzz(func(t *testing.T, head []byte) {
		fs := memfs.New()
		file, err := fs.Create("disk.luks")
		if err != nil {
			t.Fatal(err)
		}
		_, _ = file.WriteAt(head, 0)
		_ = file.Truncate(1 << 20)
		img, err := disk.Open("disk.luks", disk.Options{FS: fs, Formats: []*disk.Format{luks.Format}, Format: "luks"})
		if err != nil {
			return
		}
		_, _ = img.ReadAt(make([]byte, 100), 0)
		_ = img.Close()
	})
}
