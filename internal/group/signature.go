package group

import (
	"crypto/ed25519"
	"encoding/binary"
	"fmt"
)

// Signature is a member's Ed25519 signature, 64 bytes.
type Signature []byte

// signedMessage is what a node key signs: a preamble that no other use of the key
// begins with, the domain with its length, the group, the message.
func signedMessage(group ID, domain string, msg []byte) []byte {
	const preamble = "landbridge signature 1\x00"
	b := make([]byte, 0, len(preamble)+binary.MaxVarintLen64+len(domain)+len(group)+len(msg))
	b = append(b, preamble...)
	b = binary.AppendUvarint(b, uint64(len(domain)))
	b = append(b, domain...)
	b = append(b, group[:]...)
	return append(b, msg...)
}

// VerifySignature checks a signature that a member made with Sign, at a node that
// needn't be a member itself.
func VerifySignature(group ID, domain string, from MemberID, msg []byte, sig Signature) error {
	if len(sig) != ed25519.SignatureSize || !ed25519.Verify(from.Key(), signedMessage(group, domain, msg), sig) {
		return fmt.Errorf("%s of %v: %w", domain, from, ErrSignature)
	}
	return nil
}
