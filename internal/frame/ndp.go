package frame

import (
	"encoding/binary"
	"net/netip"
	"strings"
	"time"
)

// Neighbour discovery (RFC 4861). Options, each as long as its second byte says in units of eight bytes:
const (
	optionSourceMAC = 1
	optionTargetMAC = 2
	optionPrefix    = 3
	optionMTU       = 5
	optionRDNSS     = 25 // RFC 8106
	optionDNSSL     = 31
)

// ndpHops is the hop limit of every message: what came through a router has less (RFC 4861 section 3.1).
const ndpHops = 255

// NDPLen is the length in bytes of the packet of a solicitation or an advertisement of a neighbour
// with the option that names a MAC.
const NDPLen = IPv6HeaderLen + 24 + 8

// Neighbor is what a solicitation or an advertisement of a neighbour says.
type Neighbor struct {
	Src       netip.Addr // ::, of a solicitation that looks for duplicates (RFC 4862 section 5.4.3)
	Target    netip.Addr
	MAC       MAC  // of its sender, or of the target of an advertisement; zero if it names none
	Advert    bool // an advertisement
	Solicited bool // … that answers a solicitation
}

// IsProbe reports whether n looks for duplicates of an address that its sender is about to take.
func (n Neighbor) IsProbe() bool { return !n.Advert && n.Src.IsUnspecified() }

// ndp returns a message of neighbour discovery that is sound as far as all are: hop limit, no
// extension headers, code, checksum.
func ndp(p IPv6) (ICMPv6, error) {
	if p.NextHeader() != ProtocolICMPv6 || p.HopLimit() != ndpHops {
		return nil, ErrNDP
	}
	m, err := ParseICMPv6(p.Payload())
	switch {
	case err != nil:
		return nil, err
	case m.Code() != 0 || !m.ChecksumOK(p.Src(), p.Dst()):
		return nil, ErrNDP
	}
	return m, nil
}

// IsNDP reports whether p's header is that of a message of neighbour discovery.
func IsNDP(p IPv6) bool {
	at := p.Payload()
	return p.NextHeader() == ProtocolICMPv6 && len(at) > 0 && at[0] >= ICMPv6RouterSolicit && at[0] <= ICMPv6Redirect
}

// ParseNeighbor reads a solicitation or an advertisement of a neighbour, and refuses one that RFC 4861
// sections 7.1.1 and 7.1.2 have a node discard.
func ParseNeighbor(p IPv6) (n Neighbor, err error) {
	m, err := ndp(p)
	if err != nil {
		return n, err
	}
	if len(m) < 24 || m.Type() != ICMPv6Solicit && m.Type() != ICMPv6Advert {
		return n, ErrNDP
	}
	n = Neighbor{Src: p.Src(), Target: netip.AddrFrom16([16]byte(m[8:24])), Advert: m.Type() == ICMPv6Advert}
	n.Solicited = n.Advert && m[4]&0x40 != 0
	wanted := optionSourceMAC
	if n.Advert {
		wanted = optionTargetMAC
	}
	if n.MAC, err = macOption(m[24:], byte(wanted)); err != nil {
		return n, err
	}
	dst := p.Dst()
	switch {
	case n.Target.IsMulticast(), n.Src.IsMulticast(), n.Solicited && dst.IsMulticast(), n.Advert && n.Src.IsUnspecified(),
		n.IsProbe() && (!n.MAC.IsZero() || dst != SolicitedNode(n.Target)):
		return n, ErrNDP
	}
	return n, nil
}

// ParseRouterSolicit checks a router solicitation as RFC 4861 section 6.1.1 has a router do.
func ParseRouterSolicit(p IPv6) error {
	m, err := ndp(p)
	if err != nil {
		return err
	}
	if m.Type() != ICMPv6RouterSolicit {
		return ErrNDP
	}
	mac, err := macOption(m.Payload(), optionSourceMAC)
	if err == nil && p.Src().IsUnspecified() && !mac.IsZero() {
		err = ErrNDP
	}
	return err
}

// macOption returns the MAC of the first option of a type; zero if there is none. Any option without
// a length, or that isn't whole, makes the message one to be discarded.
func macOption(options []byte, wanted byte) (m MAC, err error) {
	for len(options) > 0 {
		if len(options) < 8 || options[1] == 0 || len(options) < 8*int(options[1]) {
			return MAC{}, ErrNDP
		}
		if options[0] == wanted && options[1] == 1 && m.IsZero() {
			m = MAC(options[2:8])
		}
		options = options[8*int(options[1]):]
	}
	return m, nil
}

// AppendSolicit appends a whole frame: the station src, with the address from, looks for target among its neighbours.
func AppendSolicit(b []byte, src MAC, from, target netip.Addr) []byte {
	dst := SolicitedNode(target)
	b = AppendEthernet(b, MulticastMAC(dst), src, EtherTypeIPv6)
	return appendNeighbor(b, from, dst, ICMPv6Solicit, 0, target, optionSourceMAC, src)
}

