package vmdk

import (
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/grain"
)

// markerHead is what precedes a compressed grain: its first sector on the
// disk, and its length (Virtual Disk Format 5.0, "Stream-Optimized Compressed
// Sparse Extents").
const markerHead = 12

// decoder reads compressed grains.
type decoder struct {
	grain.Codec
	markers bool
	recent  recent
	buffers sync.Pool // *[]byte
}

// chunk is how many grains are read and decoded in a row; ranges of more are
// decoded by several goroutines.
const chunk = 16

// openCompressed opens an extent of compressed grains. Its grain directory is
// in the front, or at the end, or lost.
func (s *sparse) openCompressed() error {
	if s.header.grain > maxBuffered {
		return disk.Unsupported(name, "compressed grains of %d sectors; up to %d can be read", s.header.grain, maxBuffered)
	}
	s.codec = &decoder{markers: s.header.flags&flagMarkers != 0}
	s.codec.recent.init(s.grain)
	h, err := s.withFooter()
	if err == nil {
		var d *directory
		if d, err = s.openDirectory(h); err == nil {
			s.header.gd, s.find = h.gd, d
			return nil
		}
	}
	if !s.codec.markers || errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	s.lost = err
	return s.scan()
}

// withFooter is the header with the place of the grain directory, which the
// footer tells when the header could not.
func (s *sparse) withFooter() (header, error) {
	if s.header.gd != gdAtEnd {
		return s.header, nil
	}
	at := s.end.Load() - 2*sector
	footer, err := readHeader(s.part.file, at)
	if err != nil {
		return header{}, err
	}
	if footer.gd == gdAtEnd || footer.grain != s.header.grain || footer.entries != s.header.entries || footer.capacity != s.header.capacity {
		return header{}, disk.Corrupt(name, at, "the footer contradicts the header")
	}
	return footer, nil
}

// decompress reads a range that locate called compressed.
func (s *sparse) decompress(p []byte, off int64) error {
	first, last := off/s.grain, (off+int64(len(p))-1)/s.grain
	pieces := int((last - first + chunk) / chunk)
	workers := min(pieces, runtime.GOMAXPROCS(0), 16)
	if workers <= 1 {
		return s.decompressChunk(p, off, first, last)
	}
	var (
		next   atomic.Int64
		failed atomic.Pointer[error]
		wg     sync.WaitGroup
	)
	for range workers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(pieces) && failed.Load() == nil; i = next.Add(1) - 1 {
				from := first + i*chunk
				if err := s.decompressChunk(p, off, from, min(from+chunk-1, last)); err != nil {
					failed.CompareAndSwap(nil, &err)
				}
			}
		})
	}
	wg.Wait()
	if err := failed.Load(); err != nil {
		return *err
	}
	return nil
}

// decompressChunk puts what p, which begins at off, has of the grains first to
// last in its place. Grains that lie one behind the other are read at once.
func (s *sparse) decompressChunk(p []byte, off, first, last int64) error {
	var places [chunk + 1]int64
	for i := first; i <= last; i++ {
		at, err := s.find.at(i)
		if err != nil {
			return err
		}
		if at.state != disk.Data {
			return disk.Corrupt(name, -1, "grain %d vanished while it was read", i)
		}
		places[i-first] = at.off
	}
	for i := first; i <= last; {
		n := 1
		for i+int64(n) <= last && s.follows(places[i-first:], n) {
			n++
		}
		if err := s.decompressRow(p, off, i, places[i-first:i-first+int64(n)]); err != nil {
			return err
		}
		i += int64(n)
	}
	return nil
}

// follows tells whether the nth grain lies so close behind the one before that
// they are better read together.
func (s *sparse) follows(places []int64, n int) bool {
	gap := places[n] - places[n-1]
	return gap > 0 && gap <= s.most()
}

// most is how many bytes a compressed grain takes at the most, by encoders that
// use stored blocks for what cannot be compressed.
func (s *sparse) most() int64 { return markerHead + s.grain + s.grain/1024 + 1024 }

