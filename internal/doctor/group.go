package doctor

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/ula"
)

// Membership says what the group is; a *group.Membership does.
type Membership interface {
	Descriptor() *group.Descriptor
	Self() group.MemberID
}

// Directory says who has which address and name; a *registry.Registry does.
type Directory interface {
	Lookup(addr netip.Addr) (registry.Location, registry.Status)
	Resolve(ctx context.Context, addr netip.Addr) (registry.Location, error)
	LookupName(ctx context.Context, name string) (netip.Addr, error)
	ReverseName(ctx context.Context, addr netip.Addr) (string, error)
	HasIPv6(ctx context.Context, addr netip.Addr) bool
}

// Members are the others.
type Members interface {
	// Peer says how the member is reached now.
	Peer(m group.MemberID) api.Peer
	// Near reports whether it is proven that the member is on this segment.
	Near(m group.MemberID) bool
	// Serving returns the member to which packets go for hosts of m: m, or who stands in for it.
	Serving(m group.MemberID) group.MemberID
	// Ping measures one round trip inside the member's session. The packet comes with an error,
	// too; it says by which path.
	Ping(ctx context.Context, m group.MemberID) (api.PingPacket, error)
	// Ask sends a request of Protocol.
	Ask(ctx context.Context, m group.MemberID, req []byte) ([]byte, error)
}

// Segment is what the group is attached to here.
type Segment interface {
	// HasLAN reports whether hosts of a LAN are on it.
	HasLAN() bool
	// IsOwn reports whether an address is this host's.
	IsOwn(addr netip.Addr) bool
	// Present asks the LAN by ARP whether a host has the address.
	Present(ctx context.Context, addr netip.Addr) (bool, error)
}

// Config is what a Group is made of.
type Config struct {
	Name       string // this appliance's
	Port       uint16 // of the data socket
	NAT        func() NAT
	Membership Membership
	Directory  Directory
	Members    Members
	Segment    Segment
	IPv6       func() ula.Net // the group's IPv6 prefix as it is now; nil: none
}

// Group is one group at work here, as it is looked into. It is safe for concurrent use.
type Group struct {
	Config
	checking chan struct{} // as many tokens as members may have hosts asked for at once
}

// NewGroup returns the group that c describes.
func NewGroup(c Config) *Group { return &Group{Config: c, checking: make(chan struct{}, maxChecking)} }

// target is what a person means.
type target struct {
	member group.MemberID // that is meant itself, where addr isn't valid
	addr   netip.Addr     // a host's
	name   string         // the host's, where it was named
}

// aim says what text means in the group: an address of it, a member's name or ID, or a host's name.
func (g *Group) aim(ctx context.Context, text string) (target, error) {
	d := g.Membership.Descriptor()
	if addr, err := netip.ParseAddr(text); err == nil {
		if host, ok := g.ipv6().Host(addr); ok {
			addr = host
		}
		return target{addr: addr.Unmap()}, nil
	}
	for _, m := range d.Current() {
		if m.String() == text || strings.EqualFold(g.nameOf(m), text) {
			return target{member: m}, nil
		}
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	name = strings.TrimSuffix(name, "."+strings.ToLower(strings.TrimSuffix(d.Zone, ".")))
	addr, err := g.Directory.LookupName(ctx, name)
	switch {
	case errors.Is(err, registry.ErrAbsent):
		return target{}, notFound(fmt.Errorf("no member and no host of the group %s is called %q: landbridge peers lists the members, landbridge leases the hosts", d.Name, text))
	case err != nil:
		return target{}, unavailable(fmt.Errorf("no member of the group %s is called %q, and which host is can't be found out now: %w", d.Name, text, err))
	}
	return target{addr: addr, name: name}, nil
}

// ipv6 returns the group's IPv6 prefix; the zero Net is none.
func (g *Group) ipv6() ula.Net {
	if g.IPv6 == nil {
		return ula.Net{}
	}
	return g.IPv6()
}

// nameOf returns what a member is called.
func (g *Group) nameOf(m group.MemberID) string {
	e, _ := g.Membership.Descriptor().Entry(m)
	return e.Name
}