// AdvertFields are what an advertisement of a neighbour says, for building one.
type AdvertFields struct {
	Dst      netip.Addr // who has asked; AllNodes to tell all, in answer to none
	Target   netip.Addr
	MAC      MAC  // of the target
	Override bool // receivers take it in place of what they know
	Router   bool // the target is a router
}

// AppendAdvert appends a whole frame from the station src to the station to, or to all where Dst is multicast, with an
// advertisement from the target itself.
func AppendAdvert(b []byte, to, src MAC, f AdvertFields) []byte {
	var flags byte
	if f.Router {
		flags |= 0x80
	}
	if f.Dst.IsMulticast() {
		to = MulticastMAC(f.Dst)
	} else {
		flags |= 0x40
	}
	if f.Override {
		flags |= 0x20
	}
	b = AppendEthernet(b, to, src, EtherTypeIPv6)
	return appendNeighbor(b, f.Target, f.Dst, ICMPv6Advert, flags, f.Target, optionTargetMAC, f.MAC)
}

func appendNeighbor(b []byte, src, dst netip.Addr, icmpType, flags byte, target netip.Addr, option byte, mac MAC) []byte {
	b = AppendIPv6(b, IPv6Fields{Src: src, Dst: dst, NextHeader: ProtocolICMPv6, HopLimit: ndpHops}, NDPLen-IPv6HeaderLen)
	start := len(b)
	b = append(b, icmpType, 0, 0, 0, flags, 0, 0, 0)
	b = appendIPv6(b, target)
	b = append(append(b, option, 1), mac[:]...)
	return sealICMPv6(b, start, src, dst)
}

// RouterAdvert is what a router says of a link (RFC 4861 section 4.2): that hosts get addresses and all else by DHCPv6, and
// that the prefix is on the link. It isn't given out as a default router.
type RouterAdvert struct {
	MAC    MAC           // of the router
	Prefix netip.Prefix  // on the link; hosts make no addresses of it by themselves
	Valid  time.Duration // for how long the prefix and the DNS servers are good; 0: no longer
	MTU    int           // of the link, bytes; 0: not said
	DNS    []netip.Addr  // RFC 8106
	Search []string      // domains, in lower case, without a dot at their end
}

// AppendRouterAdvert appends a whole frame to the station to at the address dst, or to all.
func AppendRouterAdvert(b []byte, to MAC, dst netip.Addr, a RouterAdvert) []byte {
	if dst.IsMulticast() {
		to = MulticastMAC(dst)
	}
	src := LinkLocal(a.MAC)
	b = AppendEthernet(b, to, a.MAC, EtherTypeIPv6)
	head := len(b)
	b = AppendIPv6(b, IPv6Fields{Src: src, Dst: dst, NextHeader: ProtocolICMPv6, HopLimit: ndpHops}, 0)
	start := len(b)
	const managed, other, onLink = 0x80, 0x40, 0x80
	b = append(b, ICMPv6RouterAdvert, 0, 0, 0, 64, managed|other, 0, 0) // router lifetime 0
	b = append(b, 0, 0, 0, 0, 0, 0, 0, 0)                               // reachable time, retransmission timer: not said
	b = append(append(b, optionSourceMAC, 1), a.MAC[:]...)
	valid := uint32(a.Valid / time.Second)
	b = append(b, optionPrefix, 4, byte(a.Prefix.Bits()), onLink)
	b = binary.BigEndian.AppendUint32(b, valid)
	b = binary.BigEndian.AppendUint32(b, valid)
	b = append(b, 0, 0, 0, 0)
	b = appendIPv6(b, a.Prefix.Addr())
	if a.MTU > 0 {
		b = binary.BigEndian.AppendUint32(append(b, optionMTU, 1, 0, 0), uint32(a.MTU))
	}
	if len(a.DNS) > 0 {
		b = binary.BigEndian.AppendUint32(append(b, optionRDNSS, byte(1+2*len(a.DNS)), 0, 0), valid)
		for _, server := range a.DNS {
			b = appendIPv6(b, server)
		}
	}
	if len(a.Search) > 0 {
		at := len(b)
		b = binary.BigEndian.AppendUint32(append(b, optionDNSSL, 0, 0, 0), valid)
		for _, name := range a.Search {
			for label := range strings.SplitSeq(name, ".") {
				b = append(append(b, byte(len(label))), label...)
			}
			b = append(b, 0)
		}
		for (len(b)-at)%8 != 0 {
			b = append(b, 0)
		}
		b[at+1] = byte((len(b) - at) / 8)
	}
	binary.BigEndian.PutUint16(b[head+4:], uint16(len(b)-start))
	return sealICMPv6(b, start, src, dst)
}
