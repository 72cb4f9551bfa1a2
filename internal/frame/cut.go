package frame

import "encoding/binary"

// BodyKind says what the plaintext of a datagram is; doc.go draws it.
type BodyKind uint8

// The kinds of bodies.
const (
	_           BodyKind = iota // none: zeros are no body
	BodyPacket                  // a whole IP packet
	BodySegment                 // a TCP or UDP packet, payload first, its checksum as it was
	BodyTrusted                 // the same, its checksum neither there nor to be verified
)

// The trailer: the kind in the two high bits, the headers' length in the six low ones.
const (
	kindShift  = 6
	maskLength = 1<<kindShift - 1 // counts four bytes
	trailerLen = 1
)

// Cuts is a packet cut into bodies. It lives as long as the packet's buffer.
type Cuts struct {
	buf     []byte // the packet's buffer with its Tailroom
	shape   shape
	first   int // where the first payload begins in buf
	end     int // where the last one ends
	size    int // payload of each body but the last, bytes
	n       int
	trailer byte
	gso     bool
}

// Cut prepares the bodies of p, an IP packet: one for each segment of a GSO packet;
// for any other packet there is one. A TCP or UDP packet becomes segments, so that
// the receiver may join it with its neighbours; what isn't plainly one of these
// travels whole. Padding behind the packet is left off.
//
// Errors are those of [ParseIPv4] and [ParseIPv6]; ErrOffload, ErrGSOType and
// ErrGSOSize if p asks for what its headers don't bear out; ErrRoom if p isn't as
// [Packet] demands. A Partial packet of which Cut makes an error can't be completed.
func Cut(p Packet) (Cuts, error) {
	if len(p.Buf) < Headroom {
		return Cuts{}, ErrRoom
	}
	ip, err := parseIP(p.IP())
	if err != nil {
		return Cuts{}, err
	}
	end := Headroom + len(ip)
	if cap(p.Buf) < end+Tailroom {
		return Cuts{}, ErrRoom
	}
	c := Cuts{buf: p.Buf[:end+Tailroom], first: Headroom, end: end, n: 1, trailer: byte(BodyPacket) << kindShift}
	s, ok := plainShape(ip)
	// The receiver computes the IPv4 header checksum: a wrong one must not come right.
	if !ok || !s.v6 && !IPv4(ip).ChecksumOK() {
		if p.Partial || p.GSO != GSONone {
			return Cuts{}, ErrOffload
		}
		c.size = len(ip)
		return c, nil
	}
	if c.n, err = p.pieces(s, len(ip)); err != nil {
		return Cuts{}, err
	}
	c.shape, c.first, c.size, c.gso = s, Headroom+s.headers, len(ip)-s.headers, c.n > 1
	if c.gso {
		c.size = int(p.Size)
	}
	kind := BodySegment
	if p.Partial || p.Trusted && (ip[s.checksumAt()] != 0 || ip[s.checksumAt()+1] != 0) {
		kind = BodyTrusted // UDP without a checksum stays without
	}
	c.trailer = byte(kind)<<kindShift | byte(s.headers/4)
	return c, nil
}

// Len returns the number of bodies, 1 to 2,048.
func (c *Cuts) Len() int { return c.n }

// Size returns the length of body i in bytes.
func (c *Cuts) Size(i int) int {
	return min(c.size, c.end-c.first-i*c.size) + c.shape.headers + trailerLen
}

// Body returns body i, which is good until the next call. Call it from the last body
// to the first, once for each: a body's headers are written behind its payload, over
// the beginning of the next one's, or into the Tailroom. So the payload of a GSO
// packet is used up; any other packet stays as it is.
func (c *Cuts) Body(i int) []byte {
	start := c.first + i*c.size
	end := min(start+c.size, c.end)
	body := c.buf[start : end+c.shape.headers+trailerLen]
	if c.shape.headers > 0 {
		headers := body[end-start:]
		copy(headers, c.buf[Headroom:c.first])
		if c.gso {
			c.shape.advance(headers, i, i*c.size, i == c.n-1)
		}
		c.wire(headers)
	}
	body[len(body)-1] = c.trailer
	return body
}

// wire clears the fields that the receiver sets.
func (c *Cuts) wire(headers []byte) {
	if c.shape.v6 {
		headers[4], headers[5] = 0, 0
	} else {
		headers[2], headers[3], headers[10], headers[11] = 0, 0, 0, 0
	}
	if !c.shape.tcp {
		headers[c.shape.ip+4], headers[c.shape.ip+5] = 0, 0
	}
	if BodyKind(c.trailer>>kindShift) == BodyTrusted {
		at := c.shape.checksumAt()
		headers[at], headers[at+1] = 0, 0
	}
}

// advance makes a GSO packet's headers those of its segment i, whose payload begins
// offset bytes behind the first one's: the ID counts segments, the sequence number
// bytes, FIN and PSH are the last one's and CWR is the first one's (RFC 3168 section
// 6.1.2; tcp_gso_segment in Linux).
func (s shape) advance(headers []byte, i, offset int, last bool) {
	if !s.v6 {
		binary.BigEndian.PutUint16(headers[4:6], binary.BigEndian.Uint16(headers[4:6])+uint16(i))
	}
	if !s.tcp {
		return
	}
	tcp := headers[s.ip:]
	binary.BigEndian.PutUint32(tcp[4:8], binary.BigEndian.Uint32(tcp[4:8])+uint32(offset))
	if !last {
		tcp[13] &^= TCPFin | tcpPsh
	}
	if i > 0 {
		tcp[13] &^= tcpCwr
	}
}
