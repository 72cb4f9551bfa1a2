package forward

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"
)

const (
	// MaxZones bounds the zones of one appliance.
	MaxZones = 64
	// MaxServers bounds the servers of a zone.
	MaxServers = 4

	dnsPort = 53
)

// Zone is a zone of which others are asked, and whom.
type Zone struct {
	Name    string           // absolute, in lower case; "." for all that is no other's
	Servers []netip.AddrPort // in the order in which they are asked
}

// Parse reads ZONE=SERVER[,SERVER]; a server is an address, with a port where it isn't 53.
func Parse(text string) (Zone, error) {
	name, servers, ok := strings.Cut(text, "=")
	if !ok {
		return Zone{}, fmt.Errorf("%q is no zone with its servers, as corp.example=10.0.0.53,10.0.0.54 or .=9.9.9.9", text)
	}
	return ParseZone(name, strings.Split(servers, ","))
}

// FieldError says which part of a zone is wrong: zone or servers.
type FieldError struct {
	Field string
	Err   error
}

// Error says what is wrong.
func (e *FieldError) Error() string { return e.Err.Error() }

// ParseZone reads a zone in its parts, as a person writes them.
func ParseZone(name string, servers []string) (z Zone, err error) {
	if z.Name, err = ParseName(name); err != nil {
		return Zone{}, &FieldError{"zone", err}
	}
	for _, text := range servers {
		server, err := parseServer(strings.TrimSpace(text))
		if err != nil {
			return Zone{}, &FieldError{"servers", err}
		}
		if !slices.Contains(z.Servers, server) {
			z.Servers = append(z.Servers, server)
		}
	}
	if len(z.Servers) == 0 || len(z.Servers) > MaxServers {
		return Zone{}, &FieldError{"servers", fmt.Errorf("want 1 to %d servers", MaxServers)}
	}
	return z, nil
}

// ParseName reads the name of a zone.
func ParseName(name string) (string, error) {
	name = strings.TrimSpace(name)
	if name == "" {
		return "", errors.New("want a zone, as corp.example, or . for all that isn't forwarded elsewhere")
	}
	full := dns.CanonicalName(name)
	if full == "." {
		return full, nil
	}
	if len(full) > 254 {
		return "", errors.New("want at most 253 characters")
	}
	for _, label := range strings.Split(strings.TrimSuffix(full, "."), ".") {
		bad := strings.ContainsFunc(label, func(r rune) bool { return r != '-' && r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') })
		if label == "" || len(label) > 63 || bad {
			return "", fmt.Errorf("%q is no domain name, as corp.example", name)
		}
	}
	return full, nil
}

func parseServer(text string) (netip.AddrPort, error) {
	server, err := netip.ParseAddrPort(text)
	if err != nil {
		addr, addrErr := netip.ParseAddr(text)
		if addrErr != nil {
			return server, fmt.Errorf("%q is no server's address, as 10.0.0.53, 10.0.0.53:5353 or 2001:db8::53", text)
		}
		server = netip.AddrPortFrom(addr, dnsPort)
	}
	server = netip.AddrPortFrom(server.Addr().Unmap(), server.Port())
	if a := server.Addr(); a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) || server.Port() == 0 {
		return server, fmt.Errorf("%s is no one server's address", text)
	}
	return server, nil
}

// String is the inverse of Parse.
func (z Zone) String() string { return z.Label() + "=" + strings.Join(z.Texts(), ",") }

// Label is the name as people write it: without the dot at its end.
func (z Zone) Label() string {
	if z.Name == "." {
		return z.Name
	}
	return strings.TrimSuffix(z.Name, ".")
}

// Texts returns the servers as people write them, without the port that all have.
func (z Zone) Texts() (all []string) {
	for _, s := range z.Servers {
		all = append(all, serverText(s))
	}
	return all
}

func serverText(s netip.AddrPort) string {
	if s.Port() == dnsPort {
		return s.Addr().String()
	}
	return s.String()
}
