package beacon

import (
	"context"
	"crypto/rand"
	"slices"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Receive takes a frame that came from the segment, of EtherType 0x88B5 or any other; the
// buffer is the caller's again on return. It looks at it and puts it aside for Run to
// verify; it doesn't wait, and allocates only while the first few come. Not called with the
// frames that Send was given, as a packet socket may show them.
func (b *Beacon) Receive(f []byte, now time.Time) {
	msg, err := parse(f)
	if err != nil {
		b.counts[malformed].Add(1)
		return
	}
	b.mu.Lock()
	v := b.m.admit(msg, b.isMember, now)
	var p *packet
	if v == verify {
		if p = b.takePacket(maxPackets - expectedPackets); p == nil && b.m.expects(msg, now) {
			p = b.takePacket(maxPackets)
		}
		if p == nil {
			v = limited
			b.m.doubt(msg.member, now)
		}
	}
	b.mu.Unlock()
	switch v {
	case verify:
		p.at, p.n = now, copy(p.buf[:], f)
		b.inbox <- p // it holds as many as there are packets
		return
	case looped:
		b.kick()
	}
	b.counts[[...]countKind{looped: loopedBack, foreign: foreigners, stale: outdated, limited: overBudget}[v]].Add(1)
}

// Run speaks, and verifies what was received, until ctx ends. It is called once.
func (b *Beacon) Run(ctx context.Context) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		case <-b.wake:
		case p := <-b.inbox:
			b.verify(p)
		}
		b.speak(time.Now())
		timer.Reset(b.publish())
	}
}

// Announce has a beacon sent now: what Config.Self says has changed.
func (b *Beacon) Announce() {
	b.mu.Lock()
	b.m.urgent = true
	b.mu.Unlock()
	b.kick()
}

// LinkLost ends all proofs at once: the segment's port has lost its link, or leads elsewhere now.
// When it returns, Neighbors is empty.
func (b *Beacon) LinkLost() {
	b.mu.Lock()
	b.m.linkLost()
	b.mu.Unlock()
	b.publish()
	b.kick()
}

// Neighbors returns the members that are proven to be on this segment, in order. The
// slice is shared: don't change it.
func (b *Beacon) Neighbors() []Neighbor { return b.view.Load().neighbors }

// Is reports whether a member is proven to be on this segment: lock-free, without allocating.
func (b *Beacon) Is(m group.MemberID) bool {
	_, ok := b.view.Load().members[m]
	return ok
}

// Looped reports whether the segment has a loop: a beacon of ours has come back within the
// last 3 s.
func (b *Beacon) Looped() bool { return b.view.Load().looped }

// Counts returns what became of frames so far.
func (b *Beacon) Counts() Counts {
	c := func(k countKind) uint64 { return b.counts[k].Load() }
	return Counts{
		Sent: c(sent), Unsent: c(unsent), Verified: c(verified), Malformed: c(malformed), Foreign: c(foreigners),
		Stale: c(outdated), Limited: c(overBudget), Forged: c(forged), Looped: c(loopedBack),
	}
}

type countKind uint8

const (
	sent countKind = iota
	unsent
	verified
	malformed
	foreigners
	outdated
	overBudget
	forged
	loopedBack
	countKinds
)

// verify looks at a frame's signature, and takes it if that is good.
func (b *Beacon) verify(p *packet) {
	msg, err := parse(p.buf[:p.n])
	if err == nil {
		err = b.membership.Verify(domain, msg.member, msg.signed, msg.signature)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if err != nil {
		b.counts[forged].Add(1)
		b.m.doubt(msg.member, time.Now())
	} else {
		b.counts[verified].Add(1)
		b.m.accept(msg, p.at)
	}
	b.idle = append(b.idle, p)
}

// speak sends a beacon if one is due.
func (b *Beacon) speak(now time.Time) {
	b.mu.Lock()
	b.m.forget(now)
	s, due := b.m.due(now)
	if !due {
		b.mu.Unlock()
		return
	}
	var n nonce
	rand.Read(n[:])
	b.mu.Unlock()
	says := b.self() // without the lock: it may ask us
	b.mu.Lock()
	msg := b.m.compose(s, says, n, uint64(now.UnixNano()), now)
	to := []frame.MAC{s.to}
	if s.routers {
		to = b.m.routers(now)
	}
	b.mu.Unlock()

	f := msg.appendUnsigned(make([]byte, 0, maxLen))
	f = append(f, b.membership.Sign(domain, f[frame.EthernetHeaderLen:])...)
	if s.toAll {
		b.write(f)
		return
	}
	for _, mac := range to {
		frame.Ethernet(f).SetDst(mac)
		b.write(f)
	}
}

func (b *Beacon) write(f []byte) {
	if err := b.send(f); err != nil {
		b.counts[unsent].Add(1)
		b.log.Debug("beacon not sent", "err", err)
		return
	}
	b.counts[sent].Add(1)
}

// publish shows readers what has changed, and returns how long nothing happens by itself.
func (b *Beacon) publish() time.Duration {
	b.mu.Lock()
	now := time.Now()
	next := &view{neighbors: b.m.neighbors(now), looped: b.m.looped(now)}
	wait := b.m.wait(now)
	former := b.view.Load()
	same := former.looped == next.looped && slices.Equal(former.neighbors, next.neighbors)
	if !same {
		next.members = make(map[group.MemberID]struct{}, len(next.neighbors))
		for _, n := range next.neighbors {
			next.members[n.Member] = struct{}{}
		}
		b.view.Store(next)
	}
	b.mu.Unlock()
	if !same {
		b.changed()
	}
	return wait
}

// kick has Run look again.
func (b *Beacon) kick() {
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// isMember is the roster's word, without the error that Check would make for each stranger.
func (b *Beacon) isMember(id group.MemberID) bool {
	d := b.membership.Descriptor()
	e, ok := d.Entry(id)
	return ok && e.In(d.Version)
}

// takePacket returns a packet to put a frame into, or nil if limit or more wait. Called with mu held.
func (b *Beacon) takePacket(limit int) *packet {
	if b.made-len(b.idle) >= limit {
		return nil
	}
	if n := len(b.idle); n > 0 {
		p := b.idle[n-1]
		b.idle = b.idle[:n-1]
		return p
	}
	b.made++
	return new(packet)
}
