package overlay

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	circuit "github.com/libp2p/go-libp2p/p2p/protocol/circuitv2/client"
	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
)

// maxKept is the size up to which a group's members all keep connections to each
// other. In a larger one each keeps some (see chosen), and Kademlia finds the rest.
const maxKept = 16

// KeepsAll reports whether, in a group with so many other members, a connection is kept
// to each: there, who isn't connected can't be reached now.
func KeepsAll(others int) bool { return others <= maxKept }

// roster is the members of our groups, sorted by ID, without ourselves. A nil roster
// means that we don't know: everybody is treated alike.
type roster struct {
	sorted []peer.ID
	in     map[peer.ID]bool
}

// SetMembers tells the overlay who the members of this node's groups are. It keeps
// connections to them, relays for them only, and leaves few of the places for calls to
// others. Until the first call it keeps
// connections to those that Add has told of and those remembered, and relays for
// everybody.
func (o *Overlay) SetMembers(members []group.MemberID) {
	r := &roster{in: make(map[peer.ID]bool, len(members))}
	for _, m := range members {
		if m != o.self {
			p := m.Peer()
			r.in[p] = true
			r.sorted = append(r.sorted, p)
		}
	}
	slices.Sort(r.sorted)
	r.sorted = slices.Compact(r.sorted)
	was := o.members.Swap(r)
	if !KeepsAll(len(r.sorted)) && (was == nil || KeepsAll(len(was.sorted))) {
		select {
		case o.grown <- struct{}{}:
		default:
		}
	}
	o.rewant()
}

// stranger reports whether p is in none of our groups.
func (o *Overlay) stranger(p peer.ID) bool {
	r := o.members.Load()
	return r != nil && !r.in[p]
}

// rewant tells the keeper whom to keep connections to.
func (o *Overlay) rewant() {
	o.wanting.Lock()
	defer o.wanting.Unlock()
	want := o.memory.given()
	if r := o.members.Load(); r != nil {
		if !KeepsAll(len(r.sorted)) { // a connection of which one side lets go isn't kept
			want = slices.DeleteFunc(want, func(p peer.ID) bool { return r.in[p] })
		}
		picked, next := chosen(o.node.ID(), r.sorted)
		want, o.next = append(want, picked...), next
	} else {
		want = append(want, o.memory.recent(maxKept)...)
	}
	slices.Sort(want)
	want = slices.DeleteFunc(slices.Compact(want), func(p peer.ID) bool { return p == o.node.ID() })
	for _, p := range o.wanted {
		if _, still := slices.BinarySearch(want, p); !still {
			o.node.ConnManager().Unprotect(p, keptTag)
		}
	}
	for _, p := range want {
		o.node.ConnManager().Protect(p, keptTag)
	}
	o.wanted = want
	o.tell(wantEvent{want})
}

// keptTag marks, for libp2p's connection manager, the peers whose connections are kept.
const keptTag = "kept"

// chosen picks the members to keep connections to: all of a small group; of a large
// one, those 1, 2, 4, 8, … places before and after us in the sorted ring, so that the
// group stays in one piece and any member is a few steps away. Who is chosen chooses us:
// neither side ends what the other keeps. next are those of them after us: who passes
// something on to these only, as all do, brings it to all.
func chosen(self peer.ID, sorted []peer.ID) (picked, next []peer.ID) {
	n := len(sorted)
	if KeepsAll(n) {
		return slices.Clone(sorted), slices.Clone(sorted)
	}
	at, _ := slices.BinarySearch(sorted, self) // where we would stand
	for step := 1; step <= n/2+1; step *= 2 {
		after, before := sorted[(at+step-1)%n], sorted[(at+n-step)%n]
		picked, next = append(picked, after, before), append(next, after)
	}
	slices.Sort(picked)
	slices.Sort(next)
	return slices.Compact(picked), slices.Compact(next)
}

// inbox collects what the keeper's goroutine must look at. Those who fill it never
// wait: libp2p's notifications come under its locks.
type inbox struct {
	mu      sync.Mutex
	changed map[peer.ID]bool // whose connections have changed
	events  []any
	signal  chan struct{} // of capacity 1
}

func (b *inbox) wake() {
	select {
	case b.signal <- struct{}{}:
	default:
	}
}

func (b *inbox) take() (changed map[peer.ID]bool, events []any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	changed, events = b.changed, b.events
	b.changed, b.events = make(map[peer.ID]bool), nil
	return changed, events
}

