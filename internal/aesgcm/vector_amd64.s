// AES-256-GCM, four blocks to a register. doc.go explains the method.

#include "textflag.h"

// Offsets in a vector (vector_amd64.go).
#define H17  240
#define H16  256
#define H12  320
#define H8   384
#define H4   448
#define H1   496

// General registers of crypt.
#define KEY   DX  // *vector
#define DST   DI
#define SRC   SI
#define LEN   CX  // bytes that are left
#define OPEN  BX  // 1 where we open, 0 where we seal
#define DATA_ R8  // additional data
#define DLEN  R9  // bytes of it that are left
#define POWER R11 // the power of H for the next vector of the tail
#define ONES  R13
#define TMP   AX

// Vector registers. Z0 to Z3 are counter blocks on their way to key stream, Z4 to Z7
// the 16 blocks that wait to be hashed, Z16 to Z30 the round keys in each lane.
#define ACC   X8  // the hash so far; its upper lanes are zero
#define ACCY  Y8
#define ACCZ  Z8
#define LO    Z9  // unreduced products: LO + MI*x^64 + HI*x^128
#define MI    Z10
#define HI    Z11
#define HIX   X11
#define HIY   Y11
#define T0    Z12
#define T0X   X12
#define T1    Z13
#define T1X   X13
#define T1Y   Y13
#define SWAP  Z14 // reverses the bytes of each block
#define SWAPX X14
#define CTR   Z15 // the next four counter blocks, reversed
#define TAGZ  Z31 // the block that masks the tag

DATA swap<>+0(SB)/8, $0x08090a0b0c0d0e0f
DATA swap<>+8(SB)/8, $0x0001020304050607
GLOBL swap<>(SB), RODATA|NOPTR, $16

// FOUR_LANES puts A to D to the lower halves of four lanes, and HIGH to the higher.
#define FOUR_LANES(NAME, A, B, C, D, HIGH) \
	DATA NAME<>+0(SB)/8, $A; DATA NAME<>+8(SB)/8, $HIGH   \
	DATA NAME<>+16(SB)/8, $B; DATA NAME<>+24(SB)/8, $HIGH \
	DATA NAME<>+32(SB)/8, $C; DATA NAME<>+40(SB)/8, $HIGH \
	DATA NAME<>+48(SB)/8, $D; DATA NAME<>+56(SB)/8, $HIGH \
	GLOBL NAME<>(SB), RODATA|NOPTR, $64

FOUR_LANES(lanes, 1, 2, 3, 4, 0)
FOUR_LANES(fours, 4, 4, 4, 4, 0)

// x^63 + x^62 + x^57, wherever a multiplication may look for it.
#define POLY 0xc200000000000000
FOUR_LANES(poly, POLY, POLY, POLY, POLY, POLY)

#define CLEAR_PRODUCTS \
	VPXORQ LO, LO, LO \
	VPXORQ MI, MI, MI \
	VPXORQ HI, HI, HI

// ADD_PRODUCT adds, lane by lane, G times the powers in T0. It spends G and T1.
#define ADD_PRODUCT(G) \
	VPCLMULQDQ $0x00, T0, G, T1 \
	VPXORQ     T1, LO, LO       \
	VPCLMULQDQ $0x11, T0, G, T1 \
	VPXORQ     T1, HI, HI       \
	VPCLMULQDQ $0x01, T0, G, T1 \
	VPCLMULQDQ $0x10, T0, G, G  \
	VPTERNLOGQ $0x96, T1, G, MI

// FOLD_LO and FOLD_MI reduce the products modulo the polynomial, to HI.
#define FOLD_LO \
	VPCLMULQDQ $0x00, poly<>(SB), LO, T1 \
	VPSHUFD    $0x4e, LO, LO             \
	VPTERNLOGQ $0x96, T1, LO, MI

#define FOLD_MI \
	VPCLMULQDQ $0x00, poly<>(SB), MI, T1 \
	VPSHUFD    $0x4e, MI, MI             \
	VPTERNLOGQ $0x96, T1, MI, HI

