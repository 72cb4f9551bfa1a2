package registry

import (
	"time"

	"landbridge/internal/group"
)

// live is a member's day: it wants blocks, keeps them, leases in them.
func (n *simNode) live() {
	s := n.s
	defer s.after(s.jitter(1200*time.Millisecond), n.live)
	if !n.up || !n.roster().has(n.id) {
		return
	}
	if s.chance(0.1) { // gossip
		s.send(n, s.nodes[s.rng.IntN(len(s.nodes))], func() {})
	}
	now := n.instant()
	n.anchored = n.wallOffset
	for b, h := range n.disk.holds {
		if h.reanchor(now) {
			n.disk.holds[b] = h
		}
	}
	for b := range BlockID(simBlocks) {
		h, held := n.disk.holds[b]
		switch {
		case held && s.chance(0.15) && n.idle(b):
			n.release(b, h)
		case held && h.due(now, simHold):
			n.propose(b, opRenew, h.Epoch)
		case held:
			n.leaseOne(b, h)
		case s.chance(0.3):
			n.propose(b, opClaim, 0)
		case s.chance(0.3):
			n.propose(b, opInherit, 0)
		}
	}
	for a, l := range n.leases {
		if now.Mono >= l.until {
			delete(n.leases, a)
		}
	}
	if s.defect == noFsync && s.chance(0.5) || s.defect == leaseUnsynced && s.chance(0.3) {
		n.synced = n.disk.clone()
	}
}

// recover is a start from disk.
func (n *simNode) recover() {
	now := n.instant()
	for b, a := range n.disk.acceptors {
		n.disk.acceptors[b], _ = n.timers.recall(b, a, now)
		if n.s.defect == timersForgiven {
			n.timers.timers[b] = lapseTimer{grant: a.Value, since: now.Mono - time.Hour}
		}
	}
	for b, h := range n.disk.holds {
		h.rebase(now)
		n.disk.holds[b] = h
	}
	for a, row := range n.disk.leases {
		h, ok := n.disk.holds[a.block]
		if !ok || h.Epoch != row.Epoch {
			continue
		}
		l := &lease{leaseRow: row, until: now.Mono + row.Life}
		if row.Boot == now.Boot {
			l.until = row.Mono + row.Life
		}
		if now.Mono < l.until {
			n.leases[a] = l
		}
	}
}

func (n *simNode) idle(b BlockID) bool {
	for a := range n.leases {
		if a.block == b {
			return false
		}
	}
	return true
}

// leaseOne gives a random address to a random client, if it is free here.
func (n *simNode) leaseOne(b BlockID, h hold) {
	s := n.s
	now := n.instant()
	a := simAddr{b, s.rng.IntN(4)}
	who := s.rng.IntN(1000)
	if l := n.leases[a]; l != nil && now.Mono < l.until {
		who = int(l.Start) // its client renews
	} else if !n.valid(h) {
		return
	}
	if was, ok := s.leases[a]; ok && was.client != who && s.now < was.until {
		s.violated("address %v: leased to client %d by member %d at epoch %d, and to client %d by member %d at epoch %d",
			a, was.client, was.node, was.epoch, who, n.index, h.Epoch)
	}
	life := simLeaseT + simLeaseT/20
	row := leaseRow{State: leaseLive, Start: int64(who), Boot: now.Boot, Mono: now.Mono, Life: life, Epoch: h.Epoch}
	n.disk.leases[a] = row
	n.leases[a] = &lease{leaseRow: row, until: now.Mono + life}
	if !n.valid(h) { // a renewal while cut off: fenced holders stop, nothing is promised beyond
		return
	}
	s.leases[a] = simLease{client: who, node: n.index, epoch: h.Epoch, until: s.now + simLeaseT}
	s.leased++
}

// release stops using the block first.
func (n *simNode) release(b BlockID, h hold) {
	if n.s.defect != releaseTooLate {
		delete(n.disk.holds, b)
	}
	n.propose(b, opRelease, h.Epoch)
}

