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

// DecrementHopLimit takes one hop off. It reports false, and changes nothing, if the packet must
// not travel on (0 or 1): the caller answers "time exceeded".
func (p IPv6) DecrementHopLimit() bool {
	if p[7] <= 1 {
		return false
	}
	p[7]--
	return true
}

// Upper returns where the payload of hop-by-hop and destination options begins, in bytes from the fixed
// header's first, and the number of its protocol. It may lie behind the packet's end.
func (p IPv6) Upper() (at int, protocol uint8) { return upperLayer(p) }

// IPv6Fields is what the fixed header of a packet that starts here says, for building one.
type IPv6Fields struct {
	Src, Dst   netip.Addr // IPv6; :: for any other
	NextHeader uint8
	HopLimit   uint8 // 0 means 64
}

// AppendIPv6 appends a fixed header for a payload of payloadLen bytes, at most 65,535, which the
// caller appends.
func AppendIPv6(b []byte, f IPv6Fields, payloadLen int) []byte {
	hops := f.HopLimit
	if hops == 0 {
		hops = 64
	}
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(payloadLen))
	b = append(b, f.NextHeader, hops)
	b = appendIPv6(b, f.Src)
	return appendIPv6(b, f.Dst)
}

// appendIPv6 appends the sixteen bytes of an IPv6 address, zeros for any other.
func appendIPv6(b []byte, a netip.Addr) []byte {
	if !a.Is6() {
		a = netip.IPv6Unspecified()
	}
	all := a.As16()
	return append(b, all[:]...)
}

// appendIP appends the header of a packet between two addresses of one version.
func appendIP(b []byte, src, dst netip.Addr, protocol uint8, payloadLen int) []byte {
	if dst.Is6() {
		return AppendIPv6(b, IPv6Fields{Src: src, Dst: dst, NextHeader: protocol}, payloadLen)
	}
	return AppendIPv4(b, IPv4Fields{Src: src, Dst: dst, Protocol: protocol}, payloadLen)
}

// IPHeaderLen is the length in bytes of the header, without options, of a packet to dst.
func IPHeaderLen(dst netip.Addr) int {
	if dst.Is6() {
		return IPv6HeaderLen
	}
	return IPv4HeaderLen
}

// IPEtherType is the EtherType of a frame with a packet to dst.
func IPEtherType(dst netip.Addr) uint16 {
	if dst.Is6() {
		return EtherTypeIPv6
	}
	return EtherTypeIPv4
}

// LinkLocal returns the link-local address of the station with a MAC (RFC 4291 appendix A).
func LinkLocal(m MAC) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfe, 0x80, 8: m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]})
}

// SolicitedNode returns the multicast address by which neighbours look for addr (RFC 4291 section 2.7.1).
func SolicitedNode(addr netip.Addr) netip.Addr {
	a := addr.As16()
	return netip.AddrFrom16([16]byte{0xff, 0x02, 11: 1, 0xff, a[13], a[14], a[15]})
}

// AllNodes is the multicast address of all hosts of a link.
func AllNodes() netip.Addr { return netip.AddrFrom16([16]byte{0xff, 0x02, 15: 1}) }

// MulticastMAC returns the MAC to which an IPv6 multicast address is sent (RFC 2464 section 7).
func MulticastMAC(addr netip.Addr) MAC {
	a := addr.As16()
	return MAC{0x33, 0x33, a[12], a[13], a[14], a[15]}
}
