package dns

import (
	"context"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// records returns everything that the name at a location owns; nothing for a name
// that exists without records. owner is the name as it was asked for, in its case.
func (h *Handler) records(ctx context.Context, owner string, at location) ([]dns.RR, error) {
	switch at.place {
	case apex:
		return []dns.RR{h.soa(at.zone), h.ns(at.zone)}, nil
	case between:
		return nil, nil
	case static:
		return []dns.RR{address(owner, at.addr, ttlStatic)}, nil
	case server:
		return h.addresses(owner, h.service, true, ttlZone), nil
	case host:
		addr, six, err := h.lookup(ctx, at.label)
		if err != nil {
			return nil, err
		}
		return h.addresses(owner, addr, six, ttlHost), nil
	case pinned:
		return []dns.RR{address(owner, at.addr, ttlHost)}, nil
	case reverse:
		rrs := []dns.RR{h.pointer(ctx, owner, at.addr)}
		if strings.EqualFold(owner, at.zone) { // a zone to itself
			rrs = append(rrs, h.soa(at.zone), h.ns(at.zone))
		}
		return rrs, nil
	default:
		return nil, ErrAbsent
	}
}

// addresses returns the records of a host's addresses: its IPv4 one, and if it has that, the IPv6 one that has it within.
func (h *Handler) addresses(owner string, addr netip.Addr, hasIPv6 bool, ttl uint32) []dns.RR {
	all := []dns.RR{address(owner, addr, ttl)}
	if six := h.ipv6().Of(addr); hasIPv6 && six.IsValid() {
		all = append(all, address(owner, six, ttl))
	}
	return all
}

// lookup asks the directory for a host, and whether it has IPv6, where the group has.
func (h *Handler) lookup(ctx context.Context, label string) (addr netip.Addr, hasIPv6 bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	if addr, err = h.directory.LookupName(ctx, label); err != nil {
		return netip.Addr{}, false, err
	}
	if addr = addr.Unmap(); !h.prefix.Contains(addr) {
		return netip.Addr{}, false, fmt.Errorf("directory: %v for %q is outside %v", addr, label, h.prefix)
	}
	return addr, !h.ipv6().IsZero() && h.directory.HasIPv6(ctx, addr), nil
}

// pointer returns the PTR record of an address of the prefix. There is always one:
// the static name, if no better is known now.
func (h *Handler) pointer(ctx context.Context, owner string, addr netip.Addr) dns.RR {
	label, ttl := StaticName(addr), uint32(ttlHost)
	if addr == h.service {
		label = serverLabel
	} else {
		ctx, cancel := context.WithTimeout(ctx, h.timeout)
		defer cancel()
		if name, err := h.directory.ReverseName(ctx, addr); err == nil && isHostLabel(strings.ToLower(name)) {
			label = strings.ToLower(name)
		}
	}
	target := label + "." + h.zone
	if h.zone == "." {
		target = StaticName(addr) + "." // only static names exist without a zone
	}
	return &dns.PTR{Hdr: rrHeader(owner, dns.TypePTR, ttl), Ptr: target}
}

func address(owner string, addr netip.Addr, ttl uint32) dns.RR {
	if addr.Is6() {
		return &dns.AAAA{Hdr: rrHeader(owner, dns.TypeAAAA, ttl), AAAA: addr.AsSlice()}
	}
	return &dns.A{Hdr: rrHeader(owner, dns.TypeA, ttl), A: addr.AsSlice()}
}

// soa returns the start of authority of a zone. The serial means nothing, as nobody
// may transfer the zone.
func (h *Handler) soa(zone string) dns.RR {
	return &dns.SOA{
		Hdr: rrHeader(zone, dns.TypeSOA, ttlNegative), Ns: h.serverName(), Mbox: "hostmaster." + strings.TrimPrefix(h.zone, "."),
		Serial: 1, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: ttlNegative,
	}
}

func (h *Handler) ns(zone string) dns.RR {
	return &dns.NS{Hdr: rrHeader(zone, dns.TypeNS, ttlZone), Ns: h.serverName()}
}

// serverName is the name server's: in the zone, or static without one.
func (h *Handler) serverName() string {
	if h.zone == "." {
		return StaticName(h.service) + "."
	}
	return serverLabel + "." + h.zone
}

// minimal is the answer to ANY for a name that exists (RFC 8482 section 4.2).
func minimal(owner string) dns.RR {
	return &dns.HINFO{Hdr: rrHeader(owner, dns.TypeHINFO, ttlStatic), Cpu: "RFC8482"}
}

func rrHeader(name string, rrtype uint16, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: name, Rrtype: rrtype, Class: dns.ClassINET, Ttl: ttl}
}

func ofType(records []dns.RR, rrtype uint16) []dns.RR {
	var out []dns.RR
	for _, rr := range records {
		if rr.Header().Rrtype == rrtype {
			out = append(out, rr)
		}
	}
	return out
}
