package doctor

import (
	"context"
	"net/netip"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
)

const (
	traceCount    = 3
	traceInterval = 100 * time.Millisecond
)

// station is whom a packet passes, or its end, and how a round trip to it is measured.
type station struct {
	kind          api.PathHopKind
	name, address string
	target        target
	ping          func(context.Context, target) api.PingPacket
}

// Trace measures round trips to all whom a packet from here to a target passes, one after the
// other, or to the one of them that the request names.
func (g *Group) Trace(ctx context.Context, req api.TraceRequest) (api.TraceResult, error) {
	ctx, cancel := context.WithTimeout(ctx, pingLongest)
	defer cancel()
	way, err := g.Path(ctx, req.Target)
	if err != nil {
		return api.TraceResult{}, err
	}
	if way.Verdict == api.PathVerdictTunnel && (way.Path == "" || way.Path == api.PathKindNone) {
		g.open(ctx, way, req) // the first packet has a session made, and only that has a way
		if way, err = g.Path(ctx, req.Target); err != nil {
			return api.TraceResult{}, err
		}
	}
	stations := g.stations(way)
	r := api.TraceResult{Group: way.Group, Target: way.Target, Address: way.Address, Verdict: way.Verdict, Total: len(stations), Why: way.Why, Help: way.Help}
	if len(stations) == 0 {
		r.Note, r.Reached = strings.Join(way.Steps, " "), way.Verdict == api.PathVerdictSelf || way.Verdict == api.PathVerdictService
	}
	for i, s := range stations {
		if req.Hop != 0 && req.Hop != i+1 {
			continue
		}
		hop := g.measure(ctx, s, req)
		hop.Number = i + 1
		r.Hops = append(r.Hops, hop)
		for _, p := range hop.Packets {
			r.Reached = r.Reached || p.Answered && hop.Number == len(stations)
		}
	}
	return r, nil
}

// open has a session with a member made, if it can be.
func (g *Group) open(ctx context.Context, way api.PathReport, req api.TraceRequest) {
	m, err := group.ParseMemberID(way.MemberID)
	if err != nil {
		return
	}
	repeat(ctx, api.PingRequest{Count: 1, TimeoutMilliseconds: req.TimeoutMilliseconds}, func(ctx context.Context, _ int) {
		_, _ = g.Members.Ping(ctx, m) // what became of it is measured again
	})
}

// measure sends a station as many packets as are wanted.
func (g *Group) measure(ctx context.Context, s station, req api.TraceRequest) api.TraceHop {
	hop := api.TraceHop{Kind: s.kind, Name: s.name, Address: s.address, Packets: []api.PingPacket{}}
	count := req.Count
	if count == 0 {
		count = traceCount
	}
	some := api.PingRequest{Count: count, IntervalMilliseconds: int(traceInterval / time.Millisecond), TimeoutMilliseconds: req.TimeoutMilliseconds}
	repeat(ctx, some, func(ctx context.Context, seq int) {
		p := s.ping(ctx, s.target)
		p.Seq = seq
		hop.Packets = append(hop.Packets, p)
	})
	return hop
}

// stations returns whom a packet passes after this appliance.
func (g *Group) stations(way api.PathReport) (all []station) {
	host := station{kind: api.PathHopKindHost, name: way.Name, address: addrText(way.Address), target: target{addr: way.Address}, ping: g.pingLAN}
	if host.name == "" {
		host.name = host.address
	}
	switch way.Verdict {
	case api.PathVerdictSegment, api.PathVerdictNative:
		return []station{host}
	case api.PathVerdictTunnel:
	default:
		return nil
	}
	member, err := group.ParseMemberID(way.MemberID)
	if err != nil {
		return nil
	}
	far := station{kind: api.PathHopKindMember, name: way.MemberName, address: addrPortText(way.Endpoint), target: target{member: member}, ping: g.pingMember}
	if relay, err := group.ParseMemberID(way.Via); err == nil {
		all = append(all, station{kind: api.PathHopKindRelay, name: way.ViaName, address: far.address, target: target{member: relay}, ping: g.pingMember})
		far.address = ""
	}
	all = append(all, far)
	if way.Address.IsValid() {
		host.target.member, host.ping = member, g.pingHost
		all = append(all, host)
	}
	return all
}

func addrText(a netip.Addr) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}
