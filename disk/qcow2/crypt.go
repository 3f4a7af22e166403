package qcow2

import (
	"encoding/binary"

	"github.com/panalvm/panal/disk"
)

// An encrypted image has a LUKS header in clusters of its own, which a header extension leads
// to. The guest's clusters are encrypted by the master key that it keeps, and a sector's number is that of
// where it lies in the file. Tables are not encrypted.

// span is a range of the file.
type span struct{ off, n int64 }

// encode is the content of the header extension (spec, "Full disk encryption header pointer").
func (s span) encode() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, uint64(s.off)), uint64(s.n))
}

// maxSeal bounds LUKS headers: those of 8 slots have 2 MiB.
const maxSeal = 64 << 20

// encrypted tells whether the content is encrypted.
func (img *image) encrypted() bool { return img.h.crypt == cryptLUKS }

// unlock finds the LUKS header of an encrypted image and the key that it keeps.
func (img *image) unlock(keys disk.Keys) error {
	if !img.encrypted() {
		return nil
	}
	e, ok := find(img.extensions, extCrypto)
	if !ok || len(e.data) < 16 {
		return disk.Corrupt(formatName, 32, "the image is encrypted (LUKS), and no header extension leads to the key")
	}
	s := span{int64(binary.BigEndian.Uint64(e.data)), int64(binary.BigEndian.Uint64(e.data[8:]))}
	size, err := img.file.Size()
	if err != nil {
		return err
	}
	if s.off <= 0 || s.off&(img.clusterSize()-1) != 0 || s.n <= 0 || s.n > maxSeal || s.off > size || s.n > size-s.off {
		return disk.Corrupt(formatName, e.at, "an encryption header of %d bytes at %#x", s.n, s.off)
	}
	img.sealed = s
	return img.useKeys(keys)
}

// useKeys decrypts the content, or locks it where there are no keys.
func (img *image) useKeys(keys disk.Keys) error {
	var cipher disk.Cipher
	if keys != nil {
		header, err := img.EncryptionHeader()
		if err != nil {
			return err
		}
		if cipher, err = keys.Unlock(header); err != nil {
			return err
		}
	}
	img.data = disk.Decrypted(img.file, cipher, 0)
	return nil
}

// EncryptionHeader is the LUKS header; nil if the image is not encrypted.
func (img *image) EncryptionHeader() ([]byte, error) {
	if !img.encrypted() {
		return nil, nil
	}
	return disk.ReadFull(img.file, img.sealed.off, img.sealed.n, formatName, "encryption header")
}

// headerPart is how much of a LUKS header the key slots are described in; it is written last.
const headerPart = 4096

// SetEncryptionHeader writes another header where the present one is. Nothing else in the file is written:
// QEMU may have the image open.
func (img *image) SetEncryptionHeader(header []byte) error {
	if !img.canWrite {
		return disk.ErrReadOnly
	}
	img.writing.Lock()
	defer img.writing.Unlock()
	if int64(len(header)) != img.sealed.n {
		return disk.Usage("an encryption header of %d bytes cannot take the place of one of %d", len(header), img.sealed.n)
	}
	if img.closed {
		return errClosed
	}
	first := min(headerPart, len(header))
	if err := img.putHeader(header, first, len(header)); err != nil {
		return err
	}
	if err := img.file.Sync(); err != nil {
		return err
	}
	if err := img.putHeader(header, 0, first); err != nil {
		return err
	}
	return img.file.Sync()
}

// putHeader writes a part of a LUKS header.
func (img *image) putHeader(header []byte, from, to int) error {
	_, err := img.file.WriteAt(header[from:to], img.sealed.off+int64(from))
	return err
}

// encrypt plans an encrypted image.
func (p *plan) encrypt(t *disk.Target) error {
	if t.Encryption == nil {
		return nil
	}
	if mode := t.Text("preallocation"); p.dataFile != "" || p.h.version < 3 || mode != "off" && mode != "full" {
		return disk.Usage("an encrypted image needs version 3 of the format, no dataFile, and preallocation off or full")
	}
	if len(t.Encryption) > maxSeal {
		return disk.Usage("an encryption header of %d bytes; %d is the most", len(t.Encryption), maxSeal)
	}
	p.h.crypt, p.encryption = cryptLUKS, t.Encryption
	return nil
}

// sealClusters is how many clusters the LUKS header has.
func (p *plan) sealClusters() int64 {
	return (int64(len(p.encryption)) + p.h.clusterSize() - 1) >> p.h.clusterBits
}

// sealed is where the LUKS header lies: behind the L1 table, which lies last else.
func (p *plan) sealed() span {
	return span{(p.usedClusters() - p.sealClusters()) << p.h.clusterBits, int64(len(p.encryption))}
}

// seal writes the LUKS header of a new image. Key slots that are not in use are holes.
func (img *image) seal(p *plan, t *disk.Target) error {
	if p.encryption == nil {
		return nil
	}
	img.sealed = p.sealed()
	for at := 0; at < len(p.encryption); at += headerPart {
		end := min(at+headerPart, len(p.encryption))
		if allZero(p.encryption[at:end]) {
			continue
		}
		if err := img.putHeader(p.encryption, at, end); err != nil {
			return err
		}
	}
	return img.useKeys(t.Keys)
}

var _ disk.Encrypted = (*image)(nil)
