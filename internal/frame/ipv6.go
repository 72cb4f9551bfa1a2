package frame

import (
	"encoding/binary"
	"net/netip"
)

// IPv6HeaderLen is the length of the fixed IPv6 header in bytes.
const IPv6HeaderLen = 40

// IPv6 is a view of one IPv6 packet (RFC 8200): the fixed header; extension headers
// count as payload.
type IPv6 []byte

// ParseIPv6 checks version and payload length. The view ends where the packet
// ends. Jumbograms (RFC 2675) are refused as truncated or empty.
func ParseIPv6(b []byte) (IPv6, error) {
	if len(b) < 1 {
		return nil, ErrTruncated
	}
	if b[0]>>4 != 6 {
		return nil, ErrVersion
	}
	if len(b) < IPv6HeaderLen {
		return nil, ErrTruncated
	}
	total := IPv6HeaderLen + int(binary.BigEndian.Uint16(b[4:6]))
	if total > len(b) {
		return nil, ErrTruncated
	}
	return IPv6(b[:total:total]), nil
}

// NextHeader returns the number of the header that follows the fixed one.
func (p IPv6) NextHeader() uint8 { return p[6] }

// HopLimit returns the hops that the packet may still travel.
func (p IPv6) HopLimit() uint8 { return p[7] }

// Src returns the source address, without a zone.
func (p IPv6) Src() netip.Addr { return netip.AddrFrom16([16]byte(p[8:24])) }

// Dst returns the destination address, without a zone.
func (p IPv6) Dst() netip.Addr { return netip.AddrFrom16([16]byte(p[24:40])) }

// Payload returns what follows the fixed header.
func (p IPv6) Payload() []byte { return p[IPv6HeaderLen:] }
