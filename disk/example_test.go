package disk_test

import (
	"bytes"
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/formats"
	"github.com/panalvm/panal/disk/hostfs"
	"github.com/panalvm/panal/disk/memfs"
)

// An image is made, filled, and read again, as a guest would.
func ExampleCreate() {
	files := memfs.New()
	img, err := disk.Create("data.vhdx", disk.CreateOptions{
		FS: files, Formats: formats.All(), Format: "vhdx:dynamic", Size: 1 << 30,
		Options: map[string]string{"blockSize": "2M"},
	})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := img.(disk.Writer).WriteAt([]byte("hello"), 512<<20); err != nil {
		log.Fatal(err)
	}
	if err := img.Close(); err != nil {
		log.Fatal(err)
	}

	img, err = disk.Open("data.vhdx", disk.Options{FS: files, Formats: formats.All()})
	if err != nil {
		log.Fatal(err)
	}
	defer img.Close()
	word := make([]byte, 5)
	if _, err := img.ReadAt(word, 512<<20); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s, %d bytes, says %q\n", disk.Describe(img).Format, img.Size(), word)
	// Output: vhdx, 1073741824 bytes, says "hello"
}

// A differencing image holds only what was written to it; the layers of the
// chain tell who answers for what.
func ExampleLayers() {
	files := memfs.New()
	all := formats.All()
	base, err := disk.Create("base.vdi", disk.CreateOptions{FS: files, Formats: all, Format: "vdi", Size: 4 << 20})
	if err != nil {
		log.Fatal(err)
	}
	defer base.Close()
	_, _ = base.(disk.Writer).WriteAt(bytes.Repeat([]byte("old "), 1<<18), 0)

	child, err := disk.Create("child.vdi", disk.CreateOptions{
		FS: files, Formats: all, Format: "vdi:differencing", Parent: base, ParentName: "base.vdi",
	})
	if err != nil {
		log.Fatal(err)
	}
	defer child.Close()
	_, _ = child.(disk.Writer).WriteAt([]byte("new"), 2<<20)

	for layer, err := range disk.Layers(context.Background(), child) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%d MiB at %d: %s of image %d\n", layer.Len>>20, layer.Off>>20, layer.State, layer.Depth)
	}
	// Output:
	// 1 MiB at 0: data of image 1
	// 1 MiB at 1: unallocated of image 1
	// 1 MiB at 2: data of image 0
	// 1 MiB at 3: unallocated of image 1
}

// A disk is converted in files of the host. The new image appears under its
// name when it is complete and durable.
func ExampleCopy() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "a.raw"), make([]byte, 3<<20), 0o666); err != nil {
		log.Fatal(err)
	}
	files, err := hostfs.Within(dir)
	if err != nil {
		log.Fatal(err)
	}
	src, err := disk.Open(filepath.Join(dir, "a.raw"), disk.Options{FS: files, Formats: formats.All(), Format: "raw"})
	if err != nil {
		log.Fatal(err)
	}
	defer src.Close()

	stage := hostfs.NewStage(files)
	defer stage.Abort()
	dst, err := disk.Create(filepath.Join(dir, "a.vmdk"), disk.CreateOptions{FS: stage, Formats: formats.All(), Format: "vmdk", Size: src.Size()})
	if err != nil {
		log.Fatal(err)
	}
	if err := disk.Copy(context.Background(), dst, src, disk.CopyOptions{}); err != nil {
		log.Fatal(err)
	}
	if err := dst.Close(); err != nil {
		log.Fatal(err)
	}
	if err := stage.Commit(false); err != nil {
		log.Fatal(err)
	}

	made, err := disk.Open(filepath.Join(dir, "a.vmdk"), disk.Options{FS: files, Formats: formats.All()})
	if err != nil {
		log.Fatal(err)
	}
	defer made.Close()
	found, err := disk.Compare(context.Background(), src, made, disk.CopyOptions{})
	fmt.Println(found.Same, err)
	// Output: true <nil>
}
