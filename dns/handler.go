package dns

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"

	"landbridge/internal/ula"
)

// ErrAbsent is what a Directory says when nobody has that name, or that address.
var ErrAbsent = errors.New("dns: no such name")

// Directory knows the leases' host names, and aliases. It must be safe for concurrent use and
// return when ctx ends.
type Directory interface {
	// LookupName returns the address of the host with this name: one label, lower
	// case. ErrAbsent (wrapped or not) if there is none; any other error means that
	// it can't tell now.
	LookupName(ctx context.Context, name string) (netip.Addr, error)
	// ReverseName returns the name of the host at an address, one label; "" for a
	// host without a name. ErrAbsent if there is no host.
	ReverseName(ctx context.Context, addr netip.Addr) (string, error)
	// HasIPv6 reports whether the host at an address, which LookupName has returned, has taken its IPv6 address, too.
	HasIPv6(ctx context.Context, addr netip.Addr) bool
	// Alias returns what a name stands for that an operator has given; it answers from memory,
	// and such a name goes before a host's. ok is false for a name that is none.
	Alias(name string) (a Alias, ok bool)
}

// Forwarder asks others about names that aren't the group's; forward.Forwarder is one. It must be
// safe for concurrent use and return when ctx ends.
type Forwarder interface {
	// Forward returns what the host at an address is to be told: code and records; nil to refuse it.
	Forward(ctx context.Context, from netip.Addr, q dns.Question, w Wish) *dns.Msg
	// Says tells in a sentence who is asked about a name; nothing where nobody is.
	Says(name string) string
}

// Wish is what an asker says of DNSSEC: that it wants its records, and that nobody is to check
// them for it (RFC 4035 section 3.2).
type Wish struct{ DO, CD bool }

// Config is what a Handler needs.
type Config struct {
	Zone        string         // the group's, with or without a dot at its end; empty: no zone
	Prefix      netip.Prefix   // the group's, IPv4, /8 or longer
	ServiceAddr netip.Addr     // the address of ns.Zone
	IPv6        func() ula.Net // the group's IPv6 prefix as it is now; nil: none
	Directory   Directory
	Forwarder   Forwarder // nil: nobody is asked
	// Timeout bounds a lookup in the Directory; default 1 s.
	Timeout time.Duration
}

const (
	headerLen   = 12
	minUDPReply = 512  // RFC 1035 section 4.2.1
	maxUDPReply = 1232 // what passes everywhere unfragmented, and the size we announce
	maxTCPReply = 65535
	// maxQuery is the longest query that is read; questions are short.
	maxQuery = 4096

	defaultTimeout = time.Second

	// serverLabel is the name server's label in the zone. dhcp gives it to no host.
	serverLabel = "ns"
)

// Lifetimes in seconds. A static name never changes; a host may move to another
// address, and a name may be taken a moment after it was asked for.
const (
	ttlStatic   = 3600
	ttlHost     = 30
	ttlZone     = 3600
	ttlNegative = 5
)

// Handler answers queries. It is immutable and safe for concurrent use.
type Handler struct {
	zone      string // absolute, lower case; "." if there is none
	prefix    netip.Prefix
	broadcast netip.Addr
	service   netip.Addr
	ipv6      func() ula.Net
	directory Directory
	forwarder Forwarder
	timeout   time.Duration
}

// NewHandler returns a Handler for this configuration; when the group's parameters
// change, make a new one.
func NewHandler(c Config) *Handler {
	if c.Timeout <= 0 {
		c.Timeout = defaultTimeout
	}
	if c.IPv6 == nil {
		c.IPv6 = func() ula.Net { return ula.Net{} }
	}
	return &Handler{
		ipv6:      c.IPv6,
		zone:      dns.CanonicalName(c.Zone),
		prefix:    c.Prefix.Masked(),
		broadcast: lastAddr(c.Prefix),
		service:   c.ServiceAddr,
		directory: c.Directory,
		forwarder: c.Forwarder,
		timeout:   c.Timeout,
	}
}

