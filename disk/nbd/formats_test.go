package nbd_test

import (
	"bytes"
	"io"
	"slices"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/memfs"
	"github.com/panalvm/panal/disk/nbd"
	"github.com/panalvm/panal/internal/testenv"
)

// Images of every format that can be written at random are filled, cut, compared
// by qemu over NBD, and hold after reopening what it wrote.
func TestEveryFormat(t *testing.T) {
	testenv.Need(t, "qemu-io")
	for _, f := range formats.All() {
		i := slices.IndexFunc(f.Variants, func(v disk.Variant) bool { return v.Create && v.Write })
		if f.Create == nil || i < 0 {
			continue
		}
		name := f.Name
		if v := f.Variants[i].Name; v != "" {
			name += ":" + v
		}
		t.Run(name, func(t *testing.T) { throughNBD(t, name) })
	}
}

func throughNBD(t *testing.T, format string) {
	const size = 32 << 20
	files := memfs.New()
	img, err := disk.Create("x", disk.CreateOptions{FS: files, Formats: formats.All(), Format: format, Size: size})
	if err != nil {
		t.Fatal(err)
	}
	server, socket := serve(t, nbd.Options{}, nbd.Export{Image: img})
	args := []string{"-f", "raw"}
	for _, command := range []string{
		"write -P 0x11 0 10M", "write -P 0x22 20M 5M", "write -P 0x33 12345k 7k", "write -z 2M 3M", "write -f -P 0x44 3M 512",
		"flush", "read -P 0x11 1M 1M", "read -P 0 2M 1M", "read -P 0x44 3M 512", "read -P 0 4M 512k", "read -P 0x22 24M 1M", "read -P 0 30M 2M",
	} {
		args = append(args, "-c", command)
	}
	run(t, "qemu-io", append(args, uri(socket, ""))...)
	checkMap(t, uri(socket, ""), img)
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if err := img.Close(); err != nil {
		t.Fatal(err)
	}

	want := make([]byte, size)
	for _, w := range []struct {
		b      byte
		off, n int
	}{{0x11, 0, 10 << 20}, {0x22, 20 << 20, 5 << 20}, {0x33, 12345 << 10, 7 << 10}, {0, 2 << 20, 3 << 20}, {0x44, 3 << 20, 512}} {
		copy(want[w.off:], bytes.Repeat([]byte{w.b}, w.n))
	}
	again, err := disk.Open("x", disk.Options{FS: files, Formats: formats.All(), Format: format})
	if err != nil {
		t.Fatal(err)
	}
	got := make([]byte, size)
	if n, err := again.ReadAt(got, 0); n != size || err != nil && err != io.EOF {
		t.Fatalf("%d bytes, %v", n, err)
	}
	if !bytes.Equal(got, want) {
		t.Error("other content after reopening")
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}
