package appliance

import (
	"context"
	"errors"
	"net/netip"

	"landbridge/dhcp"
	"landbridge/dns"
	"landbridge/internal/capture"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/router"
)

// The rooms know nothing of each other: each declares what it needs, and these small
// types give it that from the registry and the tunnel.

// directory is the registry as the router sees it.
type directory struct {
	registry *registry.Registry
	near     func(group.MemberID) bool // the member is proven to be on this segment; nil: none can be
}

// Lookup answers from memory: lock-free, without allocating.
func (d directory) Lookup(addr netip.Addr) (router.Route, router.Status) {
	at, status := d.registry.Lookup(addr)
	switch status {
	case registry.Known:
		return d.route(at), router.Known
	case registry.Absent:
		return router.Route{}, router.Absent
	default:
		return router.Route{}, router.Unknown
	}
}

// Resolve asks the registry's keepers where memory doesn't know.
func (d directory) Resolve(ctx context.Context, addr netip.Addr) (router.Route, error) {
	at, err := d.registry.Resolve(ctx, addr)
	if err != nil {
		return router.Route{}, translate(err, registry.ErrAbsent, router.ErrAbsent)
	}
	return d.route(at), nil
}

// route says where a lease is. One that a neighbour serves is on this segment.
func (d directory) route(at registry.Location) router.Route {
	return router.Route{Member: at.Member, Local: at.Local, Native: !at.Local && d.near != nil && d.near(at.Member)}
}

// leaser is the registry as dhcp sees it; it tells the segment's host table of each
// lease.
type leaser struct {
	registry *registry.Registry
	hosts    *router.Hosts
}

// Offer picks an address and reserves it for a minute.
func (l *leaser) Offer(ctx context.Context, c dhcp.Client, want netip.Addr) (dhcp.Lease, error) {
	lease, err := l.registry.Offer(ctx, registry.Client(c), want)
	if err != nil {
		return dhcp.Lease{}, refused(err)
	}
	at, status := l.registry.Lookup(lease.Addr)
	held := status == registry.Known && at.Local // who is offered a leased address is its lessee
	return dhcp.Lease{Addr: lease.Addr, Held: held, End: lease.End}, nil
}

// Commit leases addr to the client; the lease is on disk when it returns.
func (l *leaser) Commit(ctx context.Context, c dhcp.Client, addr netip.Addr) (dhcp.Lease, error) {
	lease, err := l.registry.Commit(ctx, registry.Client(c), addr)
	if err != nil {
		return dhcp.Lease{}, refused(err)
	}
	if mac, ok := frame.MACFrom(c.MAC); ok {
		l.hosts.Learn(lease.Addr, mac)
	}
	return dhcp.Lease{Addr: lease.Addr, Held: true, Name: lease.Name, End: lease.End}, nil
}

// Release ends the client's lease.
func (l *leaser) Release(ctx context.Context, c dhcp.Client, addr netip.Addr) error {
	return refused(l.registry.Release(ctx, registry.Client(c), addr))
}

// Decline takes an address out of use for a while.
func (l *leaser) Decline(ctx context.Context, _ dhcp.Client, addr netip.Addr) error {
	return refused(l.registry.Decline(ctx, addr))
}

// names is the registry as dns sees it.
type names struct{ registry *registry.Registry }

// LookupName returns the address of the host with this name.
func (n names) LookupName(ctx context.Context, name string) (netip.Addr, error) {
	addr, err := n.registry.LookupName(ctx, name)
	return addr, translate(err, registry.ErrAbsent, dns.ErrAbsent)
}

// HasIPv6 reports whether the host at addr has taken its IPv6 address.
func (n names) HasIPv6(ctx context.Context, addr netip.Addr) bool {
	return n.registry.HasIPv6(ctx, addr)
}

// ReverseName returns the name of the host at addr; empty for one without.
func (n names) ReverseName(ctx context.Context, addr netip.Addr) (string, error) {
	name, err := n.registry.ReverseName(ctx, addr)
	return name, translate(err, registry.ErrAbsent, dns.ErrAbsent)
}

// Alias returns what an operator has a name stand for.
func (n names) Alias(name string) (dns.Alias, bool) {
	a, ok := n.registry.Alias(name)
	return dns.Alias{Target: a.Target, Addr: a.Addr}, ok
}

// refused puts the registry's refusals in dhcp's words.
func refused(err error) error {
	err = translate(err, registry.ErrTaken, dhcp.ErrTaken)
	err = translate(err, registry.ErrNotOurs, dhcp.ErrNotOurs)
	err = translate(err, registry.ErrUnsure, dhcp.ErrUnsure)
	return translate(err, registry.ErrNoAddress, dhcp.ErrNoAddress)
}

// translate marks an err that is theirs as ours too.
func translate(err, theirs, ours error) error {
	if errors.Is(err, theirs) {
		return errors.Join(ours, err)
	}
	return err
}

// sender is the tunnel as the router sees it. The router is made first, so that the
// tunnel can deliver to it.
type sender network

// Send seals packets to members and sends them.
func (s *sender) Send(parcels []router.Parcel) {
	out := s.tunnel.Outbox()
	for _, p := range parcels {
		to := s.standins.Serving(p.To)
		(*network)(s).capturePackets(capture.Out, to, p.Packets)
		out.Add(to, p.Packets)
	}
	out.Send()
}
