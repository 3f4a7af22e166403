package qcow2

import (
	"errors"

	"github.com/panalvm/panal/disk"
)

// laneBytes is how much is reserved and written at once.
const laneBytes = 4 << 20

// sink fills an image with compressed clusters. These go into one lane, byte
// after byte; clusters that do not become smaller go into another.
type sink struct {
	img    *image
	packed lane
	plain  lane
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
	if img.dataFile {
		return nil, disk.Unsupported(formatName, "the content of an external data file cannot be compressed")
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if err := img.touch(); err != nil {
		return nil, err
	}
	s := &sink{img: img, packed: lane{img: img, counted: -1}, plain: lane{img: img, counted: -1}}
	return s, nil
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
	if err := s.packed.reserve(n); err != nil {
		return entry{}, err
	}
	return s.img.compressedEntry(s.packed.pos, n), s.packed.put(encoded)
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

func (s *sink) flush() error { return errors.Join(s.packed.flush(), s.plain.flush()) }

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
	for _, l := range []*lane{&s.plain, &s.packed} {
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
	img := l.img
	cs := img.clusterSize()
	if l.pos&(cs-1) != 0 { // may the cluster be used once more?
		v, err := img.refs.get(l.pos >> img.clusterBits)
		if err != nil {
			return err
		}
		if v >= img.refs.most() {
			if err := l.skip((l.pos + cs - 1) &^ (cs - 1)); err != nil {
				return err
			}
		}
	}
	if l.end-l.pos >= n {
		return nil
	}
	fresh, err := img.take(max(int64(laneBytes)>>img.clusterBits, 1))
	if err != nil {
		return err
	}
	end := fresh + max(laneBytes&^(cs-1), cs)
	if fresh != l.end {
		if err := errors.Join(l.flush(), l.giveBack()); err != nil {
			return err
		}
		l.pos, l.counted = fresh, fresh>>img.clusterBits-1
	}
	l.end = end
	return nil
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
	if len(l.buffer) >= laneBytes/4 {
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
