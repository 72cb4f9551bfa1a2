package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"

	"github.com/multiformats/go-multiaddr"
)

// Multiaddrs returns the multiaddresses of an address as operators write it:
// 203.0.113.5:4860, [2001:db8::5]:4860 or site-a.example.com:4860 stand for QUIC and TCP at
// that place, as without a port, which is DefaultPort then; what begins with a slash is a
// multiaddress already.
func Multiaddrs(s string) ([]string, error) {
	if strings.HasPrefix(s, "/") {
		m, err := multiaddr.NewMultiaddr(s)
		if err != nil {
			return nil, fmt.Errorf("%q is not a multiaddress, as /ip4/203.0.113.5/udp/%d/quic-v1", s, DefaultPort)
		}
		return []string{m.String()}, nil
	}
	host, portText, err := net.SplitHostPort(withPort(s))
	if err != nil {
		return nil, fmt.Errorf("%q is not HOST:PORT, as 203.0.113.5:%d", s, DefaultPort)
	}
	port, err := strconv.ParseUint(portText, 10, 16)
	if err != nil || port == 0 {
		return nil, fmt.Errorf("%q: the port must be a number from 1 to 65535", s)
	}
	place, err := place(host)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", s, err)
	}
	return []string{
		fmt.Sprintf("%s/udp/%d/quic-v1", place, port),
		fmt.Sprintf("%s/tcp/%d", place, port),
	}, nil
}

// withPort adds the default port to a host that is alone.
func withPort(s string) string {
	host := strings.TrimSuffix(strings.TrimPrefix(s, "["), "]")
	if _, err := netip.ParseAddr(host); err == nil || s != "" && !strings.ContainsAny(s, ":[]") {
		return net.JoinHostPort(host, strconv.Itoa(DefaultPort))
	}
	return s
}

// place returns the beginning of the multiaddress of a host: an address or a DNS name.
func place(host string) (string, error) {
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return dnsPlace(host)
	}
	addr = addr.Unmap()
	switch {
	case addr.IsUnspecified():
		return "", fmt.Errorf("%v is no address that others can reach: name one", addr)
	case addr.IsMulticast():
		return "", fmt.Errorf("%v is a multicast address", addr)
	case addr.Zone() != "":
		return "", fmt.Errorf("%v is good on this host only: leave out the zone", addr)
	case addr.Is4():
		return "/ip4/" + addr.String(), nil
	}
	return "/ip6/" + addr.String(), nil
}

func dnsPlace(host string) (string, error) {
	name := strings.TrimSuffix(host, ".")
	if name == "" || len(name) > 253 {
		return "", fmt.Errorf("want an IP address or a host name before the port")
	}
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if err := CheckLabel(label); err != nil {
			return "", fmt.Errorf("%q is neither an IP address nor a host name", host)
		}
	}
	if _, err := strconv.Atoi(labels[len(labels)-1]); err == nil { // 203.0.113, 300.1.2.3
		return "", fmt.Errorf("%q is neither an IP address nor a host name", host)
	}
	return "/dns/" + name, nil
}
