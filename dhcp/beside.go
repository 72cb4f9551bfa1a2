package dhcp

import (
	"context"
	"net/netip"

	"landbridge/internal/frame"
)

// What is asked of a Server about hosts that come by another way than DHCPv4, as by dhcp6: they are served by
// the same Policy, and get the same addresses.

// Admits says why a host isn't served, nil where it is. held says that it has a lease here. A host that has none
// isn't taken where the segment has another DHCP server, nor by a vendor class, which its DHCPv4 alone says.
func (s *Server) Admits(ctx context.Context, mac frame.MAC, held bool) error {
	p, rule := s.config.Policy, s.rule.Load()
	switch {
	case p.Left != nil && p.Left(mac):
		return ErrOtherGroup
	case p.Denied != nil && p.Denied(mac):
		return ErrDenied
	case p.Registered != nil && p.Registered(mac):
		return nil
	case rule.Serve == ServeRegistered, p.OnlyListed != nil && p.OnlyListed():
		return ErrNotRegistered
	case held:
		return nil
	case rule.Serve == ServeVendorClass:
		return ErrVendorClass
	case p.Others == nil:
		return nil
	}
	if err := p.Others.settled(ctx); err != nil {
		return err
	}
	if p.Others.Present(s.config.Now()) {
		return ErrServedElsewhere
	}
	return nil
}

// Offer picks an address for a client that has none, and looks whether anybody uses it.
func (s *Server) Offer(ctx context.Context, c Client) (Lease, error) {
	return s.offer(ctx, c, netip.Addr{}, string(c.MAC)+string(c.ID))
}

// Commit leases addr to the client, or renews its lease: it is on disk before Commit returns. Of a host that is served for
// its vendor class the lease isn't renewed (ErrVendorClass): whether it is of that class yet its DHCPv4 says.
func (s *Server) Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error) {
	if !s.leasable(addr) {
		return Lease{}, ErrNotOurs
	}
	mac, _ := frame.MACFrom(c.MAC)
	if p := s.config.Policy; s.rule.Load().Serve == ServeVendorClass && (p.Registered == nil || !p.Registered(mac)) {
		return Lease{}, ErrVendorClass
	}
	return s.config.Leaser.Commit(ctx, c, addr)
}

// Label makes a host's name of what it calls itself: a DNS label, empty if none is fit.
func Label(name string) string { return label([]byte(name)) }
