package frame

import (
	"encoding/binary"
	"net/netip"
)

// IP protocol numbers that Landbridge looks at.
const (
	ProtocolICMP   uint8 = 1
	ProtocolTCP    uint8 = 6
	ProtocolUDP    uint8 = 17
	ProtocolICMPv6 uint8 = 58
)

// IPv6 extension headers (RFC 8200 section 4).
const (
	protocolHopByHop    uint8 = 0
	protocolRouting     uint8 = 43
	protocolFragment    uint8 = 44
	protocolDestination uint8 = 60
)

// IPv4HeaderLen is the length of an IPv4 header without options in bytes.
const IPv4HeaderLen = 20

const (
	flagDF         = 0x4000
	flagMF         = 0x2000
	maskFragOffset = 0x1fff
)

// IPv4 is a view of one IPv4 packet (RFC 791).
type IPv4 []byte

// ParseIPv4 checks version, header length and total length. The view ends where
// the packet ends: what Ethernet padded is cut off. The header checksum is not
// checked here; see [IPv4.ChecksumOK].
func ParseIPv4(b []byte) (IPv4, error) {
	if len(b) < 1 {
		return nil, ErrTruncated
	}
	if b[0]>>4 != 4 {
		return nil, ErrVersion
	}
	if len(b) < IPv4HeaderLen {
		return nil, ErrTruncated
	}
	header, total := int(b[0]&0x0f)*4, int(binary.BigEndian.Uint16(b[2:4]))
	if header < IPv4HeaderLen || total < header {
		return nil, ErrLength
	}
	if total > len(b) {
		return nil, ErrTruncated
	}
	return IPv4(b[:total:total]), nil
}

// HeaderLen returns the header's length in bytes, 20 to 60.
func (p IPv4) HeaderLen() int { return int(p[0]&0x0f) * 4 }

// TOS returns the type of service (DSCP and ECN).
func (p IPv4) TOS() uint8 { return p[1] }

// TotalLen returns the packet's length in bytes, which is len(p).
func (p IPv4) TotalLen() int { return len(p) }

// ID returns the identification that fragments of one packet share.
func (p IPv4) ID() uint16 { return binary.BigEndian.Uint16(p[4:6]) }

// DontFragment reports the DF flag.
func (p IPv4) DontFragment() bool { return binary.BigEndian.Uint16(p[6:8])&flagDF != 0 }

// MoreFragments reports the MF flag.
func (p IPv4) MoreFragments() bool { return binary.BigEndian.Uint16(p[6:8])&flagMF != 0 }

// FragmentOffset returns where this fragment's payload stands in the whole packet's, in bytes.
func (p IPv4) FragmentOffset() int {
	return int(binary.BigEndian.Uint16(p[6:8])&maskFragOffset) * 8
}

// IsFragment reports whether p is only a part of a packet.
func (p IPv4) IsFragment() bool {
	return binary.BigEndian.Uint16(p[6:8])&(flagMF|maskFragOffset) != 0
}

// TTL returns the time to live in hops.
func (p IPv4) TTL() uint8 { return p[8] }

// Protocol returns the payload's protocol number.
func (p IPv4) Protocol() uint8 { return p[9] }

// Src returns the source address.
func (p IPv4) Src() netip.Addr { return netip.AddrFrom4([4]byte(p[12:16])) }

// Dst returns the destination address.
func (p IPv4) Dst() netip.Addr { return netip.AddrFrom4([4]byte(p[16:20])) }

// Header returns the header with its options.
func (p IPv4) Header() []byte { return p[:p.HeaderLen()] }

// Payload returns what follows the header.
func (p IPv4) Payload() []byte { return p[p.HeaderLen():] }

// ChecksumOK reports whether the header checksum is right.
func (p IPv4) ChecksumOK() bool { return Checksum(p.Header(), 0) == 0 }

// SetChecksum computes the header checksum and writes it.
func (p IPv4) SetChecksum() {
	p[10], p[11] = 0, 0
	binary.BigEndian.PutUint16(p[10:12], Checksum(p.Header(), 0))
}

// DecrementTTL takes one hop off the TTL and keeps the checksum right (RFC 1624).
// It reports false, and changes nothing, if the packet must not travel on
// (TTL 0 or 1): the caller answers "time exceeded".
func (p IPv4) DecrementTTL() bool {
	if p[8] <= 1 {
		return false
	}
	before := binary.BigEndian.Uint16(p[8:10])
	p[8]--
	after := binary.BigEndian.Uint16(p[8:10])
	sum := UpdateChecksum(binary.BigEndian.Uint16(p[10:12]), before, after)
	binary.BigEndian.PutUint16(p[10:12], sum)
	return true
}

// IPv4Fields is what the header of a packet that starts here says, for building one.
// The packet has DF set and ID 0 (an atomic datagram, RFC 6864).
type IPv4Fields struct {
	Src, Dst netip.Addr
	Protocol uint8
	TTL      uint8 // 0 means 64
	TOS      uint8
}

// AppendIPv4 appends a header of 20 bytes for a payload of payloadLen bytes, which
// the caller appends. payloadLen is at most 65,515.
func AppendIPv4(b []byte, f IPv4Fields, payloadLen int) []byte {
	ttl := f.TTL
	if ttl == 0 {
		ttl = 64
	}
	start := len(b)
	b = append(b, 0x45, f.TOS)
	b = binary.BigEndian.AppendUint16(b, uint16(IPv4HeaderLen+payloadLen))
	b = append(b, 0, 0, flagDF>>8, 0, ttl, f.Protocol, 0, 0)
	b = appendIPv4(b, f.Src)
	b = appendIPv4(b, f.Dst)
	IPv4(b[start:]).SetChecksum()
	return b
}
