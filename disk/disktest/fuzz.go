package disktest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"runtime"
	"testing"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/memfs"
)

// What an image, however made, may cost.
const (
	// maxMemory is how much may be allocated in all while an image is opened
	// and looked through, in bytes: the growth of runtime.MemStats.TotalAlloc,
	// which counts also what is freed again.
	maxMemory = 64 << 20
	// maxOps is how often files may be read and written, beside once for
	// every opsEach bytes of the image.
	maxOps, opsEach = 20_000, 64
	// maxYield is how many extents and fields are asked for.
	maxYield = 2000
)

// Fuzz is a fuzz target: it takes bytes for an image of each of the formats,
// reads it in all manners, then writes to it. Panics, more memory than 64 MiB, and
// more file operations than the length can explain are failures; errors are not.
//
// The go command spends up to a minute on making each new input smaller; run it
// with -fuzzminimizetime=10x.
func Fuzz(f *testing.F, formats []*disk.Format, seeds ...[]byte) {
	for _, seed := range seeds {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if err := Hostile(formats, data); err != nil {
			t.Fatal(err)
		}
	})
}

// Hostile is what Fuzz does with one input, for tests of inputs that were found.
func Hostile(formats []*disk.Format, data []byte) error {
	sample, err := disk.NewSample(bytes.NewReader(data), int64(len(data)), "hostile")
	if err != nil {
		return err
	}
	disk.Probe(formats, sample)
	for _, f := range formats {
		for _, o := range []disk.Options{{}, {Alone: true}, {Write: true, Alone: true}} {
			if err := survive(f, formats, data, o); err != nil {
				return fmt.Errorf("%s (write %v, alone %v): %w", f.Name, o.Write, o.Alone, err)
			}
		}
	}
	return nil
}

// survive opens bytes as an image of one format, under all limits.
func survive(f *disk.Format, formats []*disk.Format, data []byte, o disk.Options) error {
	name := "hostile"
	if len(f.Extensions) > 0 {
		name += "." + f.Extensions[0]
	}
	mem := memfs.New()
	mem.Put(name, data)
	bounds := &limit{ops: maxOps + len(data)/opsEach, reach: int64(len(data)) + 256<<20}
	w := &watched{FS: mem, limit: bounds}
	o.FS, o.Formats, o.Format = w, formats, f.Name

	before := allocated()
	img, err := disk.Open(name, o)
	if err == nil {
		if o.Write {
			err = scribble(img)
		} else {
			err = lookThrough(img)
		}
		_ = img.Close() // a broken image may have nothing that could be written out
	} else {
		err = nil
	}
	cost := allocated() - before
	switch {
	case err != nil:
		return err
	case bounds.exceeded():
		return fmt.Errorf("more than %d file operations for a file of %d bytes", maxOps+len(data)/opsEach, len(data))
	case cost > maxMemory+uint64(len(data))*4:
		return fmt.Errorf("%d MiB were allocated for a file of %d bytes", cost>>20, len(data))
	}
	return w.allClosed()
}

// allocated is how much memory was ever allocated.
func allocated() uint64 {
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.TotalAlloc
}

// lookThrough reads an image in all manners. What it returns are breaches of
// contracts; an image's own errors are its right.
func lookThrough(img disk.Image) error {
	info := disk.Describe(img)
	if info.Size != img.Size() || img.Size() < 0 {
		return fmt.Errorf("the disk has %d bytes and is described with %d", img.Size(), info.Size)
	}
	fields := 0
	if d, ok := img.(disk.Dumper); ok {
		for range d.Dump(context.Background()) {
			if fields++; fields >= maxYield {
				break
			}
		}
	}
	_, _ = disk.Check(context.Background(), img)
	if s, ok := img.(disk.Snapshotter); ok {
		_ = s.Snapshots()
	}
	return errors.Join(lookAtExtents(img), readHere(img))
}

// lookAtExtents walks the map, for a while.
func lookAtExtents(img disk.Image) error {
	m, ok := img.(disk.Mapper)
	if !ok {
		return nil
	}
	off := int64(0)
	for range maxYield {
		n := img.Size() - off
		if n <= 0 {
			return nil
		}
		e, err := m.Map(off, n)
		if err != nil {
			return nil
		}
		if e.Off != off || e.Len <= 0 || e.Len > n {
			return fmt.Errorf("map(%d,%d) gave [%d,+%d)", off, n, e.Off, e.Len)
		}
		off = e.End()
	}
	return nil
}

// readHere reads at both ends and at places between.
func readHere(img disk.Image) error {
	buffer, size := make([]byte, 64<<10), img.Size()
	for _, off := range []int64{0, 1, size / 3, size / 2, size - 70000, size - 512, size - 1, size, size + 512} {
		if off < 0 {
			continue
		}
		n, err := img.ReadAt(buffer, off)
		if n < 0 || n > len(buffer) || int64(n) > max(0, size-off) || err == nil && n < len(buffer) ||
			err == io.EOF && int64(n) != max(0, min(size-off, int64(len(buffer)))) {
			return fmt.Errorf("reading %d bytes at %d of %d gave %d and the error %v", len(buffer), off, size, n, err)
		}
	}
	return nil
}

// scribble writes to an image in all manners; all of it may fail.
func scribble(img disk.Image) error {
	w, ok := img.(disk.Writer)
	if !ok {
		return nil
	}
	size := img.Size()
	for _, off := range []int64{0, size / 2, size - 5000} {
		off = max(0, min(off, size-1))
		n := min(4500, size-off)
		if n <= 0 {
			continue
		}
		want := make([]byte, n)
		noise(want, uint64(off)+1)
		_, _ = w.WriteAt(want, off)
	}
	_ = disk.Zero(img, size/3, min(100_000, size-size/3))
	_ = disk.Discard(img, size/4, min(100_000, size-size/4))
	_ = w.Sync()
	_, _ = disk.Repair(context.Background(), img)
	_ = disk.Resize(img, size+1<<20)
	return nil
}
