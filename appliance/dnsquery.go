package appliance

import (
	"context"
	"errors"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/dns"
)

// resolver makes the handler that answers hosts of the group.
func (n *network) resolver() *dns.Handler {
	d := n.membership.Descriptor()
	return dns.NewHandler(dns.Config{Zone: d.Zone, Prefix: d.Prefix, ServiceAddr: d.ServiceAddr(), IPv6: n.ipv6Net, Directory: names{n.registry}, Forwarder: n.node.forwards})
}

// QueryDNS asks the resolver that the hosts of the segment ask.
func (n *node) QueryDNS(ctx context.Context, q api.DNSQuery) (api.DNSAnswer, error) {
	nw, err := n.choose(q.Group)
	if err != nil {
		return api.DNSAnswer{}, err
	}
	begun := time.Now()
	e, err := nw.resolver().Explain(ctx, searched(q.Name, nw.membership.Descriptor().Zone), q.Type)
	if errors.Is(err, dns.ErrQuestion) {
		text := strings.TrimPrefix(err.Error(), dns.ErrQuestion.Error()+": ")
		field := "name"
		if strings.Contains(text, "type") {
			field = "type"
		}
		return api.DNSAnswer{}, console.Invalid(errors.New(field+": "+text), api.FieldError{Field: field, Detail: text})
	}
	if err != nil {
		return api.DNSAnswer{}, err
	}
	return api.DNSAnswer{
		Group: nw.id.String(), Server: nw.membership.Descriptor().ServiceAddr(), Name: e.Name, Type: e.Type, Code: e.Code,
		Answers: dnsRecords(e.Answer), Authority: dnsRecords(e.Authority), Reasons: e.Reasons, TookMicroseconds: time.Since(begun).Microseconds(),
	}, nil
}

// searched returns a name as a host asks for it: to one without a dot (or the colon of an address) it adds the zone, which
// DHCP has told it to.
func searched(name, zone string) string {
	if name == "" || strings.ContainsAny(name, ".:") {
		return name
	}
	return name + "." + zone
}

func dnsRecords(all []dns.Record) []api.DNSRecord {
	records := make([]api.DNSRecord, len(all))
	for i, r := range all {
		records[i] = api.DNSRecord{Name: r.Name, Type: r.Type, TTL: int64(r.TTL), Data: r.Data}
	}
	return records
}