// FOLD_LANES adds up the lanes of HI, to ACC.
#define FOLD_LANES \
	VEXTRACTI64X4 $1, HI, T1Y   \
	VPXOR         T1Y, HIY, HIY \
	VEXTRACTI128  $1, HIY, T1X  \
	VPXOR         T1X, HIX, ACC

#define HASH(OFFSET, G) \
	VMOVDQU64 OFFSET(KEY), T0 \
	ADD_PRODUCT(G)

// HASH_WAITING takes the 16 blocks in Z4 to Z7 into the hash.
#define HASH_WAITING \
	VPXORQ ACCZ, Z4, Z4 \
	CLEAR_PRODUCTS      \
	HASH(H16, Z4)       \
	HASH(H12, Z5)       \
	HASH(H8, Z6)        \
	HASH(H4, Z7)        \
	FOLD_LO             \
	FOLD_MI             \
	FOLD_LANES

// COUNT makes the next four counter blocks, with the first round key.
#define COUNT(Z) \
	VPSHUFB SWAP, CTR, Z          \
	VPADDD  fours<>(SB), CTR, CTR \
	VPXORQ  Z16, Z, Z

#define ROUND4(K) \
	VAESENC K, Z0, Z0; VAESENC K, Z1, Z1 \
	VAESENC K, Z2, Z2; VAESENC K, Z3, Z3

// A round of the tail, which has the tag's block beside two vectors, or four.
#define TAIL_ROUND2(K) \
	VAESENC K, Z0, Z0; VAESENC K, Z1, Z1; VAESENC K, TAGZ, TAGZ

#define TAIL_ROUND4(K) \
	ROUND4(K); VAESENC K, TAGZ, TAGZ

#define ROUNDS(ROUND) \
	ROUND(Z17); ROUND(Z18); ROUND(Z19); ROUND(Z20); ROUND(Z21); ROUND(Z22); ROUND(Z23) \
	ROUND(Z24); ROUND(Z25); ROUND(Z26); ROUND(Z27); ROUND(Z28); ROUND(Z29)

// LAST is the last round of Z, which adds what is in G: plaintext to ciphertext, or back.
#define LAST(G, Z) \
	VPXORQ      Z30, G, T0 \
	VAESENCLAST T0, Z, Z

// func crypt(k *vector, tag, nonce, dst, src *byte, n int, data *byte, dataLen int, open bool)
TEXT ·crypt(SB), NOSPLIT, $0-65
	MOVQ    k+0(FP), KEY
	MOVQ    nonce+16(FP), TMP
	MOVQ    dst+24(FP), DST
	MOVQ    src+32(FP), SRC
	MOVQ    n+40(FP), LEN
	MOVQ    data+48(FP), DATA_
	MOVQ    dataLen+56(FP), DLEN
	MOVBLZX open+64(FP), OPEN
	MOVQ    $-1, ONES

	VBROADCASTI32X4 0(KEY), Z16
	VBROADCASTI32X4 16(KEY), Z17
	VBROADCASTI32X4 32(KEY), Z18
	VBROADCASTI32X4 48(KEY), Z19
	VBROADCASTI32X4 64(KEY), Z20
	VBROADCASTI32X4 80(KEY), Z21
	VBROADCASTI32X4 96(KEY), Z22
	VBROADCASTI32X4 112(KEY), Z23
	VBROADCASTI32X4 128(KEY), Z24
	VBROADCASTI32X4 144(KEY), Z25
	VBROADCASTI32X4 160(KEY), Z26
	VBROADCASTI32X4 176(KEY), Z27
	VBROADCASTI32X4 192(KEY), Z28
	VBROADCASTI32X4 208(KEY), Z29
	VBROADCASTI32X4 224(KEY), Z30
	VBROADCASTI32X4 swap<>(SB), SWAP

	// The counter block of the tag has the count 1, the first of the text 2.
	VMOVQ      (TMP), X0
	VPINSRD    $2, 8(TMP), X0, X0
	MOVL       $0x01000000, TMP
	VPINSRD    $3, TMP, X0, X0
	VSHUFI32X4 $0, Z0, Z0, TAGZ
	VPSHUFB    SWAP, TAGZ, CTR
	VPADDD     lanes<>(SB), CTR, CTR
	VPXORQ     Z16, TAGZ, TAGZ

	// The last block of additional data, with the hash of those before it, becomes the
	// last of 16 blocks that wait. Zero blocks before it count for nothing.
	VPXOR  ACC, ACC, ACC
	VPXORQ Z4, Z4, Z4
	VPXORQ Z5, Z5, Z5
	VPXORQ Z6, Z6, Z6
	VPXORQ Z7, Z7, Z7
	TESTQ  DLEN, DLEN
	JEQ    text

