package appliance

import (
	"context"
	"errors"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/share"
)

// Which of a LAN's routers answers a host by DHCP: the one that has leased it the address that it names,
// and about others the one to which they fall. So a router must know what the others have leased.

// serves says whether a DHCP client is ours (dhcp.Policy): the one that has its address from us,
// a new one that falls to us, and one that its own router neglects.
func (s *neighbours) serves(ctx context.Context, client frame.MAC, kind dhcpv4.MessageType, addr netip.Addr) bool {
	return s.isOurs(ctx, s.network.registry, client, addr) || s.clients.Neglected(client, kind, time.Now())
}

// locator finds who has leased an address; registry.Registry is one.
type locator interface {
	Lookup(netip.Addr) (registry.Location, registry.Status)
	Resolve(context.Context, netip.Addr) (registry.Location, error)
}

// isOurs says whose a client is that names addr, which need not be valid. Where another router is here that
// may have leased it, who isn't known is looked for first.
func (s *neighbours) isOurs(ctx context.Context, leases locator, client frame.MAC, addr netip.Addr) bool {
	falls := s.circle.Load().Ours(share.MACKey(client))
	if !addr.IsValid() {
		return falls
	}
	at, status := leases.Lookup(addr)
	if status == registry.Unknown && falls && len(s.heard()) > 0 {
		var err error
		if at, err = leases.Resolve(ctx, addr); err != nil {
			return errors.Is(err, registry.ErrAbsent) // else nobody can tell: it asks again
		}
		status = registry.Known
	}
	switch {
	case status != registry.Known:
		return falls
	case at.Local:
		return true
	}
	_, here := s.heard()[at.Member]
	return falls && !here
}

// heard returns the other routers that answer on the segment now.
func (s *neighbours) heard() map[group.MemberID]struct{} {
	if all := s.others.Load(); all != nil {
		return *all
	}
	return nil
}

// hear notes which other routers answer on the segment.
func (s *neighbours) hear(routers []share.Router) {
	heard := make(map[group.MemberID]struct{})
	for _, r := range routers {
		if r.LAN && !r.Silent {
			heard[r.Member] = struct{}{}
		}
	}
	s.others.Store(&heard)
}

// fetchLeases has the registry know what a router has leased that has appeared on the segment,
// and be told of what it leases from now on.
func (s *neighbours) fetchLeases(ctx context.Context, m group.MemberID) error {
	within, cancel := context.WithTimeout(ctx, vouchAgain)
	defer cancel()
	blocks, err := s.network.blocksOf(within, m)
	if err != nil {
		return err
	}
	return s.network.registry.Visit(within, m, blocks)
}
