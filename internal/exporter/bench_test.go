package exporter_test

import (
	"context"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/internal/appliance"
	"github.com/panalvm/panal/internal/exporter"
)

// large is a machine with a disk of 256 MiB, of noise, zeros and what can be
// compressed, a third each.
func large(b *testing.B) exporter.Machine {
	b.Helper()
	path := filepath.Join(b.TempDir(), "disk.raw")
	content := make([]byte, 256<<20)
	noise := rand.NewChaCha8([32]byte{1})
	for at := 0; at < len(content); at += 3 << 20 {
		piece := content[at:min(at+3<<20, len(content))]
		_, _ = noise.Read(piece[:min(1<<20, len(piece))])
		for i := 1 << 20; i < min(2<<20, len(piece)); i++ {
			piece[i] = "what a guest writes is text more often than not, and says the same again and again"[(i*i>>7)%82]
		}
	}
	if err := os.WriteFile(path, content, 0o600); err != nil {
		b.Fatal(err)
	}
	img, err := disk.Open(path, disk.Options{FS: hostfs.Everywhere(), Formats: formats.All(), Format: "raw"})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = img.Close() })
	builder := appliance.NewBuilder("web")
	builder.Name("web")
	builder.CPUs(1, 0)
	builder.Drive(api.Disk, builder.Controller(api.SATA), 0, &appliance.Disk{File: "x", Size: 256 << 20})
	return exporter.Machine{Spec: builder.Finish().Spec, Images: map[string]disk.Image{"disk0": img}}
}

func BenchmarkExport(b *testing.B) {
	m := large(b)
	for name, format := range map[string]string{"streamOptimized": "", "raw": "raw"} {
		b.Run("archive of "+name, func(b *testing.B) {
			b.SetBytes(256 << 20)
			for b.Loop() {
				file, err := os.Create(filepath.Join(b.TempDir(), "web.ova"))
				if err != nil {
					b.Fatal(err)
				}
				o := options("web")
				o.Format = format
				if err := exporter.ToArchive(context.Background(), file, []exporter.Machine{m}, o); err != nil {
					b.Fatal(err)
				}
				_ = file.Close()
				_ = os.Remove(file.Name())
			}
		})
		b.Run("pipe of "+name, func(b *testing.B) {
			b.SetBytes(256 << 20)
			for b.Loop() {
				o := options("web")
				o.Format = format
				if err := exporter.ToPipe(context.Background(), io.Discard, []exporter.Machine{m}, o); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
