package dns

import (
	"net/netip"
	"strings"

	"landbridge/internal/ula"
)

// nibbles is how many labels of ip6.arpa an address has (RFC 3596 section 2.5), and how many the zone of a group's /64.
const (
	nibbles     = 32
	zoneNibbles = ula.Bits / 4
)

// locateReverse6 takes the labels before ip6.arpa, the last nibble first. Names of hosts are those of addresses that
// have an IPv4 address of the prefix within.
func (h *Handler) locateReverse6(labels []string) location {
	net := h.ipv6()
	if net.IsZero() || len(labels) < zoneNibbles {
		return location{}
	}
	var b [16]byte
	sound := true
	for i := range min(len(labels), nibbles) {
		label := labels[len(labels)-1-i]
		n := strings.IndexByte("0123456789abcdef", label[0])
		if len(label) != 1 || n < 0 {
			if i < zoneNibbles {
				return location{}
			}
			sound, n = false, 0
		}
		b[i/2] |= byte(n) << (4 * (1 - i%2))
	}
	addr := netip.AddrFrom16(b)
	if !net.Prefix().Contains(addr) {
		return location{}
	}
	at := location{place: missing, zone: strings.Join(labels[len(labels)-zoneNibbles:], ".") + ".ip6.arpa."}
	host, ok := net.Host(addr)
	switch {
	case !sound || len(labels) > nibbles:
	case len(labels) == nibbles && ok && h.isHost(host):
		at.place, at.addr = reverse, host
	case len(labels) == zoneNibbles:
		at.place = apex
	case len(labels) < nibbles && h.leads(net, addr, len(labels)):
		at.place = between
	}
	return at
}

// leads reports whether names of hosts can stand below the first n nibbles of an address.
func (h *Handler) leads(net ula.Net, addr netip.Addr, n int) bool {
	below := netip.PrefixFrom(addr, 4*n)
	first := net.Of(h.prefix.Addr())
	return below.Overlaps(netip.PrefixFrom(first, 128-32+h.prefix.Bits()).Masked())
}
