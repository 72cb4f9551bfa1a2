package aesgcm

import (
	"crypto/cipher"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"unsafe"

	"golang.org/x/sys/cpu"
)

// supported reports whether this processor has all that the assembler uses, and
// the operating system keeps its registers. GODEBUG=cpu.avx512f=off says no.
func supported() bool {
	x := &cpu.X86
	return x.HasAVX512F && x.HasAVX512BW && x.HasAVX512DQ && x.HasAVX512VL &&
		x.HasAVX512VAES && x.HasAVX512VPCLMULQDQ && x.HasAES && x.HasBMI2
}

// A vector is a key made ready for the assembler, which knows the offsets of its
// fields. As it has no pointers and 560 bytes, Go's allocator begins it, and so
// H^16, with a cache line: that is quicker, but nothing depends on it.
type vector struct {
	roundKeys [15][blockSize]byte
	powers    [17][blockSize]byte // H^17 to H^1, as GHASH multiplies by them (doc.go)
	_         [3][blockSize]byte  // read with H^1, and multiplied by zero
}

// expand computes k.roundKeys from the first two, which are the key (FIPS 197,
// section 5.2), and k.powers from the last, H^1.
//
//go:noescape
func expand(k *vector)

// crypt seals, or opens, n bytes from src to dst, which are the same or don't
// overlap, and computes their tag, whose 16 bytes may lie anywhere.
//
//go:noescape
func crypt(k *vector, tag, nonce, dst, src *byte, n int, data *byte, dataLen int, open bool)

func newVector(block cipher.Block, key []byte) cipher.AEAD {
	k := new(vector)
	h := &k.powers[len(k.powers)-1]
	block.Encrypt(h[:], h[:])
	high, low := binary.BigEndian.Uint64(h[:8]), binary.BigEndian.Uint64(h[8:])
	carry := -(high >> 63) // all ones or none
	high = (high<<1 | low>>63) ^ carry&0xc2<<56
	low = low<<1 ^ carry&1
	binary.LittleEndian.PutUint64(h[:8], low)
	binary.LittleEndian.PutUint64(h[8:], high)
	copy(k.roundKeys[0][:], key)
	copy(k.roundKeys[1][:], key[blockSize:])
	expand(k)
	return k
}

func (*vector) NonceSize() int { return nonceSize }

func (*vector) Overhead() int { return tagSize }

// maxPlaintext is what the counter of 32 bits lets a nonce seal, in bytes.
const maxPlaintext = (1<<32 - 2) * blockSize

func (k *vector) Seal(dst, nonce, plaintext, data []byte) []byte {
	if len(nonce) != nonceSize {
		panic("aesgcm: a nonce has 12 bytes")
	}
	if uint64(len(plaintext)) > maxPlaintext {
		panic("aesgcm: the message is too large")
	}
	all, out := grow(dst, len(plaintext)+tagSize)
	mustNotOverlap(out, plaintext, data)
	crypt(k, &out[len(plaintext)], &nonce[0], &out[0], unsafe.SliceData(plaintext), len(plaintext),
		unsafe.SliceData(data), len(data), false)
	return all
}

var errOpen = errors.New("aesgcm: message authentication failed")

func (k *vector) Open(dst, nonce, ciphertext, data []byte) ([]byte, error) {
	if len(nonce) != nonceSize {
		panic("aesgcm: a nonce has 12 bytes")
	}
	n := len(ciphertext) - tagSize
	if n < 0 || uint64(n) > maxPlaintext {
		return nil, errOpen
	}
	all, out := grow(dst, n)
	mustNotOverlap(out, ciphertext, data)
	var expected [tagSize]byte
	crypt(k, &expected[0], &nonce[0], unsafe.SliceData(out), &ciphertext[0], n,
		unsafe.SliceData(data), len(data), true)
	if subtle.ConstantTimeCompare(expected[:], ciphertext[n:]) != 1 {
		clear(out)
		return nil, errOpen
	}
	return all, nil
}

// grow returns dst with n bytes more, in place where they fit, and those n bytes.
func grow(dst []byte, n int) (all, added []byte) {
	if total := len(dst) + n; cap(dst) >= total {
		all = dst[:total]
	} else {
		all = append(make([]byte, 0, total), dst...)[:total]
	}
	return all, all[len(dst):]
}

// mustNotOverlap holds callers to the contract of [cipher.AEAD]: out begins where
// in does or shares no byte with it, and shares none with data.
func mustNotOverlap(out, in, data []byte) {
	if overlap(out, in) && unsafe.SliceData(out) != unsafe.SliceData(in) {
		panic("aesgcm: output and input overlap, and don't begin at the same byte")
	}
	if overlap(out, data) {
		panic("aesgcm: output and additional data overlap")
	}
}

func overlap(a, b []byte) bool {
	startA, startB := uintptr(unsafe.Pointer(unsafe.SliceData(a))), uintptr(unsafe.Pointer(unsafe.SliceData(b)))
	return len(a) > 0 && len(b) > 0 && startA < startB+uintptr(len(b)) && startB < startA+uintptr(len(a))
}
