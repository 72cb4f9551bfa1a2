package acme

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

const (
	askTime    = 5 * time.Second // for one answer of a name server
	maxAliases = 8               // CNAMEs on the way to a name
	maxServers = 8               // name servers of a zone that are asked
	resolvConf = "/etc/resolv.conf"
)

// finder finds zones and their name servers, and asks them. It has no state.
type finder struct {
	resolver string // HOST:PORT; empty: the system's
	port     string // of name servers: 53, but in tests
}

// resolvers returns who is asked first, and who instead.
func (f *finder) resolvers() ([]string, error) {
	if f.resolver != "" {
		return []string{f.resolver}, nil
	}
	c, err := dns.ClientConfigFromFile(resolvConf)
	if err != nil || len(c.Servers) == 0 {
		return nil, &Error{Text: "This machine has no DNS resolver (" + resolvConf + "), so the name servers of the zone can't be found.", Remedy: "Give it one, or name one in the settings."}
	}
	all := make([]string, 0, len(c.Servers))
	for _, s := range c.Servers[:min(len(c.Servers), 3)] {
		all = append(all, atPort(s, c.Port))
	}
	return all, nil
}

// resolve asks the resolvers, the next where one doesn't answer.
func (f *finder) resolve(ctx context.Context, name string, kind uint16) (m *dns.Msg, err error) {
	all, err := f.resolvers()
	if err != nil {
		return nil, err
	}
	for _, r := range all {
		if m, err = question(ctx, r, name, kind, true); err == nil && (m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError) {
			return m, nil
		}
		if err == nil {
			err = fmt.Errorf("it answers by %s", dns.RcodeToString[m.Rcode])
		}
		err = &Error{
			Text:   fmt.Sprintf("The DNS resolver %s doesn't find %s: %v.", r, name, err),
			Remedy: "See that it answers for names of the Internet, or name another in the settings.",
		}
	}
	return nil, err
}

// question asks a server: by UDP, and by TCP where the answer is cut.
func question(ctx context.Context, server, name string, kind uint16, recurse bool) (*dns.Msg, error) {
	q := new(dns.Msg)
	q.SetQuestion(name, kind)
	q.RecursionDesired = recurse
	q.SetEdns0(1232, false)
	c := &dns.Client{Timeout: askTime}
	m, _, err := c.ExchangeContext(ctx, q, server)
	if err == nil && m.Truncated {
		c.Net = "tcp"
		m, _, err = c.ExchangeContext(ctx, q, server)
	}
	if err == nil && (len(m.Question) != 1 || !strings.EqualFold(m.Question[0].Name, name) || m.Question[0].Qtype != kind) {
		err = errors.New("it answers another question")
	}
	return m, err
}

// follow returns to where a name leads by CNAMEs: itself, where there is none.
func (f *finder) follow(ctx context.Context, name string) (string, error) {
	for range maxAliases {
		m, err := f.resolve(ctx, name, dns.TypeCNAME)
		if err != nil {
			return "", err
		}
		at := slices.IndexFunc(m.Answer, func(rr dns.RR) bool {
			return rr.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(rr.Header().Name, name)
		})
		if at < 0 {
			return name, nil
		}
		alias, ok := m.Answer[at].(*dns.CNAME)
		if !ok {
			return name, nil
		}
		name = dns.CanonicalName(alias.Target)
	}
	return "", &Error{Text: fmt.Sprintf("The CNAMEs at %s lead on and on.", name), Remedy: "Have one lead to where the record is."}
}

// zoneOf returns the zone of a name, as a server has it.
func (f *finder) zoneOf(ctx context.Context, server, name string) (string, error) {
	for at := name; at != "."; at = parent(at) {
		m, err := question(ctx, server, at, dns.TypeSOA, false)
		if err != nil {
			return "", err
		}
		if zone := apex(m, name); zone != "" {
			return zone, nil
		}
	}
	return "", errors.New("it answers for none")
}

