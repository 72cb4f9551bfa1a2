package dns

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

// StaticName returns the static name of an IPv4 address, "C005032155" for
// 10.5.32.155: a single label, unique within a prefix of /8 or longer.
func StaticName(addr netip.Addr) string {
	const digits = "0123456789"
	name := make([]byte, 0, 10)
	name = append(name, 'C')
	octets := addr.As4()
	for _, octet := range octets[1:] {
		name = append(name, digits[octet/100], digits[octet/10%10], digits[octet%10])
	}
	return string(name)
}

// parseStatic returns the address that a label in lower case stands for; isStatic
// says whether it has the form of a static name, ok whether it is the name of a host
// address of the prefix.
func (h *Handler) parseStatic(label string) (addr netip.Addr, isStatic, ok bool) {
	if len(label) != 10 || label[0] != 'c' {
		return netip.Addr{}, false, false
	}
	octets := h.prefix.Addr().As4()
	for i := range 3 {
		n := 0
		for _, c := range []byte(label[1+3*i : 4+3*i]) {
			if c < '0' || c > '9' {
				return netip.Addr{}, false, false
			}
			n = 10*n + int(c-'0')
		}
		if n > 255 {
			return netip.Addr{}, true, false
		}
		octets[i+1] = byte(n)
	}
	addr = netip.AddrFrom4(octets)
	return addr, true, h.isHost(addr)
}

// isHost reports whether addr is an address that a host of the group can have, the
// service address included.
func (h *Handler) isHost(addr netip.Addr) bool {
	return h.prefix.Contains(addr) && addr != h.prefix.Addr() && addr != h.broadcast
}

// isHostLabel reports whether s, in lower case, is a label that a host name can have
// (RFC 1123 section 2.1).
func isHostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// place is where a name stands.
type place uint8

const (
	foreign place = iota // not ours
	apex                 // the top of a zone
	between              // has names below it, and no records
	static               // a static name on its own or in the zone
	server               // the name server's own name
	host                 // may be a lease's host name: ask the directory
	reverse              // an address's name
	pinned               // an alias of an address
	missing              // in a zone of ours, and doesn't exist
)

// location is what a name means.
type location struct {
	place place
	zone  string     // owner of the SOA, absolute
	addr  netip.Addr // static, reverse, pinned
	label string     // host
	asked string     // foreign: the name itself, where it is to be spoken of
}

// locate says what a name, absolute and in lower case, means. labels are its labels.
func (h *Handler) locate(name string) location {
	labels := dns.SplitDomainName(name)
	n := len(labels)
	if n == 1 {
		if addr, _, ok := h.parseStatic(labels[0]); ok {
			return location{place: static, zone: name, addr: addr}
		}
	}
	if h.zone != "." && dns.IsSubDomain(h.zone, name) {
		return h.locateInZone(labels[:n-dns.CountLabel(h.zone)])
	}
	if n > 2 && labels[n-1] == "arpa" && labels[n-2] == "in-addr" {
		return h.locateReverse(labels[:n-2])
	}
	if n > 2 && labels[n-1] == "arpa" && labels[n-2] == "ip6" {
		return h.locateReverse6(labels[:n-2])
	}
	return location{}
}

func (h *Handler) locateInZone(below []string) location {
	at := location{place: missing, zone: h.zone}
	switch len(below) {
	case 0:
		at.place = apex
	case 1:
		label := below[0]
		addr, isStatic, ok := h.parseStatic(label)
		switch {
		case ok:
			at.place, at.addr = static, addr
		case isStatic:
		case label == serverLabel:
			at.place = server
		case isHostLabel(label):
			at.place, at.label = host, label
		}
	}
	return at
}

// locateReverse takes the labels before in-addr.arpa, the last octet first.
func (h *Handler) locateReverse(labels []string) location {
	zoneLabels := (h.prefix.Bits() + 7) / 8
	if len(labels) < zoneLabels {
		return location{}
	}
	var octets [4]byte
	sound := true
	for i := range min(len(labels), 4) {
		var ok bool
		octets[i], ok = parseOctet(labels[len(labels)-1-i])
		if !ok && i < zoneLabels {
			return location{}
		}
		sound = sound && ok
	}
	if !h.prefix.Contains(zoneAddr(octets, zoneLabels)) {
		return location{}
	}
	at := location{place: missing, zone: reverseZone(labels[len(labels)-zoneLabels:])}
	switch {
	case !sound || len(labels) > 4:
	case len(labels) == 4 && h.isHost(netip.AddrFrom4(octets)):
		at.place, at.addr = reverse, netip.AddrFrom4(octets)
	case len(labels) == zoneLabels:
		at.place = apex
	case len(labels) < 4:
		at.place = between
	}
	return at
}

// IsReverse reports whether a name lies in the reverse zones of a prefix, or is one of them.
func IsReverse(prefix netip.Prefix, name string) bool {
	below, ok := strings.CutSuffix(dns.CanonicalName(name), ".in-addr.arpa.")
	return ok && (&Handler{prefix: prefix.Masked()}).locateReverse(strings.Split(below, ".")).place != foreign
}

// zoneAddr is the first address of the reverse zone with n octets.
func zoneAddr(octets [4]byte, n int) netip.Addr {
	clear(octets[n:])
	return netip.AddrFrom4(octets)
}

func reverseZone(labels []string) string {
	return strings.Join(labels, ".") + ".in-addr.arpa."
}

// parseOctet reads a decimal octet as in-addr.arpa has it: without leading zeros.
func parseOctet(s string) (octet byte, ok bool) {
	n, err := strconv.ParseUint(s, 10, 8)
	if err != nil || (len(s) > 1 && s[0] == '0') || s[0] == '+' {
		return 0, false
	}
	return byte(n), true
}

// lastAddr returns the last address of an IPv4 prefix, the directed broadcast.
func lastAddr(p netip.Prefix) netip.Addr {
	a := p.Masked().Addr().As4()
	for bit := p.Bits(); bit < 32; bit++ {
		a[bit/8] |= 0x80 >> (bit % 8)
	}
	return netip.AddrFrom4(a)
}
