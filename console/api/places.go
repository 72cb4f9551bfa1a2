package api

import (
	"cmp"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"landbridge/internal/sorting"
)

// Places tells people where multiaddresses lead: "203.0.113.5:4860 (udp, tcp)", or
// "through …k2MJ9k" for a circuit. An address that leads nowhere but to this host is left
// out; what isn't understood stands as it is.
func Places(multiaddrs []string) []string {
	protocols := make(map[string][]string)
	var order []string
	for _, m := range multiaddrs {
		place, protocol := placeOf(m)
		if place == "" {
			continue
		}
		if _, seen := protocols[place]; !seen {
			order = append(order, place)
		}
		if !slices.Contains(protocols[place], protocol) {
			protocols[place] = append(protocols[place], protocol)
		}
	}
	sorting.StablyBy(order, func(a, b string) int { // circuits last
		return cmp.Compare(strings.Index(a, "through "), strings.Index(b, "through "))
	})
	for i, place := range order {
		if p := strings.Join(protocols[place], ", "); p != "" {
			order[i] = fmt.Sprintf("%s (%s)", place, p)
		}
	}
	return order
}

// placeOf returns the place and the transport protocol of a multiaddress; no place for
// one that is of no use to others.
func placeOf(m string) (place, protocol string) {
	if relay, _, ok := strings.Cut(m, "/p2p-circuit"); ok {
		_, id, _ := strings.Cut(relay, "/p2p/")
		return "through " + id[max(0, len(id)-8):], ""
	}
	parts := strings.Split(strings.TrimPrefix(m, "/"), "/")
	if len(parts) < 4 || !strings.HasPrefix(parts[0], "ip") && !strings.HasPrefix(parts[0], "dns") || parts[2] != "udp" && parts[2] != "tcp" {
		return m, ""
	}
	if addr, err := netip.ParseAddr(parts[1]); err == nil && addr.IsLoopback() {
		return "", ""
	}
	return net.JoinHostPort(parts[1], parts[3]), parts[2]
}
