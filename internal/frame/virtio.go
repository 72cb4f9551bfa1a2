package frame

import (
	"encoding/binary"

	"golang.org/x/sys/unix"
)

// ParseVirtio reads buf, a virtio header with an Ethernet frame behind it as the
// kernel hands it over (little-endian or big-endian as the host is). Whoever wrote
// the header may be hostile: each number is checked against the frame.
//
// A segment offload is taken only for a plain TCP or UDP packet with its checksum
// left to be done at the usual place. A checksum that is left to be done elsewhere
// (inside a tunnel, behind an IPv6 extension header or a VLAN tag) is completed on
// the spot, in buf, and the result says that nothing is left.
//
// Errors are ErrTruncated, ErrOffload, ErrGSOType and ErrGSOSize, which are lies, and
// ErrForeign; then the frame is to be dropped.
func ParseVirtio(buf []byte) (Offload, error) {
	if len(buf) < Headroom {
		return Offload{}, ErrTruncated
	}
	flags, gsoType := buf[0], buf[1]
	ethernet := Ethernet(buf[VirtioHeaderLen:])
	partial := flags&unix.VIRTIO_NET_HDR_F_NEEDS_CSUM != 0
	if gsoType == unix.VIRTIO_NET_HDR_GSO_NONE && !partial {
		return Offload{Trusted: flags&unix.VIRTIO_NET_HDR_F_DATA_VALID != 0 && isIP(ethernet)}, nil
	}
	start, offset := native(buf[6:8]), native(buf[8:10])
	ip, s, ok := plain(ethernet.Payload())
	usual := ok && isIP(ethernet) && start == EthernetHeaderLen+s.ip && offset == s.checksumAt()-s.ip
	if gsoType == unix.VIRTIO_NET_HDR_GSO_NONE {
		if usual {
			return Offload{Trusted: true, Partial: true}, nil
		}
		return Offload{}, completeAt(ethernet, start, offset)
	}
	o := Offload{Size: uint16(native(buf[4:6])), Trusted: true, Partial: true}
	if o.GSO = gsoFrom(gsoType); o.GSO == GSONone {
		return Offload{}, ErrGSOType
	}
	switch {
	case isForeign(ethernet, ok):
		return Offload{}, ErrForeign
	case !usual || !partial || native(buf[2:4]) > len(ethernet):
		return Offload{}, ErrOffload
	}
	n, err := o.pieces(s, len(ip))
	if err != nil {
		return Offload{}, err
	}
	if n == 1 {
		return Offload{Trusted: true, Partial: true}, nil
	}
	return o, nil
}

// PutVirtio writes Buf[:VirtioHeaderLen] from the offload and the packet's own
// headers, as the kernel reads it. A packet whose headers don't bear the offload out
// gets a header that asks for nothing.
func (p Packet) PutVirtio() {
	h := p.Buf[:VirtioHeaderLen]
	clear(h)
	if !p.Partial {
		if p.Trusted {
			h[0] = unix.VIRTIO_NET_HDR_F_DATA_VALID
		}
		return
	}
	ip := p.IP()
	s, ok := shapeOf(ip)
	if !ok {
		return
	}
	h[0] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM
	binary.NativeEndian.PutUint16(h[6:8], uint16(EthernetHeaderLen+s.ip))
	binary.NativeEndian.PutUint16(h[8:10], uint16(s.checksumAt()-s.ip))
	switch p.GSO {
	case GSOTCPv4:
		h[1] = unix.VIRTIO_NET_HDR_GSO_TCPV4
	case GSOTCPv6:
		h[1] = unix.VIRTIO_NET_HDR_GSO_TCPV6
	case GSOUDP:
		h[1] = unix.VIRTIO_NET_HDR_GSO_UDP_L4
	default:
		return
	}
	if s.tcp && ip[s.ip+13]&tcpCwr != 0 {
		h[1] |= unix.VIRTIO_NET_HDR_GSO_ECN
	}
	binary.NativeEndian.PutUint16(h[2:4], uint16(EthernetHeaderLen+s.headers))
	binary.NativeEndian.PutUint16(h[4:6], p.Size)
}

func native(b []byte) int { return int(binary.NativeEndian.Uint16(b)) }

// isIP reports whether the type of an untagged frame agrees with the IP version.
func isIP(e Ethernet) bool {
	if len(e) == EthernetHeaderLen {
		return false
	}
	switch e.EtherType() {
	case EtherTypeIPv4:
		return e[EthernetHeaderLen]>>4 == 4
	case EtherTypeIPv6:
		return e[EthernetHeaderLen]>>4 == 6
	}
	return false
}

// isForeign reports whether a frame may well be to be cut, but not by us: it has a VLAN
// tag, or isn't plain for IPv6 extension headers that we don't go through.
func isForeign(e Ethernet, plain bool) bool {
	switch e.EtherType() {
	case EtherTypeVLAN, etherTypeServiceVLAN:
		return true
	case EtherTypeIPv6:
		p, err := ParseIPv6(e.Payload())
		if plain || err != nil {
			return false
		}
		switch p.NextHeader() {
		case protocolHopByHop, protocolRouting, protocolDestination:
			return true
		}
	}
	return false
}

// gsoFrom returns GSONone for a type that isn't supported. ECN is a flag to TCP's.
func gsoFrom(gsoType uint8) GSO {
	switch gsoType {
	case unix.VIRTIO_NET_HDR_GSO_TCPV4, unix.VIRTIO_NET_HDR_GSO_TCPV4 | unix.VIRTIO_NET_HDR_GSO_ECN:
		return GSOTCPv4
	case unix.VIRTIO_NET_HDR_GSO_TCPV6, unix.VIRTIO_NET_HDR_GSO_TCPV6 | unix.VIRTIO_NET_HDR_GSO_ECN:
		return GSOTCPv6
	case unix.VIRTIO_NET_HDR_GSO_UDP_L4:
		return GSOUDP
	}
	return GSONone
}

// completeAt does what NEEDS_CSUM asks for, wherever it is in the frame: the sum
// from start to the end, complemented, at start+offset. The field holds what goes
// before (a pseudo header's sum). Like Linux (skb_checksum_help) it writes zero as
// ones, which is the same in one's complement and no "none" to UDP.
func completeAt(ethernet []byte, start, offset int) error {
	if start < EthernetHeaderLen || start+offset+2 > len(ethernet) {
		return ErrOffload
	}
	sum := Checksum(ethernet[start:], 0)
	if sum == 0 {
		sum = 0xffff
	}
	binary.BigEndian.PutUint16(ethernet[start+offset:], sum)
	return nil
}
