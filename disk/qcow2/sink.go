package qcow2

import (
	"errors"
	"slices"

	"github.com/panalvm/panal/disk"
)

// What a sink reserves at once, and how many rows of clusters it keeps open for
// compressed clusters that fit into what the ones before left.
const (
	laneBytes = 128 << 10
	maxLanes  = 32
)

// sink fills an image with compressed clusters. These go into lanes, byte after
// byte: the last is where most go, those before it have little room left. Clusters
// that do not become smaller have a lane of their own.
type sink struct {
	img    *image
	packed []*lane
	plain  *lane
	next   int64 // the least offset that may be appended
	closed bool
}

// lane is a row of clusters that were taken and are filled from begin to end.
type lane struct {
	img      *image
	pos, end int64  // in the file
	counted  int64  // clusters up to this one have their first use
	buffer   []byte // what ends at pos and is not written
}

// Compressing gives a sink of compressed clusters.
func (img *image) Compressing() (disk.Sink, error) {
	if !img.canWrite {
		return nil, disk.ErrReadOnly
	}
	if img.encrypted() {
		return nil, disk.Unsupported(formatName, "the content of an encrypted image cannot be compressed")
	}
	if img.dataFile {
		return nil, disk.Unsupported(formatName, "the content of an external data file cannot be compressed")
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if err := img.touch(); err != nil {
		return nil, err
	}
	return &sink{img: img, plain: &lane{img: img}}, nil
}

// BlockSize is a cluster.
func (s *sink) BlockSize() int { return int(s.img.clusterSize()) }

// Encode compresses a cluster, or leaves it when it does not become smaller.
func (s *sink) Encode(dst, block []byte) ([]byte, error) {
	cs := s.BlockSize()
	if len(block) < cs { // the disk's last
		block = append(make([]byte, 0, cs), block...)[:cs]
	}
	out, err := s.img.codec.compress(dst, block)
	if err != nil {
		return nil, err
	}
	if len(out)-len(dst) >= cs {
		return append(dst, block...), nil
	}
	return out, nil
}

// Append stores a cluster.
func (s *sink) Append(off int64, encoded []byte) error {
	img := s.img
	cs := img.clusterSize()
	img.writing.Lock()
	defer img.writing.Unlock()
	switch {
	case s.closed || img.closed:
		return errClosed
	case off&(cs-1) != 0 || off >= img.Size() || off < s.next:
		return disk.Usage("qcow2: block at %d appended; it must be a multiple of %d, at or behind %d and below %d", off, cs, s.next, img.Size())
	case len(encoded) == 0 || int64(len(encoded)) > cs:
		return disk.Usage("qcow2: a block of %d bytes appended", len(encoded))
	}
	s.next = off + cs
	img.marks.add(off, min(cs, img.Size()-off))
	e, err := s.store(encoded)
	if err != nil {
		return err
	}
	if err := s.point(off, e); err != nil {
		return err
	}
	if img.tables.soiled()+img.refs.blocks.soiled() < dirtyBytes {
		return nil
	}
	if err := s.flush(); err != nil {
		return err
	}
	return img.sync()
}

// store puts a cluster into its lane.
func (s *sink) store(encoded []byte) (entry, error) {
	n := int64(len(encoded))
	if n == s.img.clusterSize() {
		if err := s.plain.reserve(n); err != nil {
			return entry{}, err
		}
		e := entry{word: uint64(s.plain.pos) | flagCopied}
		if s.img.extended {
			e.bitmap = 1<<subclusters - 1
		}
		return e, s.plain.put(encoded)
	}
	l, err := s.room(n)
	if err != nil {
		return entry{}, err
	}
	return s.img.compressedEntry(l.pos, n), l.put(encoded)
}

// room is a lane with room for n bytes.
func (s *sink) room(n int64) (*lane, error) {
	for _, l := range s.packed {
		if err := l.mayShare(); err != nil {
			return nil, err
		}
		if l.end-l.pos >= n {
			return l, nil
		}
	}
	if k := len(s.packed); k > 0 {
		if ok, err := s.packed[k-1].extend(); ok || err != nil {
			return s.packed[k-1], err
		}
		if err := s.packed[k-1].flush(); err != nil {
			return nil, err
		}
		if k == maxLanes {
			if err := s.dropFullest(); err != nil {
				return nil, err
			}
		}
	}
	l := &lane{img: s.img}
	s.packed = append(s.packed, l)
	return l, l.reserve(n)
}

// dropFullest closes the lane with the least room, but not the last.
func (s *sink) dropFullest() error {
	least := 0
	for i, l := range s.packed[:len(s.packed)-1] {
		if l.end-l.pos < s.packed[least].end-s.packed[least].pos {
			least = i
		}
	}
	l := s.packed[least]
	s.packed = slices.Delete(s.packed, least, least+1)
	return errors.Join(l.flush(), l.giveBack())
}

// point sets the L2 entry of a cluster.
func (s *sink) point(off int64, e entry) error {
	img := s.img
	table, err := img.ownTable(off)
	if err != nil {
		return err
	}
	at := img.slot(table, off)
	old, err := img.entryAt(at)
	if err != nil {
		return err
	}
	img.giveUpEntry(old, false)
	return img.setEntry(at, e)
}

func (s *sink) flush() error {
	failed := s.plain.flush()
	for _, l := range s.packed {
		failed = errors.Join(failed, l.flush())
	}
	return failed
}

// Close writes what waits and gives back what was reserved too much.
func (s *sink) Close() error {
	img := s.img
	img.writing.Lock()
	defer img.writing.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	if err := s.flush(); err != nil {
		return err
	}
	for _, l := range append(s.packed, s.plain) {
		if err := l.giveBack(); err != nil {
			return err
		}
	}
	img.alloc.ready = false // the tail is where the last used cluster ends
	if err := img.startAllocating(); err != nil {
		return err
	}
	if err := img.sync(); err != nil {
		return err
	}
	return img.fillUp()
}

// reserve makes room for n bytes at pos, in one row.
func (l *lane) reserve(n int64) error {
	if l.end-l.pos >= n {
		return nil
	}
	if ok, err := l.extend(); ok || err != nil {
		return err
	}
	if err := errors.Join(l.flush(), l.giveBack()); err != nil {
		return err
	}
	first, err := l.img.take(l.step())
	if err != nil {
		return err
	}
	l.pos, l.end, l.counted = first, first+l.step()<<l.img.clusterBits, first>>l.img.clusterBits-1
	return nil
}

// step is how many clusters are taken at once.
func (l *lane) step() int64 { return max(int64(laneBytes)>>l.img.clusterBits, 1) }

// extend takes the clusters behind the lane, if they are the next.
func (l *lane) extend() (bool, error) {
	img := l.img
	if l.end == 0 || img.alloc.tail<<img.clusterBits != l.end {
		return false, nil
	}
	if missing, err := img.missingBlock(img.alloc.tail, l.step()); missing >= 0 || err != nil {
		return false, err
	}
	first, err := img.takeTail(l.step())
	if err != nil {
		return false, err
	}
	for c := first; c < first+l.step(); c++ {
		if err := img.refs.set(c, 1); err != nil {
			return false, err
		}
	}
	l.end += l.step() << img.clusterBits
	return true, nil
}

// mayShare goes on with the next cluster when the refcount of the one at pos is
// as large as it can become.
func (l *lane) mayShare() error {
	cs := l.img.clusterSize()
	if l.pos&(cs-1) == 0 {
		return nil
	}
	v, err := l.img.refs.get(l.pos >> l.img.clusterBits)
	if err != nil || v < l.img.refs.most() {
		return err
	}
	return l.skip((l.pos + cs - 1) &^ (cs - 1))
}

// skip goes on to a later place.
func (l *lane) skip(to int64) error {
	err := l.flush()
	l.pos = to
	return err
}

// put stores bytes at pos, where they have room.
func (l *lane) put(p []byte) error {
	img := l.img
	first, last := l.pos>>img.clusterBits, (l.pos+int64(len(p))-1)>>img.clusterBits
	for c := first; c <= last; c++ {
		if c > l.counted {
			l.counted = c
			continue
		}
		v, err := img.refs.get(c)
		if err != nil {
			return err
		}
		if err := img.refs.set(c, v+1); err != nil {
			return err
		}
	}
	l.buffer = append(l.buffer, p...)
	l.pos += int64(len(p))
	if len(l.buffer) >= laneBytes {
		return l.flush()
	}
	return nil
}

// flush writes what waits.
func (l *lane) flush() error {
	if len(l.buffer) == 0 {
		return nil
	}
	_, err := l.img.file.WriteAt(l.buffer, l.pos-int64(len(l.buffer)))
	l.buffer = l.buffer[:0]
	return err
}

// giveBack frees the clusters that nothing was put into. Nothing points to
// them.
func (l *lane) giveBack() error {
	if l.end == 0 {
		return nil
	}
	for c := l.counted + 1; c < l.end>>l.img.clusterBits; c++ {
		if err := l.img.refs.set(c, 0); err != nil {
			return err
		}
		l.img.alloc.offer(clusters{first: c, count: 1})
	}
	l.end, l.pos = 0, 0
	return nil
}
