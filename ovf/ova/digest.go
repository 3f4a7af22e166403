package ova

import (
	"hash"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/ovf"
)

// Sums are digests of one file.
type Sums map[ovf.Algorithm][]byte

const (
	pieceSize   = 256 << 10
	piecesAhead = 8 // how many may wait to be hashed
)

// digester computes digests of what passes, beside the goroutine that it passes
// through: each algorithm in a goroutine of its own.
type digester struct {
	hashes []hashing
	free   chan *piece
	done   sync.WaitGroup
}

type hashing struct {
	algorithm ovf.Algorithm
	hash.Hash
	queue chan *piece
}

// piece is a part of the content that waits to be hashed.
type piece struct {
	data  []byte
	users atomic.Int32 // hashes that still need it
}

// newDigester starts. Content that is known to be small is hashed where it
// passes.
func newDigester(algorithms []ovf.Algorithm, small bool) *digester {
	d := &digester{}
	for _, a := range algorithms {
		d.hashes = append(d.hashes, hashing{algorithm: a, Hash: a.New()})
	}
	if small || len(algorithms) == 0 {
		return d
	}
	d.free = make(chan *piece, piecesAhead)
	for range piecesAhead {
		d.free <- &piece{}
	}
	for i := range d.hashes {
		d.hashes[i].queue = make(chan *piece, piecesAhead)
		d.done.Go(func() { d.run(d.hashes[i]) })
	}
	return d
}

func (d *digester) run(h hashing) {
	for p := range h.queue {
		h.Write(p.data)
		if p.users.Add(-1) == 0 {
			d.free <- p
		}
	}
}

// write takes the next bytes; they may be changed when it returns.
func (d *digester) write(p []byte) {
	if d.free == nil {
		for _, h := range d.hashes {
			h.Write(p)
		}
		return
	}
	for len(p) > 0 {
		part := p[:min(len(p), pieceSize)]
		p = p[len(part):]
		next := <-d.free
		next.data = append(next.data[:0], part...)
		next.users.Store(int32(len(d.hashes)))
		for _, h := range d.hashes {
			h.queue <- next
		}
	}
}

// finish waits for all that was written, and gives the digests. It must be
// called once.
func (d *digester) finish() Sums {
	if d.free != nil {
		for _, h := range d.hashes {
			close(h.queue)
		}
		d.done.Wait()
	}
	sums := Sums{}
	for _, h := range d.hashes {
		sums[h.algorithm] = h.Sum(nil)
	}
	return sums
}

// Digester computes a digest of what is written to it, in a goroutine of its
// own, so that who writes need not wait for it: for files that lie beside a
// descriptor and not in an archive.
type Digester struct {
	algorithm ovf.Algorithm
	digester  *digester
}

// NewDigester starts. Sum must be called, once, for its goroutine to end.
func NewDigester(algorithm ovf.Algorithm) *Digester {
	return &Digester{algorithm, newDigester([]ovf.Algorithm{algorithm}, false)}
}

// Write takes the next bytes, which may be changed when it returns. It never fails.
func (d *Digester) Write(p []byte) (int, error) {
	d.digester.write(p)
	return len(p), nil
}

// Sum waits for all that was written, and gives the digest.
func (d *Digester) Sum() []byte { return d.digester.finish()[d.algorithm] }
