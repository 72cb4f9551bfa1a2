package beacon

import (
	"encoding/binary"
	"errors"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// The specification's numbers; see doc.go.
const (
	domain  = "beacon"
	magic   = 0x4c42 // "LB"
	version = 1

	nonceLen     = 8
	signatureLen = 64
	answersAt    = 92 // from the end of the Ethernet header
	minLen       = answersAt + signatureLen
	maxLen       = frame.EthernetHeaderLen + minLen + MaxNeighbors*nonceLen
)

const (
	saysRouter = 1 << iota
	saysLANWell
	saysWANWell
	saysSharing
)

var errNoBeacon = errors.New("beacon: not a beacon of this version")

type nonce [nonceLen]byte

// message is a beacon's content; the slices are views of the frame.
type message struct {
	says     Says
	group    group.ID
	member   group.MemberID
	mac      frame.MAC
	sequence uint64
	nonce    nonce
	answers  []byte
	alone    bool // sent to one station

	signed    []byte
	signature []byte
}

// parse reads a frame. It doesn't tell whether the signature is good. It allocates nothing.
func parse(f []byte) (m message, err error) {
	eth, err := frame.ParseEthernet(f)
	if err != nil {
		return m, err
	}
	b := eth.Payload()
	if len(b) < minLen || eth.EtherType() != frame.EtherTypeBeacon || binary.BigEndian.Uint16(b) != magic || b[2] != version {
		return m, errNoBeacon
	}
	end := answersAt + nonceLen*int(binary.BigEndian.Uint16(b[74:]))
	if end > answersAt+nonceLen*MaxNeighbors || len(b) < end+signatureLen {
		return m, errNoBeacon
	}
	m = message{
		says: saysOf(b[3]), mac: frame.MAC(b[68:74]),
		group: group.ID(b[4:36]), member: group.MemberID(b[36:68]),
		alone: eth.Dst().IsUnicast(), sequence: binary.BigEndian.Uint64(b[76:]), nonce: nonce(b[84:92]), answers: b[answersAt:end],
		signed: b[:end], signature: b[end : end+signatureLen],
	}
	if m.mac != eth.Src() || !m.mac.IsUnicast() {
		return m, errNoBeacon
	}
	return m, nil
}

// Sender returns who a frame says that it is of, where it looks like a beacon. Nothing of that is proven.
func Sender(f []byte) (group.ID, group.MemberID, bool) {
	m, err := parse(f)
	return m.group, m.member, err == nil
}

// appendUnsigned appends the frame up to its signature. m's own slices, but answers, are
// not read.
func (m *message) appendUnsigned(b []byte) []byte {
	b = frame.AppendEthernet(b, frame.Broadcast(), m.mac, frame.EtherTypeBeacon)
	b = binary.BigEndian.AppendUint16(b, magic)
	b = append(b, version, m.says.bits())
	b = append(b, m.group[:]...)
	b = append(b, m.member[:]...)
	b = append(b, m.mac[:]...)
	b = binary.BigEndian.AppendUint16(b, uint16(len(m.answers)/nonceLen))
	b = binary.BigEndian.AppendUint64(b, m.sequence)
	b = append(b, m.nonce[:]...)
	return append(b, m.answers...)
}

func saysOf(bits byte) Says {
	return Says{
		Router: bits&saysRouter != 0, LANWell: bits&saysLANWell != 0,
		WANWell: bits&saysWANWell != 0, Sharing: bits&saysSharing != 0,
	}
}

func (s Says) bits() (bits byte) {
	for _, flag := range []struct {
		set bool
		bit byte
	}{{s.Router, saysRouter}, {s.LANWell, saysLANWell}, {s.WANWell, saysWANWell}, {s.Sharing, saysSharing}} {
		if flag.set {
			bits |= flag.bit
		}
	}
	return bits
}
