package formats_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/luks"
	"github.com/panalvm/panal/internal/testenv"
)

const (
	sealedSize = 3<<20 + 4096
	sealedPass = "wrapped in riddles"
	sealedText = "what nobody shall read without the key"
)

// qemuImg runs qemu-img with the passphrase as its secret s0.
func qemuImg(t *testing.T, dir string, args ...string) {
	t.Helper()
	args = append([]string{args[0], "--object", "secret,id=s0,data=" + sealedPass}, args[1:]...)
	cmd := exec.CommandContext(t.Context(), testenv.Need(t, "qemu-img"), args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("qemu-img %v: %v\n%s", args, err, out)
	}
}

func sealedFS(t *testing.T, dir string) disk.FS {
	t.Helper()
	files, err := hostfs.Beside(filepath.Join(dir, "x"))
	must(t, err)
	return files
}

// sealedContent is a disk's, with text to look for, zeros and noise.
func sealedContent() []byte {
	content := make([]byte, sealedSize)
	random := rand.New(rand.NewPCG(1, 2))
	for at := 0; at < 300_000; at++ {
		content[1<<20+at] = byte(random.Uint32())
	}
	for at := 700; at < 100_000; at += 1000 {
		copy(content[at:], sealedText)
	}
	return content
}

// fillSealed writes the content as a guest would: in pieces that fit nothing.
func fillSealed(t *testing.T, img disk.Image, content []byte) {
	t.Helper()
	for at := 0; at < len(content); {
		n := min(len(content)-at, 37_123)
		if len(bytes.Trim(content[at:at+n], "\x00")) > 0 {
			_, err := img.(disk.Writer).WriteAt(content[at:at+n], int64(at))
			must(t, err)
		}
		at += n
	}
	must(t, img.Close())
}

func mustHold(t *testing.T, path string, content []byte, o disk.Options) {
	t.Helper()
	o.FS, o.Formats = sealedFS(t, filepath.Dir(path)), formats.All()
	img, err := disk.Open(path, o)
	must(t, err)
	defer img.Close()
	got := make([]byte, len(content))
	_, err = img.ReadAt(got, 0)
	must(t, err)
	if !bytes.Equal(got, content) {
		t.Errorf("%s holds another content", path)
	}
}

// QEMU reads what we encrypt, and finds nothing wrong with it; no byte of the text is in the file.
func TestQEMUReadsWhatWeEncrypt(t *testing.T) {
	for _, options := range []map[string]string{nil, {"clusterSize": "4K"}, {"extendedL2": "on"}, {"preallocation": "full"}} {
		dir, content := t.TempDir(), sealedContent()
		header, err := luks.New([]byte(sealedPass), 1000)
		must(t, err)
		keys := luks.NewKeys([]byte(sealedPass))
		o := disk.CreateOptions{FS: sealedFS(t, dir), Formats: formats.All(), Format: "qcow2", Size: sealedSize, Options: options, Encryption: header, Keys: keys}
		path := filepath.Join(dir, "a.qcow2")
		img, err := disk.Create(path, o)
		must(t, err)
		fillSealed(t, img, content)
		mustHold(t, path, content, disk.Options{Keys: keys})
		qemuImg(t, dir, "convert", "--image-opts", "driver=qcow2,encrypt.key-secret=s0,file.filename=a.qcow2", "-O", "raw", "a.raw")
		mustHold(t, filepath.Join(dir, "a.raw"), content, disk.Options{Format: "raw"})
		qemuImg(t, dir, "check", "--image-opts", "driver=qcow2,encrypt.key-secret=s0,file.filename=a.qcow2")
		mustBeSound(t, path)
		if raw, err := os.ReadFile(path); err != nil || bytes.Contains(raw, []byte(sealedText[:16])) {
			t.Errorf("%v: the text is in the file (%v)", options, err)
		}
	}
}

func mustBeSound(t *testing.T, path string) {
	t.Helper()
	img, err := disk.Open(path, disk.Options{FS: sealedFS(t, filepath.Dir(path)), Formats: formats.All()})
	must(t, err)
	defer img.Close()
	report, err := img.(disk.Checker).Check(context.Background())
	if err != nil || len(report.Findings) > 0 {
		t.Errorf("check: %v, %+v", err, report.Findings)
	}
}

