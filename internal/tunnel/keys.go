package tunnel

import (
	"crypto/cipher"
	"crypto/ecdh"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"fmt"

	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/sys/cpu"

	"landbridge/internal/aesgcm"
)

// A Cipher is the AEAD of a session.
type Cipher uint8

// The ciphers, as they stand in an answer.
const (
	ChaCha20Poly1305 Cipher = 1
	AES256GCM        Cipher = 2
)

func (c Cipher) String() string {
	switch c {
	case ChaCha20Poly1305:
		return "ChaCha20-Poly1305"
	case AES256GCM:
		return "AES-256-GCM"
	}
	return "none"
}

// hardwareAES reports whether this processor computes AES and GHASH itself.
// Without that, AES in software is slow and leaks its key by timing.
func hardwareAES() bool {
	return cpu.X86.HasAES && cpu.X86.HasPCLMULQDQ ||
		cpu.ARM64.HasAES && cpu.ARM64.HasPMULL ||
		cpu.S390X.HasAESGCM
}

// chooseCipher is AES where both ends have it in hardware.
func chooseCipher(ours, theirs bool) Cipher {
	if ours && theirs {
		return AES256GCM
	}
	return ChaCha20Poly1305
}

func newAEAD(c Cipher, key []byte) (cipher.AEAD, error) {
	switch c {
	case AES256GCM:
		return aesgcm.New(key)
	case ChaCha20Poly1305:
		return chacha20poly1305.New(key)
	}
	return nil, fmt.Errorf("cipher %d: not known to this version", c)
}

const keySize = 32

// keySet is what both ends derive from one exchange.
type keySet struct {
	fromInitiator [keySize]byte
	fromResponder [keySize]byte
	chain         [keySize]byte // goes into the next exchange of this session
}

// deriveKeys makes the keys of a session. Chain is empty for the first exchange
// and the former keySet's chain for a rekey; transcript is all that was said.
func deriveKeys(private *ecdh.PrivateKey, public, chain, transcript []byte) (keySet, error) {
	remote, err := ecdh.X25519().NewPublicKey(public)
	if err != nil {
		return keySet{}, fmt.Errorf("ephemeral key: %w", err)
	}
	shared, err := private.ECDH(remote) // refuses points of low order
	if err != nil {
		return keySet{}, fmt.Errorf("ephemeral key: %w", err)
	}
	salt := sha256.Sum256(transcript)
	okm, err := hkdf.Key(sha256.New, append(shared, chain...), salt[:], "landbridge tunnel 1 keys", 3*keySize)
	if err != nil {
		return keySet{}, err
	}
	var k keySet
	copy(k.fromInitiator[:], okm[0:])
	copy(k.fromResponder[:], okm[keySize:])
	copy(k.chain[:], okm[2*keySize:])
	return k, nil
}

func newEphemeral() (*ecdh.PrivateKey, error) { return ecdh.X25519().GenerateKey(rand.Reader) }
