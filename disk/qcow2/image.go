package qcow2

import (
	"bytes"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/panalvm/panal/disk"
)

// image is an open QCOW2 image.
//
// Lock order: writing, gate, the caches' own. Readers hold gate for reading
// while they use what they looked up; so does a write that changes a cluster in
// place. It is held for writing when clusters get another meaning: when freed
// ones may be used again, when tables or the size change.
type image struct {
	file     disk.File
	data     disk.File // the external data file, or file, shown as what was encrypted
	sealed   span      // where the LUKS header lies; nothing if the image is not encrypted
	parent   disk.Image
	foreign  bool // the parent is the caller's and not closed
	canWrite bool
	snapshot string // the one that was opened, "" for the current state

	layout
	h          header
	first      []byte // the file's first sector, as it is or is to be
	stale      bool   // a write of it failed: the file may have it as it was or was to be; under writing
	extensions []extension
	backing    backing
	snapshots  []snapshot
	bitmaps    []bitmap

	size     atomic.Int64 // of the disk
	l1Offset int64        // of the L1 table in use: the current one or a snapshot's; under gate
	l1Size   int64

	tables *cache // L1 and L2 tables
	refs   *refcounts
	codec  *codec
	inner  *ungated

	gate sync.RWMutex

	writing sync.Mutex // guards what follows; held by whoever changes tables
	alloc   allocator
	touched atomic.Bool // the header was made ready for writing
	closed  bool
	marks   marks // what was written, for the bitmaps
	horizon int64 // the size that is being grown to, else 0
}

// open opens an image; src.File is closed when it fails.
func open(src *disk.Source) (disk.Image, error) {
	img, err := newImage(src)
	if err == nil {
		return img, nil
	}
	if img != nil {
		return nil, errors.Join(err, img.release())
	}
	return nil, errors.Join(err, src.File.Close())
}

func newImage(src *disk.Source) (*image, error) {
	img, err := load(src.File)
	if err != nil {
		return nil, err
	}
	if err := img.openDataFile(src); err != nil {
		return img, err
	}
	if err := img.unlock(src.Keys); err != nil {
		return img, err
	}
	if src.Snapshot != "" {
		if err := img.enter(src.Snapshot); err != nil {
			return img, err
		}
	} else {
		img.canWrite = src.Write
	}
	return img, img.openParent(src)
}

// load reads the headers of an image.
func load(file disk.File) (*image, error) {
	size, err := file.Size()
	if err != nil {
		return nil, err
	}
	first, err := disk.ReadFull(file, 0, min(size, headerSector), formatName, "header")
	if err != nil {
		return nil, err
	}
	h, err := decodeHeader(first)
	if err != nil {
		return nil, err
	}
	if first, err = disk.ReadFull(file, 0, min(size, h.clusterSize()), formatName, "first cluster"); err != nil {
		return nil, err
	}
	end := min(int64(len(first)), h.clusterSize())
	if h.backingOffset > 0 {
		end = min(end, h.backingOffset)
	}
	extensions, err := decodeExtensions(first, int64(h.length), end)
	if err != nil {
		return nil, err
	}
	names, _ := find(extensions, extFeatureNames)
	if err := h.supported(decodeFeatures(names.data)); err != nil {
		return nil, err
	}
	if err := h.placed(size); err != nil {
		return nil, err
	}
	img := assemble(file, h)
	img.first = bytes.Clone(first[:min(len(first), headerSector)])
	img.extensions = extensions
	if err := img.loadBacking(first); err != nil {
		return nil, err
	}
	if img.snapshots, err = readSnapshots(file, &h); err != nil {
		return nil, err
	}
	img.bitmaps, err = readBitmaps(file, &img.h, extensions)
	return img, err
}

// assemble makes an image of a header that was checked.
func assemble(file disk.File, h header) *image {
	img := &image{file: file, data: file, h: h, layout: h.layout(), l1Offset: h.l1Offset, l1Size: int64(h.l1Size)}
	img.size.Store(int64(h.size))
	img.tables = newCache(file, h.clusterSize(), cleanBytes)
	img.refs = newRefcounts(file, &img.h)
	img.codec = newCodec(h.compression, h.clusterSize())
	img.inner = &ungated{img}
	return img
}

// openDataFile opens the external data file, whose name is in an extension.
func (img *image) openDataFile(src *disk.Source) error {
	if !img.dataFile {
		return nil
	}
	img.data = nil
	name, ok := find(img.extensions, extDataFile)
	if !ok || len(name.data) == 0 {
		return disk.Corrupt(formatName, 72, "the content is in an external data file, whose name is missing")
	}
	ref, err := parseReference(string(name.data))
	if err != nil {
		return fmt.Errorf("external data file: %w", err)
	}
	f, err := src.OpenSibling(ref.path)
	if err != nil {
		return fmt.Errorf("external data file %q: %w", ref.path, err)
	}
	img.data = f
	return nil
}

// outside tells whether the content is in a file of its own.
func (img *image) outside() bool { return img.dataFile && img.data != img.file }

// release closes the files, without writing anything.
func (img *image) release() error {
	var failed error
	if img.data != nil && img.outside() {
		failed = img.data.Close()
	}
	failed = errors.Join(failed, img.file.Close())
	if img.parent != nil && !img.foreign {
		failed = errors.Join(failed, img.parent.Close())
	}
	return failed
}

// Size is the size of the disk, of the snapshot if one was opened.
func (img *image) Size() int64 { return img.size.Load() }

// Parent is the backing file, or nil.
func (img *image) Parent() disk.Image {
	return img.parent
}

// CanWrite tells whether the image was opened for writing.
func (img *image) CanWrite() bool { return img.canWrite }

// Close writes out what waits and closes the files.
func (img *image) Close() error {
	img.writing.Lock()
	defer img.writing.Unlock()
	if img.closed {
		return nil
	}
	img.closed = true
	return errors.Join(img.finish(), img.release())
}
