package appliance

import (
	"context"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/health"
	"landbridge/internal/registry"
	"landbridge/internal/throughput"
)

// What the API's event stream tells. Leases are told by the registry as they change; the rest
// is looked at every other second, and what differs is told: nothing on the way of a frame
// knows of events.

// lookInterval is how often is looked, and how long a sample of traffic is.
const lookInterval = 2 * time.Second

// Events is what happens on this appliance.
func (n *node) Events() *console.Events { return n.events }

// tellLease publishes what became of a lease.
func (n *network) tellLease(h registry.Happening) {
	n.node.events.Publish(leaseEvent(h.Act), h.At, func() api.Event {
		e := api.Event{Group: n.id.String(), Lease: n.lease(h.Lease), By: h.By, Why: h.Why}
		if !h.To.IsZero() {
			e.To = h.To.String()
			if name := n.memberName(h.To); name != "" && e.Why == "" {
				e.Why = "to " + name
			}
		}
		return e
	})
}

func leaseEvent(a registry.Act) api.EventType {
	switch a {
	case registry.Granted:
		return api.EventTypeLeaseGranted
	case registry.Renewed:
		return api.EventTypeLeaseRenewed
	case registry.Released:
		return api.EventTypeLeaseReleased
	case registry.Expired:
		return api.EventTypeLeaseExpired
	case registry.MovedHere, registry.MovedAway:
		return api.EventTypeLeaseMoved
	case registry.Found:
		return api.EventTypeLeaseFound
	case registry.Declined:
		return api.EventTypeLeaseDeclined
	case registry.Lost:
		return api.EventTypeLeaseLost
	case registry.Reserved:
		return api.EventTypeLeaseReserved
	case registry.Unreserved:
		return api.EventTypeLeaseUnreserved
	case registry.Evicted:
		return api.EventTypeLeaseEvicted
	default:
		return api.EventTypeLeaseChanged
	}
}

// scene is what events are told of by looking, at one moment.
type scene struct {
	at      time.Time
	groups  map[string]groupScene
	peers   map[peerKey]api.Peer
	health  map[health.ID]health.Item
	mode    api.ModeSetup
	pending api.ModePending // zero where no switch waits
}

type peerKey struct{ group, member string }

// groupScene is a group as its descriptor has it.
type groupScene struct {
	version  uint64
	settings uint64            // their version
	members  map[string]string // the others' names, by member ID
}

// watchEvents looks until ctx ends; stop waits for that.
func (n *node) watchEvents(ctx context.Context) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		tick := time.NewTicker(lookInterval)
		defer tick.Stop()
		last := n.scene(ctx)
		var tidy tidier
		collector := eagerness{began: n.started}
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			now := n.scene(ctx)
			for _, e := range now.since(last) {
				n.events.Publish(e.Type, now.at, func() api.Event { return e })
			}
			t := now.traffic(last)
			n.throughput.Add(now.at, now.at.Sub(last.at), t.Total.TxBytes, t.Total.RxBytes)
			if n.events.Sampled() {
				n.events.Sample(now.at, t)
			}
			if tidy.due(now.at, t.Total.TxBytes+t.Total.RxBytes, now.at.Sub(last.at)) {
				n.rest()
			}
			collector.look(now.at, now.at.Sub(last.at))
			last = now
		}
	}()
	return func() { cancel(); <-done }
}

// Throughput tells how fast traffic was.
func (n *node) Throughput(context.Context) (api.Throughput, error) {
	seconds, minutes := n.throughput.Read()
	return api.Throughput{FiveMinutes: describeRates(seconds), Day: describeRates(minutes)}, nil
}

func describeRates(s throughput.Series) api.RateSeries {
	r := api.RateSeries{StepSeconds: int(s.Step / time.Second), Until: utc(s.Until), Sent: make([]int64, 0, len(s.Rates)), Received: make([]int64, 0, len(s.Rates))}
	for _, v := range s.Rates {
		r.Sent, r.Received = append(r.Sent, int64(v.Sent)), append(r.Received, int64(v.Received))
	}
	return r
}

// scene looks.
func (n *node) scene(ctx context.Context) scene {
	s := scene{at: time.Now(), groups: make(map[string]groupScene), peers: make(map[peerKey]api.Peer), health: n.health.All()}
	for _, nw := range n.running() {
		d := nw.membership.Descriptor()
		g := groupScene{version: d.Version, members: make(map[string]string)}
		if settings := nw.membership.Settings(); settings != nil {
			g.settings = settings.Version
		}
		for _, m := range d.Members {
			if m.In(d.Version) && m.ID != nw.membership.Self() {
				g.members[m.ID.String()] = m.Name
			}
		}
		s.groups[nw.id.String()] = g
	}
	peers, _ := n.Peers(ctx) // it never fails
	for _, p := range peers {
		s.peers[peerKey{p.Groups[0], p.MemberID}] = p
	}
	s.mode, s.pending = describeSetup(n.setup()), describePending(n.modes.Status())
	return s
}