// apex returns the zone of which an answer says that a name is in it, if it says so.
func apex(m *dns.Msg, name string) string {
	for _, rr := range append(slices.Clone(m.Answer), m.Ns...) {
		zone := dns.CanonicalName(rr.Header().Name)
		if rr.Header().Rrtype == dns.TypeSOA && zone != "." && dns.IsSubDomain(zone, name) {
			return zone
		}
	}
	return ""
}

func parent(name string) string {
	if i, end := dns.NextLabel(name, 0); !end {
		return name[i:]
	}
	return "."
}

// nameServer is one of a zone.
type nameServer struct{ name, addr string }

// serversOf returns the zone of a name, and its name servers with their addresses.
func (f *finder) serversOf(ctx context.Context, name string) (zone string, all []nameServer, err error) {
	for at := name; at != "." && zone == ""; at = parent(at) {
		m, err := f.resolve(ctx, at, dns.TypeSOA)
		if err != nil {
			return "", nil, err
		}
		zone = apex(m, name)
	}
	if zone == "" {
		return "", nil, &Error{Text: fmt.Sprintf("%s is in no zone of the DNS.", name), Remedy: "See that the name is right, and its zone delegated."}
	}
	m, err := f.resolve(ctx, zone, dns.TypeNS)
	if err != nil {
		return zone, nil, err
	}
	for _, rr := range m.Answer {
		ns, ok := rr.(*dns.NS)
		if !ok || len(all) >= maxServers {
			continue
		}
		for _, addr := range f.addresses(ctx, ns.Ns) {
			all = append(all, nameServer{strings.TrimSuffix(ns.Ns, "."), atPort(addr.String(), f.port)})
		}
	}
	if len(all) == 0 {
		return zone, nil, &Error{Text: fmt.Sprintf("The zone %s has no name servers that can be found.", zone), Remedy: "See that it is delegated, or name another resolver in the settings."}
	}
	return zone, all, nil
}

// addresses returns one address of each family of a name server.
func (f *finder) addresses(ctx context.Context, name string) (all []netip.Addr) {
	for _, kind := range []uint16{dns.TypeA, dns.TypeAAAA} {
		m, err := f.resolve(ctx, name, kind)
		if err != nil {
			continue // the other family may be there
		}
		for _, rr := range m.Answer {
			var addr netip.Addr
			switch rr := rr.(type) {
			case *dns.A:
				addr, _ = netip.AddrFromSlice(rr.A)
			case *dns.AAAA:
				addr, _ = netip.AddrFromSlice(rr.AAAA)
			}
			if addr.IsValid() {
				all = append(all, addr.Unmap())
				break
			}
		}
	}
	return all
}

// shows asks the name servers for a record, and returns which of those that answer don't have it, in
// words; none where all have it. Where no server answers, as a firewall keeps this machine from all but its resolver, the
// resolver is asked.
func (f *finder) shows(ctx context.Context, servers []nameServer, r Record) (without []string) {
	answered := false
	var silent []string
	for _, s := range servers {
		m, err := question(ctx, s.addr, r.Name, dns.TypeTXT, false)
		switch {
		case err != nil:
			silent = append(silent, s.name+" doesn't answer")
			continue
		case !has(m, r):
			without = append(without, s.name+" doesn't have it")
		}
		answered = true
	}
	if answered {
		return without
	}
	if m, err := f.resolve(ctx, r.Name, dns.TypeTXT); err == nil && has(m, r) {
		return nil
	}
	return append(silent, "the resolver doesn't have it")
}

func has(m *dns.Msg, r Record) bool {
	return slices.ContainsFunc(m.Answer, func(rr dns.RR) bool {
		txt, ok := rr.(*dns.TXT)
		return ok && strings.EqualFold(txt.Hdr.Name, r.Name) && strings.Join(txt.Txt, "") == r.Value
	})
}
