package frame

import (
	"bytes"
	"encoding/binary"
	"errors"

	"landbridge/internal/scratch"
)

// What is wrong with a body. Values, to be counted by; besides them Take returns
// ErrTruncated, ErrLength, and those of [ParseIPv4] and [ParseIPv6].
var (
	// ErrBodyKind: no kind of body, or a trailer that contradicts itself.
	ErrBodyKind = errors.New("frame: body isn't a packet's")
	// ErrSegment: the headers of a segment aren't those of a plain TCP or UDP packet.
	ErrSegment = errors.New("frame: segment without the headers of a plain TCP or UDP packet")
)

const (
	// headersRoom is what is kept free for the headers of a packet, before its payload.
	headersRoom = 128
	// packetRoom is what a packet takes up beside its payload.
	packetRoom = Headroom + headersRoom + Tailroom
	// maxUDPPieces is UDP_MAX_SEGMENTS of Linux before 6.8, which later ones take too.
	maxUDPPieces = 64
)

// A Joiner makes packets of the bodies that come in, and of segments that follow one
// another one packet, as the sender's kernel had it. Bodies are opened where they
// belong, directly behind the payload before, so that joining copies nothing.
//
// It is for one goroutine. It allocates nothing after [NewJoiner].
type Joiner struct {
	// JoinTCP and JoinUDP: whether segments are joined, set from the start. A device
	// that doesn't take such GSO packets would have them cut again.
	JoinTCP, JoinUDP bool

	arena   []byte
	packets []Packet
	next    int // where the payload of a new packet begins
	room    int // where the room last given out is, and how much it is; 0 if none
	roomLen int
	run     run
}

// run is the packet in progress.
type run struct {
	set     bool // there is one, its headers not yet finished
	open    bool // segments may follow
	trusted bool
	fixedID bool // all have one ID (RFC 6864); known from the second on
	shape   shape
	first   int // where its payload begins in the arena
	end     int // and ends
	size    int // payload of its first segment
	pieces  int
}

// NewJoiner returns a Joiner with an arena of size bytes, which joins TCP and UDP. A
// packet takes up to 280 bytes beside its payload.
func NewJoiner(size int) *Joiner {
	j := &Joiner{JoinTCP: true, JoinUDP: true, arena: scratch.Make[byte](size), packets: make([]Packet, 0, size/packetRoom)}
	j.Reset()
	return j
}

// Reset forgets all packets and makes the arena empty.
func (j *Joiner) Reset() {
	j.packets = j.packets[:0]
	j.next, j.room, j.roomLen = Headroom+headersRoom, 0, 0
	j.run = run{}
}

// Rest gives back the memory that a burst has left in the arena, if there are no packets. It ends the room given out.
func (j *Joiner) Rest() {
	if j.Len() == 0 && !j.run.set {
		scratch.GiveBack(j.arena)
	}
}

// Room returns where a body of n bytes (1 to 65,536) is to be opened, or nil if the
// arena has no such room: then take [Joiner.Packets], and Reset. It is good for one
// Take; asking again without one gives up the room before.
func (j *Joiner) Room(n int) []byte {
	if n < trailerLen || n > maxPacket+trailerLen || n > len(j.arena)-j.next-Tailroom {
		return nil
	}
	j.room, j.roomLen = j.next, n
	if j.run.mayGrow(n - trailerLen - j.run.shape.headers) {
		j.room = j.run.end
	}
	return j.arena[j.room : j.room+n : j.room+n]
}

// mayGrow reports whether payload bytes could be the next segment's.
func (r *run) mayGrow(payload int) bool {
	limit := maxPieces
	if !r.shape.tcp {
		limit = maxUDPPieces
	}
	return r.open && payload > 0 && payload <= r.size && r.pieces < limit &&
		r.shape.headers+r.end-r.first+payload <= maxPacket
}

// Take takes in what was opened in the room last given out: body is as long as that
// or shorter, at the same place. It may be hostile; if it isn't well formed, there is
// an error and nothing has changed.
func (j *Joiner) Take(body []byte) error {
	if len(body) == 0 {
		return ErrTruncated
	}
	if len(body) > j.roomLen || &body[0] != &j.arena[j.room] {
		return ErrRoom
	}
	j.roomLen = 0
	trailer := body[len(body)-1]
	kind, length, rest := BodyKind(trailer>>kindShift), int(trailer&maskLength)*4, body[:len(body)-trailerLen]
	switch {
	case kind == BodyPacket && length == 0:
		return j.takePacket(rest)
	case kind == BodySegment || kind == BodyTrusted:
		if length > len(rest) {
			return ErrTruncated
		}
		return j.takeSegment(rest, len(rest)-length, kind == BodyTrusted)
	}
	return ErrBodyKind
}

// takePacket takes in a packet that travelled whole.
func (j *Joiner) takePacket(b []byte) error {
	ip, err := parseIP(b)
	if err != nil {
		return err
	}
	if len(ip) != len(b) {
		return ErrLength
	}
	j.End()
	first, end := j.place(b)
	j.add(first, end)
	return nil
}

