package frame

import (
	"encoding/binary"
	"net/netip"
)

// ARPLen is the length of an ARP packet for IPv4 over Ethernet in bytes.
const ARPLen = 28

// ARP operations (RFC 826).
const (
	ARPRequest uint16 = 1
	ARPReply   uint16 = 2
	// RARPRequest is one of frames with EtherTypeRARP (RFC 903). One about its own sender
	// announces where a station is: its addresses are 0.0.0.0.
	RARPRequest uint16 = 3
)

// ARP is a view of an ARP packet for IPv4 over Ethernet (RFC 826).
type ARP []byte

// ParseARP checks length, hardware type, protocol type and address lengths. The
// view ends where the packet ends: padding is cut off.
func ParseARP(b []byte) (ARP, error) {
	if len(b) < ARPLen {
		return nil, ErrTruncated
	}
	// htype 1 (Ethernet), ptype 0x0800, hlen 6, plen 4
	if binary.BigEndian.Uint32(b) != 0x0001_0800 || binary.BigEndian.Uint16(b[4:]) != 0x0604 {
		return nil, ErrProtocol
	}
	return ARP(b[:ARPLen:ARPLen]), nil
}

// Op returns the operation, ARPRequest or ARPReply; others exist and mean nothing to us.
func (a ARP) Op() uint16 { return binary.BigEndian.Uint16(a[6:8]) }

// SenderMAC returns the sender's hardware address.
func (a ARP) SenderMAC() MAC { return MAC(a[8:14]) }

// SenderIP returns the sender's protocol address; 0.0.0.0 in a probe.
func (a ARP) SenderIP() netip.Addr { return netip.AddrFrom4([4]byte(a[14:18])) }

// TargetMAC returns the target's hardware address, zero in a request.
func (a ARP) TargetMAC() MAC { return MAC(a[18:24]) }

// TargetIP returns the target's protocol address.
func (a ARP) TargetIP() netip.Addr { return netip.AddrFrom4([4]byte(a[24:28])) }

// IsProbe reports whether a is an address probe (RFC 5227 section 1.1): a request
// whose sender has no address yet.
func (a ARP) IsProbe() bool { return a.Op() == ARPRequest && a.SenderIP().IsUnspecified() }

// IsAnnouncement reports whether a announces the sender's own address (RFC 5227
// section 1.1, "gratuitous ARP"), as request or as reply.
func (a ARP) IsAnnouncement() bool {
	return a.SenderIP() == a.TargetIP() && !a.SenderIP().IsUnspecified()
}

// ARPFields is what an ARP packet says, for building one.
type ARPFields struct {
	Op        uint16
	SenderMAC MAC
	SenderIP  netip.Addr
	TargetMAC MAC
	TargetIP  netip.Addr
}

// AppendARP appends a whole frame: Ethernet header (dst, src) and ARP packet.
func AppendARP(b []byte, dst, src MAC, f ARPFields) []byte {
	b = AppendEthernet(b, dst, src, EtherTypeARP)
	b = append(b, 0x00, 0x01, 0x08, 0x00, 6, 4)
	b = binary.BigEndian.AppendUint16(b, f.Op)
	b = append(b, f.SenderMAC[:]...)
	b = appendIPv4(b, f.SenderIP)
	b = append(b, f.TargetMAC[:]...)
	return appendIPv4(b, f.TargetIP)
}

// appendIPv4 appends the four bytes of an IPv4 address, zeros for any other.
func appendIPv4(b []byte, a netip.Addr) []byte {
	a4 := as4(a)
	return append(b, a4[:]...)
}

func as4(a netip.Addr) [4]byte {
	if a.Is4() || a.Is4In6() {
		return a.As4()
	}
	return [4]byte{}
}
