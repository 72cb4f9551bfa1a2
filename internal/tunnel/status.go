package tunnel

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

// A State says how far a peer's session is.
type State string

// The states.
const (
	StateIdle       State = "idle"       // no session, and none wanted
	StateConnecting State = "connecting" // one is being made, or looks for a path
	StateConnected  State = "connected"
)

// Traffic counts IP packets and their bytes.
type Traffic struct{ Packets, Bytes uint64 }

// PeerStatus is what there is to know of a peer.
type PeerStatus struct {
	Member group.MemberID
	State  State
	Path   PathKind
	Addr   netip.AddrPort // lan and direct: where datagrams go; relay: where the relay is
	Via    group.MemberID // relay
	RTT    time.Duration  // of the path, smoothed; zero if not measured yet
	Narrow bool           // only small datagrams pass

	Since        time.Time // that the path has been in use, or the state has lasted; zero if never
	LastReceived time.Time // last authentic datagram; zero if never
	Cipher       Cipher
	Sent         Traffic
	Received     Traffic
	Waiting      int    // packets that wait for a session
	Rekeys       uint64 // keys renewed
	Why          string // what stands in the way of a better state or path; empty if nothing
}

// Peers lists the members that the tunnel has to do with, in the order of their IDs.
func (t *Tunnel) Peers() []PeerStatus {
	var list []PeerStatus
	for _, p := range t.peers.Load().byID {
		list = append(list, p.status())
	}
	sorting.By(list, func(a, b PeerStatus) int { return slices.Compare(a.Member[:], b.Member[:]) })
	return list
}

// Via returns the member that relays what is sent to another, zero where nobody does.
func (t *Tunnel) Via(id group.MemberID) (relay group.MemberID) {
	p := t.peers.Load().byID[id]
	if p == nil {
		return relay
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if c := p.paths.find(p.paths.chosen); p.route.Load() != nil && c != nil {
		relay = c.id.via
	}
	return relay
}

// Counters lists what the tunnel has counted. Socket.Counters has what could not be told to
// belong to a tunnel.
func (t *Tunnel) Counters() map[string]uint64 { return t.counts.list(firstOfTunnel, numCounters) }

func (p *peer) status() PeerStatus {
	p.mu.Lock()
	defer p.mu.Unlock()
	m := p.moment()
	s := PeerStatus{
		Member: p.id, State: StateIdle, Waiting: len(p.queue), Rekeys: p.rekeys,
		Sent:         Traffic{p.tx.packets.Load(), p.tx.bytes.Load()},
		Received:     Traffic{p.rx.packets.Load(), p.rx.bytes.Load()},
		LastReceived: p.tunnel.wall(max(p.lastHeard, m.heard)),
		Why:          p.life.why,
	}
	if p.current != nil {
		s.Cipher = p.current.cipher
	}
	c := p.paths.find(p.paths.chosen)
	switch {
	case p.route.Load() != nil && c != nil:
		s.State, s.Path, s.Addr, s.Via = StateConnected, p.paths.kind, c.id.addr, c.id.via
		s.RTT, s.Narrow = c.rtt, c.width == widthNarrow
		s.Since = p.tunnel.wall(p.paths.since)
		s.Why = p.paths.whyNotBetter(m.now)
		if fits := p.tunnel.fits(c.id); s.Why == "" && fits != 0 {
			s.Why = fmt.Sprintf("full-size datagrams are fragmented on their way: the path takes less; an MTU of %d for the group would fit", fits)
		}
		s.Addr = p.farEnd(s.Addr)
		if relay := p.tunnel.peers.Load().byID[c.id.via]; relay != nil {
			if r := relay.route.Load(); r != nil {
				s.Addr = r.far
			}
		}
	case p.life.up || p.life.calling || p.life.needed(m.now):
		s.State, s.Since = StateConnecting, p.tunnel.wall(p.life.lost)
		if p.life.up && s.Why == "" {
			s.Why = p.paths.whyNotBetter(m.now)
		}
	default:
		s.Since = p.tunnel.wall(p.ended)
	}
	return s
}

// wall turns a time of the machines into one for people.
func (t *Tunnel) wall(at time.Duration) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.Now().Add(at - t.now())
}

// whyNotBetter says in words why there is no direct path of full width.
func (s *pathState) whyNotBetter(now time.Duration) string {
	chosen := s.find(s.chosen)
	if chosen != nil && chosen.rank() < lesserRank {
		return ""
	}
	direct, narrow, trying := 0, 0, 0
	for i := range s.n {
		c := &s.paths[i]
		switch {
		case c.id.relayed(), c.kind == PathTCP:
			continue
		case c.width == widthNarrow:
			narrow++
		case c.next != never:
			trying++
		}
		direct++
	}
	again := "tried again with the next packets"
	if s.retryAt > now {
		again = fmt.Sprintf("next try in %v", (s.retryAt - now).Round(time.Second))
	}
	switch {
	case direct == 0:
		return "the member offers no address that we may try"
	case narrow > 0:
		return fmt.Sprintf("full-size datagrams are lost on the direct path: a link on the way has a smaller MTU and doesn't tell; a smaller MTU for the group would help; %s", again)
	case trying > 0:
		return fmt.Sprintf("trying %d of the member's %d addresses", trying, direct)
	}
	if direct == 1 {
		return "the member's one address didn't answer; " + again
	}
	return fmt.Sprintf("none of the member's %d addresses answered; %s", direct, again)
}
