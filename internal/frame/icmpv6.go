package frame

import (
	"encoding/binary"
	"net/netip"
)

// ICMPv6HeaderLen is the length in bytes of an ICMPv6 header with the four bytes that each type uses otherwise.
const ICMPv6HeaderLen = 8

// ICMPv6 types and codes (RFC 4443, RFC 4861).
const (
	ICMPv6Unreachable   uint8 = 1
	ICMPv6TooBig        uint8 = 2
	ICMPv6TimeExceeded  uint8 = 3
	ICMPv6EchoRequest   uint8 = 128
	ICMPv6EchoReply     uint8 = 129
	ICMPv6RouterSolicit uint8 = 133
	ICMPv6RouterAdvert  uint8 = 134
	ICMPv6Solicit       uint8 = 135
	ICMPv6Advert        uint8 = 136
	ICMPv6Redirect      uint8 = 137

	CodeAddressUnreachable6 uint8 = 3
	CodePortUnreachable6    uint8 = 4
)

// icmpv6Informs is the first type that reports no error (RFC 4443 section 2.1).
const icmpv6Informs = 128

// MaxICMPv6Error is the longest error packet that we send, in bytes: as much as every link takes
// (RFC 4443 section 2.4 (c)).
const MaxICMPv6Error = 1280

// ICMPv6 is a view of one ICMPv6 message.
type ICMPv6 []byte

// ParseICMPv6 checks that b, the payload of a packet that is no fragment, holds a header.
func ParseICMPv6(b []byte) (ICMPv6, error) {
	if len(b) < ICMPv6HeaderLen {
		return nil, ErrTruncated
	}
	return ICMPv6(b), nil
}

// Type returns the message type.
func (m ICMPv6) Type() uint8 { return m[0] }

// Code returns the code within the type.
func (m ICMPv6) Code() uint8 { return m[1] }

// IsError reports whether the message reports an error.
func (m ICMPv6) IsError() bool { return m[0] < icmpv6Informs }

// Payload returns what follows the header: the echoed data, or in an error the
// start of the packet that it is about.
func (m ICMPv6) Payload() []byte { return m[ICMPv6HeaderLen:] }

// ChecksumOK reports whether the checksum is right for a message between two addresses.
func (m ICMPv6) ChecksumOK(src, dst netip.Addr) bool {
	return Checksum(m, PseudoSum(src, dst, ProtocolICMPv6, len(m))) == 0
}

// MayError6 reports whether an ICMPv6 error may be sent about p (RFC 4443 section 2.4 (e)): never
// about an error or a redirect, a fragment other than the first, a packet to many, or one whose source is no
// single host. What stands behind other extension headers than options isn't looked at, and gets none.
func MayError6(p IPv6) bool {
	src, dst := p.Src(), p.Dst()
	if src.IsUnspecified() || src.IsMulticast() || src.IsLoopback() || dst.IsMulticast() {
		return false
	}
	at, protocol := p.Upper()
	if protocol == protocolFragment {
		if len(p) < at+8 || binary.BigEndian.Uint16(p[at+2:])&^7 != 0 {
			return false
		}
		protocol, at = p[at], at+8
	}
	if protocol == ProtocolICMPv6 {
		return at < len(p) && p[at] >= icmpv6Informs && p[at] != ICMPv6Redirect
	}
	return at <= len(p)
}

// AppendICMPv6Error appends an IPv6 packet from `from` to the source of about with an error
// about it. value is the four bytes behind the checksum: of ICMPv6TooBig the MTU in bytes, else 0.
func AppendICMPv6Error(b []byte, from netip.Addr, about IPv6, icmpType, code uint8, value uint32) []byte {
	quoted := about[:min(len(about), MaxICMPv6Error-IPv6HeaderLen-ICMPv6HeaderLen)]
	b = AppendIPv6(b, IPv6Fields{Src: from, Dst: about.Src(), NextHeader: ProtocolICMPv6}, ICMPv6HeaderLen+len(quoted))
	start := len(b)
	b = append(b, icmpType, code, 0, 0)
	b = binary.BigEndian.AppendUint32(b, value)
	b = append(b, quoted...)
	return sealICMPv6(b, start, from, about.Src())
}

// AppendEchoReply6 appends the answer to an echo request: an IPv6 packet with the request's data,
// from the address that was asked. ok is false, and nothing is appended, if request is no sound echo
// request without extension headers.
func AppendEchoReply6(b []byte, request IPv6) (reply []byte, ok bool) {
	if request.NextHeader() != ProtocolICMPv6 {
		return b, false
	}
	m, err := ParseICMPv6(request.Payload())
	if err != nil || m.Type() != ICMPv6EchoRequest || m.Code() != 0 || !m.ChecksumOK(request.Src(), request.Dst()) {
		return b, false
	}
	b = AppendIPv6(b, IPv6Fields{Src: request.Dst(), Dst: request.Src(), NextHeader: ProtocolICMPv6}, len(m))
	start := len(b)
	b = append(b, m...)
	b[start] = ICMPv6EchoReply
	return sealICMPv6(b, start, request.Dst(), request.Src()), true
}

// sealICMPv6 writes the checksum of the message from start on.
func sealICMPv6(b []byte, start int, src, dst netip.Addr) []byte {
	b[start+2], b[start+3] = 0, 0
	sum := Checksum(b[start:], PseudoSum(src, dst, ProtocolICMPv6, len(b)-start))
	binary.BigEndian.PutUint16(b[start+2:], sum)
	return b
}
