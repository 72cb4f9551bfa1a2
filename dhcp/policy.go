package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// Serve says which hosts get addresses, besides those that are registered, who always do.
type Serve string

const (
	// ServeOpen serves every host, but those that another DHCP server of the segment serves.
	ServeOpen Serve = "open"
	// ServeVendorClass serves hosts of certain vendor classes (option 60).
	ServeVendorClass Serve = "vendor-class"
	// ServeRegistered serves registered hosts alone.
	ServeRegistered Serve = "registered"
)

// Ports are the UDP ports of server and clients. Both are 0 for the standard ones, 67 and
// 68. With others the service exists only for hosts that were told of it, whatever other
// servers the segment has.
type Ports struct{ Server, Client uint16 }

// StandardPorts are those of RFC 2131 section 4.1.
func StandardPorts() Ports { return Ports{Server: 67, Client: 68} }

// OrStandard returns p, or the standard ports where it is zero.
func (p Ports) OrStandard() Ports {
	if p == (Ports{}) {
		return StandardPorts()
	}
	return p
}

// Rule says which hosts get addresses besides those that are registered. The zero Rule is ServeOpen.
type Rule struct {
	Serve         Serve    // "" is ServeOpen
	VendorClasses []string // beginnings of option 60; for ServeVendorClass
}

// SetRule has hosts served by this rule from now on; r must not be changed any more. It is safe for
// concurrent use.
func (s *Server) SetRule(r Rule) { s.rule.Store(&r) }

// Policy says which hosts a Server serves. The zero Policy serves all.
//
// The rules nest: a denied host isn't served; a registered one is whatever Serve says; then those of the
// vendor classes; then, where Serve is open, everybody to whom no other DHCP server
// speaks. Who isn't served gets silence, never a NAK; what it releases or declines
// counts all the same.
type Policy struct {
	Rule                            // until SetRule says another one
	Registered func(frame.MAC) bool // nil: nobody is
	Others     *Others              // the segment's other DHCP servers; nil: unknown
	Known      func(Client) bool    // reports a live lease here; nil: nobody has one
	Denied     func(frame.MAC) bool // reports a host that gets nothing, even registered; nil: none is
	OnlyListed func() bool          // reports that registered hosts alone are served, whatever the rule says; nil: they aren't

	// Left reports whether a host is of another group of this appliance, or of none; nil: none is. It gets
	// silence; but where Evicted reports that the address which it renews was taken from it, it is told that
	// by a NAK, as who knows that it is to ask anew.
	Left    func(frame.MAC) bool
	Evicted func(Client, netip.Addr) bool // nil: none was

	// Ours reports whether this server is to answer, where several appliances serve one
	// segment. addr is what the client has or asks for, the zero Addr where it names none. It is asked
	// about each honest message, in the order in which they come, and may take as long as ctx. nil: it always is.
	Ours func(ctx context.Context, client frame.MAC, kind dhcpv4.MessageType, addr netip.Addr) bool
}

// Why a host isn't served; each is ErrNotServed.
var (
	ErrNotServed       = errors.New("dhcp: host isn't served")
	ErrNotRegistered   = fmt.Errorf("%w: it isn't registered", ErrNotServed)
	ErrDenied          = fmt.Errorf("%w: the group's settings deny it", ErrNotServed)
	ErrVendorClass     = fmt.Errorf("%w: it is of another vendor class", ErrNotServed)
	ErrServedElsewhere = fmt.Errorf("%w: another DHCP server serves it", ErrNotServed)
	ErrYielded         = fmt.Errorf("%w yet: the segment's other DHCP server goes first", ErrNotServed)
	ErrOtherRouter     = fmt.Errorf("%w: another router of the group answers it", ErrNotServed)
	ErrOtherGroup      = fmt.Errorf("%w: it is of another group, or of none", ErrNotServed)
	ErrOurProbe        = fmt.Errorf("%w: it is a Landbridge that looks for other servers", ErrNotServed)
)

// yieldTime is how long a host that nobody knows asks in vain where the segment has
// another DHCP server, or where the host has named one: that one may ping an address for up to 3 s before it offers it.
const yieldTime = 4 * time.Second

