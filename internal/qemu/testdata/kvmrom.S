# The probe guest: a ROM that goes from the reset vector through 16-bit and
# 32-bit mode to 64-bit mode with paging, counts down there, and ends QEMU.
#
# It says on a debug console (port 0x402) how far it is: R in real mode, P in
# protected mode, L in long mode before the loop, E after it.
#
# kvmrom.go holds the assembled bytes; a test assembles this file and compares.
#
# References: Intel SDM volume 3A (September 2023), 9.8.5 "Initializing IA-32e
# Mode"; QEMU 7.2, hw/misc/debugexit.c (port 0xf4 ends QEMU) and
# hw/char/debugcon.c.

        .set  COUNT, 200000000
        .set  PML4, 0x1000          # page tables, in RAM: nothing else is there
        .set  PDPT, 0x2000
        .set  PD,   0x3000
        .set  BASE, 0xf0000         # where the ROM's 64 KiB are below 1 MiB

        .code16
        .globl _start
_start: cli
        cld
        movw  $0x402, %dx
        movb  $'R', %al
        outb  %al, %dx
        xorw  %ax, %ax
        movw  %ax, %ds
        movw  %ax, %es
        movw  $PML4, %di
        movw  $0x1800, %cx          # 3 tables of 4 KiB, in words
        rep stosw
        movw  $PDPT + 3, PML4       # present, writable
        movw  $PD + 3, PDPT
        movw  $0x83, PD             # one page of 2 MiB, address 0 onwards
        lgdtl %cs:gdtr - _start
        movl  %cr0, %eax
        orl   $1, %eax              # PE
        movl  %eax, %cr0
        ljmpl $0x08, $BASE + protected - _start

        .code32
protected:
        movb  $'P', %al
        outb  %al, %dx
        movl  %cr4, %eax
        orl   $0x20, %eax           # PAE
        movl  %eax, %cr4
        movl  $PML4, %eax
        movl  %eax, %cr3
        movl  $0xc0000080, %ecx     # EFER
        rdmsr
        orl   $0x100, %eax          # LME
        wrmsr
        movl  %cr0, %eax
        orl   $0x80000000, %eax     # PG
        movl  %eax, %cr0
        ljmpl $0x10, $BASE + long - _start

        .code64
long:   movl  $0x402, %edx
        movb  $'L', %al
        outb  %al, %dx
        movl  $COUNT, %ecx          # and zeroes the upper half of rcx
1:      decq  %rcx
        jnz   1b
        movb  $'E', %al
        outb  %al, %dx
        movl  $0xf4, %edx
        movl  $0x10, %eax           # QEMU ends with 0x10 * 2 + 1 = 33
        outl  %eax, %dx
2:      hlt
        jmp   2b

        .balign 8
gdt:    .quad 0
        .quad 0x00cf9a000000ffff    # 0x08: code, 32 bits
        .quad 0x00af9a000000ffff    # 0x10: code, 64 bits
gdtr:   .word gdtr - gdt - 1
        .long BASE + gdt - _start
