package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
	"testing"
)

// BenchmarkAEAD has the standard library's beside ours: 1377 is a full body of the
// data plane, 16 its header.
func BenchmarkAEAD(b *testing.B) {
	block, err := aes.NewCipher(make([]byte, keySize))
	if err != nil {
		b.Fatal(err)
	}
	standard, err := cipher.NewGCM(block)
	if err != nil {
		b.Fatal(err)
	}
	ours, err := New(make([]byte, keySize))
	if err != nil {
		b.Fatal(err)
	}
	for _, n := range []int{64, 1280, 1377, 1408, 9000} {
		for _, a := range []struct {
			name string
			aead cipher.AEAD
		}{{"standard", standard}, {"ours", ours}} {
			nonce, data, buffer := make([]byte, nonceSize), make([]byte, 16), make([]byte, n+tagSize)
			b.Run(fmt.Sprintf("seal/%d/%s", n, a.name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					a.aead.Seal(buffer[:0], nonce, buffer[:n], data)
				}
			})
			sealed, opened := a.aead.Seal(nil, nonce, buffer[:n], data), make([]byte, n)
			b.Run(fmt.Sprintf("open/%d/%s", n, a.name), func(b *testing.B) {
				b.SetBytes(int64(n))
				for b.Loop() {
					if _, err := a.aead.Open(opened[:0], nonce, sealed, data); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
