package xva

import (
	"context"
	"errors"
	"io"
	"os"
	"sort"
	"sync"

	"github.com/panalvm/panal/disk"
)

const (
	// maxCached is how many bytes of chunks are kept: what several readers
	// that ascend together are apart.
	maxCached = 64 << 20
	// freePasses is how many passes are made before a file is filled.
	freePasses = 2
	// leastChunk is how many bytes a chunk has at least when it is compressed: its
	// header alone has more.
	leastChunk = 16
	// maxUnstated is how large a disk may be whose size is found only by going
	// through all of it.
	maxUnstated = 16 << 30
	// maxSpool is how large the file may become.
	maxSpool = 64 << 30
)

// streamed is a disk of an archive that is compressed.
type streamed struct {
	a *archive
	d Disk

	mu       sync.Mutex // guards what follows
	chunks   []extent   // as far as they were seen
	complete bool       // all were
	pass     *pass      // under way, or nil
	next     int        // the chunk that it comes to next
	passes   int        // that were begun
	cache    map[int][]byte
	order    []int // of cache, the oldest first
	cached   int64
	spare    []byte // that left the cache
	spool    *spool // nil unless there is one
}

// extent is where a chunk lies on the disk.
type extent struct {
	off, n int64
	bad    error // it does not match its digest
}

var (
	_ disk.Mapper    = (*streamed)(nil)
	_ disk.Checker   = (*streamed)(nil)
	_ disk.Describer = (*streamed)(nil)
)

func openStreamed(a *archive, d Disk) (*streamed, error) {
	x := &streamed{a: a, d: d, cache: map[int][]byte{}}
	if d.Size > 0 {
		return x, nil
	}
	for !x.complete { // only the last chunk tells the size
		if last := len(x.chunks) - 1; last >= 0 && x.chunks[last].off > maxUnstated {
			return nil, errors.Join(disk.Unsupported(name, "the archive does not say how large %s is, and it goes on behind %d bytes; decompress it first", d.Ref, int64(maxUnstated)), x.release())
		}
		if err := x.step(); err != nil {
			return nil, errors.Join(err, x.release())
		}
	}
	if last := len(x.chunks) - 1; last >= 0 {
		x.d.Size = x.chunks[last].off + x.chunks[last].n
	}
	return x, nil
}

// Size is the disk's.
func (x *streamed) Size() int64 { return x.d.Size }

// Close closes the archive.
func (x *streamed) Close() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	return errors.Join(x.release(), x.a.file.Close())
}

// release gives back what reading took.
func (x *streamed) release() error {
	if x.pass != nil {
		x.pass.close()
		x.pass = nil
	}
	if x.spool != nil {
		return x.spool.close()
	}
	return nil
}

// Map describes the chunk at off, or the gap. It never tells of two chunks at
// once, and their place as one that cannot be joined: who follows the map
// reads each before the next is looked for.
func (x *streamed) Map(off, n int64) (disk.Extent, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, err := x.find(off)
	if err != nil {
		return disk.Extent{}, err
	}
	e := disk.Extent{Off: off, Len: n}
	if i == len(x.chunks) {
		return e, nil
	}
	c := x.chunks[i]
	if c.off > off {
		e.Len = min(n, c.off-off)
		return e, nil
	}
	e.State, e.Compressed, e.File = disk.Data, true, x.a.file
	e.Len = min(n, c.off+c.n-off)
	return e, nil
}

// find is the first chunk that ends behind off; it reads on until there is
// one.
func (x *streamed) find(off int64) (int, error) {
	for !x.complete && (len(x.chunks) == 0 || x.end() <= off) {
		if err := x.step(); err != nil {
			return 0, err
		}
	}
	return sort.Search(len(x.chunks), func(i int) bool { return x.chunks[i].off+x.chunks[i].n > off }), nil
}

func (x *streamed) end() int64 {
	last := x.chunks[len(x.chunks)-1]
	return last.off + last.n
}

// ReadAt reads the disk.
func (x *streamed) ReadAt(p []byte, off int64) (int, error) {
	return disk.ReadThrough(x, p, off, x.decode)
}

// decode copies a part of a chunk.
func (x *streamed) decode(e disk.Extent, p []byte) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	i, err := x.find(e.Off)
	if err != nil {
		return err
	}
	c := x.chunks[i]
	if c.bad != nil {
		return c.bad
	}
	within := e.Off - c.off
	if data := x.cache[i]; data != nil {
		copy(p, data[within:])
		return nil
	}
	if x.spool.has(i) {
		return readFull(x.spool.file, p, e.Off)
	}
	if x.pass != nil && x.next > i { // it went by: from the beginning
		x.pass.close()
		x.pass = nil
	}
	for x.cache[i] == nil {
		if err := x.step(); err != nil {
			return err
		}
		if x.pass == nil && x.cache[i] == nil && x.next == 0 {
			return disk.Corrupt(name, -1, "the archive changed while it was read")
		}
	}
	copy(p, x.cache[i][within:])
	return nil
}

