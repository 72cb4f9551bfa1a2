package frame

import (
	"encoding/binary"
	"errors"
)

// The room around a packet, in bytes.
const (
	// VirtioHeaderLen is the length of a legacy struct virtio_net_hdr.
	VirtioHeaderLen = 10
	// Headroom is what lies before the IP packet: a virtio and an Ethernet header.
	Headroom = VirtioHeaderLen + EthernetHeaderLen
	// Tailroom lies behind it: [Cuts.Body] writes the last segment's headers there.
	Tailroom = 128
)

// maxPieces bounds what one GSO packet is cut into. An MSS of 48 (tcp_min_snd_mss of
// Linux) with 12 bytes of timestamps makes 1,820 segments of the largest packet; one whose
// options leave less is refused (ErrGSOSize).
const maxPieces = 2048

// maxPacket is the longest IP packet that is built here, for both versions.
const maxPacket = 0xffff

// What is wrong with an offload that a packet asks for. Values, to be counted by.
var (
	// ErrOffload: the packet's headers don't bear out what is asked for (no TCP or UDP, another version, a checksum elsewhere).
	ErrOffload = errors.New("frame: offload that the packet's headers don't bear out")
	// ErrGSOType: a GSO type that is unknown or not supported (UFO).
	ErrGSOType = errors.New("frame: unsupported GSO type")
	// ErrForeign: a packet that is to be cut and isn't plain IP (see doc.go), such as one with a VLAN tag.
	ErrForeign = errors.New("frame: offload for a packet that isn't plain IP")
	// ErrGSOSize: segments of no length, or so short that there would be more than 2,048.
	ErrGSOSize = errors.New("frame: GSO size of zero, or too small")
	// ErrRoom: the caller didn't leave the room around a packet that the contract asks for.
	ErrRoom = errors.New("frame: no room around the packet")
)

// GSO says how a packet larger than the path takes is to be cut ("generic
// segmentation offload").
type GSO uint8

// The kinds of GSO. GSOUDP is UDP_L4 over IPv4 and IPv6: each piece a datagram.
const (
	GSONone GSO = iota
	GSOTCPv4
	GSOTCPv6
	GSOUDP
)

// String returns the kernel's name for g.
func (g GSO) String() string {
	switch g {
	case GSONone:
		return "none"
	case GSOTCPv4:
		return "tcpv4"
	case GSOTCPv6:
		return "tcpv6"
	case GSOUDP:
		return "udp_l4"
	}
	return "unknown"
}

// Offload is what struct virtio_net_hdr means (linux/virtio_net.h), without what
// follows from the packet's headers. The zero value: nothing is left to be done.
type Offload struct {
	GSO     GSO
	Size    uint16 // payload bytes of each segment but the last, which may have fewer; 0 if GSONone
	Trusted bool   // the transport checksum need not be verified: the kernel vouches for the bytes
	Partial bool   // the transport checksum field holds the pseudo header's sum only; implies Trusted
}

// A Packet is an IP packet with room around it, and what is left to be done on it.
// It is a view: copies share the buffer.
type Packet struct {
	// Buf[:Headroom] is room for headers, Buf[Headroom:] the IP packet, and
	// cap(Buf)-len(Buf) is at least Tailroom.
	Buf []byte
	Offload
}

// IP returns the IP packet, and what Ethernet padded behind it.
func (p Packet) IP() []byte { return p.Buf[Headroom:] }

// Ethernet returns the frame: room for an Ethernet header, and the IP packet.
func (p Packet) Ethernet() []byte { return p.Buf[VirtioHeaderLen:] }

// Complete computes the transport checksum in place, if only the pseudo header's
// sum is there. It reports false, and changes nothing, if that can't be done: for
// a GSO packet (see [Finish]), and if the headers aren't those of TCP or UDP.
func (p *Packet) Complete() bool {
	if p.GSO != GSONone {
		return false
	}
	if !p.Partial {
		return true
	}
	ip, s, ok := plain(p.IP())
	if !ok {
		return false
	}
	s.setChecksum(ip)
	p.Partial = false
	return true
}

// maxHeaders bounds the headers of what counts as a plain packet: those of IPv4 and TCP
// with all their options, or of IPv6 and TCP with 20 to 60 bytes of extension headers.
const maxHeaders = 120

// shape is where the parts of a plain TCP or UDP packet stand: one that is no
// fragment, and has no IPv6 extension headers but hop-by-hop and destination options.
type shape struct {
	v6, tcp bool
	ip      int // length of the IP header with IPv6 extension headers, bytes
	headers int // length of IP and transport headers, bytes: a multiple of 4, at most maxHeaders
}

