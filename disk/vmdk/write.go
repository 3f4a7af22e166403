package vmdk

import (
	"fmt"

	"golang.org/x/sync/errgroup"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/vmdk/descriptor"
)

// CanWrite tells whether the image was opened for writing and can be. One of
// compressed grains is filled once; later only its descriptor can be changed.
func (m *image) CanWrite() bool {
	return m.write && (m.kind != kindStream || m.identity.changed.Load())
}

// checkWritable says why the disk's content cannot be changed, if so.
func (m *image) checkWritable() error {
	switch {
	case !m.write:
		return disk.ErrReadOnly
	case m.kind == kindStream:
		return disk.Unsupported(name, "streamOptimized images are written once, in ascending order; convert to another kind to write at random")
	}
	return nil
}

// WriteAt writes all of p, or says why not.
func (m *image) WriteAt(p []byte, off int64) (int, error) {
	if err := m.checkWritable(); err != nil {
		return 0, err
	}
	m.shape.RLock()
	defer m.shape.RUnlock()
	if err := m.prepare(off, int64(len(p))); err != nil || len(p) == 0 {
		return 0, err
	}
	err := m.eachSpan(off, int64(len(p)), func(s *span, at, n int64) error {
		return m.writeSpan(s, p[at-off:at-off+n], at)
	})
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// prepare makes sure that a range can be changed; image.shape is held.
func (m *image) prepare(off, n int64) error {
	if err := disk.InRange(off, n, m.size); err != nil || n == 0 {
		return err
	}
	return m.changing()
}

// eachSpan does something with the part of each extent in a range.
func (m *image) eachSpan(off, n int64, do func(s *span, off, n int64) error) error {
	for end := off + n; off < end; {
		s := m.spanAt(off)
		part := min(end, s.start+s.len) - off
		if err := do(s, off, part); err != nil {
			return err
		}
		off += part
	}
	return nil
}

func (m *image) writeSpan(s *span, p []byte, off int64) error {
	if s.access != descriptor.ReadWrite {
		return fmt.Errorf("vmdk: the extent at %d is declared %s: %w", s.start, s.access, disk.ErrReadOnly)
	}
	switch e := s.extent.(type) {
	case *flat:
		return e.write(p, off-s.start)
	case *sparse:
		if e.writer != nil {
			if err := e.writer.write(p, off-s.start, m.below(s)); err != nil {
				return err
			}
			return m.relieve()
		}
	}
	return disk.Unsupported(name, "the extent at %d cannot be written", s.start)
}

// relieve writes the tables of all extents when too many wait for it.
func (m *image) relieve() error {
	if !m.memory.overdue.Load() {
		return nil
	}
	if err := m.syncAll(); err != nil {
		return err
	}
	m.memory.written()
	return nil
}

// fill reads what lies below an extent, by offsets in it. It is nil when
// nothing can.
type fill struct {
	parent disk.Image
	start  int64
	based  bool // a parent is named, whether or not it is open
}

func (m *image) below(s *span) fill { return fill{m.parent, s.start, m.based()} }

// based tells whether the image has a parent, whether or not that is open.
func (m *image) based() bool { return m.parent != nil || m.link != nil }

func (f fill) read(p []byte, off int64) error { return disk.ReadParent(f.parent, p, f.start+off) }

// shows tells whether a parent may be seen where there is no grain: behind its
// end too, for the image may get a longer one.
func (f fill) shows() bool { return f.based }

func (f *flat) write(p []byte, off int64) error {
	_, err := f.part.file.WriteAt(p, f.from+off)
	f.part.touch() // not earlier: a Sync in between would take it for synced
	return err
}

// Sync makes durable what was written.
func (m *image) Sync() error {
	if !m.write {
		return disk.ErrReadOnly
	}
	m.shape.RLock()
	err := m.syncInherited()
	if err == nil {
		err = m.syncAll()
	}
	m.shape.RUnlock()
	if err != nil {
		return err
	}
	return m.release()
}

// syncInherited syncs all files once, whether they were written here or not.
func (m *image) syncInherited() error {
	if !m.inherited.Load() {
		return nil
	}
	for _, p := range m.parts {
		p.touch()
	}
	if err := m.syncParts(); err != nil {
		return err
	}
	m.inherited.Store(false)
	return nil
}

// syncAll makes all extents durable; image.shape is held.
func (m *image) syncAll() error {
	if err := m.settleText(); err != nil {
		return err
	}
	if err := atOnce(m.writers(), (*writer).changed, (*writer).sync); err != nil {
		return err
	}
	return m.syncParts()
}

// syncParts makes durable what was written to the files.
func (m *image) syncParts() error {
	return atOnce(m.parts, (*part).dirty, (*part).sync)
}

// Of files that wait for the store, so many wait at once, if there are many:
// file systems write the journal once for all that wait then, and so the 5120 files of
// a disk of 10 TiB are synced within a second.
const (
	manyFiles = 8
	atOneTime = 64
)

// atOnce does something with those that want it, and gives the first error.
func atOnce[T any](all []T, wants func(T) bool, do func(T) error) error {
	var some []T
	for _, x := range all {
		if wants(x) {
			some = append(some, x)
		}
	}
	var group errgroup.Group
	group.SetLimit(atOneTime)
	if len(some) < manyFiles {
		group.SetLimit(1)
	}
	for _, x := range some {
		group.Go(func() error { return do(x) })
	}
	return group.Wait()
}

// release makes the space of grains that were given up before the last sync
// free for use. Nobody who knew them may be about to write to them any more.
func (m *image) release() error {
	waiting := false
	for _, w := range m.writers() {
		waiting = w.waits() || waiting
	}
	if !waiting {
		return nil
	}
	m.shape.Lock()
	defer m.shape.Unlock()
	for _, w := range m.writers() {
		if err := w.release(); err != nil {
			return err
		}
	}
	return nil
}

// writers are those of the sparse extents.
func (m *image) writers() []*writer {
	var all []*writer
	for i := range m.spans {
		if s, ok := m.spans[i].extent.(*sparse); ok && s.writer != nil {
			all = append(all, s.writer)
		}
	}
	return all
}

// finish writes everything out before the image is closed.
func (m *image) finish() error {
	if !m.write {
		return nil
	}
	err := m.syncAll()
	if err == nil {
		err = m.release()
	}
	if err != nil {
		return err
	}
	return atOnce(m.writers(), func(w *writer) bool { return w.marked.Load() }, (*writer).clean)
}
