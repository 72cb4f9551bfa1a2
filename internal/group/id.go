package group

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
)

// ID names a group: the SHA-256 of its CA's Ed25519 public key (32 raw bytes).
type ID [sha256.Size]byte

// IDOf returns the ID of the group whose CA has this public key.
func IDOf(ca ed25519.PublicKey) ID { return sha256.Sum256(ca) }

// ParseID reads the form that String writes: 64 hexadecimal digits.
func ParseID(s string) (ID, error) {
	var id ID
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(id) {
		return ID{}, fmt.Errorf("group ID %q: want %d hexadecimal digits", s, 2*len(id))
	}
	copy(id[:], b)
	return id, nil
}

// String returns the ID as 64 hexadecimal digits.
func (id ID) String() string { return hex.EncodeToString(id[:]) }

// Short returns the first eight hexadecimal digits, for logs and tables.
func (id ID) Short() string { return hex.EncodeToString(id[:4]) }

// NamesNode reports whether a text has the form of a fingerprint or of a member ID, in whatever
// case: where somebody names a node by it, no other node's name may count.
func NamesNode(text string) bool {
	_, err := ParseMemberID(text)
	lower := strings.ToLower(text)
	if err == nil || len(text) == len(MemberID{}.String()) && strings.HasPrefix(lower, "12d3koow") {
		return true
	}
	parts := strings.Split(lower, "-")
	return len(parts) == 4 && !slices.ContainsFunc(parts, func(part string) bool {
		return len(part) != 4 || strings.Trim(part, "abcdefghijklmnopqrstuvwxyz234567") != ""
	})
}

// MarshalBinary returns the 32 bytes; CBOR keeps IDs that way.
func (id ID) MarshalBinary() ([]byte, error) { return id[:], nil }

// UnmarshalBinary accepts exactly 32 bytes.
func (id *ID) UnmarshalBinary(b []byte) error { return exactly(id[:], b, "group ID") }

// MarshalText returns String, for JSON.
func (id ID) MarshalText() ([]byte, error) { return []byte(id.String()), nil }

// UnmarshalText is ParseID.
func (id *ID) UnmarshalText(b []byte) (err error) {
	*id, err = ParseID(string(b))
	return err
}

// exactly copies b, which must be as long as dst.
func exactly(dst, b []byte, what string) error {
	if len(b) != len(dst) {
		return fmt.Errorf("%s of %d bytes, want %d", what, len(b), len(dst))
	}
	copy(dst, b)
	return nil
}

// MemberID names a node: its raw Ed25519 public key. People see it as the libp2p
// peer ID of that key, so that one node has one name everywhere.
type MemberID [ed25519.PublicKeySize]byte

// MemberOf returns the ID of the node with this key.
func MemberOf(key ed25519.PublicKey) MemberID {
	var m MemberID
	copy(m[:], key)
	return m
}

// MemberOfPeer returns the node named by a libp2p peer ID. It fails on IDs that
// don't embed an Ed25519 key.
func MemberOfPeer(p peer.ID) (MemberID, error) {
	key, err := p.ExtractPublicKey()
	if err != nil {
		return MemberID{}, fmt.Errorf("peer ID %v: %w", p, err)
	}
	raw, err := key.Raw()
	if err != nil || key.Type() != crypto.Ed25519 || len(raw) != ed25519.PublicKeySize {
		return MemberID{}, fmt.Errorf("peer ID %v: not an Ed25519 key", p)
	}
	return MemberOf(raw), nil
}

// ParseMemberID reads the form that String writes.
func ParseMemberID(s string) (MemberID, error) {
	p, err := peer.Decode(s)
	if err != nil {
		return MemberID{}, fmt.Errorf("member ID %q: %w", s, err)
	}
	return MemberOfPeer(p)
}

// Peer returns the libp2p peer ID of the node.
func (m MemberID) Peer() peer.ID {
	key, err := crypto.UnmarshalEd25519PublicKey(m[:])
	if err != nil {
		return "" // unreachable: the length is fixed
	}
	p, err := peer.IDFromPublicKey(key)
	if err != nil {
		return ""
	}
	return p
}

// Key returns the node's public key.
func (m MemberID) Key() ed25519.PublicKey { return ed25519.PublicKey(m[:]) }

// IsZero reports whether m names no node.
func (m MemberID) IsZero() bool { return m == MemberID{} }

// String returns the libp2p peer ID, "12D3KooW…".
func (m MemberID) String() string { return m.Peer().String() }

// Short returns the last eight characters of String, for logs and tables.
func (m MemberID) Short() string {
	s := m.String()
	return s[max(0, len(s)-8):]
}

// Fingerprint returns what two persons compare by voice or eye to know that they mean the
// same node: 80 bits of a SHA-256 of the key, as "k3f7-m2qx-…" (RFC 4648 base32, lower case).
func (m MemberID) Fingerprint() string {
	sum := sha256.Sum256(append([]byte("landbridge fingerprint 1\x00"), m[:]...))
	text := tokenEncoding().EncodeToString(sum[:10])
	return text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
}

// MarshalBinary returns the 32 bytes; CBOR keeps IDs that way.
func (m MemberID) MarshalBinary() ([]byte, error) { return m[:], nil }

// UnmarshalBinary accepts exactly 32 bytes.
func (m *MemberID) UnmarshalBinary(b []byte) error { return exactly(m[:], b, "member ID") }

// MarshalText returns String, for JSON.
func (m MemberID) MarshalText() ([]byte, error) { return []byte(m.String()), nil }

// UnmarshalText is ParseMemberID.
func (m *MemberID) UnmarshalText(b []byte) (err error) {
	*m, err = ParseMemberID(string(b))
	return err
}

// Compare orders members by their bytes.
func (m MemberID) Compare(other MemberID) int { return bytes.Compare(m[:], other[:]) }
