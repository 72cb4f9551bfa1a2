package frame

import (
	"encoding/binary"
	"net"
)

// EtherTypes that Landbridge looks at.
const (
	EtherTypeIPv4 uint16 = 0x0800
	EtherTypeARP  uint16 = 0x0806
	EtherTypeRARP uint16 = 0x8035 // RFC 903; hypervisors announce a guest that has moved by it
	EtherTypeVLAN uint16 = 0x8100 // 802.1Q; the tag stands where the payload begins
	EtherTypeIPv6 uint16 = 0x86dd

	EtherTypeBeacon uint16 = 0x88b5 // IEEE 802 local experimental 1: what members on one segment say to each other

	etherTypeServiceVLAN uint16 = 0x88a8 // 802.1ad, the outer tag of two
)

// EthernetHeaderLen is the length of an untagged Ethernet header in bytes.
const EthernetHeaderLen = 14

// MAC is an Ethernet address as a comparable value.
type MAC [6]byte

// Broadcast is ff:ff:ff:ff:ff:ff.
func Broadcast() MAC { return MAC{0xff, 0xff, 0xff, 0xff, 0xff, 0xff} }

// MACFrom converts a net.HardwareAddr; ok is false if it isn't six bytes long.
func MACFrom(hw net.HardwareAddr) (m MAC, ok bool) {
	if len(hw) != len(m) {
		return MAC{}, false
	}
	copy(m[:], hw)
	return m, true
}

// HardwareAddr returns a copy in the form of package net. It allocates.
func (m MAC) HardwareAddr() net.HardwareAddr { return append(net.HardwareAddr(nil), m[:]...) }

// IsGroup reports whether m addresses many (multicast or broadcast); such an
// address is never a valid source.
func (m MAC) IsGroup() bool { return m[0]&1 != 0 }

// IsZero reports whether m is 00:00:00:00:00:00.
func (m MAC) IsZero() bool { return m == MAC{} }

// IsUnicast reports whether m can be one station's address: neither a group nor zero.
func (m MAC) IsUnicast() bool { return !m.IsGroup() && !m.IsZero() }

// String returns the usual form, "02:00:5e:10:00:01".
func (m MAC) String() string { return net.HardwareAddr(m[:]).String() }

// Ethernet is a view of one Ethernet frame without preamble and FCS.
type Ethernet []byte

// ParseEthernet checks that b holds a whole Ethernet header.
func ParseEthernet(b []byte) (Ethernet, error) {
	if len(b) < EthernetHeaderLen {
		return nil, ErrTruncated
	}
	return Ethernet(b), nil
}

// Dst returns the destination address.
func (e Ethernet) Dst() MAC { return MAC(e[0:6]) }

// Src returns the source address.
func (e Ethernet) Src() MAC { return MAC(e[6:12]) }

// EtherType returns the type field. Below 1536 it is an 802.3 length.
func (e Ethernet) EtherType() uint16 { return binary.BigEndian.Uint16(e[12:14]) }

// Payload returns what follows the header, padding included.
func (e Ethernet) Payload() []byte { return e[EthernetHeaderLen:] }

// SetDst overwrites the destination address.
func (e Ethernet) SetDst(m MAC) { copy(e[0:6], m[:]) }

// SetSrc overwrites the source address.
func (e Ethernet) SetSrc(m MAC) { copy(e[6:12], m[:]) }

// AppendEthernet appends a header; the caller appends the payload.
func AppendEthernet(b []byte, dst, src MAC, etherType uint16) []byte {
	b = append(b, dst[:]...)
	b = append(b, src[:]...)
	return binary.BigEndian.AppendUint16(b, etherType)
}
