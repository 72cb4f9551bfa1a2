package beacon

import (
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

const (
	// urgentGap is the least time between two beacons to all, however urgent.
	urgentGap = 50 * time.Millisecond
	// loopPause is the interval while the segment has a loop, where each broadcast adds to
	// the storm.
	loopPause = time.Second
	// loopMemory is how long after the last own beacon that came back the loop counts as there.
	loopMemory = 3 * time.Second
	// issuedNonces are remembered: more than are sent while a proof lasts.
	issuedNonces = 128
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

	sequence     uint64
	issued       [issuedNonces]issue
	next         int       // in issued
	broadcast    time.Time // when a beacon was sent to all last
	toRouters    time.Time // and to the routers alone
	urgent       bool
	loopSeen     time.Time
	router       bool // what we said last
	appointments []appointment

	peers                                 map[group.MemberID]*peer
	doubts                                map[group.MemberID]time.Time // when a frame in its name was dropped, or forged
	total, strangers, expected, appointed budget
}

// issue is a nonce of ours and when it left. The zero time marks an empty place.
type issue struct {
	nonce nonce
	at    time.Time
	alone bool // nobody was told but other routers
}

// appointment is a nonce that a member has told us in private, to be answered to it alone.
type appointment struct {
	mac   frame.MAC
	nonce nonce
}

// peer is a member whose signed beacon was heard of late.
type peer struct {
	met, heard  time.Time // first and last
	sequence    uint64
	open, alone heard // what it has said to all, and to us alone
	mac         frame.MAC
	says        Says
	proof       time.Time // when the nonce left that it has answered last; zero: none
	since       time.Time // when the row of proofs without a gap began
	budget      budget
}

// heard is a nonce of another and when it came.
type heard struct {
	nonce nonce
	at    time.Time
}

// speech is a beacon to be sent.
type speech struct {
	toAll   bool
	routers bool      // to each router
	to      frame.MAC // to one station, else
	first   []nonce   // answered before all others
}

func newMachine(g group.ID, self group.MemberID, mac frame.MAC, now time.Time) machine {
	return machine{
		group: g, self: self, mac: mac, peers: make(map[group.MemberID]*peer), doubts: make(map[group.MemberID]time.Time),
		total: newBudget(totalRate, now), strangers: newBudget(strangersRate, now),
		expected: newBudget(expectedRate, now), appointed: newBudget(appointedRate, now),
	}
}

// admit says whether a frame is worth a signature check. member says whether a node is one
// of the group.
func (m *machine) admit(msg message, member func(group.MemberID) bool, now time.Time) verdict {
	switch {
	case msg.group != m.group:
		return foreign
	case msg.member == m.self:
		m.doubt(m.self, now)
		if at, ours := m.issuedAt(msg.nonce); !ours || msg.mac != m.mac || now.Sub(at) >= loopMemory {
			return stale // a recording
		}
		m.loopSeen = now
		return looped
	case !member(msg.member):
		return foreign
	}
	from := &m.strangers
	if p := m.peers[msg.member]; p != nil {
		if msg.sequence <= p.sequence {
			return stale
		}
		if msg.mac == p.mac { // else it is as good as new
			from = &p.budget
		}
	}
	if from.spend(now) && m.total.spend(now) || m.expects(msg, now) && m.expected.spend(now) {
		return verify
	}
	m.doubt(msg.member, now)
	return limited
}

// accept takes a beacon whose signature is good.
func (m *machine) accept(msg message, now time.Time) {
	p := m.peers[msg.member]
	if p == nil {
		if len(m.peers) >= MaxNeighbors {
			return
		}
		p = &peer{met: now, budget: newBudget(memberRate, now)}
		m.peers[msg.member] = p
		m.urgent = true // it waits for our answer
	}
	if msg.sequence <= p.sequence {
		return
	}
	if m.silent(p, now) { // as where somebody takes what is sent to it or us alone
		m.doubt(msg.member, now)
	}
	p.heard, p.sequence, p.mac, p.says = now, msg.sequence, msg.mac, msg.says
	if msg.alone {
		p.alone = heard{msg.nonce, now}
	} else {
		p.open = heard{msg.nonce, now}
	}
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

// due says whether a beacon is to be sent now, and to whom.
func (m *machine) due(now time.Time) (s speech, send bool) {
	if len(m.appointments) > 0 {
		a := m.appointments[0]
		m.appointments = m.appointments[1:]
		return speech{to: a.mac, first: []nonce{a.nonce}}, true
	}
	pause := Interval
	if m.looped(now) {
		pause = loopPause // beacons to one router feed no storm, and go on: anybody can play ours back
	} else if m.urgent {
		pause = urgentGap
	}
	if m.broadcast.IsZero() || now.Sub(m.broadcast) >= pause {
		return speech{toAll: true}, true
	}
	return speech{routers: true}, m.meetsRouters(now) && now.Sub(m.toRouters) >= RouterInterval
}

// compose returns the next beacon, without signature; n is a fresh nonce.
func (m *machine) compose(s speech, says Says, n nonce, clock uint64, now time.Time) message {
	m.sequence = max(m.sequence+1, clock)
	m.issue(n, !s.toAll, now)
	m.router = says.Router
	switch {
	case s.toAll:
		m.broadcast, m.urgent = now, false
	case s.routers:
		m.toRouters = now
	}
	msg := message{says: says, group: m.group, member: m.self, mac: m.mac, sequence: m.sequence, nonce: n}
	for _, n := range s.first {
		msg.answers = append(msg.answers, n[:]...)
	}
	for _, routers := range [...]bool{true, false} { // who looks for what it alone was told looks at the first ones
		for _, p := range m.peers {
			if n := p.answer(s.toAll); p.says.Router == routers && now.Sub(n.at) < ProofLife && len(msg.answers) < MaxNeighbors*nonceLen {
				msg.answers = append(msg.answers, n.nonce[:]...)
			}
		}
	}
	return msg
}

// answer returns the nonce that is answered. What a router has said to us alone is never repeated to
// all: who knows it could have its frames verified in our name.
func (p *peer) answer(toAll bool) heard {
	if !toAll && p.open.at.Sub(p.alone.at) < SilentAfter {
		return p.alone
	}
	return p.open
}

// issue notes a nonce that leaves now.
func (m *machine) issue(n nonce, alone bool, now time.Time) {
	m.issued[m.next] = issue{n, now, alone}
	m.next = (m.next + 1) % len(m.issued)
}

// wait returns how long nothing happens by itself.
func (m *machine) wait(now time.Time) time.Duration {
	if m.broadcast.IsZero() || len(m.appointments) > 0 {
		return 0
	}
	at := m.broadcast.Add(Interval)
	switch {
	case m.looped(now):
		at = earlier(m.broadcast.Add(loopPause), m.loopSeen.Add(loopMemory))
	case m.urgent:
		at = m.broadcast.Add(urgentGap)
	}
	if m.meetsRouters(now) {
		at = earlier(at, m.toRouters.Add(RouterInterval))
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
	for id, at := range m.doubts {
		if now.Sub(at) >= doubtLife {
			delete(m.doubts, id)
		}
	}
}

// linkLost ends all proofs. Nonces that have left before prove nothing any more.
func (m *machine) linkLost() {
	clear(m.peers)
	m.issued = [issuedNonces]issue{}
	m.loopSeen, m.broadcast, m.toRouters = time.Time{}, time.Time{}, time.Time{}
	m.appointments = nil
}

// neighbors returns the members of whom there is a proof, in order.
func (m *machine) neighbors(now time.Time) []Neighbor {
	var all []Neighbor
	for id, p := range m.peers {
		if p.proven(now) {
			all = append(all, Neighbor{Member: id, MAC: p.mac, Says: p.says, Since: p.since, Silent: m.silent(p, now)})
		}
	}
	sorting.By(all, func(a, b Neighbor) int { return a.Member.Compare(b.Member) })
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
