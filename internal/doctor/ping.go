package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
)

const (
	pingInterval = time.Second
	pingTimeout  = 2 * time.Second
	pingLongest  = 40 * time.Second // of all packets together
)

var errHostSilent = errors.New("the host doesn't answer ARP on its LAN: it is off, or was unplugged")

// Ping measures round trips.
func (g *Group) Ping(ctx context.Context, req api.PingRequest) (api.PingResult, error) {
	at, err := g.aim(ctx, req.Target)
	if err != nil {
		return api.PingResult{}, err
	}
	r := api.PingResult{Group: g.Membership.Descriptor().Group.String(), Target: req.Target, Address: at.addr, Kind: api.PingKindMember}
	ping := g.pingMember
	if at.addr.IsValid() {
		if at.member, r.Kind, err = g.server(ctx, at.addr); err != nil {
			return api.PingResult{}, err
		}
	} else if at.member == g.Membership.Self() {
		r.Kind = api.PingKindSelf
	}
	switch r.Kind {
	case api.PingKindSelf:
		ping = func(context.Context, target) api.PingPacket {
			return api.PingPacket{Answered: true, Path: api.PathKindNone}
		}
	case api.PingKindLAN:
		ping, r.Note = g.pingLAN, "The host is on this LAN: it is asked by ARP, past the tunnel."
	case api.PingKindHost:
		ping, r.Note = g.pingHost, fmt.Sprintf("The round trip is that through the tunnel to %s, and of the ARP by which that asks the host.", g.nameOf(at.member))
	}
	if !at.member.IsZero() {
		r.MemberID, r.MemberName = at.member.String(), g.nameOf(at.member)
	}
	repeat(ctx, req, func(ctx context.Context, seq int) {
		p := ping(ctx, at)
		p.Seq = seq
		r.Packets = append(r.Packets, p)
		r.Sent++
		if p.Answered {
			r.Received++
		}
	})
	return r, nil
}

// repeat sends as many packets as a request wants, in its interval, and as there is time for.
func repeat(ctx context.Context, req api.PingRequest, send func(ctx context.Context, seq int)) {
	ctx, cancel := context.WithTimeout(ctx, pingLongest)
	defer cancel()
	interval, timeout := pingInterval, pingTimeout
	if req.IntervalMilliseconds > 0 {
		interval = time.Duration(req.IntervalMilliseconds) * time.Millisecond
	}
	if req.TimeoutMilliseconds > 0 {
		timeout = time.Duration(req.TimeoutMilliseconds) * time.Millisecond
	}
	count := max(1, req.Count)
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for seq := 1; ; seq++ {
		one, done := context.WithTimeout(ctx, timeout)
		send(one, seq)
		done()
		if seq == count {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// server finds out who serves an address, and so how it is pinged.
func (g *Group) server(ctx context.Context, addr netip.Addr) (m group.MemberID, kind api.PingKind, err error) {
	d, self := g.Membership.Descriptor(), g.Membership.Self()
	switch {
	case addr == d.ServiceAddr(), g.Segment.IsOwn(addr):
		return self, api.PingKindSelf, nil
	case !d.Prefix.Contains(addr):
		return m, "", &Error{Kind: Invalid, Want: fmt.Sprintf("an address of %v, or a name", d.Prefix),
			err: fmt.Errorf("%v is no address of the group %s, whose prefix is %v", addr, d.Name, d.Prefix)}
	}
	at, err := g.Directory.Resolve(ctx, addr)
	switch {
	case errors.Is(err, registry.ErrAbsent):
		return m, "", notFound(fmt.Errorf("nobody has the address %v: no host has it leased, and none was found with it", addr))
	case err != nil:
		return m, "", unavailable(fmt.Errorf("who has %v can't be found out now: %w", addr, err))
	case g.Segment.HasLAN() && (at.Local || g.Members.Near(at.Member)):
		return at.Member, api.PingKindLAN, nil
	}
	return at.Member, api.PingKindHost, nil
}

// pingMember asks a member inside its session.
func (g *Group) pingMember(ctx context.Context, at target) api.PingPacket {
	p, err := g.Members.Ping(ctx, at.member)
	now := g.Members.Peer(at.member)
	p.Answered, p.Native, p.Why = err == nil, g.Members.Near(at.member), now.Why
	switch {
	case err == nil:
	case errors.Is(err, tunnel.ErrNoPeer):
		p.Why = err.Error()
	case p.Path == api.PathKindNone:
		p.Why = "there is no path to " + g.nameOf(at.member) + " yet: " + cmp.Or(now.Why, "one is being looked for")
	default:
		p.Why = "no answer in time"
	}
	return p
}

// pingHost asks the member that serves a host, and has it ask the host.
func (g *Group) pingHost(ctx context.Context, at target) api.PingPacket {
	type verdict struct {
		took time.Duration
		err  error
	}
	asked := make(chan verdict, 1)
	go func() {
		took, err := g.askHost(ctx, at)
		asked <- verdict{took, err}
	}()
	p, v := g.pingMember(ctx, at), <-asked
	switch {
	case !p.Answered:
	case v.err != nil:
		p.Answered, p.Why = false, fmt.Sprintf("%s answers, and whether the host does can't be found out: %v", g.nameOf(at.member), v.err)
	default:
		p.RttMicroseconds += v.took.Microseconds()
	}
	return p
}

// pingLAN asks a host of this LAN.
func (g *Group) pingLAN(ctx context.Context, at target) api.PingPacket {
	begun := time.Now()
	p := api.PingPacket{Path: api.PathKindLAN, Native: true}
	ok, err := g.Segment.Present(ctx, at.addr)
	switch {
	case err != nil:
		p.Why = err.Error()
	case !ok:
		p.Why = errHostSilent.Error()
	default:
		p.Answered, p.RttMicroseconds = true, time.Since(begun).Microseconds()
	}
	return p
}