// step reads the next chunk into the cache. At the end the pass is over.
func (x *streamed) step() error {
	if err := x.begin(); err != nil {
		return err
	}
	c, err := x.pass.next(x.room)
	if errors.Is(err, io.EOF) {
		x.complete = true
		x.pass.close()
		x.pass, x.next = nil, 0
		if len(x.chunks) == 0 && x.d.Size > 0 {
			return disk.Corrupt(name, -1, "the archive has no chunk of %s", x.d.Ref)
		}
		return nil
	}
	if err != nil {
		return err
	}
	if x.next == len(x.chunks) {
		if int64(x.next) > 1024+x.a.size/leastChunk {
			return disk.Corrupt(name, -1, "chunk %s/%08d is one of more than a file of %d bytes can have", x.d.Ref, c.number, x.a.size)
		}
		x.chunks = append(x.chunks, extent{c.off, int64(len(c.data)), c.bad})
		if x.complete = x.d.Size > 0 && x.end() >= x.d.Size; x.complete {
			if err := x.pass.behind(); err != nil {
				return err
			}
		}
	} else if known := x.chunks[x.next]; known.off != c.off || known.n != int64(len(c.data)) {
		return disk.Corrupt(name, -1, "the archive changed while it was read")
	}
	x.keep(x.next, c.data)
	x.spool.put(x.next, c.data, c.off)
	x.next++
	return nil
}

// begin begins a pass if none is under way.
func (x *streamed) begin() (err error) {
	if x.pass != nil {
		return nil
	}
	if x.pass, err = newPass(x.a, x.d); err != nil {
		return err
	}
	x.next = 0
	if x.passes++; x.passes > freePasses && x.spool == nil {
		x.spool = newSpool()
	}
	return nil
}

// room is a buffer, one that left the cache if that is large enough.
func (x *streamed) room(n int64) []byte {
	if s := x.spare; int64(cap(s)) >= n {
		x.spare = nil
		return s[:n]
	}
	return make([]byte, n)
}

// keep puts a chunk into the cache, and the oldest out.
func (x *streamed) keep(i int, data []byte) {
	if old, ok := x.cache[i]; ok {
		x.spare = old
	} else {
		x.order = append(x.order, i)
		x.cached += int64(len(data))
	}
	x.cache[i] = data
	for x.cached > maxCached && len(x.order) > 1 {
		oldest := x.order[0]
		x.order = x.order[1:]
		x.spare = x.cache[oldest]
		x.cached -= int64(len(x.spare))
		delete(x.cache, oldest)
	}
}

// Check compares all chunks with their digests, in a pass of its own.
func (x *streamed) Check(ctx context.Context) (disk.Report, error) {
	var r disk.Report
	p, err := newPass(x.a, x.d)
	if err != nil {
		return r, err
	}
	defer p.close()
	var buffer []byte
	first := true
	room := func(n int64) []byte {
		if int64(cap(buffer)) < n {
			buffer = make([]byte, n)
		}
		return buffer[:n]
	}
	for {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		c, err := p.next(room)
		if errors.Is(err, io.EOF) {
			finish(&r, x.d, p.counter.at)
			return r, nil
		}
		if err != nil {
			return r, err
		}
		if first {
			begin(&r, c.number)
			first = false
		}
		if err := report(&r, -1, c.number, c.sum, c.bad); err != nil {
			return r, err
		}
	}
}

// Describe says what the disk is.
func (x *streamed) Describe() disk.Info { return describe(x.a, x.d) }

// spool is a file without a name that chunks are kept in, each where it lies on the
// disk. A nil spool keeps nothing.
type spool struct {
	file *os.File
	have map[int]bool
	size int64
}

// newSpool is nil when no file can be had.
func newSpool() *spool {
	f, err := os.CreateTemp("", "panal-xva-")
	if err != nil {
		return nil
	}
	if err := os.Remove(f.Name()); err != nil {
		_ = f.Close() // nothing is in it
		return nil
	}
	return &spool{file: f, have: map[int]bool{}}
}

func (s *spool) has(i int) bool { return s != nil && s.have[i] }

// put keeps a chunk if there is room.
func (s *spool) put(i int, p []byte, off int64) {
	if s == nil || s.have[i] || s.size+int64(len(p)) > maxSpool {
		return
	}
	if _, err := s.file.WriteAt(p, off); err != nil {
		s.size = maxSpool // no room: what is there stays of use
		return
	}
	s.have[i] = true
	s.size += int64(len(p))
}

func (s *spool) close() error { return s.file.Close() }
