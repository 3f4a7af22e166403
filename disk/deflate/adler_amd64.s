#include "textflag.h"

// The weights of 32 bytes: the first counts 32 times, the last once.
DATA weights<>+0x00(SB)/8, $0x191a1b1c1d1e1f20
DATA weights<>+0x08(SB)/8, $0x1112131415161718
DATA weights<>+0x10(SB)/8, $0x090a0b0c0d0e0f10
DATA weights<>+0x18(SB)/8, $0x0102030405060708
GLOBL weights<>(SB), RODATA|NOPTR, $32

DATA ones<>+0x00(SB)/8, $0x0001000100010001
DATA ones<>+0x08(SB)/8, $0x0001000100010001
DATA ones<>+0x10(SB)/8, $0x0001000100010001
DATA ones<>+0x18(SB)/8, $0x0001000100010001
GLOBL ones<>(SB), RODATA|NOPTR, $32

// func sumsAVX2(p []byte) (plain, weighted uint64)
//
// Y0 is the plain sum, Y1 that of what Y0 was before each row, which counts 32
// times, Y2 the weighted sum within rows. All have lanes of 32 bits: of a
// row of 5536 bytes none reaches 2^25.
TEXT ·sumsAVX2(SB), NOSPLIT, $0-40
	MOVQ p_base+0(FP), SI
	MOVQ p_len+8(FP), CX
	SHRQ $5, CX
	VPXOR Y0, Y0, Y0
	VPXOR Y1, Y1, Y1
	VPXOR Y2, Y2, Y2
	VPXOR Y7, Y7, Y7
	VMOVDQU weights<>(SB), Y5
	VMOVDQU ones<>(SB), Y6

row:
	VMOVDQU (SI), Y3
	VPADDD Y0, Y1, Y1
	VPSADBW Y7, Y3, Y4
	VPADDD Y4, Y0, Y0
	VPMADDUBSW Y5, Y3, Y3
	VPMADDWD Y6, Y3, Y3
	VPADDD Y3, Y2, Y2
	ADDQ $32, SI
	DECQ CX
	JNZ row

	VPSLLD $5, Y1, Y1
	VPADDD Y1, Y2, Y2
	VEXTRACTI128 $1, Y0, X3
	VPADDD X3, X0, X0
	VPSHUFD $0x4e, X0, X3
	VPADDD X3, X0, X0
	VPSHUFD $0xb1, X0, X3
	VPADDD X3, X0, X0
	VMOVD X0, AX
	VEXTRACTI128 $1, Y2, X3
	VPADDD X3, X2, X2
	VPSHUFD $0x4e, X2, X3
	VPADDD X3, X2, X2
	VPSHUFD $0xb1, X2, X3
	VPADDD X3, X2, X2
	VMOVD X2, BX
	VZEROUPPER
	MOVQ AX, plain+24(FP)
	MOVQ BX, weighted+32(FP)
	RET