// since tells what has happened since the scene before.
func (s scene) since(last scene) (all []api.Event) {
	for id, g := range s.groups {
		was, known := last.groups[id]
		switch {
		case !known:
			all = append(all, api.Event{Type: api.EventTypeGroupJoined, Group: id, DescriptorVersion: g.version})
		case g.version != was.version, g.settings != was.settings:
			all = append(all, api.Event{Type: api.EventTypeGroupChanged, Group: id, DescriptorVersion: g.version})
			all = append(all, g.since(was, id)...)
		}
	}
	for id := range last.groups {
		if _, still := s.groups[id]; !still {
			all = append(all, api.Event{Type: api.EventTypeGroupLeft, Group: id})
		}
	}
	all = append(all, s.peersSince(last)...)
	for t, item := range s.health {
		if was, known := last.health[t]; !known || was.Trouble != item.Trouble {
			all = append(all, api.Event{Type: api.EventTypeHealthRaised, Health: healthItem(item)})
		}
	}
	for t, item := range last.health {
		if _, still := s.health[t]; !still {
			all = append(all, api.Event{Type: api.EventTypeHealthCleared, Health: healthItem(item)})
		}
	}
	if s.mode != last.mode || s.pending.To != last.pending.To || s.pending.State != last.pending.State {
		all = append(all, api.Event{Type: api.EventTypeModeChanged, Mode: s.mode, Pending: s.pending})
	}
	return all
}

func (g groupScene) since(last groupScene, id string) (all []api.Event) {
	member := func(kind api.EventType, m, name string) {
		all = append(all, api.Event{Type: kind, Group: id, Peer: api.Peer{
			MemberID: m, Name: name, Groups: []string{id}, Session: api.SessionStateNone, Path: api.PathKindNone,
		}})
	}
	for m, name := range g.members {
		if _, known := last.members[m]; !known {
			member(api.EventTypeMemberJoined, m, name)
		}
	}
	for m, name := range last.members {
		if _, still := g.members[m]; !still {
			member(api.EventTypeMemberLeft, m, name)
		}
	}
	return all
}

func (s scene) peersSince(last scene) (all []api.Event) {
	for key, p := range s.peers {
		was := last.peers[key]
		switch {
		case p.Connected && !was.Connected:
			all = append(all, api.Event{Type: api.EventTypeMemberConnected, Group: key.group, Peer: p})
		case !p.Connected && was.Connected:
			all = append(all, api.Event{Type: api.EventTypeMemberAway, Group: key.group, Peer: p})
		}
		if was.MemberID == "" {
			was = api.Peer{Session: api.SessionStateNone, Path: api.PathKindNone}
		}
		if p.Session != was.Session || p.Path != was.Path || p.Address != was.Address || p.Via != was.Via || p.Native != was.Native {
			all = append(all, api.Event{Type: api.EventTypeMemberPath, Group: key.group, Peer: p, Why: p.Why})
		}
	}
	return all
}

// traffic counts what went through the tunnel since the scene before.
func (s scene) traffic(last scene) api.TrafficSample {
	sample := api.TrafficSample{Milliseconds: s.at.Sub(last.at).Milliseconds(), Peers: []api.PeerTraffic{}}
	for key, p := range s.peers {
		was := last.peers[key]
		c := api.TrafficCount{
			TxPackets: grown(p.TxPackets, was.TxPackets), TxBytes: grown(p.TxBytes, was.TxBytes),
			RxPackets: grown(p.RxPackets, was.RxPackets), RxBytes: grown(p.RxBytes, was.RxBytes),
		}
		if c == (api.TrafficCount{}) {
			continue
		}
		sample.Peers = append(sample.Peers, api.PeerTraffic{Group: key.group, MemberID: p.MemberID, Name: p.Name, Count: c})
		sample.Total.TxPackets += c.TxPackets
		sample.Total.TxBytes += c.TxBytes
		sample.Total.RxPackets += c.RxPackets
		sample.Total.RxBytes += c.RxBytes
	}
	return sample
}

// grown is by how much a count has grown, which may have begun anew.
func grown(now, was uint64) uint64 {
	if now < was {
		return now
	}
	return now - was
}
