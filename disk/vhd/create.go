package vhd

import (
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"github.com/panalvm/panal/disk"
	"github.com/panalvm/panal/disk/blockmap"
)

// What new images say of who made them. The code is QEMU's for images whose
// size is the footer's number; one of our own would make QEMU go by the geometry.
const (
	ourCreator = "qem2"
	ourVersion = 0x00010000
	ourHost    = "Wi2k"
)

func create(t *disk.Target) (disk.Image, error) {
	img, err := createFile(t)
	if err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return img, nil
}

func createFile(t *disk.Target) (disk.Image, error) {
	foot, err := newFooter(t)
	if err != nil {
		return nil, err
	}
	if t.Variant.Name == fixed {
		return createFlat(t.File, foot)
	}
	return createSparse(t, foot)
}

// newFooter is the footer of an image that is to be made.
func newFooter(t *disk.Target) (footer, error) {
	size := roundUp(t.Size, sector)
	if size > maxSize {
		return nil, disk.Usage("a VHD can have at most 2040 GiB (%d bytes), and %d were asked for; choose vhdx", maxSize, t.Size)
	}
	if size == 0 && t.Variant.Name == fixed {
		return nil, errNoSector
	}
	id, err := parseUUID(t.UUID)
	if err != nil {
		return nil, err
	}
	f := make(footer, footerSize)
	copy(f, footerCookie)
	f.setU32(atFeatures, 2)
	f.setU32(atVersion, version1)
	f.setU64(atDataOffset, noOffset)
	f.setU32(atTime, stamp(t.Created))
	copy(f[atCreator:], ourCreator)
	f.setU32(atCreatorVer, ourVersion)
	copy(f[atHostOS:], ourHost)
	f.setU64(atOriginal, uint64(size))
	f.setSize(size)
	f.setU32(atKind, kindFixed)
	f.setID(id)
	switch {
	case t.Parent != nil:
		f.setU32(atKind, kindDiff)
	case t.Variant.Name == differencing:
		return nil, disk.Usage("a differencing image needs a parent")
	case t.Variant.Name == dynamic:
		f.setU32(atKind, kindDynamic)
	}
	if f.kind() != kindFixed {
		f.setU64(atDataOffset, footerSize)
	}
	return f.seal(), nil
}

// errNoSector refuses a file that is nothing but its footer, which other programs
// do not open.
var errNoSector = disk.Usage("a fixed VHD cannot have 0 bytes: it must have a sector at least")

// newHeader is the header of a new dynamic or differencing image.
func newHeader(t *disk.Target, foot footer) (header, error) {
	block := t.Int(optionBlockSize)
	if block&(block-1) != 0 {
		return nil, disk.Usage("option %s is %d; it must be a power of two", optionBlockSize, block)
	}
	h := make(header, headerSize)
	copy(h, headerCookie)
	h.setU64(8, noOffset)
	h.setU64(atTable, footerSize+headerSize)
	h.setU32(atHeaderVer, version1)
	h.setU32(atEntries, uint32((foot.current()+block-1)/block))
	h.setU32(atBlockSize, uint32(block))
	return h, nil
}

// tableEnd is where the table of a new image ends.
func (h header) tableEnd() int64 {
	return roundUp(int64(h.u64(atTable))+4*h.entries(), sector)
}

func createSparse(t *disk.Target, foot footer) (*image, error) {
	h, err := newHeader(t, foot)
	if err != nil {
		return nil, err
	}
	end := h.tableEnd()
	if t.Parent != nil {
		id, written, err := identityOf(t.Parent)
		if err != nil {
			return nil, err
		}
		h.setParent(id, written)
		if end, err = writePaths(t.File.WriteAt, h, end, t.ParentName); err != nil {
			return nil, err
		}
	}
	if err := writeTable(t.File, h); err != nil {
		return nil, err
	}
	for _, part := range []struct {
		p  []byte
		at int64
	}{{foot, 0}, {h.seal(), footerSize}, {foot, end}} {
		if _, err := t.File.WriteAt(part.p, part.at); err != nil {
			return nil, err
		}
	}
	if err := t.File.Sync(); err != nil {
		return nil, err
	}
	img, err := newImage(t.File, foot, h, true)
	if err != nil {
		return nil, err
	}
	img.Below(t.Parent, true)
	img.touched.Store(true)
	img.inFile, img.Space = true, blockmap.Behind(img.Shape, end)
	return img, nil
}

// writeTable writes a table in which all blocks are missing.
func writeTable(f disk.File, h header) error {
	const batch = 256 << 10
	missing := make([]byte, min(batch, 4*h.entries()))
	for i := range missing {
		missing[i] = 0xff
	}
	at, end := int64(h.u64(atTable)), int64(h.u64(atTable))+4*h.entries()
	for at < end {
		n, err := f.WriteAt(missing[:min(batch, end-at)], at)
		if err != nil {
			return err
		}
		at += int64(n)
	}
	return nil
}

// setParent puts into the header which image the parent is.
func (h header) setParent(id uuid.UUID, written uint32) {
	copy(h[atParentID:], id[:])
	h.setU32(atParentTime, written)
}

// pathSpace is the least room for a path in the file, so that a longer one can
// take its place.
const pathSpace = 1 << 10

// writePaths writes the parent's path to at, points the header there, and
// tells where it ends.
func writePaths(write func(p []byte, off int64) (int, error), h header, at int64, path string) (end int64, err error) {
	clear(h[atParentName : atParentName+parentNameLen])
	for i := range locators {
		h.setLocator(i, locator{})
	}
	if path == "" {
		return at, nil
	}
	plain := encode16(base(path), binary.BigEndian)
	copy(h[atParentName:], plain[:min(len(plain), parentNameLen-2)])
	l := locator{code: codeRelative, offset: at}
	if isAbsolute(path) {
		l.code = codeAbsolute
	}
	text := encode16(forWindows(path), binary.LittleEndian)
	if len(text) > maxLocator {
		return at, disk.Usage("the parent's path is longer than a VHD can hold")
	}
	l.length = int64(len(text))
	l.space = max(pathSpace, roundUp(l.length, sector))
	h.setLocator(0, l)
	_, err = write(append(text, make([]byte, l.space-l.length)...), at)
	return at + l.space, err
}

// parseUUID reads a UUID; "" is a random one.
func parseUUID(text string) (uuid.UUID, error) {
	if text == "" {
		return uuid.NewRandom()
	}
	id, err := uuid.Parse(text)
	if err != nil {
		return id, disk.Usage("%q is not a UUID; write it like 6ba7b810-9dad-11d1-80b4-00c04fd430c8", text)
	}
	return id, nil
}
