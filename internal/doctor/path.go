package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// Path says what would happen to a packet from here to what target names.
func (g *Group) Path(ctx context.Context, text string) (api.PathReport, error) {
	at, err := g.aim(ctx, text)
	if err != nil {
		return api.PathReport{}, err
	}
	r := api.PathReport{Group: g.Membership.Descriptor().Group.String(), Target: text, Address: at.addr, Name: at.name,
		Hops: []api.PathHop{{Kind: api.PathHopKindAppliance, Name: g.Name}}}
	if !at.addr.IsValid() {
		g.pathToMember(&r, at.member)
		return r, nil
	}
	g.pathToHost(ctx, &r, at.addr)
	return r, nil
}

// pathToHost tells of a packet to an address.
func (g *Group) pathToHost(ctx context.Context, r *api.PathReport, addr netip.Addr) {
	d := g.Membership.Descriptor()
	step := func(format string, args ...any) { r.Steps = append(r.Steps, fmt.Sprintf(format, args...)) }
	switch {
	case !d.Prefix.Contains(addr):
		r.Verdict = api.PathVerdictOutside
		step("%v is no address of the group %s (%v): the appliance drops packets to it; hosts send them to the gateway of their own network.", addr, d.Name, d.Prefix)
		return
	case addr == d.ServiceAddr():
		r.Verdict = api.PathVerdictService
		step("%v is the service address: this appliance answers for it itself, as each does on its segment (DHCP, DNS, ping).", addr)
		return
	case g.Segment.IsOwn(addr):
		r.Verdict = api.PathVerdictSelf
		step("%v is this host's own address.", addr)
		return
	}
	at, status := g.Directory.Lookup(addr)
	if status == registry.Known {
		step("Who has %v is known from memory: nobody is asked.", addr)
	} else {
		step("Who has %v isn't in memory: the packet waits while the members that keep its block are asked.", addr)
		var err error
		if at, err = g.Directory.Resolve(ctx, addr); err != nil {
			g.noPath(r, addr, err)
			return
		}
	}
	if r.Name == "" {
		r.Name, _ = g.Directory.ReverseName(ctx, addr) // without a name it is an address
	}
	host := api.PathHop{Kind: api.PathHopKindHost, Name: cmp.Or(r.Name, addr.String()), Address: addr.String()}
	defer func() {
		r.Hops = append(r.Hops, host)
		g.pathByIPv6(ctx, r, addr)
	}()
	switch {
	case at.Local:
		r.Verdict = api.PathVerdictSegment
		r.MemberID, r.MemberName = at.Member.String(), g.nameOf(at.Member)
		step("The host is on this segment, and served by this appliance: frames go to it natively, without the appliance.")
	case g.Members.Near(at.Member):
		r.MemberID, r.MemberName = at.Member.String(), g.nameOf(at.Member)
		r.Verdict = api.PathVerdictNative
		step("%s serves it, and is proven to be on this LAN: frames go to the host natively, past both appliances.", r.MemberName)
	default:
		step("%s serves it.", g.nameOf(at.Member))
		g.pathToMember(r, g.Members.Serving(at.Member))
		step("%s hands the packet to the host.", r.MemberName)
	}
}

// pathByIPv6 tells of a packet to the host's IPv6 address, where the group has them.
func (g *Group) pathByIPv6(ctx context.Context, r *api.PathReport, addr netip.Addr) {
	six := g.ipv6().Of(addr)
	switch {
	case !six.IsValid():
	case g.Directory.HasIPv6(ctx, addr):
		r.Steps = append(r.Steps, fmt.Sprintf("By IPv6 the host is %v, and a packet to that goes the same way.", six))
	default:
		r.Steps = append(r.Steps, fmt.Sprintf("The host hasn't taken its IPv6 address (%v) by DHCPv6: it has no AAAA record.", six))
	}
}

// noPath tells why there is nowhere to send a packet.
func (g *Group) noPath(r *api.PathReport, addr netip.Addr, err error) {
	if errors.Is(err, registry.ErrAbsent) {
		r.Verdict = api.PathVerdictAbsent
		r.Steps = append(r.Steps, fmt.Sprintf("Nobody has %v: the packet is dropped, and its sender told by ICMP (host unreachable).", addr))
		r.Help = "See whether the host is on, and has asked for an address (landbridge leases at its site). One with an address set by hand is found when it answers ARP on its LAN."
		return
	}
	r.Verdict = api.PathVerdictUnknown
	r.Steps = append(r.Steps, fmt.Sprintf("Who has %v can't be found out: %v. The packet is dropped, and its sender told by ICMP (host unreachable).", addr, err))
	r.Help = "Too few members can be reached: landbridge doctor says why."
}

// pathToMember tells of a packet that a member is to get.
func (g *Group) pathToMember(r *api.PathReport, m group.MemberID) {
	r.MemberID, r.MemberName = m.String(), g.nameOf(m)
	if m == g.Membership.Self() {
		r.Verdict = api.PathVerdictSelf
		r.Steps = append(r.Steps, "This is the appliance itself.")
		return
	}
	p := g.Members.Peer(m)
	r.Verdict, r.Session, r.Path = api.PathVerdictTunnel, p.Session, p.Path
	r.Endpoint, r.Via, r.ViaName, r.RttMicroseconds, r.Why = p.Address, p.Via, p.ViaName, p.RttMicroseconds, p.Why
	r.Help = adviceFor(p, g.NAT(), g.Port)
	r.Steps = append(r.Steps, sessionStep(p))
	if r.Via != "" {
		relay := api.PathHop{Kind: api.PathHopKindRelay, Name: p.ViaName, Address: addrPortText(p.Address)}
		if id, err := group.ParseMemberID(p.Via); err == nil {
			relay.RttMicroseconds = g.Members.Peer(id).RttMicroseconds
		}
		r.Hops = append(r.Hops, relay)
		r.Hops = append(r.Hops, api.PathHop{Kind: api.PathHopKindMember, Name: p.Name, RttMicroseconds: p.RttMicroseconds})
		return
	}
	r.Hops = append(r.Hops, api.PathHop{Kind: api.PathHopKindMember, Name: p.Name, Address: addrPortText(p.Address), RttMicroseconds: p.RttMicroseconds})
}

func addrPortText(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

// sessionStep says how packets to a member travel now.
func sessionStep(p api.Peer) string {
	switch {
	case p.Session == api.SessionStateNone && p.Connected:
		return fmt.Sprintf("There is no session with %s now: the first packet has one made, over the connection that stands, and waits for it.", p.Name)
	case p.Session == api.SessionStateNone:
		return fmt.Sprintf("There is no session with %s, nor any connection to it: packets wait for 10 s while it is looked for.", p.Name)
	case p.Path == api.PathKindNone:
		return fmt.Sprintf("A session with %s is being made, or looks for a path: packets wait for it.", p.Name)
	case p.Path == api.PathKindRelay:
		return fmt.Sprintf("The packet is sealed for %s and goes by %s, which passes it on and can't read it.", p.Name, p.ViaName)
	case p.Path == api.PathKindTCP:
		return fmt.Sprintf("The packet is sealed and goes straight to %s over TCP, to %s, as UDP doesn't pass.", p.Name, addrPortText(p.Address))
	case p.Path == api.PathKindLAN:
		return fmt.Sprintf("The packet is sealed and goes to %s over the network on which both are, to %s.", p.Name, addrPortText(p.Address))
	}
	return fmt.Sprintf("The packet is sealed and goes straight to %s, to %s.", p.Name, addrPortText(p.Address))
}
