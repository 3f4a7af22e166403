package hostfs

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	// directUnit is what offsets, lengths and addresses of direct writes are
	// multiples of, in bytes: no store has larger sectors.
	directUnit = 4096
	// directLeast is how many bytes are worth a write that is waited for.
	directLeast = 64 << 10
	// directMost is how many bytes one call takes, so that a cancel is soon seen.
	directMost = 2 << 20
)

// direct writes the content of a file that is being made past the page cache.
// Such a file is synced when it is complete, so that everything goes to the
// store in any case, and few read it soon; copying a disk of a machine through
// the cache would push out of it what others are using, and was measured to take five
// times as much of the processors' time in the kernel.
//
// What is small or does not lie on units goes through the cache: the kernel
// keeps both in step as long as they are not written at once, and images write
// content in whole clusters.
type direct struct {
	file    *os.File
	refused atomic.Bool // the file system cannot, or not here
}

// openDirect opens a file another time; nil where that is not possible.
func openDirect(file *os.File) *direct {
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", file.Fd()), os.O_WRONLY|unix.O_DIRECT, 0)
	if err != nil {
		return nil
	}
	return &direct{file: again}
}

// write writes the beginning of p and tells how much; 0 when it has to be written
// in another way, which also tells any error.
func (d *direct) write(p []byte, off int64) int {
	if d == nil || len(p) < directLeast || off%directUnit != 0 || uintptr(unsafe.Pointer(&p[0]))%directUnit != 0 || d.refused.Load() {
		return 0
	}
	n := min(len(p), directMost) &^ (directUnit - 1)
	if _, err := d.file.WriteAt(p[:n], off); err != nil {
		d.refused.Store(true)
		return 0
	}
	return n
}

func (d *direct) close() error {
	if d == nil {
		return nil
	}
	return d.file.Close()
}
