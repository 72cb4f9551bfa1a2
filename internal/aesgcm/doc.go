// Package aesgcm is AES-256-GCM (NIST SP 800-38D) for small messages: on processors
// with VAES and AVX-512 it takes a third of the time of crypto/aes, whose assembler
// does a block to an instruction. Elsewhere [New] returns the standard library's.
//
// It is for the data plane, for which it was measured. Everything else uses crypto/aes.
// It goes when crypto/aes uses these instructions (docs/decisions/0010-aes-gcm.md).
//
// # Method
//
// It is that of Intel (Drucker, Gueron and Krasnov, Making AES great again, 2018) and
// of Eric Biggers's aes-gcm-vaes-avx512.S in Linux and BoringSSL, written anew.
//
// One call of the assembler does a whole message. It encrypts 256 bytes a stride, four
// blocks in each of four registers, and hashes the ciphertext of the stride before.
// What is left, less than 256 bytes, goes through the rounds at once, beside the block
// that masks the tag, and is read and written 64 bytes at a time under a mask, so that
// there is no loop over single blocks and no byte beyond the slices is touched.
//
//	encrypted          | blocks 1-16      blocks 17-32  blocks 33-48  ...  tail
//	hashed beside them | additional data  blocks 1-16   blocks 17-32  ...  the last 16
//
// # The hash
//
// GHASH takes 16 blocks B1 to B16 into the hash Y at a time: (Y+B1)*H^16 + B2*H^15 +
// ... + B16*H, with one reduction for all. The tail is n blocks and that of the
// lengths, which meet H^(n+1) to H. Additional data come first, but for their last
// block by themselves; that one waits as B16 behind 15 blocks of zero.
//
// GCM's bits run from left to right. With the bytes of a block reversed, the product
// of two blocks is their polynomials' product divided by x, so the powers are kept
// multiplied by x once (newVector). The reduction modulo x^128 + x^127 + x^126 + x^121
// + 1 adds such a multiple of that polynomial as clears the lower half, 64 bits at a
// time: for 64 bits L at the bottom this is L*(x^63 + x^62 + x^57) one word further up,
// and L two words further up, which is swapping the halves of what is added.
//
// # Constant time
//
// No branch and no address depends on key or text, only on lengths and on whether we
// seal or open.
package aesgcm
