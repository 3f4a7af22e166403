package crash

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/panalvm/panal/api"
	"github.com/panalvm/panal/internal/testenv"
)

// stillCode is all that the still guest does: it fills 16 MiB of its memory with what hardly compresses, so that its saved
// states have something in them, and halts.
var stillCode = []byte{
	0xfa,                         // cli
	0xbf, 0x00, 0x00, 0x00, 0x01, // movl $0x1000000, %edi
	0xb9, 0x00, 0x00, 0x40, 0x00, // movl $0x400000, %ecx
	0xb8, 0x01, 0x00, 0x00, 0x00, // movl $1, %eax
	0x69, 0xc0, 0x0d, 0x66, 0x19, 0x00, // 1: imull $1664525, %eax, %eax
	0x05, 0x5f, 0xf3, 0x6e, 0x3c, // addl $1013904223, %eax
	0x89, 0x07, // movl %eax, (%edi)
	0x83, 0xc7, 0x04, // addl $4, %edi
	0x49,       // decl %ecx
	0x75, 0xed, // jnz 1b
	0xf4,       // 2: hlt
	0xeb, 0xfd, // jmp 2b
}

// stillAt is where the still guest's file lies in memory.
const stillAt = 1 << 20

// multiboot is the header that QEMU knows a kernel by (Multiboot Specification 0.6.96, section 3.1.1): it is entered in
// 32-bit mode, without paging.
var multiboot = [3]uint32{0x1badb002, 0, -0x1badb002 & 0xffffffff}

// still makes the still guest. Where guests come and go by the hundred and nobody asks them anything, it spares booting:
// under binary translation a start of the tiny guest takes more time than all that the daemon does.
func still(t *testing.T) api.Kernel {
	t.Helper()
	header := elf.Header32{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS32), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(elf.EM_386),
		Version: uint32(elf.EV_CURRENT),
	}
	load := elf.Prog32{Type: uint32(elf.PT_LOAD), Vaddr: stillAt, Paddr: stillAt, Flags: uint32(elf.PF_R | elf.PF_X)}
	before := uint32(binary.Size(header) + binary.Size(load) + binary.Size(multiboot))
	header.Phoff, header.Ehsize = uint32(binary.Size(header)), uint16(binary.Size(header))
	header.Phentsize, header.Phnum = uint16(binary.Size(load)), 1
	header.Entry = stillAt + before
	load.Filesz = before + uint32(len(stillCode))
	load.Memsz = load.Filesz
	var image bytes.Buffer
	for _, part := range []any{header, load, multiboot, stillCode} {
		if err := binary.Write(&image, binary.LittleEndian, part); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "still")
	if err := os.WriteFile(path, image.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return api.Kernel{Image: path}
}

// tiny is the tiny guest: a Linux that boots.
func tiny(t *testing.T) api.Kernel {
	t.Helper()
	guest := testenv.TinyGuest(t, "x86_64")
	return api.Kernel{Image: guest.Kernel, Initrd: guest.Initrd, CommandLine: guest.Append}
}
