package beacon

import (
	"slices"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

const (
	// urgentGap is the least time between two beacons, however urgent.
	urgentGap = 50 * time.Millisecond
	// loopPause is the interval while the segment has a loop, where each broadcast adds to
	// the storm.
	loopPause = time.Second
	// loopMemory is how long after the last own beacon that came back the loop counts as there.
	loopMemory = 3 * time.Second
	// issuedNonces are remembered: more than are sent while a proof lasts.
	issuedNonces = 64
)

// verdict is what a frame is before its signature was looked at.
type verdict uint8

const (
	verify  verdict = iota // worth a signature check
	looped                 // our own beacon, come back
	foreign                // of another group, or not of a member
	stale                  // not newer than what its sender has said before, or ours of long ago
	limited                // a budget is used up
)

// machine decides. It knows no clock: times are given, and never go back.
type machine struct {
	group group.ID
	self  group.MemberID
	mac   frame.MAC

	sequence  uint64
	issued    [issuedNonces]issue
	next      int // in issued
	sent      time.Time
	broadcast time.Time
	urgent    bool
	loopSeen  time.Time
	router    bool // what we said last

	peers            map[group.MemberID]*peer
	total, strangers budget
}

// issue is a nonce of ours and when it left. The zero time marks an empty place.
type issue struct {
	nonce nonce
	at    time.Time
}

// peer is a member whose signed beacon was heard of late.
type peer struct {
	heard    time.Time
	sequence uint64
	nonce    nonce
	mac      frame.MAC
	says     Says
	proof    time.Time // when the nonce left that it has answered last; zero: none
	since    time.Time // when the row of proofs without a gap began
	budget   budget
}

func newMachine(g group.ID, self group.MemberID, mac frame.MAC, now time.Time) machine {
	return machine{
		group: g, self: self, mac: mac, peers: make(map[group.MemberID]*peer),
		total: newBudget(totalRate, now), strangers: newBudget(strangersRate, now),
	}
}

// admit says whether a frame is worth a signature check. member says whether a node is one
// of the group.
func (m *machine) admit(msg message, member func(group.MemberID) bool, now time.Time) verdict {
	switch {
	case msg.group != m.group:
		return foreign
	case msg.member == m.self:
		if at, ours := m.issuedAt(msg.nonce); !ours || msg.mac != m.mac || now.Sub(at) >= loopMemory {
			return stale // a recording
		}
		m.loopSeen = now
		return looped
	case !member(msg.member):
		return foreign
	}
	p := m.peers[msg.member]
	from := &m.strangers
	if p != nil {
		if msg.sequence <= p.sequence {
			return stale
		}
		from = &p.budget
	}
	if !from.spend(now) || !m.total.spend(now) {
		return limited
	}
	return verify
}

// accept takes a beacon whose signature is good.
func (m *machine) accept(msg message, now time.Time) {
	p := m.peers[msg.member]
	if p == nil {
		if len(m.peers) >= MaxNeighbors {
			return
		}
		p = &peer{budget: newBudget(memberRate, now)}
		m.peers[msg.member] = p
		m.urgent = true // it waits for our answer
	}
	if msg.sequence <= p.sequence {
		return
	}
	p.heard, p.sequence, p.nonce, p.mac, p.says = now, msg.sequence, msg.nonce, msg.mac, msg.says
	for a := msg.answers; len(a) >= nonceLen; a = a[nonceLen:] {
		at, ours := m.issuedAt(nonce(a[:nonceLen]))
		if !ours || !at.After(p.proof) || now.Sub(at) >= ProofLife {
			continue
		}
		if !p.proven(now) {
			p.since = now
		}
		p.proof = at
	}
}

// due says whether a beacon is to be sent now, and whether to all or to the routers alone.
func (m *machine) due(now time.Time) (send, toAll bool) {
	if m.sent.IsZero() {
		return true, true
	}
	pause := Interval
	if m.looped(now) {
		pause = loopPause // beacons to one router feed no storm, and go on: anybody can play ours back
	} else if m.urgent && now.Sub(m.sent) >= urgentGap {
		return true, true
	}
	toAll = now.Sub(m.broadcast) >= pause
	return toAll || m.meetsRouters(now) && now.Sub(m.sent) >= RouterInterval, toAll
}

// compose returns the next beacon, without signature; n is a fresh nonce.
func (m *machine) compose(says Says, n nonce, clock uint64, toAll bool, now time.Time) message {
	m.sequence = max(m.sequence+1, clock)
	m.issued[m.next] = issue{n, now}
	m.next = (m.next + 1) % len(m.issued)
	m.sent, m.router = now, says.Router
	if toAll {
		m.broadcast, m.urgent = now, false
	}
	msg := message{says: says, group: m.group, member: m.self, mac: m.mac, sequence: m.sequence, nonce: n}
	for _, p := range m.peers {
		if now.Sub(p.heard) < ProofLife {
			msg.answers = append(msg.answers, p.nonce[:]...)
		}
	}
	return msg
}

// wait returns how long nothing happens by itself.
func (m *machine) wait(now time.Time) time.Duration {
	if m.sent.IsZero() {
		return 0
	}
	at := m.broadcast.Add(Interval)
	switch {
	case m.looped(now):
		at = earlier(m.broadcast.Add(loopPause), m.loopSeen.Add(loopMemory))
	case m.urgent:
		at = m.sent.Add(urgentGap)
	}
	if m.meetsRouters(now) {
		at = earlier(at, m.sent.Add(RouterInterval))
	}
	for _, p := range m.peers {
		at = earlier(at, p.heard.Add(ProofLife))
		if p.proven(now) {
			at = earlier(at, p.proof.Add(ProofLife))
		}
		if m.router && p.says.Router && !m.silent(p, now) {
			at = earlier(at, p.heard.Add(SilentAfter))
		}
	}
	return max(0, at.Sub(now))
}

// forget drops members that haven't been heard for as long as a proof lasts.
func (m *machine) forget(now time.Time) {
	for id, p := range m.peers {
		if now.Sub(p.heard) >= ProofLife {
			delete(m.peers, id)
		}
	}
}

// linkLost ends all proofs. Nonces that have left before prove nothing any more.
func (m *machine) linkLost() {
	clear(m.peers)
	m.issued = [issuedNonces]issue{}
	m.loopSeen, m.sent = time.Time{}, time.Time{}
}

// neighbors returns the members of whom there is a proof, in order.
func (m *machine) neighbors(now time.Time) []Neighbor {
	var all []Neighbor
	for id, p := range m.peers {
		if p.proven(now) {
			all = append(all, Neighbor{Member: id, MAC: p.mac, Says: p.says, Since: p.since, Silent: m.silent(p, now)})
		}
	}
	slices.SortFunc(all, func(a, b Neighbor) int { return a.Member.Compare(b.Member) })
	return all
}

// looped reports whether an own beacon has come back of late.
func (m *machine) looped(now time.Time) bool {
	return !m.loopSeen.IsZero() && now.Sub(m.loopSeen) < loopMemory
}

// routers returns the MACs of the routers that are spoken to alone.
func (m *machine) routers(now time.Time) []frame.MAC {
	var all []frame.MAC
	for _, p := range m.peers {
		if p.says.Router && p.proven(now) {
			all = append(all, p.mac)
		}
	}
	return all
}

func (m *machine) meetsRouters(now time.Time) bool {
	if !m.router {
		return false
	}
	for _, p := range m.peers {
		if p.says.Router && p.proven(now) {
			return true
		}
	}
	return false
}

// silent reports whether p should have been heard by now: a router that we are a router to.
func (m *machine) silent(p *peer, now time.Time) bool {
	return m.router && p.says.Router && now.Sub(p.heard) >= SilentAfter
}

func (p *peer) proven(now time.Time) bool {
	return !p.proof.IsZero() && now.Sub(p.proof) < ProofLife
}

// issuedAt returns when a nonce of ours left.
func (m *machine) issuedAt(n nonce) (time.Time, bool) {
	for _, i := range m.issued {
		if i.nonce == n && !i.at.IsZero() {
			return i.at, true
		}
	}
	return time.Time{}, false
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