// decompressRow reads grains that lie one behind the other.
func (s *sparse) decompressRow(p []byte, off, first int64, places []int64) error {
	if len(places) == 1 && s.fromRecent(p, off, first) {
		return nil
	}
	begin := places[0]
	end := min(places[len(places)-1]+s.most(), s.end.Load())
	buffer := s.codec.buffer(int(end - begin))
	defer s.codec.buffers.Put(buffer)
	raw := (*buffer)[:end-begin]
	if n, err := s.part.file.ReadAt(raw, begin); n < len(raw) {
		return disk.Corrupt(name, begin+int64(n), "compressed grains end early: %v", err)
	}
	for i, at := range places {
		if err := s.decompressGrain(p, off, first+int64(i), at, raw[at-begin:]); err != nil {
			return err
		}
	}
	return nil
}

// decompressGrain decodes one grain, of which raw begins with the marker, and
// copies what p needs of it.
func (s *sparse) decompressGrain(p []byte, off, i, at int64, raw []byte) error {
	begin := i * s.grain
	needed := min(s.grain, s.size-begin)
	if begin >= off && begin+s.grain <= off+int64(len(p)) {
		return s.inflate(p[begin-off:begin-off+s.grain], needed, at, raw)
	}
	whole := s.codec.buffer(int(s.grain))
	defer s.codec.buffers.Put(whole)
	content := (*whole)[:s.grain]
	if err := s.inflate(content, needed, at, raw); err != nil {
		return err
	}
	copyPart(p, off, content, begin)
	s.codec.recent.put(i, content)
	return nil
}

// copyPart copies what p, at off, and content, at begin, have in common.
func copyPart(p []byte, off int64, content []byte, begin int64) {
	if begin >= off {
		copy(p[begin-off:], content)
		return
	}
	copy(p, content[off-begin:])
}

// inflate decodes a grain into dst; the disk needs so many bytes of it.
func (s *sparse) inflate(dst []byte, needed, at int64, raw []byte) error {
	if s.codec.markers {
		if len(raw) < markerHead {
			return disk.Corrupt(name, at, "the file ends within a grain's marker")
		}
		size := int64(binary.LittleEndian.Uint32(raw[8:]))
		if size == 0 || size > 2*s.grain+4096 {
			return disk.Corrupt(name, at+8, "a compressed grain of %d bytes", size)
		}
		raw = raw[markerHead:]
		if size > int64(len(raw)) {
			more, err := disk.ReadFull(s.part.file, at+markerHead, size, name, "compressed grain")
			if err != nil {
				return err
			}
			raw = more
		}
		raw = raw[:size]
	}
	n, err := s.codec.Decode(dst, raw)
	if err != nil {
		return disk.Corrupt(name, at, "%v", err)
	}
	if int64(n) < needed {
		return disk.Corrupt(name, at, "a compressed grain holds %d bytes; the disk needs %d", n, needed)
	}
	clear(dst[n:])
	return nil
}

// buffer is a buffer of at least n bytes.
func (d *decoder) buffer(n int) *[]byte {
	if p, _ := d.buffers.Get().(*[]byte); p != nil && cap(*p) >= n {
		*p = (*p)[:cap(*p)]
		return p
	}
	p := make([]byte, n)
	return &p
}

// fromRecent takes what p needs of grain i from those decoded lately.
func (s *sparse) fromRecent(p []byte, off, i int64) bool {
	return s.codec.recent.get(i, func(content []byte) { copyPart(p, off, content, i*s.grain) })
}

// recent holds the grains that were decoded for only a part of them: who
// reads the disk in small steps wants the rest next.
type recent struct {
	mu    sync.Mutex
	slots []slot
	next  int
}

type slot struct {
	grain   int64
	content []byte
}

// recentMemory bounds what is held, in bytes.
const recentMemory = 4 << 20

func (r *recent) init(grain int64) {
	r.slots = make([]slot, min(max(recentMemory/grain, 1), 64))
	for i := range r.slots {
		r.slots[i].grain = -1
	}
}

func (r *recent) get(grain int64, use func([]byte)) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.slots {
		if r.slots[i].grain == grain {
			use(r.slots[i].content)
			return true
		}
	}
	return false
}

func (r *recent) put(grain int64, content []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.slots[r.next]
	r.next = (r.next + 1) % len(r.slots)
	s.grain, s.content = grain, append(s.content[:0], content...)
}
