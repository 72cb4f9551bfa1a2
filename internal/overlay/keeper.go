package overlay

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// link is how a peer is connected to us.
type link uint8

const (
	linkNone link = iota
	linkRelayed
	linkDirect
)

// A keeper decides when to dial whom. It wants a connection to each peer of a set,
// directly where that can be had, and at each direct one a relay reservation, so that
// others can reach us through it. It is pure: step takes what happened and the time,
// and returns what to do.
type keeper struct {
	peers  map[peer.ID]*kept
	jitter func() float64 // in [0, 1)
}

// kept is what the keeper knows of one peer.
type kept struct {
	wanted bool
	link   link

	dialling bool // an attempt to connect, or to get from a circuit to a direct connection
	again    bool // something new was heard of it meanwhile
	failures int
	next     time.Time // of the next attempt
	nudged   time.Time

	reserving   bool
	refusals    int
	reserveNext time.Time
}

// Events.
type (
	// wantEvent replaces the set of wanted peers.
	wantEvent struct{ peers []peer.ID }
	// linkEvent tells how a peer is connected now.
	linkEvent struct {
		peer peer.ID
		link link
	}
	// heardEvent tells that there is something new to try for a peer.
	heardEvent struct{ peer peer.ID }
	// dialledEvent ends an attempt. Where it succeeded a linkEvent has come before.
	dialledEvent struct{ peer peer.ID }
	// reservedEvent ends a reservation; it lasts until a time, zero for refused.
	reservedEvent struct {
		peer  peer.ID
		until time.Time
	}
	// tickEvent: the time that wake returned has come.
	tickEvent struct{}
)

// Actions. Each is answered by one dialledEvent or reservedEvent.
type (
	connectAction struct{ peer peer.ID } // by any way
	upgradeAction struct{ peer peer.ID } // connected by a circuit: try directly
	reserveAction struct{ peer peer.ID }
)

const (
	dialBackoff     = 250 * time.Millisecond
	maxDialBackoff  = 30 * time.Second
	upgradeBackoff  = 5 * time.Second
	reserveBackoff  = time.Second
	maxSlowBackoff  = 5 * time.Minute
	nudgeInterval   = 2 * time.Second
	maxReservations = 16
)

func newKeeper(jitter func() float64) *keeper {
	return &keeper{peers: make(map[peer.ID]*kept), jitter: jitter}
}

// step applies one event and returns what to do now.
func (k *keeper) step(event any, now time.Time) []any {
	switch e := event.(type) {
	case wantEvent:
		k.want(e.peers, now)
	case linkEvent:
		k.linked(e.peer, e.link, now)
	case heardEvent:
		if p := k.peers[e.peer]; p != nil {
			p.failures, p.next, p.again = 0, now, p.dialling
		}
	case dialledEvent:
		if p := k.peers[e.peer]; p != nil {
			k.dialled(p, now)
		}
	case reservedEvent:
		if p := k.peers[e.peer]; p != nil {
			k.reserved(p, e.until, now)
		}
	}
	return k.act(now)
}

func (k *keeper) want(peers []peer.ID, now time.Time) {
	for _, p := range k.peers {
		p.wanted = false
	}
	for _, id := range peers {
		p := k.get(id)
		if p.next.IsZero() {
			p.next = now
		}
		p.wanted = true
		if p.refusals > 0 { // it may have learnt of us when we learnt of it
			p.refusals, p.reserveNext = 0, now.Add(reserveBackoff)
		}
	}
	k.drop()
}

func (k *keeper) get(id peer.ID) *kept {
	p := k.peers[id]
	if p == nil {
		p = &kept{}
		k.peers[id] = p
	}
	return p
}

// drop forgets peers that are neither wanted nor connected nor being dialled.
func (k *keeper) drop() {
	for id, p := range k.peers {
		if !p.wanted && p.link == linkNone && !p.dialling && !p.reserving {
			delete(k.peers, id)
		}
	}
}

func (k *keeper) linked(id peer.ID, l link, now time.Time) {
	p := k.get(id)
	was := p.link
	p.link = l
	switch {
	case l == was:
		return
	case l == linkNone:
		p.failures, p.next = 0, now
	case l == linkRelayed:
		p.failures, p.next = 0, now.Add(k.spread(upgradeBackoff))
	case l == linkDirect:
		p.failures = 0
		p.refusals, p.reserveNext = 0, now
		k.nudge(now)
	}
	k.drop()
}

// nudge lets those that couldn't be reached be tried again soon: the peer that has
// just connected may know the way.
func (k *keeper) nudge(now time.Time) {
	for _, p := range k.peers {
		if p.wanted && p.link == linkNone && p.failures > 0 && now.Sub(p.nudged) >= nudgeInterval {
			p.nudged = now
			if soon := now.Add(dialBackoff); p.next.After(soon) {
				p.next = soon
			}
		}
	}
}

func (k *keeper) dialled(p *kept, now time.Time) {
	p.dialling = false
	if p.link == linkDirect {
		return
	}
	if p.again {
		p.again, p.next = false, now
		return
	}
	base, limit := dialBackoff, maxDialBackoff
	if p.link == linkRelayed {
		base, limit = upgradeBackoff, maxSlowBackoff
	}
	p.next = now.Add(k.spread(backoff(base, limit, p.failures)))
	p.failures++
	k.drop()
}

func (k *keeper) reserved(p *kept, until, now time.Time) {
	p.reserving = false
	if until.After(now) {
		p.refusals = 0
		p.reserveNext = now.Add(until.Sub(now) / 2)
		return
	}
	p.reserveNext = now.Add(k.spread(backoff(reserveBackoff, maxSlowBackoff, p.refusals)))
	p.refusals++
	k.drop()
}

// act starts what is due.
func (k *keeper) act(now time.Time) []any {
	var actions []any
	held := 0
	for _, p := range k.peers {
		if p.link == linkDirect && (p.reserving || p.reserveNext.After(now)) && p.refusals == 0 {
			held++
		}
	}
	for id, p := range k.peers {
		if !p.wanted {
			continue
		}
		if p.link != linkDirect && !p.dialling && !p.next.After(now) {
			p.dialling = true
			if p.link == linkRelayed {
				actions = append(actions, upgradeAction{id})
			} else {
				actions = append(actions, connectAction{id})
			}
		}
		if p.link == linkDirect && !p.reserving && !p.reserveNext.After(now) {
			if held >= maxReservations {
				p.reserveNext = now.Add(maxSlowBackoff) // a place may be free then
				continue
			}
			p.reserving = true
			held++
			actions = append(actions, reserveAction{id})
		}
	}
	return actions
}

// wake returns when step must be called next without an event; zero for never.
func (k *keeper) wake() time.Time {
	var first time.Time
	consider := func(t time.Time) {
		if first.IsZero() || t.Before(first) {
			first = t
		}
	}
	for _, p := range k.peers {
		if p.wanted && p.link != linkDirect && !p.dialling {
			consider(p.next)
		}
		if p.wanted && p.link == linkDirect && !p.reserving {
			consider(p.reserveNext)
		}
	}
	return first
}

func backoff(base, limit time.Duration, failures int) time.Duration {
	return min(limit, base<<min(failures, 16))
}

// spread varies d by a quarter, so that nodes that failed together don't come back
// together.
func (k *keeper) spread(d time.Duration) time.Duration {
	return d*3/4 + time.Duration(k.jitter()*float64(d)/2)
}
