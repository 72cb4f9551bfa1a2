package frame

import (
	"encoding/binary"
	"net/netip"
)

// UDPHeaderLen is the length of a UDP header in bytes.
const UDPHeaderLen = 8

// UDP is a view of one UDP datagram (RFC 768).
type UDP []byte

// ParseUDP checks the length field. The view ends where the datagram ends. The
// checksum is not checked here; see [UDP.ChecksumOK]. b must be the payload of a
// packet that is no fragment.
func ParseUDP(b []byte) (UDP, error) {
	if len(b) < UDPHeaderLen {
		return nil, ErrTruncated
	}
	length := int(binary.BigEndian.Uint16(b[4:6]))
	if length < UDPHeaderLen {
		return nil, ErrLength
	}
	if length > len(b) {
		return nil, ErrTruncated
	}
	return UDP(b[:length:length]), nil
}

// SrcPort returns the source port.
func (u UDP) SrcPort() uint16 { return binary.BigEndian.Uint16(u[0:2]) }

// DstPort returns the destination port.
func (u UDP) DstPort() uint16 { return binary.BigEndian.Uint16(u[2:4]) }

// Payload returns the data.
func (u UDP) Payload() []byte { return u[UDPHeaderLen:] }

// ChecksumOK reports whether the checksum is right for these addresses, or absent
// (zero), which IPv4 allows, and IPv6 doesn't (RFC 8200 section 8.1).
func (u UDP) ChecksumOK(src, dst netip.Addr) bool {
	if binary.BigEndian.Uint16(u[6:8]) == 0 {
		return !dst.Is6()
	}
	return Checksum(u, PseudoSum(src, dst, ProtocolUDP, len(u))) == 0
}

// AppendUDP appends a whole IP packet, of the version of both addresses, with a UDP datagram: 64 hops, of IPv4 DF set,
// all checksums computed. payload is at most 65,507 bytes and must not overlap b's
// spare capacity.
func AppendUDP(b []byte, src, dst netip.AddrPort, payload []byte) []byte {
	length := UDPHeaderLen + len(payload)
	b = appendIP(b, src.Addr(), dst.Addr(), ProtocolUDP, length)
	start := len(b)
	b = binary.BigEndian.AppendUint16(b, src.Port())
	b = binary.BigEndian.AppendUint16(b, dst.Port())
	b = binary.BigEndian.AppendUint16(b, uint16(length))
	b = append(b, 0, 0)
	b = append(b, payload...)
	sum := Checksum(b[start:], PseudoSum(src.Addr(), dst.Addr(), ProtocolUDP, length))
	if sum == 0 { // zero on the wire means "none"
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(b[start+6:], sum)
	return b
}
