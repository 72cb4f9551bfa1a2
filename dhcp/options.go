package dhcp

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/rfc1035label"
)

// Options is what clients are told that may change while the server runs. A client has it from its
// next ACK on, which is at its renewal at the latest.
type Options struct {
	LeaseTime     time.Duration
	Renew, Rebind time.Duration // T1 and T2 of a lease that lasts LeaseTime, of a shorter one in proportion; 0: 1/2 and 7/8
	Domain        string        // option 15; without a dot at its end; empty leaves it out
	Search        []string      // option 119; empty means Domain alone
	DNS           []netip.Addr  // option 6, behind the service address
	NTP           []netip.Addr  // option 42
	Routes        []Route       // option 121
	// Near reports whether a gateway of Routes is on this segment: clients aren't told of others, to
	// which packets for elsewhere couldn't go. nil: all are.
	Near func(netip.Addr) bool
}

// Route is a classless static route (RFC 3442).
type Route struct {
	To  netip.Prefix
	Via netip.Addr
}

// given is Options with their encoding.
type given struct {
	Options
	answers map[uint8][]byte
}

// minMTU is the least that option 26 can say (RFC 2132 section 5.1).
const minMTU = 68

// SetOptions has clients told this from now on; o must not be changed any more. It is safe for
// concurrent use.
func (s *Server) SetOptions(o Options) {
	if o.Renew == 0 {
		o.Renew = o.LeaseTime / 2
	}
	if o.Rebind == 0 {
		o.Rebind = o.LeaseTime / 8 * 7
	}
	s.given.Store(&given{Options: o, answers: s.parameterValues(o)})
}

// parameterValues returns the options that clients may ask for.
func (s *Server) parameterValues(o Options) map[uint8][]byte {
	c := s.config
	mask := ^uint32(0) << (32 - c.Prefix.Bits())
	values := map[uint8][]byte{
		dhcpv4.OptionSubnetMask.Code():       uint32Value(mask),
		dhcpv4.OptionDomainNameServer.Code(): addrValues(append([]netip.Addr{c.ServiceAddr}, o.DNS...)),
		dhcpv4.OptionBroadcastAddress.Code(): addrValue(s.broadcast),
	}
	if c.MTU >= minMTU {
		values[dhcpv4.OptionInterfaceMTU.Code()] = uint16Value(uint16(min(c.MTU, 0xffff)))
	}
	if len(o.NTP) > 0 {
		values[dhcpv4.OptionNTPServers.Code()] = addrValues(o.NTP)
	}
	domain, search := strings.TrimSuffix(o.Domain, "."), rfc1035label.NewLabels()
	for _, name := range o.Search {
		search.Labels = append(search.Labels, strings.TrimSuffix(name, "."))
	}
	if domain != "" {
		values[dhcpv4.OptionDomainName.Code()] = []byte(domain)
		if len(search.Labels) == 0 {
			search.Labels = []string{domain}
		}
	}
	if len(search.Labels) > 0 {
		values[dhcpv4.OptionDNSDomainSearchList.Code()] = search.ToBytes()
	}
	return values
}

// value returns what the client at addr that asks for an option is told.
func (g *given) value(code uint8, addr netip.Addr) ([]byte, bool) {
	if code == dhcpv4.OptionClasslessStaticRoute.Code() {
		value := routeValues(g.Routes, func(via netip.Addr) bool { return via != addr && (g.Near == nil || g.Near(via)) })
		return value, len(value) > 0
	}
	value, ok := g.answers[code]
	return value, ok
}

// routeValues encodes the routes whose gateways lead on from the client (RFC 3442: length of the mask, as
// much of the network as it covers, gateway). One that is the gateway itself can't have them: some clients
// take that for a failure of their whole configuration.
func routeValues(all []Route, leads func(via netip.Addr) bool) (b []byte) {
	for _, r := range all {
		if !leads(r.Via) {
			continue
		}
		to := r.To.Masked().Addr().As4()
		b = append(append(b, byte(r.To.Bits())), to[:(r.To.Bits()+7)/8]...)
		b = append(b, addrValue(r.Via)...)
	}
	return b
}

// times returns T1 and T2 of a lease (RFC 2131 section 4.4.5), in proportion to those of a whole one.
func (g *given) times(lifetime time.Duration) (renew, rebind time.Duration) {
	part := func(t time.Duration) time.Duration {
		return time.Duration(float64(t) / float64(g.LeaseTime) * float64(lifetime))
	}
	if lifetime == g.LeaseTime || g.LeaseTime <= 0 {
		return g.Renew, g.Rebind
	}
	return part(g.Renew), part(g.Rebind)
}

func addrValues(all []netip.Addr) (b []byte) {
	for _, a := range all {
		b = slices.Concat(b, addrValue(a))
	}
	return b
}
