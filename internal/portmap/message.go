package portmap

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"
)

// serverPort is where routers listen, for both protocols (RFC 6887 section 19.1, RFC 6886 section 3.1).
const serverPort = 5351

// A transport is a protocol whose port is mapped.
type transport uint8

// The transports, by their IANA numbers.
const (
	tcp transport = 6
	udp transport = 17
)

func (t transport) String() string {
	if t == tcp {
		return "TCP"
	}
	return "UDP"
}

const (
	pcpVersion  = 2
	pcpMap      = 1
	pcpReply    = 0x80
	pcpHeader   = 24
	pcpMapSize  = pcpHeader + 36
	pmpVersion  = 0
	pmpAddress  = 0
	pmpUDP      = 1
	pmpTCP      = 2
	pmpReply    = 0x80
	pmpMapSize  = 16
	pmpAddrSize = 12
	oldVersion  = 1 // result code of both: the version isn't spoken
)

// mapping is what a router has granted.
type mapping struct {
	external netip.AddrPort // NAT-PMP: without an address
	lifetime time.Duration
}

// Errors of a reply.
var (
	errNotAReply  = errors.New("it isn't the answer to what was asked")
	errOldVersion = errors.New("the router doesn't speak this version")
)

// refusedError is a router's result code.
type refusedError struct {
	protocol string
	code     uint16
}

func (e *refusedError) Error() string {
	words := map[uint16]string{2: "it isn't allowed", 3: "the request is malformed", 4: "mapping of ports isn't supported", 8: "it has no room for more", 11: "the external port isn't free", 12: "there is another NAT in between"}
	if e.protocol == "NAT-PMP" {
		words = map[uint16]string{2: "it isn't allowed", 3: "the router has no address itself", 4: "it has no room for more"}
	}
	if w, known := words[e.code]; known {
		return fmt.Sprintf("the router refuses it by %s: %s", e.protocol, w)
	}
	return fmt.Sprintf("the router refuses it by %s: code %d", e.protocol, e.code)
}

// nonce marks the mappings of one host (RFC 6887 section 11.2).
type nonce [12]byte

// pcpRequest asks by PCP for a mapping of a port of client, or, for no time, to end it.
func pcpRequest(n nonce, client netip.Addr, t transport, port uint16, lifetime time.Duration) []byte {
	b := make([]byte, pcpMapSize)
	b[0], b[1] = pcpVersion, pcpMap
	binary.BigEndian.PutUint32(b[4:], uint32(lifetime/time.Second))
	as16 := client.As16()
	copy(b[8:], as16[:])
	m := b[pcpHeader:]
	copy(m, n[:])
	m[12] = byte(t)
	binary.BigEndian.PutUint16(m[16:], port)
	binary.BigEndian.PutUint16(m[18:], port) // the same outside, if that is free
	any16 := netip.IPv4Unspecified().As16()
	if !client.Unmap().Is4() {
		any16 = netip.IPv6Unspecified().As16()
	}
	copy(m[20:], any16[:])
	return b
}

// parsePCP reads the answer to a pcpRequest.
func parsePCP(b []byte, n nonce, t transport, port uint16) (m mapping, err error) {
	switch {
	case len(b) >= 4 && b[0] != pcpVersion && b[3] == oldVersion, // PCP's, and NAT-PMP's, whose code has 16 bits
		len(b) >= 4 && b[0] == pcpVersion && b[3] == oldVersion:
		return m, errOldVersion
	case len(b) < pcpMapSize || b[0] != pcpVersion || b[1] != pcpReply|pcpMap:
		return m, errNotAReply
	}
	body := b[pcpHeader:pcpMapSize]
	if nonce(body[:12]) != n || body[12] != byte(t) || binary.BigEndian.Uint16(body[16:]) != port {
		return m, errNotAReply
	}
	if b[3] != 0 {
		return m, &refusedError{"PCP", uint16(b[3])}
	}
	addr := netip.AddrFrom16([16]byte(body[20:36])).Unmap()
	m.external = netip.AddrPortFrom(addr, binary.BigEndian.Uint16(body[18:]))
	m.lifetime = time.Duration(binary.BigEndian.Uint32(b[4:])) * time.Second
	return m, nil
}

// pmpRequest asks by NAT-PMP for a mapping, or, for no time, to end it.
func pmpRequest(t transport, port uint16, lifetime time.Duration) []byte {
	b := make([]byte, 12)
	b[0], b[1] = pmpVersion, pmpOp(t)
	binary.BigEndian.PutUint16(b[4:], port)
	if lifetime > 0 {
		binary.BigEndian.PutUint16(b[6:], port)
	}
	binary.BigEndian.PutUint32(b[8:], uint32(lifetime/time.Second))
	return b
}

func pmpOp(t transport) byte {
	if t == tcp {
		return pmpTCP
	}
	return pmpUDP
}

// parsePMP reads the answer to a pmpRequest.
func parsePMP(b []byte, t transport, port uint16) (m mapping, err error) {
	if len(b) < pmpAddrSize-4 || b[0] != pmpVersion || b[1] != pmpReply|pmpOp(t) {
		return m, errNotAReply
	}
	if code := binary.BigEndian.Uint16(b[2:]); code != 0 {
		return m, &refusedError{"NAT-PMP", code}
	}
	if len(b) < pmpMapSize || binary.BigEndian.Uint16(b[8:]) != port {
		return m, errNotAReply
	}
	m.external = netip.AddrPortFrom(netip.Addr{}, binary.BigEndian.Uint16(b[10:]))
	m.lifetime = time.Duration(binary.BigEndian.Uint32(b[12:])) * time.Second
	return m, nil
}

// pmpAddressRequest asks by NAT-PMP for the router's own address.
func pmpAddressRequest() []byte { return []byte{pmpVersion, pmpAddress} }

// parsePMPAddress reads the answer to a pmpAddressRequest.
func parsePMPAddress(b []byte) (netip.Addr, error) {
	if len(b) < pmpAddrSize-4 || b[0] != pmpVersion || b[1] != pmpReply|pmpAddress {
		return netip.Addr{}, errNotAReply
	}
	if code := binary.BigEndian.Uint16(b[2:]); code != 0 {
		return netip.Addr{}, &refusedError{"NAT-PMP", code}
	}
	if len(b) < pmpAddrSize {
		return netip.Addr{}, errNotAReply
	}
	return netip.AddrFrom4([4]byte(b[8:12])), nil
}
