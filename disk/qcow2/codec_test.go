package qcow2

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// sources is n bytes of text: this package's own files.
func sources(t *testing.T, n int) []byte {
	t.Helper()
	names, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, name := range names {
		p, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, p...)
	}
	return all[:n]
}

// TestCompressionLevel makes an image at each level: what is tried harder is
// smaller, and all read the same.
func TestCompressionLevel(t *testing.T) {
	content := sources(t, 3<<16)
	last := len(content)
	for _, level := range []string{"fast", "default", "better"} {
		fs := memfs.New()
		img, err := disk.Create("x.qcow2", disk.CreateOptions{
			FS: fs, Formats: []*disk.Format{Format}, Format: "qcow2", Size: int64(len(content)),
			Options: map[string]string{"compression": "zstd", "compressionLevel": level},
		})
		if err != nil {
			t.Fatal(err)
		}
		size := fill(t, img, content)
		got := make([]byte, len(content))
		if _, err := img.ReadAt(got, 0); err != nil || !bytes.Equal(got, content) {
			t.Errorf("%s: it reads otherwise: %v", level, err)
		}
		if err := img.Close(); err != nil {
			t.Fatal(err)
		}
		if size >= last {
			t.Errorf("%s: %d bytes, not fewer than the %d of the level before", level, size, last)
		}
		last = size
	}
}

// fill gives an image its content, compressed, and tells to how much.
func fill(t *testing.T, img disk.Image, content []byte) (size int) {
	t.Helper()
	sink, err := img.(disk.Compressor).Compressing()
	if err != nil {
		t.Fatal(err)
	}
	for at := 0; at < len(content); at += sink.BlockSize() {
		q, err := sink.Encode(nil, content[at:at+sink.BlockSize()])
		if err != nil {
			t.Fatal(err)
		}
		size += len(q)
		if err := sink.Append(int64(at), q); err != nil {
			t.Fatal(err)
		}
	}
	if err := sink.Close(); err != nil {
		t.Fatal(err)
	}
	return size
}

// TestDeflateWindow sees to it that no match of a deflated cluster lies farther
// back than QEMU's decoder is told: noise that comes again behind 8 KiB stays as
// long as it is.
func TestDeflateWindow(t *testing.T) {
	c := newCodec(compressionZlib, 64<<10)
	cluster := make([]byte, 64<<10)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(cluster[:8<<10])
	for at := 8 << 10; at < len(cluster); at += 8 << 10 {
		copy(cluster[at:], cluster[:8<<10])
	}
	q, err := c.compress(nil, cluster)
	if err != nil || len(q) < len(cluster) {
		t.Errorf("%d bytes became %d: %v", len(cluster), len(q), err)
	}
	cluster = sources(t, 64<<10)
	got := make([]byte, len(cluster))
	if q, err = c.compress(nil, cluster); err != nil || len(q) > len(cluster)/3 {
		t.Errorf("%d bytes became %d: %v", len(cluster), len(q), err)
	}
	for _, src := range [][]byte{q, append(bytes.Clone(q), "what follows in the sector"...)} {
		if err := c.decompress(got, src); err != nil || !bytes.Equal(got, cluster) {
			t.Errorf("it came back otherwise: %v", err)
		}
	}
	if err := c.decompress(got, q[:len(q)/2]); err == nil {
		t.Error("half a stream was taken for a cluster")
	}
	if err := c.decompress(append(got, 0), q); err == nil {
		t.Error("a stream too short was taken for a cluster")
	}
}
