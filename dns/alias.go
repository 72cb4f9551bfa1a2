package dns

import (
	"errors"
	"net/netip"

	"github.com/miekg/dns"
)

// maxAliasHops bounds how many aliases are followed for one question.
const maxAliasHops = 8

// errAliasLoop: aliases that lead to nothing but each other. Whoever sets them is refused
// that; a directory may still say so.
var errAliasLoop = errors.New("dns: aliases lead nowhere")

// Alias is what a name that an operator has given stands for.
type Alias struct {
	Target string     // one label of the zone; empty where Addr is set
	Addr   netip.Addr // IPv4 or IPv6, of the group or not
}

// IsReserved reports whether a label, in lower case, is the resolver's own in every zone, so that
// nobody else can have it.
func IsReserved(label string) bool {
	_, isStatic, _ := (&Handler{prefix: netip.PrefixFrom(netip.IPv4Unspecified(), 8)}).parseStatic(label)
	return isStatic || label == serverLabel
}

// follow goes from a name that is an alias to what it stands for: chain has a CNAME for each
// step, and owner and at are where it ends. A question for the alias itself ends there.
func (h *Handler) follow(q dns.Question, from location) (chain []dns.RR, owner string, at location, err error) {
	owner, at = q.Name, from
	for at.place == host {
		a, ok := h.directory.Alias(at.label)
		switch {
		case !ok:
			return chain, owner, at, nil
		case a.Addr.IsValid():
			at.place, at.addr = pinned, a.Addr.Unmap()
			return chain, owner, at, nil
		case len(chain) == maxAliasHops:
			return nil, owner, at, errAliasLoop
		}
		cname := &dns.CNAME{Hdr: rrHeader(owner, dns.TypeCNAME, ttlHost), Target: a.Target + "." + h.zone}
		chain = append(chain, cname)
		if q.Qtype == dns.TypeCNAME || q.Qtype == dns.TypeANY {
			at.place = between
			return chain, owner, at, nil
		}
		owner, at = cname.Target, h.locate(cname.Target)
	}
	return chain, owner, at, nil
}
