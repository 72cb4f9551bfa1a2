package router

import "landbridge/internal/frame"

// header is the IPv4 view of a packet that has been parsed, and whose Buf ends where it
// does.
func header(p frame.Packet) frame.IPv4 { return frame.IPv4(p.IP()) }

// extent is what a packet amounts to on the wire.
type extent struct {
	longest int // bytes of the longest IP packet that it becomes
	pieces  int // how many it becomes
	bytes   int // and how many bytes these have
}

// extentOf reckons with each segment of a GSO packet having the headers of the whole.
func extentOf(p frame.Packet) extent {
	ip := header(p)
	whole := extent{len(ip), 1, len(ip)}
	if p.GSO == frame.GSONone || p.Size == 0 {
		return whole
	}
	headers := ip.HeaderLen() + frame.UDPHeaderLen
	if p.GSO != frame.GSOUDP {
		t, err := frame.ParseTCP(ip.Payload())
		if err != nil {
			return whole
		}
		headers = ip.HeaderLen() + t.HeaderLen()
	}
	payload, size := len(ip)-headers, int(p.Size)
	if payload <= size {
		return whole
	}
	pieces := (payload + size - 1) / size
	return extent{headers + size, pieces, payload + pieces*headers}
}

// clampMSS lowers the MSS of a SYN to what fits the tunnel and the segment.
func (r *Router) clampMSS(p frame.Packet) {
	if frame.ClampMSS(p, uint16(min(r.mtu, r.linkMTU)-tcpOverhead)) {
		r.counters.add(mssClamped, 1)
	}
}
