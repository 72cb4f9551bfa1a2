package tunnel

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"time"

	"landbridge/internal/codel"
	"landbridge/internal/group"
)

// Sizes of the datagram layout (doc.go), in bytes.
const (
	headerSize   = 16 // kind, time of sending, receiver index, counter
	tagSize      = 16 // AEAD tag; both ciphers have the same
	sealOverhead = headerSize + tagSize

	hashSize      = 8
	envelopeSize  = 1 + hashSize // type and member hash before a relayed datagram
	relayOverhead = sealOverhead + envelopeSize

	// Kinds of datagrams, in their first bytes. QUIC's are 0x40 and above.
	typeData    lead = 0x01 << 24 // a body, as package frame draws it
	typeControl lead = 0x02 << 24 // a control message
	quicBit          = 0x40

	// trailerSize is what a body has beside its packet.
	trailerSize = 1

	// MaxMTU bounds the packets that a tunnel carries: jumbo frames, and what
	// surrounds them when they are relayed.
	MaxMTU      = 9216
	maxDatagram = MaxMTU + trailerSize + relayOverhead + sealOverhead

	// DefaultMTU fits a relayed packet into 1500 bytes over IPv6: 40 + 8 for IP
	// and UDP, 32 for the seal, 1 for the trailer, 41 for the relay's seal and envelope.
	DefaultMTU = 1376
)

// A memberHash names a member inside a relay envelope: the first eight bytes of
// SHA-256 of its ID.
type memberHash [hashSize]byte

func hashOf(id group.MemberID) (h memberHash) {
	sum := sha256.Sum256(id[:])
	copy(h[:], sum[:])
	return h
}

// A datagram is one UDP payload and the address of its far end. Addresses are
// always unmapped (an IPv4 address is an IPv4 address).
type datagram struct {
	addr netip.AddrPort
	data []byte
}

// A lead is how a header begins: the kind in the high byte, and in the others, of data
// alone, when it was sent.
type lead uint32

// dataAt begins the header of data that is sent now.
func dataAt(now time.Duration) lead { return typeData | lead(codel.At(now)) }

func (l lead) kind() lead         { return l & 0xff00_0000 }
func (l lead) stamp() codel.Stamp { return codel.Stamp(l & 0x00ff_ffff) }

// putHeader writes a sealed datagram's header.
func putHeader(b []byte, l lead, index uint32, counter uint64) {
	binary.BigEndian.PutUint32(b[0:], uint32(l))
	binary.BigEndian.PutUint32(b[4:], index)
	binary.BigEndian.PutUint64(b[8:], counter)
}

// parseHeader reads the header of a sealed datagram. It fails on anything that
// cannot hold at least one byte of plaintext.
func parseHeader(b []byte) (l lead, index uint32, counter uint64, ok bool) {
	if len(b) <= sealOverhead {
		return 0, 0, 0, false
	}
	l = lead(binary.BigEndian.Uint32(b))
	if l.kind() != typeData && l != typeControl {
		return 0, 0, 0, false
	}
	return l, binary.BigEndian.Uint32(b[4:]), binary.BigEndian.Uint64(b[8:]), true
}

// headerNonce is the AEAD nonce, which is a part of the header: index and counter.
// A key belongs to one index and a counter is used once, so it never repeats.
func headerNonce(header []byte) []byte { return header[4:headerSize] }