// We read what QEMU encrypts, in QCOW2 and raw, write into it, and QEMU reads that.
func TestWeWriteWhatQEMUEncrypted(t *testing.T) {
	for _, kind := range []struct{ format, options, opts string }{
		{"qcow2", "encrypt.format=luks,encrypt.key-secret=s0,encrypt.iter-time=10", "driver=qcow2,encrypt.key-secret=s0,file.filename=b"},
		{"luks", "key-secret=s0,iter-time=10", "driver=luks,key-secret=s0,file.filename=b"},
		{"luks", "key-secret=s0,iter-time=10,cipher-alg=aes-128,hash-alg=sha1", "driver=luks,key-secret=s0,file.filename=b"},
	} {
		dir, content := t.TempDir(), sealedContent()
		must(t, os.WriteFile(filepath.Join(dir, "b.raw"), content, 0o600))
		qemuImg(t, dir, "convert", "-f", "raw", "-O", kind.format, "-o", kind.options, "b.raw", "b")
		path, keys := filepath.Join(dir, "b"), luks.NewKeys([]byte(sealedPass))
		mustHold(t, path, content, disk.Options{Keys: keys})
		img, err := disk.Open(path, disk.Options{FS: sealedFS(t, dir), Formats: formats.All(), Write: true, Keys: keys})
		must(t, err)
		if info := disk.Describe(img); !info.Encrypted || info.Format != kind.format {
			t.Errorf("described as %+v", info)
		}
		_, err = img.(disk.Writer).WriteAt([]byte("changed"), 2<<20+777)
		must(t, errors.Join(err, img.Close()))
		copy(content[2<<20+777:], "changed")
		qemuImg(t, dir, "convert", "--image-opts", kind.opts, "-O", "raw", "c.raw")
		mustHold(t, filepath.Join(dir, "c.raw"), content, disk.Options{Format: "raw"})
	}
}

// An image above an encrypted one is made without its passphrase, by its header, and has its key;
// a passphrase that is added to it opens it in QEMU too.
func TestImagesAboveEncryptedOnes(t *testing.T) {
	dir := t.TempDir()
	header, err := luks.New([]byte("first"), 1000)
	must(t, err)
	files := sealedFS(t, dir)
	make := func(name string, parent disk.Image, parentName string, header []byte) disk.Image {
		img, err := disk.Create(filepath.Join(dir, name), disk.CreateOptions{
			FS: files, Formats: formats.All(), Format: "qcow2", Size: sealedSize, Parent: parent, ParentName: parentName, Encryption: header,
		})
		must(t, err)
		return img
	}
	base := make("base", nil, "", header)
	given, err := disk.EncryptionHeader(base)
	must(t, err)
	over := make("over", base, "base", given)
	if _, err := over.(disk.Writer).WriteAt([]byte("x"), 0); !errors.Is(err, disk.ErrLocked) {
		t.Errorf("written without a key: %v", err)
	}
	must(t, errors.Join(over.Close(), base.Close()))
	content := sealedContent()
	keys := luks.NewKeys([]byte("first"))
	img, err := disk.Open(filepath.Join(dir, "over"), disk.Options{FS: files, Formats: formats.All(), Write: true, Keys: keys})
	must(t, err)
	fillSealed(t, img, content)
	for _, name := range []string{"base", "over"} {
		both, err := luks.Add(header, []byte("first"), []byte(sealedPass), 1000)
		must(t, err)
		img, err := disk.Open(filepath.Join(dir, name), disk.Options{FS: files, Formats: formats.All(), Write: true, Alone: true})
		must(t, err)
		must(t, errors.Join(img.(disk.Encrypted).SetEncryptionHeader(both), img.Close()))
	}
	qemuImg(t, dir, "convert", "--image-opts",
		"driver=qcow2,encrypt.key-secret=s0,file.filename=over,backing.driver=qcow2,backing.encrypt.key-secret=s0,backing.file.filename=base", "-O", "raw", "o.raw")
	mustHold(t, filepath.Join(dir, "o.raw"), content, disk.Options{Format: "raw"})
	mustBeSound(t, filepath.Join(dir, "over"))
}
