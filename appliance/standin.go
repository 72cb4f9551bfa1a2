package appliance

import (
	"context"
	"slices"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
	"landbridge/internal/vouch"
)

func newStandins(n *network) *neighbourhood.Standins {
	return neighbourhood.NewStandins(neighbourhood.StandinsConfig{
		Membership: n.membership, Peers: confidants{n}, Here: routerHere{n}, Log: n.log,
		Run: func(work func(context.Context)) { n.background(func() { work(n.node.base) }) },
	})
}

// confidants are the other members, as routers and those who have to do with them speak.
type confidants struct{ network *network }

// Call sends a request of neighbourhood.Protocol.
func (c confidants) Call(ctx context.Context, m group.MemberID, req []byte) ([]byte, error) {
	return c.network.node.gate.call(ctx, c.network, m, neighbourhood.Protocol, req)
}

// Reached returns those who have sessions with us, and those whom the overlay reaches.
func (c confidants) Reached() (all []group.MemberID) {
	select {
	case <-c.network.ready:
	default:
		return nil
	}
	for m := range c.network.node.overlay.Links() {
		all = append(all, m)
	}
	if c.network.tunnel == nil {
		return all // in tests
	}
	for _, p := range c.network.tunnel.Peers() {
		if p.State != tunnel.StateIdle {
			all = append(all, p.Member)
		}
	}
	return all
}

// Via returns who relays what is sent to a member.
func (c confidants) Via(m group.MemberID) (via group.MemberID) {
	if c.network.tunnel == nil {
		return via // in tests
	}
	return c.network.tunnel.Via(m)
}

// routerHere is the router that this appliance is, while it is one.
type routerHere struct{ network *network }

func (r routerHere) neighbours() *neighbours {
	if a := r.network.attachment.Load(); a != nil {
		return a.neighbours
	}
	return nil
}

// Well reports whether both of its sides work.
func (r routerHere) Well() bool {
	s := r.neighbours()
	return s != nil && s.well()
}

// About returns its word that a member is its neighbour.
func (r routerHere) About(m group.MemberID, now time.Time) (st vouch.Statement, is bool) {
	s := r.neighbours()
	if s == nil || !s.beacon.Is(m) {
		return st, false
	}
	return s.statement(m, now), true
}

// Appear has it answer a nonce on the segment.
func (r routerHere) Appear(mac frame.MAC, n beacon.Nonce) {
	if s := r.neighbours(); s != nil {
		s.beacon.Answer(mac, n)
	}
}

// Blocks tells the blocks that are held here.
func (r routerHere) Blocks() []byte { return blocksTold(r.network.registry.Blocks()) }

// elsewhere is how a router finds out whether it reaches members at other sites.
type elsewhere struct{ *neighbours }

// Others returns the other members of the group.
func (e elsewhere) Others() []group.MemberID {
	return slices.DeleteFunc(slices.Clone(e.network.membership.Descriptor().Current()), func(m group.MemberID) bool { return m == e.self })
}

// Links returns the members to which there is a connection.
func (e elsewhere) Links() map[group.MemberID]overlay.Link { return e.network.node.overlay.Links() }

// Near reports whether a member's hosts are on this segment.
func (e elsewhere) Near(m group.MemberID) bool { return e.has(m) }

// Ask asks a member how it is.
func (e elsewhere) Ask(ctx context.Context, m group.MemberID) (there, back group.MemberID, err error) {
	reply, err := e.network.node.gate.call(ctx, e.network, m, neighbourhood.Protocol, []byte{neighbourhood.AskAlive})
	return e.network.tunnel.Via(m), neighbourhood.RelayTold(reply), err
}
