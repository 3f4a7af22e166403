package disktest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"

	"github.com/panalvm/panal/disk"
)

// Digest is what a disk holds, in short.
type Digest struct {
	Raw    string // RawDigest, in hexadecimal
	Size   int64  // of the disk, bytes
	Blocks string // BlockDigest, in hexadecimal
}

// hashable is the largest disk, in bytes, that is read whole for a digest.
const hashable = 1 << 30

// digestBlock is the unit of BlockDigest.
const digestBlock = 64 << 10

// RawDigest is the SHA-256 of all that a disk holds.
func RawDigest(img disk.Image) (string, error) {
	sum := sha256.New()
	whole := io.NewSectionReader(img, 0, img.Size())
	if _, err := io.CopyBuffer(sum, struct{ io.Reader }{whole}, make([]byte, 1<<20)); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// BlockDigest is the SHA-256 over each block of 64 KiB that is not all zero:
// its offset in 64 bits, little-endian, and its content. It reads only what the
// chain holds, so that it is for disks of any size.
func BlockDigest(img disk.Image) (string, error) {
	sum, buffer := sha256.New(), make([]byte, digestBlock)
	next := int64(0) // the first block that was not looked at
	for layer, err := range disk.Layers(context.Background(), img) {
		if err != nil {
			return "", err
		}
		if layer.State != disk.Data {
			continue
		}
		for off := max(next, layer.Off/digestBlock*digestBlock); off < layer.End(); off += digestBlock {
			block := buffer[:min(digestBlock, img.Size()-off)]
			if _, err := img.ReadAt(block, off); err != nil && err != io.EOF {
				return "", err
			}
			if !isZero(block) {
				_, _ = sum.Write(binary.LittleEndian.AppendUint64(nil, uint64(off)))
				_, _ = io.Copy(sum, bytes.NewReader(block))
			}
			next = off + digestBlock
		}
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