// left drops what comes from a host that isn't the group's any more, unless it is to be told that what
// it had here is over.
func (s *Server) left(_ context.Context, x *exchange) error {
	p := s.config.Policy
	if p.Left == nil || !p.Left(x.source) {
		return nil
	}
	if x.kind != dhcpv4.MessageTypeRequest || p.Evicted == nil || !p.Evicted(x.client, x.asked()) {
		return ErrOtherGroup
	}
	x.evicted = true
	return nil
}

// asked returns the address that the client has, or asks for; the zero Addr where it names none.
func (x *exchange) asked() netip.Addr {
	addr := fieldAddr(x.req.ClientIPAddr)
	if addr.IsUnspecified() {
		addr, _ = addrOption(x.req, dhcpv4.OptionRequestedIPAddress)
	}
	return addr
}

// turn leaves to the segment's other appliances the clients that are theirs.
func (s *Server) turn(ctx context.Context, x *exchange) error {
	ours := s.config.Policy.Ours
	if ours == nil || x.evicted {
		return nil
	}
	addr := x.asked()
	if !ours(ctx, x.source, x.kind, addr) {
		return ErrOtherRouter
	}
	return nil
}

// served drops what comes from a host that isn't to be served.
func (s *Server) served(ctx context.Context, x *exchange) error {
	p, rule := s.config.Policy, s.rule.Load()
	if x.evicted {
		return nil // the Leaser refuses it
	}
	switch x.kind {
	case dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeDecline:
		return nil // they are of what we have leased, and get no reply
	}
	class := string(x.req.Options.Get(dhcpv4.OptionClassIdentifier))
	switch {
	case s.config.ProbeClass != "" && class == s.config.ProbeClass:
		return ErrOurProbe
	case p.Denied != nil && p.Denied(x.source):
		return ErrDenied
	case p.Registered != nil && p.Registered(x.source):
		return nil
	case rule.Serve == ServeRegistered, p.OnlyListed != nil && p.OnlyListed():
		return ErrNotRegistered
	case rule.Serve == ServeVendorClass:
		for _, begin := range rule.VendorClasses {
			if strings.HasPrefix(class, begin) {
				return nil
			}
		}
		return ErrVendorClass
	case p.Others == nil:
		return nil
	}
	return s.yield(ctx, x)
}

// yield leaves to the segment's other DHCP server the hosts that it serves, and lets it go
// first with those that nobody knows.
func (s *Server) yield(ctx context.Context, x *exchange) error {
	o := s.config.Policy.Others
	if err := o.settled(ctx); err != nil {
		return fmt.Errorf("looking for other DHCP servers: %w", err)
	}
	known := s.config.Policy.Known != nil && s.config.Policy.Known(x.client)
	if known && !fieldAddr(x.req.ClientIPAddr).IsUnspecified() {
		return nil // it has an address of ours now, and renews its lease
	}
	switch o.serves(x.source, x.received) {
	case servedByHeard:
		return ErrServedElsewhere
	case servedByChosen:
		return s.choice(x)
	case servedByNone:
		if !o.Present(x.received) {
			return nil
		}
	}
	x.deferential = true
	if known || x.kind != dhcpv4.MessageTypeDiscover {
		return nil
	}
	if o.waited(x.source, x.received) < yieldTime {
		return ErrYielded
	}
	return nil
}

// choice leaves a host to the server that it has named, as far as that holds: one that is served doesn't
// ask again and again, nor does it take up an offer of ours.
func (s *Server) choice(x *exchange) error {
	switch x.kind {
	case dhcpv4.MessageTypeDiscover:
		if s.config.Policy.Others.waited(x.source, x.received) < yieldTime {
			return ErrServedElsewhere
		}
	default:
		if !x.req.Options.Has(dhcpv4.OptionServerIdentifier) { // else it is ours: see addressee
			return ErrServedElsewhere
		}
	}
	x.deferential = true
	return nil
}

// deference keeps a NAK from a host that asks for an address of another network, where the
// segment has a server that may have given it that.
func (s *Server) deference(_ context.Context, x *exchange) error {
	addr, _ := addrOption(x.req, dhcpv4.OptionRequestedIPAddress)
	if x.deferential && x.answer == dhcpv4.MessageTypeNak && !s.config.Prefix.Contains(addr) {
		return ErrServedElsewhere
	}
	return nil
}
