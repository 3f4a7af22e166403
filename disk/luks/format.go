package luks

import (
	"errors"
	"io"

	"github.com/panalvm/panal/disk"
)

// Format is raw disks encrypted by LUKS, version 1. They are read and written, not made:
// new encrypted images are QCOW2.
var Format = &disk.Format{
	Name:       formatName,
	Extensions: []string{"luks"},
	Title:      "Raw disk encrypted by LUKS, version 1",
	Variants:   []disk.Variant{{Name: "", Title: "one file", Write: true}},
	Probe:      probe,
	Open:       open,
}

func probe(s disk.Sample) disk.Confidence {
	if !Is(s.Head) {
		return disk.No
	}
	return disk.Certain
}

// image is an open encrypted disk.
type image struct {
	file     disk.File
	content  disk.File // decrypted; offsets are file's
	h        header
	canWrite bool
}

func open(s *disk.Source) (disk.Image, error) {
	img, err := load(s)
	if err != nil {
		return nil, errors.Join(err, s.File.Close())
	}
	return img, nil
}

func load(s *disk.Source) (*image, error) {
	size, err := s.File.Size()
	if err != nil {
		return nil, err
	}
	head, err := disk.ReadFull(s.File, 0, min(size, headerBytes), formatName, "header")
	if err != nil {
		return nil, err
	}
	img := &image{file: s.File, canWrite: s.Write}
	if img.h, err = decode(head); err != nil {
		return nil, err
	}
	if img.h.payload > size {
		return nil, disk.Corrupt(formatName, 104, "the payload begins at %d, behind the end of the file", img.h.payload)
	}
	var cipher disk.Cipher
	if s.Keys != nil {
		p, err := img.EncryptionHeader()
		if err != nil {
			return nil, err
		}
		if cipher, err = s.Keys.Unlock(p); err != nil {
			return nil, err
		}
	}
	img.content = disk.Decrypted(s.File, cipher, img.h.payload)
	return img, nil
}

// Size is the size of the disk.
func (img *image) Size() int64 {
	size, err := img.file.Size()
	if err != nil {
		return 0
	}
	return max(0, size-img.h.payload) &^ (sector - 1)
}

// ReadAt reads what a guest would.
func (img *image) ReadAt(p []byte, off int64) (int, error) {
	if off < 0 {
		return 0, disk.ErrRange
	}
	n := min(int64(len(p)), img.Size()-off)
	if n <= 0 && len(p) > 0 {
		return 0, io.EOF
	}
	k, err := img.content.ReadAt(p[:max(n, 0)], img.h.payload+off)
	if err == nil && k < len(p) {
		err = io.EOF
	}
	return k, err
}

// WriteAt writes p at off.
func (img *image) WriteAt(p []byte, off int64) (int, error) {
	if !img.canWrite {
		return 0, disk.ErrReadOnly
	}
	if err := disk.InRange(off, int64(len(p)), img.Size()); err != nil {
		return 0, err
	}
	return img.content.WriteAt(p, img.h.payload+off)
}

// Sync makes durable what was written.
func (img *image) Sync() error {
	if !img.canWrite {
		return nil
	}
	return img.file.Sync()
}

// CanWrite tells whether it was opened for writing.
func (img *image) CanWrite() bool { return img.canWrite }

// Close closes the file.
func (img *image) Close() error { return img.file.Close() }

// EncryptionHeader is what lies before the disk.
func (img *image) EncryptionHeader() ([]byte, error) {
	return disk.ReadFull(img.file, 0, img.h.payload, formatName, "key material")
}

// SetEncryptionHeader replaces it: the key material first, the slots that point to it last.
func (img *image) SetEncryptionHeader(p []byte) error {
	if !img.canWrite {
		return disk.ErrReadOnly
	}
	h, err := decode(p)
	if err != nil {
		return err
	}
	if int64(len(p)) != img.h.payload || h.payload != img.h.payload || h.digest != img.h.digest {
		return disk.Usage("the header is not one of this image's")
	}
	for _, part := range [][2]int64{{headerBytes, h.payload}, {0, headerBytes}} {
		if _, err := img.file.WriteAt(p[part[0]:part[1]], part[0]); err != nil {
			return err
		}
		if err := img.file.Sync(); err != nil {
			return err
		}
	}
	img.h = h
	return nil
}

// Describe says what the header says.
func (img *image) Describe() disk.Info {
	info := disk.Info{
		Format: formatName, Version: "1", Size: img.Size(), SectorSize: sector, UUID: img.h.uuid, Encrypted: true,
		Details: []disk.Detail{{Name: "cipher", Value: img.h.cipher + "-" + img.h.mode}, {Name: "hash", Value: img.h.hash}},
	}
	info.Allocated, _ = img.file.Size()
	if a, ok := img.file.(disk.Allocated); ok {
		if n, err := a.Allocated(); err == nil {
			info.Allocated = n
		}
	}
	return info
}
