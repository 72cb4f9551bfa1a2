package appliance

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"landbridge/dhcp"
	"landbridge/dhcp/dhcp6"
	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/registry"
	"landbridge/internal/share"
	"landbridge/internal/ula"
	"landbridge/router"
)

// IPv6 in a group whose settings have a prefix of it. All that is known of hosts is known by their IPv4 addresses;
// see package ula.

// How often hosts are told of the prefix (RFC 4861 section 6.2.1), and how long they believe it: thrice the longest wait.
const (
	advertFirst    = 3 // soon after each other
	advertSoon     = 16 * time.Second
	advertLeast    = 200 * time.Second
	advertMost     = 600 * time.Second
	advertValidity = 3 * advertMost
)

// ipv6Net is the group's IPv6 prefix; the zero Net is none.
func (n *network) ipv6Net() ula.Net { return n.membership.Settings().IPv6Net() }

// takeUpIPv6 has the attachment speak IPv6 as the settings say, or not. The caller holds takingUp.
func (n *network) takeUpIPv6(a *attachment) {
	six := n.ipv6Net()
	if former := a.six.Swap(&six); former == nil && six.IsZero() {
		return // it never has
	}
	given := n.hostOptions()
	var to *router.IPv6
	if !six.IsZero() {
		to = &router.IPv6{Net: six, Search: given.Search, Valid: advertValidity, Routed: a.segment != nil}
	}
	if a.segment != nil {
		if err := a.bridge.Multicast(!six.IsZero()); err != nil {
			n.log.Warn("neighbour discovery doesn't reach the router: hosts find no IPv6", "err", err)
		}
		if to != nil {
			to.MTU = n.node.cfg.DHCP.MTU.Option26(n.membership.Descriptor().MTU, a.bridge.MTU())
		}
		a.segment.dhcp6.SetGiven(given6(six, given, n.membership.Descriptor().ServiceAddr()))
	}
	if err := a.router.SetIPv6(to); err != nil {
		n.log.Warn("IPv6 isn't spoken as it should be", "err", err)
	}
	if own := a.address.Load(); own != nil {
		n.assignIPv6(a, own.Addr())
		ctx, cancel := context.WithTimeout(n.node.base, introduceTimeout)
		defer cancel()
		if err := n.registry.MarkIPv6(ctx, n.ownClient(), own.Addr(), !six.IsZero()); err != nil {
			n.log.Debug("that this host has IPv6 isn't known to the others yet", "err", err)
		}
	}
	latest(a.advertise, struct{}{})
}

// given6 is what hosts are told by DHCPv6.
func given6(six ula.Net, o dhcp.Options, service netip.Addr) dhcp6.Given {
	return dhcp6.Given{
		Net: six, LeaseTime: o.LeaseTime, Renew: o.Renew, Rebind: o.Rebind,
		DNS: []netip.Addr{six.Of(service)}, Search: o.Search,
	}
}

// advertiseIPv6 tells the hosts of the segment of the prefix, until ctx ends.
func (n *network) advertiseIPv6(ctx context.Context, a *attachment) {
	for told := 0; ; told++ {
		if err := a.router.Advertise(); err != nil {
			n.log.Debug("IPv6 not advertised", "err", err)
		}
		wait := advertLeast + rand.N(advertMost-advertLeast)
		if told < advertFirst-1 {
			wait = advertSoon
		}
		select {
		case <-ctx.Done():
			return
		case <-a.advertise:
			told = -1
		case <-time.After(wait):
		}
	}
}

// assignIPv6 gives the TAP this host's IPv6 address, or takes it away where the group has no prefix.
func (n *network) assignIPv6(a *attachment, addr netip.Addr) {
	six, mac := n.ipv6Net(), a.tap.MAC()
	if own, ok := frame.MACFrom(mac); ok {
		a.router.LearnIPv6(addr, own)
	}
	var own netip.Prefix
	if !six.IsZero() {
		own = netip.PrefixFrom(six.Of(addr), ula.Bits)
	}
	if err := iface.AssignIPv6(a.tap, own); err != nil {
		n.log.Warn("this host has no IPv6 address in the group", "err", err)
	}
}

// holdings is the registry as dhcp6 sees it.
type holdings struct {
	registry *registry.Registry
	log      *slog.Logger
}

// At returns the live lease of addr here, if it is the host's.
func (h holdings) At(addr netip.Addr, mac frame.MAC) (dhcp6.Holding, bool) {
	l, ok := h.registry.Served(addr)
	return holding(l), ok && l.MAC == mac
}

// Took notes that a host has its IPv6 address.
func (h holdings) Took(ctx context.Context, held dhcp6.Holding) error {
	return refused(h.registry.MarkIPv6(ctx, registry.Client(held.Client), held.Addr, true))
}

// Released notes that a host has given its IPv6 address back.
func (h holdings) Released(ctx context.Context, held dhcp6.Holding) error {
	return refused(h.registry.ReleaseIPv6(ctx, registry.Client(held.Client), held.Addr))
}

// Declined notes that a host has found its IPv6 address in use.
func (h holdings) Declined(ctx context.Context, held dhcp6.Holding) error {
	err := h.registry.DeclineIPv6(ctx, registry.Client(held.Client), held.Addr)
	if err == nil {
		h.log.Warn("a host has declined its IPv6 address: another one on the LAN uses it", "addr", held.Addr, "mac", held.Client.MAC)
	}
	return refused(err)
}

// Of returns a live lease of the host here.
func (h holdings) Of(mac frame.MAC, ids ...[]byte) (dhcp6.Holding, bool) {
	l, ok := h.registry.LeaseOf(mac, ids...)
	return holding(l), ok
}

func holding(l registry.Lease) dhcp6.Holding {
	return dhcp6.Holding{
		Client: dhcp.Client{ID: l.Client, MAC: l.MAC[:], Name: l.Name}, Addr: l.Addr, End: l.End, Fixed: l.Found(),
	}
}

// serves6 says whether a DHCPv6 client is ours: as serves, but that a new one doesn't say by its message
// which address it has by IPv4.
func (s *neighbours) serves6(ctx context.Context, client frame.MAC, addr netip.Addr) bool {
	r := s.network.registry
	if addr.IsValid() {
		return s.isOurs(ctx, r, client, addr)
	}
	if _, here := r.LeaseOf(client); here {
		return true
	}
	heard := s.heard()
	if !s.circle.Load().Ours(share.MACKey(client)) || len(heard) == 0 {
		return s.circle.Load().Ours(share.MACKey(client))
	}
	return !slices.ContainsFunc(r.FindMAC(ctx, client), func(a netip.Addr) bool {
		at, status := r.Lookup(a)
		_, other := heard[at.Member]
		return status == registry.Known && other
	})
}