// propose runs one ballot.
func (n *simNode) propose(b BlockID, o op, epoch uint64) {
	s := n.s
	if n.proposing[b] {
		return
	}
	set := n.conf(b)
	if len(set.members) == 0 {
		return
	}
	n.counter++
	p := newProposal(n.id, set, o, epoch, n.counter)
	r := &simRound{n: n, b: b, p: p, life: n.life, version: n.disk.version, started: n.instant()}
	n.proposing[b] = true
	r.broadcast(kindPrepare)
	s.after(2*simPhase, func() {
		if n.life == r.life && !r.over {
			r.end()
		}
	})
}

// simRound is one ballot in progress.
type simRound struct {
	n       *simNode
	b       BlockID
	p       *proposal
	life    int
	version uint64
	started Instant
	over    bool
}

func (r *simRound) broadcast(k kind) {
	n, s := r.n, r.n.s
	for _, m := range r.p.set.members {
		to := s.node(m)
		q := request{Kind: k, Version: r.version, Block: r.b, Ballot: r.p.ballot}
		if a := r.p.accepts; a != nil {
			q.BaseBallot, q.Base, q.Value = a.baseBallot, a.base, a.value
		}
		s.send(n, to, func() {
			to.learn(r.version) // the sender sends its descriptor to those behind
			v := to.serve(n.id, q)
			s.send(to, n, func() { r.answered(k, to, v) })
		})
	}
}

func (r *simRound) answered(k kind, from *simNode, v verdict) {
	n := r.n
	if r.over || n.life != r.life {
		return
	}
	if v.status == statusStale {
		n.learn(from.disk.version)
		r.end()
		return
	}
	var state progress
	if k == kindPrepare {
		state = r.p.onPromise(from.id, v)
	} else {
		state = r.p.onAccepted(from.id, v)
	}
	switch state {
	case sendAll:
		r.broadcast(kindAccept)
	case finished:
		r.end()
		r.won()
	case impotent, forbidden:
		r.end()
	}
}

func (r *simRound) end() {
	r.over = true
	n := r.n
	n.proposing[r.b] = false
	n.counter = max(n.counter, r.p.highest.Counter)
}

// won takes the register's answer.
func (r *simRound) won() {
	n, s := r.n, r.n.s
	g, err := r.p.outcome()
	h, held := n.disk.holds[r.b]
	switch {
	case r.p.op == opRenew && err != nil:
		if held && h.Epoch == r.p.epoch {
			delete(n.disk.holds, r.b) // fenced
		}
	case err != nil || held && r.p.op != opRenew && r.p.op != opRelease:
	case r.p.op == opRelease:
		delete(n.disk.holds, r.b)
	case r.p.op == opRenew:
		if held && h.Epoch == g.Epoch {
			h.setRenewed(r.started)
			n.disk.holds[r.b] = h
			s.renewed++
		}
	default:
		for a := range n.leases {
			if a.block == r.b {
				delete(n.leases, a)
			}
		}
		h = hold{Block: r.b, Epoch: g.Epoch}
		h.setRenewed(r.started)
		n.disk.holds[r.b] = h
		s.granted++
		if r.p.op == opInherit && !r.p.accepts.base.free() && r.p.accepts.base.Holder != n.id {
			s.heirs++
		}
		s.note("member %d holds block %d at epoch %d", n.index, r.b, g.Epoch)
	}
	if h, ok := n.disk.holds[r.b]; ok {
		s.installed(n, r.b, Grant{Holder: n.id, Epoch: h.Epoch})
	}
	s.check(r.b)
}

