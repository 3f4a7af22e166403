package qcow1

import (
	"errors"
	"math/bits"

	"github.com/panalvm/panal/disk"
)

// optionCluster is the size of clusters.
const optionCluster = "clusterSize"

// create makes an empty image in t.File.
func create(t *disk.Target) (disk.Image, error) {
	img, err := build(t)
	if err != nil {
		return nil, errors.Join(err, t.File.Close())
	}
	return img, nil
}

func build(t *disk.Target) (*image, error) {
	h, name, err := planOf(t)
	if err != nil {
		return nil, err
	}
	if _, err := t.File.WriteAt(append(h.encode(), name...), 0); err != nil {
		return nil, err
	}
	// The L1 table is zeros, and all behind it begins with a cluster.
	if err := t.File.Truncate(h.aligned(h.l1Offset + h.l1Bytes())); err != nil {
		return nil, err
	}
	img := assemble(t.File, h)
	img.parent, img.foreign, img.backing, img.canWrite = t.Parent, true, name, true
	return img, t.File.Sync()
}

// planOf is the header of a new image, and the name of its backing file.
func planOf(t *disk.Target) (h header, name string, err error) {
	if d, ok := t.File.(disk.Device); ok && d.IsDevice() {
		return h, "", disk.Unsupported(formatName, "images of this format cannot be made on a block device; choose qcow2")
	}
	size := t.Size
	if size <= maxDiskSize-511 {
		size = (size + 511) &^ 511 // guests see no part of a sector
	}
	if size == 0 {
		return h, "", disk.Usage("QEMU does not open disks of 0 bytes in this format; 512 is the least")
	}
	h = header{size: size}
	if err := h.shape(t); err != nil {
		return h, "", err
	}
	if t.Parent != nil {
		if name, err = backingName(t.ParentName); err != nil {
			return h, "", err
		}
		h.backingOffset, h.backingLen = headerBytes, uint32(len(name))
	}
	h.l1Offset = (headerBytes + int64(len(name)) + 7) &^ 7
	if size > maxDiskSize || h.l1Bytes() > maxL1Bytes {
		return h, "", disk.Unsupported(formatName, "a disk of %d bytes needs an L1 table of more than %d; choose larger clusters", size, maxL1Bytes)
	}
	return h, name, nil
}

// shape chooses the sizes of clusters and tables, as QEMU does unless told otherwise:
// with a parent clusters are small, so that little has to be copied from it.
func (h *header) shape(t *disk.Target) error {
	cluster := t.Int(optionCluster)
	switch {
	case cluster == 0 && t.Parent != nil:
		cluster = 512
	case cluster == 0:
		cluster = 4096
	case bits.OnesCount64(uint64(cluster)) != 1:
		return disk.Usage("option %s is %d; it must be a power of two", optionCluster, cluster)
	}
	h.clusterBits = uint8(bits.TrailingZeros64(uint64(cluster)))
	h.tableBits = max(h.clusterBits-3, 9)
	if cluster == 512 {
		h.tableBits = 12
	}
	return nil
}
