package bundle

import (
	"bufio"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// Key is a public key that an appliance takes bundles by.
type Key struct {
	Public ed25519.PublicKey
	// Development says that everybody has the private key.
	Development bool
}

// Fingerprint names a key for people: the first eight bytes of its SHA-256.
func (k Key) Fingerprint() string {
	sum := sha256.Sum256(k.Public)
	return fmt.Sprintf("%x", sum[:8])
}

// DevelopmentKey returns the key of images that were made without one. It is in the source, so it
// keeps nobody out; what is signed by it is marked wherever it is shown.
func DevelopmentKey() ed25519.PrivateKey {
	seed := sha256.Sum256([]byte("Landbridge's key for development: everybody has it"))
	return ed25519.NewKeyFromSeed(seed[:])
}

// KeyOf returns the public half of a key.
func KeyOf(private ed25519.PrivateKey) Key {
	public := private.Public().(ed25519.PublicKey)
	return Key{Public: public, Development: private.Equal(DevelopmentKey())}
}

// FormatKeys writes keys as the image keeps them: a line for each, "ed25519 " and base64.
func FormatKeys(keys ...Key) []byte {
	var b strings.Builder
	for _, k := range keys {
		fmt.Fprintf(&b, "ed25519 %s\n", base64.StdEncoding.EncodeToString(k.Public))
	}
	return []byte(b.String())
}

// ParseKeys reads what FormatKeys has written. Which of them is for development it finds out itself.
func ParseKeys(text []byte) (keys []Key, err error) {
	development := KeyOf(DevelopmentKey())
	lines := bufio.NewScanner(strings.NewReader(string(text)))
	for lines.Scan() {
		kind, coded, _ := strings.Cut(lines.Text(), " ")
		public, err := base64.StdEncoding.DecodeString(coded)
		if err != nil || kind != "ed25519" || len(public) != ed25519.PublicKeySize {
			return nil, fmt.Errorf("%q is no key: want ed25519 and 32 bytes in base64", lines.Text())
		}
		keys = append(keys, Key{Public: public, Development: development.Public.Equal(ed25519.PublicKey(public))})
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if len(keys) == 0 {
		return nil, errors.New("there is no key by which updates are taken")
	}
	return keys, nil
}
