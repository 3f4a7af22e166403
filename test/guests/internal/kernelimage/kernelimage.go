// Package kernelimage takes the uncompressed kernel out of an x86 bzImage.
//
// QEMU starts such an ELF file directly, by the PVH entry its notes name. Emulated, that saves the seconds in which a
// bzImage would unpack itself. UEFI firmware cannot start it and needs the bzImage.
//
// The fields are those of the kernel's Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header".
package kernelimage

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os/exec"
)

const (
	offsetSetupSectors  = 0x1f1
	offsetMagic         = 0x202
	offsetPayload       = 0x248
	offsetPayloadLength = 0x24c
	headerEnd           = 0x250

	sectorSize          = 512
	defaultSetupSectors = 4 // what a zero in the field means
	lengthTrailer       = 4 // the payload ends with its own uncompressed length
)

// ErrFormat is returned for what is not a bzImage with an xz-compressed kernel.
var ErrFormat = errors.New("not an x86 kernel image with an xz-compressed payload")

var (
	magic   = []byte("HdrS")
	xzMagic = []byte("\xfd7zXZ\x00")
)

// Vmlinux returns the uncompressed ELF kernel inside a bzImage. It needs the program xz.
func Vmlinux(ctx context.Context, bzImage []byte) ([]byte, error) {
	compressed, err := payload(bzImage)
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "xz", "--decompress", "--stdout")
	cmd.Stdin = bytes.NewReader(compressed)
	vmlinux, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("unpack the kernel: %w", err)
	}
	if _, err := elf.NewFile(bytes.NewReader(vmlinux)); err != nil {
		return nil, fmt.Errorf("unpack the kernel: %w", err)
	}
	return vmlinux, nil
}

// payload finds the compressed kernel.
func payload(image []byte) ([]byte, error) {
	if len(image) < headerEnd || !bytes.HasPrefix(image[offsetMagic:], magic) {
		return nil, ErrFormat
	}
	setup := uint64(image[offsetSetupSectors])
	if setup == 0 {
		setup = defaultSetupSectors
	}
	start := (setup+1)*sectorSize + uint64(binary.LittleEndian.Uint32(image[offsetPayload:]))
	length := uint64(binary.LittleEndian.Uint32(image[offsetPayloadLength:]))
	if length < lengthTrailer || start+length > uint64(len(image)) {
		return nil, ErrFormat
	}
	compressed := image[start : start+length-lengthTrailer]
	if !bytes.HasPrefix(compressed, xzMagic) {
		return nil, ErrFormat
	}
	return compressed, nil
}
