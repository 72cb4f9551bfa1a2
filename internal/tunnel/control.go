package tunnel

import (
	"encoding/binary"
	"errors"
	"net/netip"

	"landbridge/internal/group"
)

// First bytes of control messages. None has 4 or 6 in its upper nibble, which is
// how IP packets are told.
const (
	msgProbe       = 0x01
	msgPong        = 0x02
	msgKeepalive   = 0x03
	msgClose       = 0x04
	msgRekey       = 0x05
	msgRekeyAnswer = 0x06
	msgCandidates  = 0x07
	msgForward     = 0x10
	msgForwarded   = 0x11
	msgRefused     = 0x12
)

const (
	endpointSize = 18 // 16 bytes of address (IPv4 mapped), 2 of port
	pongSize     = 1 + 8 + endpointSize
	probeSize    = pongSize // a pong is never larger than its probe

	ephemeralSize   = 32
	rekeySize       = 1 + ephemeralSize + 4
	rekeyAnswerSize = 1 + 2*ephemeralSize + 4
	refusedSize     = 1 + hashSize
	closeSize       = 2

	candidatesHeader = 4 // type, flags, number of endpoints, number of relays
	candidateSize    = 1 + endpointSize
	relaySize        = len(group.MemberID{})
)

// Reasons in a close message.
const (
	closeLeaving = 1 // the node stops or leaves the group
	closeIdle    = 2 // nothing was said for long
	closeRevoked = 3 // the certificate is no longer good
)

var errMalformed = errors.New("malformed control message")

func putEndpoint(b []byte, a netip.AddrPort) {
	if a.Addr().IsValid() {
		ip := a.Addr().As16()
		copy(b, ip[:])
	}
	binary.BigEndian.PutUint16(b[16:], a.Port())
}

// endpoint reads an address; sixteen zeros are the zero AddrPort, "none".
func endpoint(b []byte) netip.AddrPort {
	port := binary.BigEndian.Uint16(b[16:])
	addr := netip.AddrFrom16([16]byte(b[:16])).Unmap()
	if addr == netip.IPv6Unspecified() {
		return netip.AddrPort{}
	}
	return netip.AddrPortFrom(addr, port)
}

// newProbe makes a probe of the size given, but at least probeSize.
func newProbe(id uint64, size int) []byte {
	b := make([]byte, max(size, probeSize))
	b[0] = msgProbe
	binary.BigEndian.PutUint64(b[1:], id)
	return b
}

func parseProbe(b []byte) (id uint64, err error) {
	if len(b) < probeSize {
		return 0, errMalformed
	}
	return binary.BigEndian.Uint64(b[1:]), nil
}

// newPong makes the answer to a probe: its number, and where it came from (the zero
// AddrPort if it was relayed).
func newPong(id uint64, observed netip.AddrPort) []byte {
	b := make([]byte, pongSize)
	b[0] = msgPong
	binary.BigEndian.PutUint64(b[1:], id)
	putEndpoint(b[9:], observed)
	return b
}

func parsePong(b []byte) (id uint64, observed netip.AddrPort, err error) {
	if len(b) != pongSize {
		return 0, netip.AddrPort{}, errMalformed
	}
	return binary.BigEndian.Uint64(b[1:]), endpoint(b[9:]), nil
}

// rekeyOffer and rekeyAnswer exchange new keys inside a session.
type rekeyOffer struct {
	ephemeral [ephemeralSize]byte
	index     uint32
}

func (r rekeyOffer) bytes() []byte {
	b := append([]byte{msgRekey}, r.ephemeral[:]...)
	return binary.BigEndian.AppendUint32(b, r.index)
}

func parseRekey(b []byte) (r rekeyOffer, err error) {
	if len(b) != rekeySize {
		return r, errMalformed
	}
	copy(r.ephemeral[:], b[1:])
	r.index = binary.BigEndian.Uint32(b[1+ephemeralSize:])
	return r, nil
}

type rekeyAnswer struct {
	offered   [ephemeralSize]byte // the key of the offer that is answered
	ephemeral [ephemeralSize]byte
	index     uint32
}

func (r rekeyAnswer) bytes() []byte {
	b := append([]byte{msgRekeyAnswer}, r.offered[:]...)
	b = append(b, r.ephemeral[:]...)
	return binary.BigEndian.AppendUint32(b, r.index)
}

func parseRekeyAnswer(b []byte) (r rekeyAnswer, err error) {
	if len(b) != rekeyAnswerSize {
		return r, errMalformed
	}
	copy(r.offered[:], b[1:])
	copy(r.ephemeral[:], b[1+ephemeralSize:])
	r.index = binary.BigEndian.Uint32(b[1+2*ephemeralSize:])
	return r, nil
}

// candidateList tells where a member may be reached, in an offer, in an answer and
// in a control message.
type candidateList struct {
	endpoints []endpointCandidate
	relays    []group.MemberID // reached directly, and willing to forward
}

// An endpointCandidate is an address at which a member may be reached.
type endpointCandidate struct {
	addr netip.AddrPort
	host bool // an address of the member's own interface, not one that others see
}

const flagReply = 0x01 // the sender asks for the receiver's candidates

func (c candidateList) bytes(flags byte) []byte {
	b := []byte{msgCandidates, flags, byte(len(c.endpoints)), byte(len(c.relays))}
	for _, e := range c.endpoints {
		var kind byte
		if e.host {
			kind = 1
		}
		b = append(b, kind)
		b = append(b, make([]byte, endpointSize)...)
		putEndpoint(b[len(b)-endpointSize:], e.addr)
	}
	for _, r := range c.relays {
		b = append(b, r[:]...)
	}
	return b
}

// parseCandidates reads a candidate list. What it returns isn't filtered yet.
func parseCandidates(b []byte) (c candidateList, flags byte, err error) {
	if len(b) < candidatesHeader {
		return c, 0, errMalformed
	}
	endpoints, relays := int(b[2]), int(b[3])
	if endpoints > maxOffered || relays > maxRelays ||
		len(b) != candidatesHeader+endpoints*candidateSize+relays*relaySize {
		return c, 0, errMalformed
	}
	flags = b[1]
	b = b[candidatesHeader:]
	for range endpoints {
		c.endpoints = append(c.endpoints, endpointCandidate{addr: endpoint(b[1:]), host: b[0] == 1})
		b = b[candidateSize:]
	}
	for range relays {
		c.relays = append(c.relays, group.MemberID(b))
		b = b[relaySize:]
	}
	return c, flags, nil
}

// appendEnvelope starts a relay envelope; the inner datagram follows.
func appendEnvelope(b []byte, kind byte, h memberHash) []byte {
	b = append(b, kind)
	return append(b, h[:]...)
}

// parseEnvelope splits a relay envelope. The inner datagram is a part of b.
func parseEnvelope(b []byte) (h memberHash, inner []byte, err error) {
	if len(b) <= envelopeSize+sealOverhead {
		return h, nil, errMalformed
	}
	return memberHash(b[1:envelopeSize]), b[envelopeSize:], nil
}

func parseRefused(b []byte) (h memberHash, err error) {
	if len(b) != refusedSize {
		return h, errMalformed
	}
	return memberHash(b[1:]), nil
}