data:
	CMPQ      DLEN, $16
	JBE       lastData
	VMOVDQU   (DATA_), X0
	VPSHUFB   SWAPX, X0, X0
	VPXOR     ACC, X0, X0
	VMOVDQU   H1(KEY), T0X
	CLEAR_PRODUCTS
	ADD_PRODUCT(Z0)
	FOLD_LO
	FOLD_MI
	VMOVDQA64 HI, ACCZ
	ADDQ      $16, DATA_
	SUBQ      $16, DLEN
	JMP       data

lastData:
	BZHIQ        DLEN, ONES, TMP
	KMOVQ        TMP, K1
	VMOVDQU8.Z   (DATA_), K1, X0
	VPSHUFB      SWAPX, X0, X0
	VPXOR        ACC, X0, X0
	VINSERTI32X4 $3, X0, Z7, Z7
	VPXOR        ACC, ACC, ACC

text:
	CMPQ LEN, $256
	JB   tail

	// 256 bytes a stride. The processor does rounds and hash at once by itself: both are
	// in its window, and neither needs the other. The rounds come first, for where we
	// seal the hash has to wait for the end of the stride before.
	PCALIGN $32

stride:
	COUNT(Z0)
	COUNT(Z1)
	COUNT(Z2)
	COUNT(Z3)
	ROUNDS(ROUND4)
	HASH_WAITING
	VMOVDQU64 0(SRC), Z4
	VMOVDQU64 64(SRC), Z5
	VMOVDQU64 128(SRC), Z6
	VMOVDQU64 192(SRC), Z7
	LAST(Z4, Z0)
	LAST(Z5, Z1)
	LAST(Z6, Z2)
	LAST(Z7, Z3)
	VMOVDQU64 Z0, 0(DST)
	VMOVDQU64 Z1, 64(DST)
	VMOVDQU64 Z2, 128(DST)
	VMOVDQU64 Z3, 192(DST)

	// What is hashed is the ciphertext.
	TESTL     OPEN, OPEN
	JNE       opened
	VMOVDQA64 Z0, Z4
	VMOVDQA64 Z1, Z5
	VMOVDQA64 Z2, Z6
	VMOVDQA64 Z3, Z7

opened:
	VPSHUFB SWAP, Z4, Z4
	VPSHUFB SWAP, Z5, Z5
	VPSHUFB SWAP, Z6, Z6
	VPSHUFB SWAP, Z7, Z7
	ADDQ    $256, SRC
	ADDQ    $256, DST
	SUBQ    $256, LEN
	CMPQ    LEN, $256
	JAE     stride

	// 0 to 255 bytes are left, in up to four vectors, and 16 blocks wait.
tail:
	HASH_WAITING
	COUNT(Z0)
	COUNT(Z1)
	CMPQ   LEN, $128
	JA     four
	ROUNDS(TAIL_ROUND2)
	JMP    tailLast

four:
	COUNT(Z2)
	COUNT(Z3)
	ROUNDS(TAIL_ROUND4)
	VAESENCLAST Z30, Z2, Z2
	VAESENCLAST Z30, Z3, Z3

tailLast:
	VAESENCLAST Z30, Z0, Z0
	VAESENCLAST Z30, Z1, Z1
	VAESENCLAST Z30, TAGZ, TAGZ

	// With a last block for the lengths, the first of n blocks meets H^(n+1).
	LEAQ  15(LEN), TMP
	ANDQ  $~15, TMP
	LEAQ  H1(KEY), POWER
	SUBQ  TMP, POWER
	CLEAR_PRODUCTS
	TESTQ LEN, LEN
	JEQ   lengths

