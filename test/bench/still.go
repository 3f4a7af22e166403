package main

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
)

// halt is all that a still guest does: it disables interrupts, and stops for ever.
var halt = []byte{
	0xfa,       // cli
	0xf4,       // 1: hlt
	0xeb, 0xfd, // jmp 1b
}

// haltAt is where the still guest's file lies in memory.
const haltAt = 1 << 20

// stillKernel makes a guest that lies still from its first moment on: a kernel that QEMU knows by its header (Multiboot
// Specification 0.6.96, section 3.1.1).
func (b *bench) stillKernel() (path string, err error) {
	multiboot := [3]uint32{0x1badb002, 0, -0x1badb002 & 0xffffffff}
	header := elf.Header32{
		Ident: [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:  uint16(elf.ET_EXEC), Machine: uint16(elf.EM_386), Version: uint32(elf.EV_CURRENT),
	}
	load := elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: haltAt, Paddr: haltAt, Flags: uint32(elf.PF_R | elf.PF_X)}
	before := uint32(binary.Size(header) + binary.Size(load) + binary.Size(multiboot))
	header.Phoff, header.Ehsize = uint32(binary.Size(header)), uint16(binary.Size(header))
	header.Phentsize, header.Phnum, header.Entry = uint16(binary.Size(load)), 1, haltAt+before
	load.Filesz = before + uint32(len(halt))
	load.Memsz = load.Filesz
	var image bytes.Buffer
	for _, part := range []any{header, load, multiboot, halt} {
		if err := binary.Write(&image, binary.LittleEndian, part); err != nil {
			return "", err
		}
	}
	path = b.fresh("still")
	return path, os.WriteFile(path, image.Bytes(), 0o644)
}
