package hostfs

import (
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// earlyStep is after how much written the store is told to begin, in bytes:
// enough for the file system to give it one extent, and little to wait for in the end.
const earlyStep = 16 << 20

// early has the kernel write out a file while it is still being filled from its
// beginning to its end, so that the sync at the end finds little left to do. It
// changes nothing but when that happens.
type early struct {
	mu         sync.Mutex // guards what follows
	begin, end int64      // what was written and not passed on lies between
	written    int64
	busy       bool

	underWay sync.WaitGroup
}

// wrote notes that a range of the file was written. Of ranges before those
// that were passed on nothing is said: they are headers and tables, written again and again.
func (e *early) wrote(file *os.File, off, n int64) {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.end = max(e.end, off+n)
	e.written += n
	if e.written < earlyStep || e.busy {
		return
	}
	from, length := e.begin, e.end-e.begin
	e.begin, e.written = e.end, 0
	if length <= 0 {
		return
	}
	e.busy = true
	e.underWay.Go(func() {
		// It waits when the store has much to do already. Where it fails nothing is
		// lost, and an error of the store itself is told by fsync.
		_ = unix.SyncFileRange(int(file.Fd()), from, length, unix.SYNC_FILE_RANGE_WRITE)
		e.mu.Lock()
		defer e.mu.Unlock()
		e.busy = false
	})
}

// wait is for before the file is closed.
func (e *early) wait() {
	if e != nil {
		e.underWay.Wait()
	}
}
