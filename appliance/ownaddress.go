package appliance

import (
	"bytes"
	"context"
	"fmt"
	"net/netip"
	"time"

	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/health"
	"landbridge/internal/registry"
)

// ownClient is this host as the registry sees it, where it has an address of its own.
func (n *network) ownClient() registry.Client {
	self := n.membership.Self()
	return registry.Client{
		ID:   registry.OwnClient(self),
		MAC:  hostMAC(n.id, self),
		Name: group.NodeName(n.node.name()),
		IPv6: !n.ipv6Net().IsZero(),
	}
}

// ownLease returns this host's lease, if it has one.
func (n *network) ownLease() (registry.Lease, bool) {
	self := n.ownClient()
	for l := range n.registry.Leases() {
		if bytes.Equal(l.Client, self.ID) {
			return l, true
		}
	}
	return registry.Lease{}, false
}

// reserveInterval is how often a lease that is kept for later is looked at.
const reserveInterval = time.Minute

// reserveAddress renews this host's lease while the LAN is attached in its place, so that
// it finds its address again when it is attached itself. One that never was has none.
func (n *network) reserveAddress(ctx context.Context) {
	for {
		wait := reserveInterval
		if l, ok := n.ownLease(); ok {
			if renewed, err := n.registry.Commit(ctx, n.ownClient(), l.Addr); err != nil {
				n.log.Debug("own lease, kept for later, not renewed", "addr", l.Addr, "err", err)
			} else {
				wait = renewAfter(renewed, time.Now())
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// keepAddress gives this host its address, and renews the lease.
func (n *network) keepAddress(ctx context.Context, a *attachment) {
	client := n.ownClient()
	var addr netip.Addr
	if l, ok := n.ownLease(); ok { // as it was, at once
		addr = l.Addr
		if err := n.assign(a, addr); err != nil {
			n.log.Debug("own address not assigned", "addr", addr, "err", err)
		}
	}
	for {
		wait, err := n.leaseOwn(ctx, a, client, &addr)
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			wait = 500 * time.Millisecond
			n.log.Debug("no address of our own yet", "err", err)
			n.health().Report(health.Trouble{Component: "registry", Key: "address", Finding: health.Finding{
				Text:   fmt.Sprintf("This host has no address yet: %v. It goes on trying.", err),
				Remedy: "If it stays so, see whether the other members can be reached (landbridge peers).",
			}}, time.Now())
		} else {
			n.health().Clear("registry", "address")
		}
		select {
		case <-ctx.Done():
			n.health().Clear("registry", "address")
			return
		case <-time.After(wait):
		}
	}
}

// leaseOwn leases the host's address, or renews the lease, and says when to come
// again.
func (n *network) leaseOwn(ctx context.Context, a *attachment, client registry.Client, addr *netip.Addr) (time.Duration, error) {
	ctx, cancel := context.WithTimeout(ctx, introduceTimeout)
	defer cancel()
	if !addr.IsValid() {
		offer, err := n.registry.Offer(ctx, client, netip.Addr{})
		if err != nil {
			return 0, err
		}
		*addr = offer.Addr
	}
	lease, err := n.registry.Commit(ctx, client, *addr)
	if err != nil {
		*addr = netip.Addr{} // it is another's now: ask for a new one
		return 0, err
	}
	if err := n.assign(a, lease.Addr); err != nil {
		return 0, err
	}
	return renewAfter(lease, time.Now()), nil
}

// assign gives the TAP this host's address.
func (n *network) assign(a *attachment, addr netip.Addr) error {
	mac, _ := frame.MACFrom(hostMAC(n.id, n.membership.Self()))
	a.hosts.Learn(addr, mac)
	own := netip.PrefixFrom(addr, n.membership.Descriptor().Prefix.Bits())
	if former := a.address.Load(); former != nil && *former == own {
		return nil
	}
	if err := iface.AssignAddress(a.tap, own); err != nil {
		return err
	}
	a.address.Store(&own)
	if !n.ipv6Net().IsZero() {
		n.assignIPv6(a, addr)
	}
	if a.hybrid != nil {
		a.hybrid.addressed(addr)
	}
	n.log.Info("address leased", "addr", addr, "device", a.tap.Name())
	return nil
}
