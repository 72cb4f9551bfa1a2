package appliance

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
)

// protocolDiagnose is what members ask each other to find out what is wrong. A request is
// one byte, then bytes:
//
//	1  address 4: whether the host at it, on the called's segment, answers ARP.
//	   The reply is 1 or 0, and after a 1 how long it took in microseconds, 4 bytes
const protocolDiagnose = "/landbridge/diagnose/1"

const (
	diagnoseHost = 1

	maxChecking  = 8 // hosts that members have us ask for at once
	checkTimeout = time.Second

	pingInterval = time.Second
	pingTimeout  = 2 * time.Second
	pingLongest  = 40 * time.Second // of all packets together
)

var (
	errDiagnose   = errors.New("this question isn't known here: update the appliance")
	errNotServed  = errors.New("the address isn't served here any more")
	errHostSilent = errors.New("the host doesn't answer ARP on its LAN: it is off, or was unplugged")
)

// target is what a person means.
type target struct {
	member group.MemberID // that is meant itself, where addr isn't valid
	addr   netip.Addr     // a host's
	name   string         // the host's, where it was named
}

// aim says what text means in the group: an address of it, a member's name or ID, or a host's name.
func (n *network) aim(ctx context.Context, text string) (target, error) {
	d := n.membership.Descriptor()
	if addr, err := netip.ParseAddr(text); err == nil {
		return target{addr: addr.Unmap()}, nil
	}
	for _, m := range d.Current() {
		if m.String() == text || strings.EqualFold(n.memberName(m), text) {
			return target{member: m}, nil
		}
	}
	name := strings.TrimSuffix(strings.ToLower(text), ".")
	name = strings.TrimSuffix(name, "."+strings.ToLower(strings.TrimSuffix(d.Zone, ".")))
	addr, err := n.registry.LookupName(ctx, name)
	switch {
	case errors.Is(err, registry.ErrAbsent):
		return target{}, console.NotFound(fmt.Errorf("no member and no host of the group %s is called %q: landbridge peers lists the members, landbridge leases the hosts", d.Name, text))
	case err != nil:
		return target{}, console.Unavailable(fmt.Errorf("no member of the group %s is called %q, and which host is can't be found out now: %w", d.Name, text, err))
	}
	return target{addr: addr, name: name}, nil
}

