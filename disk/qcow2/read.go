package qcow2

import (
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// recent keeps the compressed cluster that was decoded last: small reads in a row
// want the same.
type recent struct {
	mu      sync.Mutex
	word    uint64 // of the L2 entry; 0 if none
	content []byte
}

// decode reads compressed clusters, a row of them at once.
func (img *image) decode(e disk.Extent, p []byte) error {
	first, last := e.Off>>img.clusterBits, (e.End()-1)>>img.clusterBits
	count := int(last - first + 1)
	workers := min(count, runtime.GOMAXPROCS(0), 8)
	if workers == 1 {
		return img.decodeClusters(e, p, nil)
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	failed := make([]error, workers)
	for w := range workers {
		wg.Go(func() { failed[w] = img.decodeClusters(e, p, &next) })
	}
	wg.Wait()
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

// decodeClusters decodes the clusters of e whose turn it is, by next; all when
// that is nil.
func (img *image) decodeClusters(e disk.Extent, p []byte, next *atomic.Int64) error {
	first := e.Off >> img.clusterBits
	count := (e.End()-1)>>img.clusterBits - first + 1
	for i := int64(0); i < count; i++ {
		if next != nil {
			if i = next.Add(1) - 1; i >= count {
				return nil
			}
		}
		begin := (first + i) << img.clusterBits
		from, to := max(begin, e.Off), min(begin+img.clusterSize(), e.End())
		if err := img.decodePart(begin, from-begin, p[from-e.Off:to-e.Off]); err != nil {
			return err
		}
	}
	return nil
}

// decodePart reads p from the compressed cluster at off of the disk, from its
// byte in on.
func (img *image) decodePart(off, in int64, p []byte) error {
	e, at, err := img.lookup(off)
	if err != nil {
		return err
	}
	if img.kindOf(e) != compressed { // overwritten meanwhile
		_, err := img.inner.ReadAt(p, off+in)
		return err
	}
	if int64(len(p)) == img.clusterSize() {
		return img.decompressAt(p, e, at)
	}
	r := &img.codec.recent
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.word != e.word {
		if r.content == nil {
			r.content = make([]byte, img.clusterSize())
		}
		r.word = 0
		if err := img.decompressAt(r.content, e, at); err != nil {
			return err
		}
		r.word = e.word
	}
	copy(p, r.content[in:])
	return nil
}

// decompressAt reads the cluster of a compressed entry, which lies at at.
func (img *image) decompressAt(dst []byte, e entry, at int64) error {
	off, n := img.span(e)
	src := img.codec.buffer(int(n))
	defer img.codec.buffers.Put(src)
	k, err := img.file.ReadAt((*src)[:n], off)
	if k == 0 {
		if err == nil || off > 0 && isEOF(err) {
			err = disk.Corrupt(formatName, at, "a compressed cluster at %#x, behind the end of the file", off)
		}
		return err
	}
	if err != nil && !isEOF(err) {
		return err
	}
	if err := img.codec.decompress(dst, (*src)[:k]); err != nil {
		return disk.Corrupt(formatName, off, "a compressed cluster of up to %d bytes: %v", n, err)
	}
	return nil
}

// forget drops the cluster that was decoded last: its place may be used again.
func (r *recent) forget() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.word = 0
}
