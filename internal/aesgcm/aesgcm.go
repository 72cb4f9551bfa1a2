package aesgcm

import (
	"crypto/aes"
	"crypto/cipher"
	"fmt"
)

const (
	keySize   = 32
	blockSize = 16
	nonceSize = 12
	tagSize   = 16
)

// New returns AES-256-GCM under key, which has 32 bytes, with nonces of 12 bytes
// and tags of 16. What it returns keeps no reference to key, is safe for concurrent
// use, and does as [cipher.NewGCM]'s does: also in its panics, and in clearing dst
// where Open fails. Neither Seal nor Open allocates where dst has the room.
func New(key []byte) (cipher.AEAD, error) {
	if len(key) != keySize {
		return nil, fmt.Errorf("AES-256-GCM: a key of %d bytes, not %d", len(key), keySize)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	if supported() {
		return newVector(block, key), nil
	}
	return cipher.NewGCM(block)
}