// shapeOf reads the headers at the start of b, which may be all there is. It leaves
// the length fields and checksums unread, and reports whether b has such headers.
func shapeOf(b []byte) (s shape, ok bool) {
	if len(b) < IPv4HeaderLen {
		return s, false
	}
	var protocol uint8
	switch b[0] >> 4 {
	case 4:
		s.ip, protocol = int(b[0]&0x0f)*4, b[9]
		if s.ip < IPv4HeaderLen || binary.BigEndian.Uint16(b[6:8])&(flagMF|maskFragOffset) != 0 {
			return s, false
		}
	case 6:
		s.v6 = true
		s.ip, protocol = upperLayer(b)
	default:
		return s, false
	}
	switch protocol {
	case ProtocolUDP:
		s.headers = s.ip + UDPHeaderLen
	case ProtocolTCP:
		if len(b) < s.ip+TCPHeaderLen || b[s.ip+12]>>4 < TCPHeaderLen/4 {
			return s, false
		}
		s.tcp, s.headers = true, s.ip+int(b[s.ip+12]>>4)*4
	default:
		return s, false
	}
	return s, s.headers <= min(len(b), maxHeaders)
}

// upperLayer returns where in an IPv6 packet what follows the options begins, and the
// number of its protocol. A routing header ends the walk: behind one the pseudo header has
// another destination than the packet (RFC 8200 section 8.1).
func upperLayer(b []byte) (at int, protocol uint8) {
	at, protocol = IPv6HeaderLen, b[6]
	for (protocol == protocolHopByHop || protocol == protocolDestination) && at < min(len(b), maxHeaders) {
		if len(b) < at+2 {
			return at, protocol
		}
		protocol, at = b[at], at+8+8*int(b[at+1])
	}
	return at, protocol
}

// parseIP returns the IP packet at the start of b without what is behind it.
func parseIP(b []byte) ([]byte, error) {
	if len(b) > 0 && b[0]>>4 == 6 {
		return ParseIPv6(b)
	}
	return ParseIPv4(b)
}

// plain returns the IP packet at the start of b and its shape, if it is a plain TCP
// or UDP packet whose lengths agree.
func plain(b []byte) (ip []byte, s shape, ok bool) {
	ip, err := parseIP(b)
	if err != nil {
		return nil, s, false
	}
	s, ok = plainShape(ip)
	return ip, s, ok
}

// plainShape is shapeOf for a whole packet, whose lengths must agree.
func plainShape(ip []byte) (s shape, ok bool) {
	s, ok = shapeOf(ip)
	return s, ok && (s.tcp || int(binary.BigEndian.Uint16(ip[s.ip+4:])) == len(ip)-s.ip)
}

// checksumAt returns where the transport checksum stands, from the IP header on.
func (s shape) checksumAt() int {
	if s.tcp {
		return s.ip + 16
	}
	return s.ip + 6
}

// pseudoSum returns the unfolded sum of the pseudo header of a packet of length bytes.
func (s shape) pseudoSum(ip []byte, length int) uint64 {
	sum := uint64(length - s.ip)
	if s.tcp {
		sum += uint64(ProtocolTCP)
	} else {
		sum += uint64(ProtocolUDP)
	}
	if s.v6 {
		return add(ip[8:40], sum)
	}
	return add(ip[12:20], sum)
}

// setLengths writes the IP length, the IPv4 header checksum and the UDP length for
// a packet of length bytes, of which headers holds the beginning.
func (s shape) setLengths(headers []byte, length int) {
	if s.v6 {
		binary.BigEndian.PutUint16(headers[4:6], uint16(length-IPv6HeaderLen))
	} else {
		binary.BigEndian.PutUint16(headers[2:4], uint16(length))
		IPv4(headers).SetChecksum()
	}
	if !s.tcp {
		binary.BigEndian.PutUint16(headers[s.ip+4:], uint16(length-s.ip))
	}
}

// setPartial writes the pseudo header's sum for a packet of length bytes, which is
// how the kernel wants the field of a packet whose checksum is left to be done.
func (s shape) setPartial(headers []byte, length int) {
	binary.BigEndian.PutUint16(headers[s.checksumAt():], fold(s.pseudoSum(headers, length)))
}

// setChecksum computes the transport checksum of a whole packet and writes it.
func (s shape) setChecksum(ip []byte) {
	field := ip[s.checksumAt():][:2]
	field[0], field[1] = 0, 0
	sum := Checksum(ip[s.ip:], s.pseudoSum(ip, len(ip)))
	if sum == 0 && !s.tcp { // zero on the wire means "none" (RFC 768)
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(field, sum)
}

// pieces returns how many packets one of this shape and length is cut into.
func (o Offload) pieces(s shape, length int) (int, error) {
	switch o.GSO {
	case GSONone:
		return 1, nil
	case GSOTCPv4, GSOTCPv6:
		if !s.tcp || s.v6 != (o.GSO == GSOTCPv6) {
			return 0, ErrOffload
		}
	case GSOUDP:
		if s.tcp {
			return 0, ErrOffload
		}
	default:
		return 0, ErrGSOType
	}
	payload, size := length-s.headers, int(o.Size)
	if size == 0 || payload > size*maxPieces {
		return 0, ErrGSOSize
	}
	if !o.Partial {
		return 0, ErrOffload
	}
	return max(1, (payload+size-1)/size), nil
}
