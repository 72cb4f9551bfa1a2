package frame

import (
	"encoding/binary"
	"net/netip"
)

// ICMPv4HeaderLen is the length of an ICMPv4 header in bytes.
const ICMPv4HeaderLen = 8

// ICMPv4 types and codes (RFC 792, RFC 1812 section 5.2.7).
const (
	ICMPv4EchoReply    uint8 = 0
	ICMPv4Unreachable  uint8 = 3
	ICMPv4SourceQuench uint8 = 4
	ICMPv4Redirect     uint8 = 5
	ICMPv4EchoRequest  uint8 = 8
	ICMPv4TimeExceeded uint8 = 11
	ICMPv4Parameter    uint8 = 12

	CodeNetUnreachable  uint8 = 0
	CodeHostUnreachable uint8 = 1
	CodePortUnreachable uint8 = 3
	CodeFragNeeded      uint8 = 4
	CodeProhibited      uint8 = 13 // communication administratively prohibited
)

// maxICMPv4Error is the longest error packet that we send: RFC 1812 section 4.3.2.3
// asks for as much of the original as fits in 576 bytes.
const maxICMPv4Error = 576

// ICMPv4 is a view of one ICMPv4 message (RFC 792).
type ICMPv4 []byte

// ParseICMPv4 checks that b holds a whole header. The checksum is not checked here;
// see [ICMPv4.ChecksumOK].
func ParseICMPv4(b []byte) (ICMPv4, error) {
	if len(b) < ICMPv4HeaderLen {
		return nil, ErrTruncated
	}
	return ICMPv4(b), nil
}

// Type returns the message type.
func (m ICMPv4) Type() uint8 { return m[0] }

// Code returns the code within the type.
func (m ICMPv4) Code() uint8 { return m[1] }

// ChecksumOK reports whether the checksum is right.
func (m ICMPv4) ChecksumOK() bool { return Checksum(m, 0) == 0 }

// NextHopMTU returns the MTU in bytes that a "fragmentation needed" carries (RFC
// 1191 section 4), 0 from a router that doesn't know it.
func (m ICMPv4) NextHopMTU() uint16 { return binary.BigEndian.Uint16(m[6:8]) }

// Payload returns what follows the header: the echoed data, or in an error the
// start of the packet that it is about.
func (m ICMPv4) Payload() []byte { return m[ICMPv4HeaderLen:] }

// isError reports whether a message of this type reports an error.
func isError(icmpType uint8) bool {
	switch icmpType {
	case ICMPv4Unreachable, ICMPv4SourceQuench, ICMPv4Redirect, ICMPv4TimeExceeded, ICMPv4Parameter:
		return true
	}
	return false
}

// MayError reports whether an ICMP error may be sent about p (RFC 1122 section
// 3.2.2, RFC 1812 section 4.3.2.7): never about an ICMP error, a fragment other
// than the first, a packet to many, or one whose source is no single host. Whether
// p came in a broadcast frame, or from or to the directed broadcast address of a
// prefix, only the caller can know.
func MayError(p IPv4) bool {
	if p.FragmentOffset() != 0 || !isHost(p.Src()) || !isHost(p.Dst()) {
		return false
	}
	if p.Protocol() == ProtocolICMP {
		m := p.Payload()
		return len(m) > 0 && !isError(m[0])
	}
	return true
}

// isHost reports whether a can be the address of one host: neither 0.0.0.0/8,
// loopback, multicast nor reserved (which includes 255.255.255.255).
func isHost(a netip.Addr) bool {
	first := a.As4()[0]
	return first != 0 && first != 127 && first < 224
}

// AppendFragNeeded appends an IPv4 packet from `from` to the source of about, which
// was too large for a next hop of mtu bytes and had DF set (RFC 1191).
func AppendFragNeeded(b []byte, from netip.Addr, about IPv4, mtu uint16) []byte {
	return appendError(b, from, about, ICMPv4Unreachable, CodeFragNeeded, mtu)
}

// AppendTimeExceeded appends an IPv4 packet from `from` to the source of about,
// whose TTL ran out (RFC 792).
func AppendTimeExceeded(b []byte, from netip.Addr, about IPv4) []byte {
	return appendError(b, from, about, ICMPv4TimeExceeded, 0, 0)
}

// AppendUnreachable appends an IPv4 packet from `from` to the source of about, whose
// destination can't be reached for the reason that code gives (CodeHostUnreachable, …).
func AppendUnreachable(b []byte, from netip.Addr, about IPv4, code uint8) []byte {
	return appendError(b, from, about, ICMPv4Unreachable, code, 0)
}

func appendError(b []byte, from netip.Addr, about IPv4, icmpType, code uint8, mtu uint16) []byte {
	quoted := about[:min(len(about), maxICMPv4Error-IPv4HeaderLen-ICMPv4HeaderLen)]
	b = AppendIPv4(b, IPv4Fields{
		Src: from, Dst: about.Src(), Protocol: ProtocolICMP,
		TOS: 0xc0, // precedence 6: RFC 1812 section 4.3.2.5
	}, ICMPv4HeaderLen+len(quoted))
	start := len(b)
	b = append(b, icmpType, code, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, mtu)
	b = append(b, quoted...)
	binary.BigEndian.PutUint16(b[start+2:], Checksum(b[start:], 0))
	return b
}

// AppendEchoReply appends the answer to an echo request: an IPv4 packet with the
// request's data, from the address that was asked. ok is false, and nothing is
// appended, if request is no sound, unfragmented echo request.
func AppendEchoReply(b []byte, request IPv4) (reply []byte, ok bool) {
	if request.Protocol() != ProtocolICMP || request.IsFragment() {
		return b, false
	}
	m, err := ParseICMPv4(request.Payload())
	if err != nil || m.Type() != ICMPv4EchoRequest || m.Code() != 0 || !m.ChecksumOK() {
		return b, false
	}
	b = AppendIPv4(b, IPv4Fields{
		Src: request.Dst(), Dst: request.Src(), Protocol: ProtocolICMP, TOS: request.TOS(),
	}, len(m))
	start := len(b)
	b = append(b, m...)
	b[start] = ICMPv4EchoReply
	b[start+2], b[start+3] = 0, 0
	binary.BigEndian.PutUint16(b[start+2:], Checksum(b[start:], 0))
	return b, true
}
