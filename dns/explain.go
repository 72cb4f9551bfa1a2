package dns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// ErrQuestion is returned by Explain for a name or a type that can't be asked for.
var ErrQuestion = errors.New("dns: no such question")

// Explained is an answer with the reasons for it, for a person.
type Explained struct {
	Name, Type, Code  string
	Answer, Authority []Record
	Reasons           []string // sentences
}

// Record is a resource record as text.
type Record struct {
	Name, Type, Data string
	TTL              uint32 // seconds
}

// Explain asks the handler as a host does, and says why the answer is what it is. An address as
// the name asks for its name. kind is a type as A or PTR; empty for the one that fits the name.
func (h *Handler) Explain(ctx context.Context, name, kind string) (Explained, error) {
	if addr, err := netip.ParseAddr(name); err == nil {
		reverse, err := dns.ReverseAddr(addr.Unmap().String())
		if err != nil {
			return Explained{}, fmt.Errorf("%w: %w", ErrQuestion, err)
		}
		name = reverse
		if kind == "" {
			kind = "PTR"
		}
	}
	if kind == "" {
		kind = "A"
	}
	qtype, ok := dns.StringToType[strings.ToUpper(kind)]
	if !ok {
		return Explained{}, fmt.Errorf("%w: there is no type %q", ErrQuestion, kind)
	}
	if _, ok := dns.IsDomainName(name); !ok {
		return Explained{}, fmt.Errorf("%w: %q is no domain name", ErrQuestion, name)
	}
	query := new(dns.Msg).SetQuestion(dns.Fqdn(name), qtype)
	raw, err := query.Pack()
	if err != nil {
		return Explained{}, fmt.Errorf("%w: %w", ErrQuestion, err)
	}
	reply := new(dns.Msg)
	if err := reply.Unpack(h.Handle(ctx, h.service, raw, false)); err != nil {
		return Explained{}, fmt.Errorf("dns: own reply: %w", err)
	}
	return Explained{
		Name: query.Question[0].Name, Type: dns.TypeToString[qtype], Code: dns.RcodeToString[reply.Rcode],
		Answer: recordsOf(reply.Answer), Authority: recordsOf(reply.Ns), Reasons: h.reasons(query.Question[0], reply),
	}, nil
}

func recordsOf(rrs []dns.RR) (all []Record) {
	for _, rr := range rrs {
		head := rr.Header()
		all = append(all, Record{
			Name: head.Name, Type: dns.TypeToString[head.Rrtype], TTL: head.Ttl,
			Data: strings.TrimSpace(strings.TrimPrefix(rr.String(), head.String())),
		})
	}
	return all
}

// reasons says why a reply is what it is: what the name means here, then what came of that.
func (h *Handler) reasons(q dns.Question, reply *dns.Msg) []string {
	at := h.locate(strings.ToLower(q.Name))
	at.asked = q.Name
	why := []string{}
	if chain, _, end, err := h.follow(q, at); err == nil && at.place == host {
		for _, rr := range chain {
			why = append(why, fmt.Sprintf("%s is an alias, which an operator has set.", rr.Header().Name))
		}
		at = end
	}
	if at.place != between || len(why) == 0 {
		why = append(why, h.meaning(at))
	}
	switch reply.Rcode {
	case dns.RcodeRefused:
		if at.place == foreign && h.forwarder != nil && h.forwarder.Says(q.Name) != "" {
			why = append(why, "That was refused here: what is forwarded isn't given away as a whole (ANY, AXFR), and a host may ask 50 times a second.")
		} else if at.place != foreign {
			why = append(why, "Zones aren't given away as a whole.")
		}
	case dns.RcodeNameError:
		why = append(why, "There is no such name, and a resolver may remember that for as long as the SOA record says.")
	case dns.RcodeServerFailure:
		if at.place == foreign {
			why = append(why, "None of these servers has answered in time, or one said that it failed.")
		} else {
			why = append(why, "Too few members could be asked in time: the same question later may be answered.")
		}
	default:
		if len(reply.Answer) == 0 {
			why = append(why, "The name exists, and has no record of the type "+dns.TypeToString[q.Qtype]+".")
		}
	}
	return why
}

// meaning says what a name is to this server.
func (h *Handler) meaning(at location) string {
	switch at.place {
	case apex:
		return at.zone + " is a zone of the group itself: it has SOA and NS."
	case between:
		return "The name stands between a zone of the group and names in it, and has no records."
	case static:
		return fmt.Sprintf("It is a static name, which stands for %v by arithmetic, whether anybody has that address or not.", at.addr)
	case server:
		return fmt.Sprintf("It is this server's own name, and stands for the service address, %v.", h.service)
	case host:
		return fmt.Sprintf("It stands for the host that calls itself %q, by its lease.", at.label)
	case pinned:
		return fmt.Sprintf("It is an alias, which an operator has set, of the address %v.", at.addr)
	case reverse:
		return fmt.Sprintf("It asks for the name of %v: that of its lease, else its static name.", at.addr)
	case missing:
		return "It is below a zone of the group, and can't be a host's name there."
	}
	if h.forwarder != nil {
		if says := h.forwarder.Says(at.asked); says != "" {
			return "The name isn't one of the group. " + says
		}
	}
	zone := ""
	if h.zone != "." {
		zone = h.zone + " and "
	}
	return fmt.Sprintf("The name isn't one of the group, whose names are %sthe reverse of %v: hosts are told to ask their next server.", zone, h.prefix)
}