// Ping measures round trips.
func (n *node) Ping(ctx context.Context, req api.PingRequest) (api.PingResult, error) {
	nw, err := n.choose(req.Group)
	if err != nil {
		return api.PingResult{}, err
	}
	at, err := nw.aim(ctx, req.Target)
	if err != nil {
		return api.PingResult{}, err
	}
	r := api.PingResult{Group: nw.id.String(), Target: req.Target, Address: at.addr, Kind: api.PingKindMember}
	ping := nw.pingMember
	if at.addr.IsValid() {
		if at.member, r.Kind, err = nw.server(ctx, at.addr); err != nil {
			return api.PingResult{}, err
		}
	} else if at.member == nw.membership.Self() {
		r.Kind = api.PingKindSelf
	}
	switch r.Kind {
	case api.PingKindSelf:
		ping = func(context.Context, target) api.PingPacket {
			return api.PingPacket{Answered: true, Path: api.PathKindNone}
		}
	case api.PingKindLAN:
		ping, r.Note = nw.pingLAN, "The host is on this LAN: it is asked by ARP, past the tunnel."
	case api.PingKindHost:
		ping, r.Note = nw.pingHost, fmt.Sprintf("The round trip is that through the tunnel to %s, and of the ARP by which that asks the host.", nw.memberName(at.member))
	}
	if !at.member.IsZero() {
		r.MemberID, r.MemberName = at.member.String(), nw.memberName(at.member)
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
func (n *network) server(ctx context.Context, addr netip.Addr) (m group.MemberID, kind api.PingKind, err error) {
	d, self := n.membership.Descriptor(), n.membership.Self()
	switch {
	case addr == d.ServiceAddr(), n.isOwn(addr):
		return self, api.PingKindSelf, nil
	case !d.Prefix.Contains(addr):
		return m, "", console.Invalid(fmt.Errorf("%v is no address of the group %s, whose prefix is %v", addr, d.Name, d.Prefix),
			api.FieldError{Field: "target", Detail: fmt.Sprintf("want an address of %v, or a name", d.Prefix)})
	}
	at, err := n.registry.Resolve(ctx, addr)
	switch {
	case errors.Is(err, registry.ErrAbsent):
		return m, "", console.NotFound(fmt.Errorf("nobody has the address %v: no host has it leased, and none was found with it", addr))
	case err != nil:
		return m, "", console.Unavailable(fmt.Errorf("who has %v can't be found out now: %w", addr, err))
	case n.node.setup().AttachesLAN() && (at.Local || n.attachment.Load().near(at.Member)):
		return at.Member, api.PingKindLAN, nil
	}
	return at.Member, api.PingKindHost, nil
}

// isOwn reports whether an address is this host's.
func (n *network) isOwn(addr netip.Addr) bool {
	a := n.attachment.Load()
	if a == nil {
		return false
	}
	own := a.address.Load()
	return own != nil && own.Addr() == addr
}

// pingMember asks a member inside its session.
func (n *network) pingMember(ctx context.Context, at target) api.PingPacket {
	pong, err := n.tunnel.Ping(ctx, at.member)
	p := api.PingPacket{
		Answered: err == nil, RttMicroseconds: pong.RTT.Microseconds(), Path: pathKind(pong.Path), Endpoint: pong.Addr,
		Native: n.attachment.Load().near(at.member),
	}
	if !pong.Via.IsZero() {
		p.Via, p.ViaName = pong.Via.String(), n.memberName(pong.Via)
	}
	now := n.peerOf(at.member)
	p.Why = now.Why
	switch {
	case err == nil:
	case errors.Is(err, tunnel.ErrNoPeer):
		p.Why = err.Error()
	case pong.Path == tunnel.PathNone:
		p.Why = "there is no path to " + n.memberName(at.member) + " yet: " + cmp.Or(now.Why, "one is being looked for")
	default:
		p.Why = "no answer in time"
	}
	return p
}

// pingHost asks the member that serves a host, and has it ask the host.
func (n *network) pingHost(ctx context.Context, at target) api.PingPacket {
	type verdict struct {
		took time.Duration
		err  error
	}
	asked := make(chan verdict, 1)
	go func() {
		took, err := n.askHost(ctx, at)
		asked <- verdict{took, err}
	}()
	p, v := n.pingMember(ctx, at), <-asked
	switch {
	case !p.Answered:
	case v.err != nil:
		p.Answered, p.Why = false, fmt.Sprintf("%s answers, and whether the host does can't be found out: %v", n.memberName(at.member), v.err)
	default:
		p.RttMicroseconds += v.took.Microseconds()
	}
	return p
}

// askHost has the member that serves a host ask for it.
func (n *network) askHost(ctx context.Context, at target) (time.Duration, error) {
	addr := at.addr.As4()
	reply, err := transport{n, protocolDiagnose}.Call(ctx, at.member, append([]byte{diagnoseHost}, addr[:]...))
	switch {
	case err != nil:
		return 0, err
	case len(reply) == 1 && reply[0] == 0:
		return 0, errHostSilent
	case len(reply) != 5 || reply[0] != 1:
		return 0, errors.New("its answer makes no sense: update it")
	}
	return time.Duration(binary.BigEndian.Uint32(reply[1:])) * time.Microsecond, nil
}

// serveDiagnose answers protocolDiagnose.
func (n *network) serveDiagnose(ctx context.Context, req []byte) ([]byte, error) {
	if len(req) != 5 || req[0] != diagnoseHost {
		return nil, errDiagnose
	}
	select {
	case n.checking <- struct{}{}:
		defer func() { <-n.checking }()
	default:
		return nil, errors.New("too many ask at once: try again")
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	begun := time.Now()
	addr := netip.AddrFrom4([4]byte(req[1:]))
	ok := n.isOwn(addr)
	if !ok {
		if at, status := n.registry.Lookup(addr); status != registry.Known || !at.Local {
			return nil, errNotServed // and nobody's LAN is searched for others
		}
		var err error
		if ok, err = n.present(ctx, addr); err != nil {
			return nil, err
		}
	}
	if !ok {
		return []byte{0}, nil
	}
	return binary.BigEndian.AppendUint32([]byte{1}, uint32(time.Since(begun).Microseconds())), nil
}

// pingLAN asks a host of this LAN.
func (n *network) pingLAN(ctx context.Context, at target) api.PingPacket {
	begun := time.Now()
	p := api.PingPacket{Path: api.PathKindLAN, Native: true}
	ok, err := n.present(ctx, at.addr)
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