tailVector:
	BZHIQ      LEN, ONES, TMP // all ones from 64 on
	KMOVQ      TMP, K1
	VMOVDQU8.Z (SRC), K1, Z4
	VPXORQ     Z0, Z4, Z0
	VMOVDQU8   Z0, K1, (DST)
	TESTL      OPEN, OPEN
	JNE        tailOpened
	VMOVDQU8.Z Z0, K1, Z4

tailOpened:
	VPSHUFB   SWAP, Z4, Z4
	VPXORQ    ACCZ, Z4, Z4
	VMOVDQU64 (POWER), T0
	ADD_PRODUCT(Z4)
	VPXOR     ACC, ACC, ACC
	VMOVDQA64 Z1, Z0
	VMOVDQA64 Z2, Z1
	VMOVDQA64 Z3, Z2
	ADDQ      $64, SRC
	ADDQ      $64, DST
	ADDQ      $64, POWER
	SUBQ      $64, LEN
	JA        tailVector

lengths:
	MOVQ    n+40(FP), TMP
	SHLQ    $3, TMP
	VMOVQ   TMP, X0
	MOVQ    dataLen+56(FP), TMP
	SHLQ    $3, TMP
	VPINSRQ $1, TMP, X0, X0
	VPXOR   ACC, X0, X0
	VMOVDQU H1(KEY), T0X
	ADD_PRODUCT(Z0)
	FOLD_LO
	FOLD_MI
	FOLD_LANES
	VPSHUFB SWAPX, ACC, ACC
	VPXORQ  X31, ACC, ACC
	MOVQ    tag+8(FP), TMP
	VMOVDQU ACC, (TMP)
	VZEROUPPER
	RET

// NEXT makes the next round key from the one two before, in A, and the word that
// SELECT takes from the substituted B, and puts it to A and to KEY.
#define NEXT(A, B, RCON, SELECT, OFFSET) \
	VAESKEYGENASSIST $RCON, B, X2 \
	VPSHUFD  $SELECT, X2, X2 \
	VPSLLDQ  $4, A, X3       \
	VPXOR    X3, A, A        \
	VPSLLDQ  $8, A, X3       \
	VPXOR    X3, A, A        \
	VPXOR    X2, A, A        \
	VMOVDQU  A, OFFSET(KEY)

// func expand(k *vector)
TEXT ·expand(SB), NOSPLIT, $0-8
	MOVQ    k+0(FP), KEY
	VMOVDQU 0(KEY), X0
	VMOVDQU 16(KEY), X1
	NEXT(X0, X1, 0x01, 0xff, 32)
	NEXT(X1, X0, 0x00, 0xaa, 48)
	NEXT(X0, X1, 0x02, 0xff, 64)
	NEXT(X1, X0, 0x00, 0xaa, 80)
	NEXT(X0, X1, 0x04, 0xff, 96)
	NEXT(X1, X0, 0x00, 0xaa, 112)
	NEXT(X0, X1, 0x08, 0xff, 128)
	NEXT(X1, X0, 0x00, 0xaa, 144)
	NEXT(X0, X1, 0x10, 0xff, 160)
	NEXT(X1, X0, 0x00, 0xaa, 176)
	NEXT(X0, X1, 0x20, 0xff, 192)
	NEXT(X1, X0, 0x00, 0xaa, 208)
	NEXT(X0, X1, 0x40, 0xff, 224)

	// H^2 to H^17, each from the one before.
	LEAQ      H1(KEY), POWER
	VMOVDQU   (POWER), T0X
	VMOVDQA64 T0, Z0

power:
	CLEAR_PRODUCTS
	ADD_PRODUCT(Z0)
	FOLD_LO
	FOLD_MI
	VMOVDQA64 HI, Z0
	SUBQ    $16, POWER
	VMOVDQU X0, (POWER)
	LEAQ    H17(KEY), TMP
	CMPQ    POWER, TMP
	JA      power
	VZEROUPPER
	RET
