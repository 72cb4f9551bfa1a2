package registry

import (
	"errors"
	"time"

	"landbridge/internal/group"
)

// acceptorState is what a replica keeps of one register. It is durable before
// any answer that depends on it leaves the replica.
type acceptorState struct {
	Conf     uint64 `cbor:"1,keyasint"` // the configuration this replica is in charge under; 0: never
	Promised Ballot `cbor:"2,keyasint"`
	Accepted Ballot `cbor:"3,keyasint"`
	Value    Grant  `cbor:"4,keyasint"`
	// Boot and Since say, on this replica's monotonic clock, since when the holder has
	// been silent: see lapseTimer.
	Boot  string        `cbor:"5,keyasint,omitempty"`
	Since time.Duration `cbor:"6,keyasint,omitempty"`
}

// dated is the state with the time since when its holder has been silent.
func (s acceptorState) dated(boot string, since time.Duration) acceptorState {
	s.Boot, s.Since = boot, since
	return s
}

// prepareRequest asks for a promise (phase 1).
type prepareRequest struct{ ballot Ballot }

// seal decides, before anything else, whether a replica takes part in a message
// of this version. sealed is the highest version it has durably taken part in,
// known the version of its descriptor (known >= sealed). On statusOK the replica
// must make sealed = version durable together with the effects of the message.
func seal(sealed, known, version uint64) status {
	switch {
	case version > known:
		return statusBehind
	case version < sealed || version < known:
		return statusStale
	}
	return statusOK
}

// acceptRequest asks to accept (phase 2). base is what the proposer found in
// phase 1 with its ballot; value is base changed.
type acceptRequest struct {
	ballot, baseBallot Ballot
	base, value        Grant
}

// verdict is what a replica answers.
type verdict struct {
	status             status
	promised, accepted Ballot
	value              Grant
	lapsed             bool // the holder's time is over by this replica's clock
}

// status of an answer, on the wire too.
type status uint8

const (
	statusOK        status = iota
	statusNack             // promised to a higher ballot
	statusStale            // the request's version is older than ours; our descriptor comes with it
	statusBehind           // the request's version is newer than ours: send the descriptor
	statusNotReady         // not in charge yet: the older configuration's state must be fetched first
	statusRefused          // the change is not one that this member may make
	statusHeld             // inherit: the holder's time has not lapsed here
	statusUnknown          // nothing known about it
	statusStranger         // the sender's certificate is not known here: send it
	statusForgetful        // the sender, or the one who answers, runs from an older copy of its state
	statusPresent          // move: a host still answers for the address where it is served
	statusCount
)

// inCharge reports whether the state counts in configuration conf. Under the
// group's first configuration there is nothing to fetch: every register starts
// free.
func (s acceptorState) inCharge(conf uint64, first bool) bool {
	return s.Conf == conf || first && s.Conf == 0
}

// prepare is phase 1. The ballot must be strictly higher than the promise: a
// proposer that lost its memory can then never use one ballot twice, because the
// quorum that promised it before refuses it now.
func (s acceptorState) prepare(r prepareRequest) (acceptorState, verdict) {
	if !s.Promised.less(r.ballot) {
		return s, s.nack()
	}
	s.Promised = r.ballot
	return s, verdict{promised: s.Promised, accepted: s.Accepted, value: s.Value}
}

// accept is phase 2.
func (s acceptorState) accept(from group.MemberID, r acceptRequest, lapsed bool) (acceptorState, verdict) {
	if r.ballot.less(s.Promised) {
		return s, s.nack()
	}
	if r.ballot == s.Accepted { // a repeated message: one ballot carries one value
		if r.value != s.Value {
			return s, verdict{status: statusRefused}
		}
		return s, verdict{promised: s.Promised, accepted: s.Accepted, value: s.Value}
	}
	if r.ballot.Member != from || r.baseBallot == s.Accepted && r.base != s.Value {
		return s, verdict{status: statusRefused}
	}
	switch err := permitted(from, r.base, r.value, lapsed); {
	case err == nil:
	case errors.Is(err, ErrHeld):
		return s, verdict{status: statusHeld, promised: s.Promised, accepted: s.Accepted, value: s.Value}
	default:
		return s, verdict{status: statusRefused}
	}
	s.Promised, s.Accepted, s.Value = r.ballot, r.ballot, r.value
	return s, verdict{promised: s.Promised, accepted: s.Accepted, value: s.Value}
}

func (s acceptorState) nack() verdict {
	return verdict{status: statusNack, promised: s.Promised, accepted: s.Accepted, value: s.Value}
}

// adopt takes over what a quorum of the older configuration knew, and puts the
// replica in charge under conf. A replica already there keeps what it has.
func (s acceptorState) adopt(conf uint64, accepted Ballot, value Grant) acceptorState {
	if s.Conf >= conf {
		return s
	}
	return acceptorState{Conf: conf, Accepted: accepted, Promised: accepted, Value: value}
}