// tell queues an event for the keeper.
func (o *Overlay) tell(event any) {
	o.inbox.mu.Lock()
	o.inbox.events = append(o.inbox.events, event)
	o.inbox.mu.Unlock()
	o.inbox.wake()
}

// changed queues a look at p's connections.
func (o *Overlay) changed(p peer.ID) {
	o.inbox.mu.Lock()
	o.inbox.changed[p] = true
	o.inbox.mu.Unlock()
	o.inbox.wake()
}

// linkTo tells how p is connected.
func (o *Overlay) linkTo(p peer.ID) link {
	switch c := o.bestConn(p); {
	case c == nil:
		return linkNone
	case isCircuit(c.RemoteMultiaddr()):
		return linkRelayed
	default:
		return linkDirect
	}
}

// keep runs the keeper: it feeds it with events and the time, carries out what it
// decides, and tells subscribers who has come and gone.
func (o *Overlay) keep(k *keeper) {
	links := make(map[peer.ID]link)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-o.inbox.signal:
		case <-timer.C:
		case <-o.ctx.Done():
			return
		}
		changed, events := o.inbox.take()
		now := time.Now()
		for p := range changed {
			o.relink(k, links, p, now)
		}
		for _, e := range append(events, tickEvent{}) {
			if d, ok := e.(dialledEvent); ok {
				o.relink(k, links, d.peer, now)
			}
			o.carryOut(k.step(e, now))
		}
		timer.Reset(time.Hour)
		if at := k.wake(); !at.IsZero() {
			timer.Reset(max(time.Millisecond, time.Until(at)))
		}
	}
}

// relink notes how p is connected now, where that is news.
func (o *Overlay) relink(k *keeper, links map[peer.ID]link, p peer.ID, now time.Time) {
	was, is := links[p], o.linkTo(p)
	if was == is {
		return
	}
	if is == linkNone {
		delete(links, p)
	} else {
		links[p] = is
	}
	if is != linkDirect {
		o.own.forget(p)
		o.relaying.drop(p)
	}
	if was == linkNone {
		o.published.peerCame()
	}
	o.carryOut(k.step(linkEvent{p, is}, now))
	if member, err := group.MemberOfPeer(p); err == nil && (was == linkNone) != (is == linkNone) {
		o.log.Debug("member connection", "member", member.Short(), "connected", is != linkNone, "relayed", is == linkRelayed)
		o.subscribers.publish(member, is != linkNone)
	}
}

// carryOut starts the keeper's actions.
func (o *Overlay) carryOut(actions []any) {
	for _, a := range actions {
		if !o.enter() {
			return
		}
		go func() {
			defer o.running.Done()
			switch a := a.(type) {
			case connectAction:
				o.connectKept(a.peer)
				o.tell(dialledEvent(a))
			case upgradeAction:
				o.upgrade(a.peer)
				o.tell(dialledEvent(a))
			case reserveAction:
				o.tell(reservedEvent{a.peer, o.reserve(a.peer)})
			}
		}()
	}
}

func (o *Overlay) connectKept(p peer.ID) {
	o.dialer.mu.Lock()
	r := o.reachLocked(p)
	o.dialer.mu.Unlock()
	<-r.done
}

// upgrade tries to get from a circuit to a direct connection.
func (o *Overlay) upgrade(p peer.ID) {
	ctx, cancel := context.WithTimeout(o.ctx, dialTimeout)
	defer cancel()
	o.memory.feed(p)
	_ = o.dialDirect(ctx, p)
}

// reserve asks a peer to relay for us, and returns until when it does; zero for not. A guest
// doesn't ask.
func (o *Overlay) reserve(p peer.ID) time.Time {
	if o.guest {
		return time.Now().Add(reservationTTL)
	}
	ctx, cancel := context.WithTimeout(o.ctx, dialTimeout)
	defer cancel()
	r, err := circuit.Reserve(ctx, o.node, peer.AddrInfo{ID: p})
	if err != nil {
		o.log.Debug("no relay reservation", "peer", p, "err", err)
		return time.Time{}
	}
	if c := o.bestConn(p); c != nil && c.Stat().Direction == network.DirOutbound {
		o.own.reserved(p, append([]ma.Multiaddr{c.RemoteMultiaddr()}, o.memory.addrs(p)...))
	}
	// Relays count in hours; a clock that is off must not make us ask without pause.
	return clampTime(r.Expiration, time.Now().Add(time.Minute), time.Now().Add(reservationTTL))
}

func clampTime(t, low, high time.Time) time.Time {
	if t.Before(low) {
		return low
	}
	if t.After(high) {
		return high
	}
	return t
}
