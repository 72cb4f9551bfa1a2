package tunnel

import (
	"encoding/binary"
	"net/netip"

	"landbridge/internal/frame"
)

// packet is an IPv4 packet of a protocol for experiments (RFC 3692).
func packet(text string) frame.Packet {
	b := make([]byte, 20, 20+len(text))
	b[0], b[8], b[9] = 0x45, 64, 253
	binary.BigEndian.PutUint16(b[2:], uint16(20+len(text)))
	return wrap(append(b, text...))
}

// wrap puts an IP packet into a buffer with room around it.
func wrap(ip []byte) frame.Packet {
	buf := make([]byte, frame.Headroom, frame.Headroom+len(ip)+frame.Tailroom)
	return frame.Packet{Buf: append(buf, ip...)}
}

// superFrame is a UDP packet of many datagrams (UDP_L4).
func superFrame(payload, size int) frame.Packet {
	from, to := netip.MustParseAddrPort("10.9.0.2:7"), netip.MustParseAddrPort("10.9.0.3:8")
	body := make([]byte, payload)
	for i := range body {
		body[i] = byte(i * 7)
	}
	p := wrap(frame.AppendUDP(nil, from, to, body))
	p.Offload = frame.Offload{GSO: frame.GSOUDP, Size: uint16(size), Trusted: true, Partial: true}
	sum := frame.PseudoSum(from.Addr(), to.Addr(), frame.ProtocolUDP, frame.UDPHeaderLen+payload)
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	p.IP()[26], p.IP()[27] = byte(sum>>8), byte(sum)
	return p
}
