package qcow2

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// bitmap is an entry of the bitmap directory (spec, "Bitmaps").
type bitmap struct {
	at          int64 // where its directory entry lies
	tableOffset int64
	tableSize   int64 // entries
	flags       uint32
	kind        uint8
	granularity uint // a bit speaks of 1<<granularity bytes
	extra       int64
	name        string
}

// Flags of a bitmap.
const (
	bitmapInUse      = 1 << 0 // it was not brought up to date
	bitmapAuto       = 1 << 1 // it follows each write
	bitmapExtraKnown = 1 << 2 // extra data need not be understood
)

const (
	bitmapsExtensionBytes = 24
	bitmapEntryBytes      = 24
	bitmapDirty           = 1        // the only type there is
	maxBitmaps            = 65535    // QEMU's QCOW2_MAX_BITMAPS
	maxBitmapDirectory    = 64 << 20 // QEMU's QCOW2_MAX_BITMAP_DIRECTORY_SIZE
	maxBitmapTable        = 8 << 20 / 8
	bitmapAllOnes         = 1 // of a bitmap table's entry without an offset
)

// bitmapDirectory is where the directory lies; n is 0 if there is none.
func bitmapDirectory(h *header, extensions []extension) (off, size, n int64, err error) {
	e, ok := find(extensions, extBitmaps)
	if !ok || h.autoclear&autoclearBitmaps == 0 {
		return 0, 0, 0, nil
	}
	if len(e.data) != bitmapsExtensionBytes {
		return 0, 0, 0, disk.Corrupt(formatName, e.at, "the extension for bitmaps has %d bytes; %d are right", len(e.data), bitmapsExtensionBytes)
	}
	be := binary.BigEndian
	n, size, off = int64(be.Uint32(e.data)), int64(be.Uint64(e.data[8:])), int64(be.Uint64(e.data[16:]))
	if n > maxBitmaps || size < 0 || size > maxBitmapDirectory || off <= 0 || off&(h.clusterSize()-1) != 0 {
		return 0, 0, 0, disk.Corrupt(formatName, e.at, "a directory of %d bitmaps, %d bytes at %#x", n, size, off)
	}
	return off, size, n, nil
}

// readBitmaps reads the bitmap directory. Without the autoclear bit it is out
// of date, and as if it were not there.
func readBitmaps(file disk.File, h *header, extensions []extension) ([]bitmap, error) {
	off, size, n, err := bitmapDirectory(h, extensions)
	if err != nil || n == 0 {
		return nil, err
	}
	p, err := disk.ReadFull(file, off, size, formatName, "bitmap directory")
	if err != nil {
		return nil, err
	}
	var all []bitmap
	for at := int64(0); int64(len(all)) < n; {
		b, length := decodeBitmap(p[at:], off+at)
		if length == 0 {
			return nil, disk.Corrupt(formatName, off+at, "entry %d of the bitmap directory is cut short", len(all))
		}
		if b.granularity > 31 || b.tableSize > maxBitmapTable || b.tableOffset&(h.clusterSize()-1) != 0 || b.tableOffset < 0 {
			return nil, disk.Corrupt(formatName, off+at, "bitmap %q: a table of %d entries at %#x, granules of 2^%d bytes", b.name, b.tableSize, b.tableOffset, b.granularity)
		}
		all = append(all, b)
		at += length
	}
	return all, nil
}

// decodeBitmap reads an entry and tells its length, 0 if p is too short.
func decodeBitmap(p []byte, at int64) (bitmap, int64) {
	if len(p) < bitmapEntryBytes {
		return bitmap{}, 0
	}
	be := binary.BigEndian
	b := bitmap{
		at: at, tableOffset: int64(be.Uint64(p)), tableSize: int64(be.Uint32(p[8:])), flags: be.Uint32(p[12:]),
		kind: p[16], granularity: uint(p[17]), extra: int64(be.Uint32(p[20:])),
	}
	name := int64(be.Uint16(p[18:]))
	length := (bitmapEntryBytes + b.extra + name + 7) &^ 7
	if length > int64(len(p)) {
		return b, 0
	}
	b.name = string(p[bitmapEntryBytes+b.extra:][:name])
	return b, length
}

// follows tells whether we bring the bitmap up to date: it follows writes, was
// right so far, and has nothing that we do not know.
func (b *bitmap) follows() bool {
	return b.flags&bitmapAuto != 0 && b.flags&bitmapInUse == 0 && b.kind == bitmapDirty && (b.extra == 0 || b.flags&bitmapExtraKnown != 0)
}

// useBitmaps marks the bitmaps that follow writes as in use, before the first
// write: after a power cut they are known to be out of date. Others are records of
// the past and stay right.
func (img *image) useBitmaps() error {
	shift, any := uint(63), false
	for i := range img.bitmaps {
		b := &img.bitmaps[i]
		if b.follows() {
			shift, any = min(shift, b.granularity), true
		}
		if b.flags&bitmapAuto == 0 || b.flags&bitmapInUse != 0 {
			continue
		}
		if err := img.putFlags(b, b.flags|bitmapInUse); err != nil {
			return err
		}
	}
	if any {
		img.marks.start(shift)
	}
	if len(img.bitmaps) == 0 {
		return nil
	}
	return img.file.Sync()
}

func (img *image) putFlags(b *bitmap, flags uint32) error {
	_, err := img.file.WriteAt(binary.BigEndian.AppendUint32(nil, flags), b.at+12)
	return err
}

// storeBitmaps adds the session's marks to the bitmaps, and says that they
// are right again.
func (img *image) storeBitmaps() error {
	for i := range img.bitmaps {
		b := &img.bitmaps[i]
		if !b.follows() {
			continue
		}
		if err := img.storeBitmap(b); err != nil {
			return err
		}
	}
	if !img.marks.on {
		return nil
	}
	if err := img.sync(); err != nil {
		return err
	}
	for i := range img.bitmaps {
		if b := &img.bitmaps[i]; b.follows() {
			if err := img.putFlags(b, b.flags); err != nil {
				return err
			}
		}
	}
	return img.file.Sync()
}

// storeBitmap adds the marks to one bitmap, a cluster of bits at a time.
func (img *image) storeBitmap(b *bitmap) error {
	perCluster := img.clusterSize() * 8 << b.granularity
	for i := range b.tableSize {
		off := i * perCluster
		n := min(perCluster, img.Size()-off)
		if n <= 0 || !img.marks.any(off, n) {
			continue
		}
		if err := img.storeBits(b, b.tableOffset+i*8, off, n); err != nil {
			return err
		}
	}
	return nil
}

// storeBits adds the marks of n bytes at off to the cluster of bits that the
// bitmap table's entry at names.
func (img *image) storeBits(b *bitmap, at, off, n int64) error {
	v, err := img.tables.get(at, 8)
	if err != nil {
		return err
	}
	host := int64(v & offsetMask)
	if host == 0 && v&bitmapAllOnes != 0 {
		return nil
	}
	bits := make([]byte, img.clusterSize())
	if host != 0 {
		if _, err := img.file.ReadAt(bits, host); err != nil && !isEOF(err) {
			return err
		}
	} else if host, err = img.take(1); err != nil {
		return err
	}
	for g := int64(0); g<<b.granularity < n; g++ {
		from := off + g<<b.granularity
		if img.marks.any(from, min(1<<b.granularity, off+n-from)) {
			bits[g/8] |= 1 << (g % 8)
		}
	}
	if _, err := img.file.WriteAt(bits, host); err != nil {
		return err
	}
	return img.tables.put(at, 8, uint64(host))
}
