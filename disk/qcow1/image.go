package qcow1

import (
	"encoding/binary"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/table"
)

// image is an open QCOW image. Clusters never change their place but for new ones
// behind the end of the file, so readers need no lock.
type image struct {
	file     disk.File
	parent   disk.Image
	foreign  bool // the parent is the caller's and not closed
	canWrite bool

	shape  header // what never changes of it is for everybody
	tables *table.Cache
	recent recent
	sound  atomic.Bool // the tables were looked through: it may be written

	writing sync.Mutex // guards what follows; held by whoever changes tables
	h       header
	backing string
	stale   bool  // a write of the header failed: the file may have the old or the new one
	tail    int64 // where the next cluster goes, once it is sound
	closed  bool
}

// cleanBytes is how much of the tables is kept in memory, dirtyBytes how much of
// it may wait before a writer syncs by itself.
const (
	cleanBytes = 16 << 20
	dirtyBytes = 8 << 20
)

// open opens an image; src.File is closed when it fails.
func open(src *disk.Source) (disk.Image, error) {
	img, err := newImage(src)
	if err != nil {
		return nil, errors.Join(err, src.File.Close())
	}
	return img, nil
}

func newImage(src *disk.Source) (*image, error) {
	if src.Snapshot != "" {
		return nil, disk.Usage("images of this format have no snapshots, so there is no %q", src.Snapshot)
	}
	size, err := src.File.Size()
	if err != nil {
		return nil, err
	}
	first, err := disk.ReadFull(src.File, 0, min(size, headerBytes), formatName, "header")
	if err != nil {
		return nil, err
	}
	h, err := decodeHeader(first)
	if err != nil {
		return nil, err
	}
	if err := h.placed(size); err != nil {
		return nil, err
	}
	img := assemble(src.File, h)
	img.canWrite = src.Write
	return img, img.openParent(src)
}

func assemble(file disk.File, h header) *image {
	return &image{file: file, shape: h, h: h, tables: table.New(file, binary.BigEndian, cleanBytes, formatName)}
}

// Size is the size of the disk.
func (m *image) Size() int64 { return m.shape.size }

// CanWrite tells whether the image was opened for writing.
func (m *image) CanWrite() bool { return m.canWrite }

// Parent is the backing file, or nil.
func (m *image) Parent() disk.Image { return m.parent }

var errClosed = errors.New("the image is closed")

// Close writes out what waits and closes the files.
func (m *image) Close() error {
	m.writing.Lock()
	defer m.writing.Unlock()
	if m.closed {
		return nil
	}
	var failed error
	if m.canWrite {
		failed = m.sync()
	}
	m.closed = true
	return errors.Join(failed, m.release())
}

// release closes the files, without writing anything.
func (m *image) release() error {
	failed := m.file.Close()
	if m.parent != nil && !m.foreign {
		failed = errors.Join(failed, m.parent.Close())
	}
	return failed
}