// takeSegment takes in b, a payload of so many bytes and headers behind it.
func (j *Joiner) takeSegment(b []byte, payload int, trusted bool) error {
	headers := b[payload:]
	s, ok := shapeOf(headers)
	if !ok || s.headers != len(headers) {
		return ErrSegment
	}
	if trusted && j.room == j.run.end && j.run.mayGrow(payload) && s == j.run.shape && j.continues(headers) {
		j.grow(headers, payload)
		return nil
	}
	j.End()
	first, _ := j.place(b)
	copy(j.arena[first-s.headers:first], j.arena[first+payload:])
	j.add(first-s.headers, first+payload)
	j.run = run{set: true, trusted: trusted, shape: s, first: first, end: first + payload, size: payload, pieces: 1}
	j.run.open = trusted && j.joins(j.arena[first-s.headers:first], s)
	return nil
}

// joins reports whether other segments may follow one with these headers.
func (j *Joiner) joins(headers []byte, s shape) bool {
	if !s.tcp {
		return j.JoinUDP
	}
	return j.JoinTCP && headers[s.ip+13]&(TCPSyn|TCPRst|tcpUrg|tcpPsh|TCPFin) == 0
}

// place moves b, which lies in the room, to where a new packet's payload begins, if
// it isn't there already, and returns its ends.
func (j *Joiner) place(b []byte) (first, end int) {
	if j.room != j.next {
		copy(j.arena[j.next:], b)
	}
	return j.next, j.next + len(b)
}

// add appends the packet from first to end.
func (j *Joiner) add(first, end int) {
	j.packets = append(j.packets, Packet{Buf: j.arena[first-Headroom : end : end+Tailroom]})
	j.next = end + packetRoom
}

// continues reports whether a segment with these headers, of the run's shape, is the
// one that comes next.
func (j *Joiner) continues(h []byte) bool {
	r := &j.run
	was := j.arena[r.first-r.shape.headers : r.first]
	if r.shape.v6 {
		if !bytes.Equal(h[:4], was[:4]) || !bytes.Equal(h[6:r.shape.ip], was[6:r.shape.ip]) {
			return false
		}
	} else if !bytes.Equal(h[:2], was[:2]) || !bytes.Equal(h[6:10], was[6:10]) || !bytes.Equal(h[12:r.shape.ip], was[12:r.shape.ip]) || !r.nextID(h, was) {
		return false
	}
	h, was = h[r.shape.ip:], was[r.shape.ip:]
	if !bytes.Equal(h[:4], was[:4]) { // ports
		return false
	}
	if !r.shape.tcp {
		return true
	}
	expected := binary.BigEndian.Uint32(was[4:8]) + uint32(r.end-r.first)
	return binary.BigEndian.Uint32(h[4:8]) == expected &&
		bytes.Equal(h[8:13], was[8:13]) && // acknowledgement, data offset
		h[13]&^(tcpPsh|TCPFin) == was[13]&^tcpCwr &&
		bytes.Equal(h[14:16], was[14:16]) && // window
		bytes.Equal(h[18:], was[18:]) // urgent pointer, options
}

// nextID reports whether a segment's ID goes on counting, or stays as it was where
// that says nothing: with DF set (RFC 6864 section 4.1).
func (r *run) nextID(h, was []byte) bool {
	step := binary.BigEndian.Uint16(h[4:6]) - binary.BigEndian.Uint16(was[4:6])
	if step == 0 {
		return (r.fixedID || r.pieces == 1) && binary.BigEndian.Uint16(h[6:8])&flagDF != 0
	}
	return !r.fixedID && step == uint16(r.pieces)
}

// grow takes the segment behind the run into it.
func (j *Joiner) grow(h []byte, payload int) {
	r := &j.run
	was := j.arena[r.first-r.shape.headers : r.first]
	if !r.shape.v6 && r.pieces == 1 {
		r.fixedID = h[4] == was[4] && h[5] == was[5]
	}
	r.open = payload == r.size
	if r.shape.tcp {
		ends := h[r.shape.ip+13] & (tcpPsh | TCPFin)
		was[r.shape.ip+13] |= ends
		r.open = r.open && ends == 0
	}
	r.pieces++
	r.end += payload
	j.next = r.end + packetRoom
}

// End finishes the packet in progress: what comes next isn't joined to it.
func (j *Joiner) End() {
	r := &j.run
	if !r.set {
		return
	}
	p := &j.packets[len(j.packets)-1]
	p.Buf = j.arena[r.first-r.shape.headers-Headroom : r.end : r.end+Tailroom]
	ip := p.IP()
	r.shape.setLengths(ip, len(ip))
	if r.trusted {
		r.shape.setPartial(ip, len(ip))
		p.Trusted, p.Partial = true, true
	}
	if r.pieces > 1 {
		p.Size = uint16(r.size)
		switch {
		case !r.shape.tcp:
			p.GSO = GSOUDP
		case r.shape.v6:
			p.GSO = GSOTCPv6
		default:
			p.GSO = GSOTCPv4
		}
	}
	j.run = run{}
}

// Len returns how many packets there are, with the one in progress.
func (j *Joiner) Len() int { return len(j.packets) }

// Packets ends the packet in progress and returns all since the last Reset, in
// order. They are good until the next one; more may be taken in behind them.
func (j *Joiner) Packets() []Packet {
	j.End()
	return j.packets
}