// Handle answers one message of the host at an address, which it doesn't keep. udp says whether it came in a
// datagram, which bounds the reply. The reply is nil where none must be sent: to what
// is no query. It takes no longer than a lookup in the Directory, and what isn't ours
// is refused without one, or forwarded for a host of the group's prefix.
func (h *Handler) Handle(ctx context.Context, from netip.Addr, query []byte, udp bool) (reply []byte) {
	if len(query) < headerLen || query[2]&0x80 != 0 {
		return nil // no header, or a response
	}
	if opcode := int(query[2] >> 3 & 0x0f); opcode != dns.OpcodeQuery {
		return errorReply(query, dns.RcodeNotImplemented)
	}
	if binary.BigEndian.Uint16(query[4:]) != 1 || len(query) > maxQuery {
		return errorReply(query, dns.RcodeFormatError)
	}
	req := new(dns.Msg)
	if err := req.Unpack(query); err != nil || len(req.Question) != 1 {
		return errorReply(query, dns.RcodeFormatError)
	}
	limit := maxTCPReply
	if udp {
		limit = minUDPReply
	}
	m := new(dns.Msg)
	m.SetReply(req)
	m.Compress = true
	opt, sound := edns(req)
	switch {
	case !sound:
		m.Rcode = dns.RcodeFormatError
	case opt != nil && opt.Version() != 0:
		m.Rcode = dns.RcodeBadVers
	default:
		h.answer(ctx, m)
		if m.Rcode == dns.RcodeRefused && !m.Authoritative {
			h.forward(ctx, from, m, Wish{DO: opt != nil && opt.Do(), CD: req.CheckingDisabled})
		}
	}
	if opt != nil {
		m.SetEdns0(maxUDPReply, opt.Do())
		if udp {
			limit = min(max(limit, int(opt.UDPSize())), maxUDPReply)
		}
	}
	return pack(m, query, limit)
}

// forward has others answer m, whose name isn't ours, if it is forwarded and the asker is a host of
// ours that wants recursion.
func (h *Handler) forward(ctx context.Context, from netip.Addr, m *dns.Msg, w Wish) {
	q := m.Question[0]
	ours := h.locate(strings.ToLower(q.Name)).place != foreign
	if h.forwarder == nil || ours || !m.RecursionDesired || !h.prefix.Contains(from) || q.Qclass != dns.ClassINET ||
		q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR || q.Qtype == dns.TypeANY {
		return
	}
	said := h.forwarder.Forward(ctx, from, q, w)
	if said == nil {
		return
	}
	if m.Rcode = said.Rcode; m.Rcode > 0xf { // one of EDNS, which is between the server and its asker; cut to 4 bits it would be another
		m.Rcode = dns.RcodeServerFailure
	}
	m.Answer, m.Ns, m.Extra = said.Answer, said.Ns, said.Extra
	m.RecursionAvailable, m.AuthenticatedData, m.Truncated, m.CheckingDisabled = true, said.AuthenticatedData && w.DO, said.Truncated, w.CD
}

// edns returns the OPT record; sound is false if there is more than one (RFC 6891
// section 6.1.1).
func edns(req *dns.Msg) (opt *dns.OPT, sound bool) {
	for _, rr := range req.Extra {
		if o, ok := rr.(*dns.OPT); ok {
			if opt != nil {
				return opt, false
			}
			opt = o
		}
	}
	return opt, true
}

// pack writes m in at most limit bytes; what is over is left out, with the TC flag.
func pack(m *dns.Msg, query []byte, limit int) []byte {
	b, err := m.Pack()
	if err == nil && len(b) > limit {
		m.Truncate(limit)
		b, err = m.Pack()
	}
	if err != nil || len(b) > limit {
		return errorReply(query, dns.RcodeServerFailure)
	}
	return b
}

// errorReply is a reply of the header alone, for what wasn't understood.
func errorReply(query []byte, rcode int) []byte {
	b := make([]byte, headerLen)
	copy(b, query[:2])
	b[2] = 0x80 | query[2]&0x79 // a response; opcode and RD as they came
	b[3] = byte(rcode)
	return b
}

// answer fills m, whose question is set, with what we know.
func (h *Handler) answer(ctx context.Context, m *dns.Msg) {
	q := m.Question[0]
	at := h.locate(strings.ToLower(q.Name))
	if at.place == foreign || q.Qclass != dns.ClassINET || q.Qtype == dns.TypeAXFR || q.Qtype == dns.TypeIXFR {
		m.Rcode = dns.RcodeRefused
		return
	}
	m.Authoritative = true
	chain, owner, at, err := h.follow(q, at)
	var records []dns.RR
	if err == nil {
		records, err = h.records(ctx, owner, at)
	}
	m.Answer = chain
	switch {
	case errors.Is(err, ErrAbsent):
		m.Rcode = dns.RcodeNameError
	case err != nil:
		m.Authoritative, m.Answer = false, nil
		m.Rcode = dns.RcodeServerFailure
		return
	case q.Qtype == dns.TypeANY:
		m.Answer = []dns.RR{minimal(q.Name)}
		return
	case q.Qtype == dns.TypeCNAME && len(chain) > 0:
		return
	}
	found := ofType(records, q.Qtype)
	m.Answer = append(m.Answer, found...)
	if len(found) == 0 { // what is said of the last name of a chain (RFC 2308 section 2.1)
		m.Ns = []dns.RR{h.soa(at.zone)}
	}
}
