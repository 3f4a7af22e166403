package qcow2_test

import (
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/qcow2"
)

const benchSize = 256 << 20

// benchDisk is a raw disk of mixed content.
func benchDisk(b *testing.B) disk.Image {
	b.Helper()
	name := filepath.Join(b.TempDir(), "raw")
	writeFile(b, name, noise(benchSize, 1))
	img := openImage(b, name, false)
	b.Cleanup(func() { closeImage(b, img) })
	return img
}

func benchTarget(b *testing.B, options map[string]string) disk.Image {
	b.Helper()
	img, err := disk.Create(filepath.Join(b.TempDir(), "bench.qcow2"), disk.CreateOptions{
		FS: hostfs.Everywhere(), Formats: []*disk.Format{qcow2.Format}, Format: "qcow2", Size: benchSize, Options: options,
	})
	if err != nil {
		b.Fatal(err)
	}
	return img
}

func BenchmarkCopyInto(b *testing.B) {
	src := benchDisk(b)
	for _, o := range []map[string]string{{}, {"extendedL2": "on"}, {"clusterSize": "4K"}} {
		b.Run(label(o), func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				dst := benchTarget(b, o)
				if err := disk.Copy(b.Context(), dst, src, disk.CopyOptions{}); err != nil {
					b.Fatal(err)
				}
				closeImage(b, dst)
			}
		})
	}
}

func BenchmarkCompress(b *testing.B) {
	src := benchDisk(b)
	for _, o := range []map[string]string{{}, {"compression": "zstd"}} {
		b.Run(label(o), func(b *testing.B) {
			b.SetBytes(benchSize)
			for b.Loop() {
				compressInto(b, benchTarget(b, o), src)
			}
		})
	}
}

func compressInto(b *testing.B, dst, src disk.Image) {
	b.Helper()
	sink, err := dst.(disk.Compressor).Compressing()
	if err != nil {
		b.Fatal(err)
	}
	if err := disk.Fill(b.Context(), sink, src, disk.CopyOptions{}); err != nil {
		b.Fatal(err)
	}
	closeImage(b, dst)
}

func BenchmarkRead(b *testing.B) {
	src := benchDisk(b)
	plainImage, packed := benchTarget(b, nil), benchTarget(b, nil)
	if err := disk.Copy(b.Context(), plainImage, src, disk.CopyOptions{}); err != nil {
		b.Fatal(err)
	}
	sink, err := packed.(disk.Compressor).Compressing()
	if err != nil {
		b.Fatal(err)
	}
	if err := disk.Fill(b.Context(), sink, src, disk.CopyOptions{}); err != nil {
		b.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		img    disk.Image
		size   int
		random bool
	}{
		{"sequential", plainImage, 1 << 20, false},
		{"random4K", plainImage, 4096, true},
		{"compressed", packed, 1 << 20, false},
	} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(int64(c.size))
			b.ReportAllocs()
			rng, p, off := rand.New(rand.NewPCG(1, 1)), make([]byte, c.size), int64(0)
			for b.Loop() {
				if off = (off + int64(c.size)) % benchSize; c.random {
					off = rng.Int64N(benchSize/4096) * 4096
				}
				if _, err := c.img.ReadAt(p, off); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	closeImage(b, plainImage)
	closeImage(b, packed)
}
