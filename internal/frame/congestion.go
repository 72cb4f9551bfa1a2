package frame

import "encoding/binary"

// The ECN field of the type of service or traffic class (RFC 3168 section 5).
const (
	ecnMask = 0x03
	ecnCE   = 0x03
)

const (
	// leastBulk is how much payload, in bytes, a segment has that Bulk calls so.
	leastBulk = 512
	// quicPort is HTTP/3's (RFC 9114 section 3.1).
	quicPort = 443
)

// segmentHeaders returns the headers in a body of a TCP or UDP packet, and its shape.
func segmentHeaders(body []byte) (headers []byte, s shape, ok bool) {
	if len(body) == 0 {
		return nil, s, false
	}
	trailer, rest := body[len(body)-1], body[:len(body)-trailerLen]
	length := int(trailer&maskLength) * 4
	kind := BodyKind(trailer >> kindShift)
	if kind != BodySegment && kind != BodyTrusted || length > len(rest) {
		return nil, s, false
	}
	headers = rest[len(rest)-length:]
	s, ok = shapeOf(headers)
	return headers, s, ok && s.headers == length
}

// MarkCE tells both ends of a body's flow that the path is congested ("congestion
// experienced", RFC 3168), where they understand that: it reports false, and changes
// nothing, if they don't, and for a body that isn't a whole TCP or UDP packet. A segment
// that is marked isn't joined with others that aren't.
func MarkCE(body []byte) bool {
	headers, s, ok := segmentHeaders(body)
	if !ok {
		return false
	}
	field, shift := &headers[1], 0 // whoever takes the body computes the IPv4 header checksum
	if s.v6 {
		shift = 4
	}
	if *field>>shift&ecnMask == 0 {
		return false
	}
	*field |= ecnCE << shift
	return true
}

// Bulk reports whether a body belongs to a transfer that goes on, and slows down if the
// body is lost: TCP with much payload but without PSH, which the last of what an
// application has written bears, so that others show the loss at once; or as much of QUIC,
// told by its port. Other UDP may be a call, or may not care.
func Bulk(body []byte) bool {
	headers, s, ok := segmentHeaders(body)
	if !ok || len(body)-len(headers)-trailerLen < leastBulk {
		return false
	}
	transport := headers[s.ip:]
	if s.tcp {
		return transport[13]&(TCPFin|TCPSyn|TCPRst|tcpPsh|tcpUrg) == 0
	}
	return binary.BigEndian.Uint16(transport) == quicPort || binary.BigEndian.Uint16(transport[2:]) == quicPort
}