// serve is the replica: seal, in charge, acceptor, disk, answer.
func (n *simNode) serve(from group.MemberID, q request) verdict {
	s := n.s
	if st := n.seal(q.Version); st != statusOK {
		return verdict{status: st}
	}
	r := s.rosters[q.Version]
	set := r.current(q.Block)
	if !set.has(n.id) || !r.has(from) {
		return verdict{status: statusRefused}
	}
	a := n.disk.acceptors[q.Block]
	if !a.inCharge(set.first, len(r.chain(q.Block)) == 1) {
		n.transfer(q.Block)
		return verdict{status: statusNotReady}
	}
	a.Conf = set.first
	now := n.instant()
	var v verdict
	var next acceptorState
	if q.Kind == kindPrepare {
		next, v = a.prepare(prepareRequest{q.Ballot})
		v.lapsed = n.lapsed(q.Block, v.value, now)
	} else {
		next, v = a.accept(from, acceptRequest{q.Ballot, q.BaseBallot, q.Base, q.Value}, n.lapsed(q.Block, q.Base, now))
		if v.status == statusOK {
			since := n.timers.observe(q.Block, from, v.value, now)
			if s.defect != renewalUndated || next.Value != a.Value {
				next = next.dated(now.Boot, since)
			}
		}
	}
	n.disk.acceptors[q.Block] = next
	return v
}

func (n *simNode) seal(version uint64) status {
	sealed, known := n.disk.sealed, n.disk.version
	if n.s.defect == noSeal {
		sealed, known = 0, min(known, version)
	}
	st := seal(sealed, known, version)
	if st == statusOK {
		n.disk.sealed = max(n.disk.sealed, version)
	}
	return st
}

func (n *simNode) lapsed(b BlockID, g Grant, now Instant) bool {
	if n.s.defect == inheritAtOnce {
		return true
	}
	t := &terms{holdTime: simHold, leaseTime: simLeaseT}
	return n.timers.lapsed(b, g, now, t)
}

// transfer begins to fetch a block's register from its former keepers.
func (n *simNode) transfer(b BlockID) {
	s := n.s
	if n.moving[b] {
		return
	}
	n.moving[b] = true
	chain := n.roster().chain(b)
	m := n.newTransfer(chain)
	version, life, over := n.disk.version, n.life, false
	end := func() { over = true; n.moving[b] = false }
	adopt := func() {
		end()
		if n.seal(version) != statusOK {
			return
		}
		a := n.disk.acceptors[b]
		if a.Conf >= m.target {
			return
		}
		now := n.instant()
		n.timers.restart(b, m.value, now)
		a = a.adopt(m.target, m.found, m.value).dated(now.Boot, now.Mono)
		if s.defect == adoptionUndated {
			a, _ = n.timers.recall(b, a.dated(now.Boot, 0), now)
		}
		n.disk.acceptors[b] = a
	}
	if m.done {
		adopt()
		return
	}
	asked := make(map[group.MemberID]bool)
	var ask func()
	ask = func() {
		for _, peer := range m.need() {
			if asked[peer] {
				continue
			}
			asked[peer] = true
			to := s.node(peer)
			s.send(n, to, func() {
				to.learn(version)
				if to.seal(version) != statusOK {
					s.send(to, n, func() { n.learn(to.disk.version) })
					return
				}
				a := to.disk.acceptors[b]
				reply := transferReply{Conf: a.Conf, Accepted: a.Accepted, Value: a.Value}
				s.send(to, n, func() {
					if over || n.life != life {
						return
					}
					if m.feed(to.id, reply) {
						adopt()
						return
					}
					ask()
				})
			})
		}
	}
	ask()
	s.after(simPhase, func() {
		if n.life == life && !over {
			end()
		}
	})
}

// newTransfer makes the machine, with the defect in it.
func (n *simNode) newTransfer(chain []configuration) *transfer {
	m := newTransfer(chain)
	m.chain = append([]configuration(nil), m.chain...)
	switch n.s.defect {
	case smallQuorum:
		for i := range m.chain {
			m.chain[i].need = max(1, m.chain[i].need-1)
		}
	case transferFromOne:
		for i := range m.chain {
			m.chain[i].need = 1
		}
	case noTransfer:
		m.done, m.found, m.value = true, Ballot{}, Grant{}
	}
	return m
}
