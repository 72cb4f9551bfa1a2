package registry

import (
	"errors"

	"landbridge/internal/group"
)

// proposal drives one change of one register through one ballot: a pure machine.
// The caller sends prepare to every member of set, feeds the verdicts, sends the
// accept that onPromise asks for, feeds those verdicts, and reads the outcome. On
// retry it makes a new proposal with a ballot above highest.
type proposal struct {
	self  group.MemberID
	set   configuration
	op    op
	epoch uint64                     // renew and release: the epoch believed in
	edit  func(Grant) (Grant, error) // opAliases: the change; pure, and made anew in each ballot

	ballot  Ballot
	highest Ballot // highest ballot heard of

	promised map[group.MemberID]verdict
	accepts  *acceptRequest // set once phase 2 has begun
	acked    map[group.MemberID]bool
	refused  map[group.MemberID]bool // who will not help this ballot (either phase)
	held     bool                    // at least one refused because the holder's time has not lapsed
	pending  error                   // what the outcome will be once the value is confirmed
}

// progress is what a fed verdict leads to.
type progress uint8

const (
	proceed   progress = iota // keep feeding
	sendAll                   // phase 2: send accepts to all members of the set
	finished                  // outcome() is final
	impotent                  // this ballot cannot reach a quorum any more: retry or give up
	forbidden                 // inherit: too few replicas say that the holder's time has lapsed
)

func newProposal(self group.MemberID, set configuration, o op, epoch, counter uint64) *proposal {
	b := Ballot{Conf: set.first, Counter: counter, Member: self}
	return &proposal{
		self: self, set: set, op: o, epoch: epoch, ballot: b, highest: b,
		promised: make(map[group.MemberID]verdict), acked: make(map[group.MemberID]bool), refused: make(map[group.MemberID]bool),
	}
}

// onPromise feeds an answer to prepare.
func (p *proposal) onPromise(from group.MemberID, v verdict) progress {
	if p.accepts != nil || p.set.votesOf(from) == 0 {
		return proceed
	}
	if v.status != statusOK {
		return p.onRefusal(from, v)
	}
	p.promised[from] = v
	if p.votes(func(m group.MemberID) bool { _, ok := p.promised[m]; return ok }) < p.set.need {
		return proceed
	}
	return p.decide()
}

// decide is called once, at the quorum of promises.
func (p *proposal) decide() progress {
	var base verdict
	first, agreed := true, true
	for _, m := range p.set.members {
		v, ok := p.promised[m]
		if !ok {
			continue
		}
		agreed = agreed && (first || v.accepted == base.accepted)
		if first || base.accepted.less(v.accepted) {
			base = v
		}
		first = false
	}
	value, err := p.apply(base.value)
	if err == nil && p.op == opInherit && !base.value.free() && base.value.Holder != p.self && p.lapsed(base.value) < p.set.need {
		err = ErrHeld
	}
	p.pending = err
	if err != nil {
		value = base.value
	}
	p.accepts = &acceptRequest{ballot: p.ballot, baseBallot: base.accepted, base: base.value, value: value}
	// A quorum that has accepted one ballot of this very configuration has chosen
	// it: nothing to confirm. A ballot carried over from an older configuration
	// proves nothing, since some replicas may have carried over a higher one.
	if agreed && value == base.value && p.op != opRenew && base.accepted.Conf == p.set.first {
		return finished
	}
	return sendAll
}

// apply computes the change that is proposed.
func (p *proposal) apply(v Grant) (Grant, error) {
	if p.op == opAliases {
		return p.edit(v)
	}
	return p.op.apply(p.self, p.epoch, v)
}

// lapsed counts the votes of those by whose clock the time of value's holder is over.
func (p *proposal) lapsed(value Grant) int {
	return p.votes(func(m group.MemberID) bool { return p.promised[m].lapsed && p.promised[m].value == value })
}

// onAccepted feeds an answer to the accept.
func (p *proposal) onAccepted(from group.MemberID, v verdict) progress {
	if p.accepts == nil || p.set.votesOf(from) == 0 {
		return proceed
	}
	if v.status != statusOK {
		p.held = p.held || v.status == statusHeld
		return p.onRefusal(from, v)
	}
	p.acked[from] = true
	if p.votes(func(m group.MemberID) bool { return p.acked[m] }) >= p.set.need {
		return finished
	}
	return proceed
}

func (p *proposal) onRefusal(from group.MemberID, v verdict) progress {
	if v.status == statusNack {
		if p.highest.less(v.promised) {
			p.highest = v.promised
		}
		if v.promised == p.ballot { // the echo of our own message
			return proceed
		}
	}
	p.refused[from] = true
	return p.lost()
}

// onLost tells that no answer will come from a member in this phase.
func (p *proposal) onLost(from group.MemberID) progress {
	p.refused[from] = true
	return p.lost()
}

func (p *proposal) lost() progress {
	if p.votes(func(m group.MemberID) bool { return !p.refused[m] }) < p.set.need {
		if p.held {
			return forbidden
		}
		return impotent
	}
	return proceed
}

func (p *proposal) votes(in func(group.MemberID) bool) int {
	n := 0
	for i, m := range p.set.members {
		if in(m) {
			n += p.set.votes[i]
		}
	}
	return n
}

// outcome returns, after finished, the value that was chosen and what the change
// function said about it.
func (p *proposal) outcome() (Grant, error) { return p.accepts.value, p.pending }

// uncertain reports whether the change may have happened, or may yet happen,
// although the proposal did not finish.
func (p *proposal) uncertain() bool {
	return p.accepts != nil && p.accepts.value != p.accepts.base
}

// settled reports whether err is an answer about the register, as opposed to a
// failure to ask it.
func settled(err error) bool {
	refused := new(AliasError)
	return err == nil || errors.As(err, &refused) || errors.Is(err, ErrTaken) || errors.Is(err, ErrNotHolder) || errors.Is(err, ErrHeld)
}
