package tunnel

import (
	"fmt"
	"time"
)

// This file holds the life machine: when a session is asked for, when its keys are
// renewed, and when it ends. It is pure, like the path machine beside it.

const (
	wantFor      = 10 * time.Second // after the last packet that had no path
	firstBackoff = 200 * time.Millisecond
	quickBackoff = time.Second // a peer that comes back is found within this
	quickTries   = 30
	slowBackoff  = 5 * time.Second
	pathGrace    = 3 * time.Second // for a new session to find a path
	maxFruitless = 5 * time.Second // between offers that led to keys but to no path
	idleAfter    = 5 * time.Minute
	lostAfter    = 30 * time.Second // a lost session that nobody misses
	rekeyRetry   = time.Second
	rekeyTries   = 5
	rekeyPause   = 30 * time.Second
	redialAfter  = 500 * time.Millisecond
)

// lifeState is the life machine's state for one peer.
type lifeState struct {
	up        bool // keys stand
	alive     bool // and a path
	keep      bool // hold the session without packets
	calling   bool // an offer is under way
	initiator bool // of the keys in use

	wanted    time.Duration // last packet that had no path
	called    time.Duration // when the offer under way began
	tries     int           // offers that failed in a row
	fruitless int           // offers that led to no path in a row
	next      time.Duration // no offer before
	opened    time.Duration // when the session began; rekeys don't count
	installed time.Duration // when the keys came
	lost      time.Duration // since when there is no path
	rekeyNext time.Duration
	rekeys    int
	why       string // what went wrong last, for people
}

// Events of the life machine, beside tick.
type (
	// wanted is a packet without a path.
	wanted struct{}
	// keepOpen says whether the session is to be held without packets.
	keepOpen struct{ on bool }
	// offerDone is the end of a call; err nil includes "your offer stands, ours is dropped".
	offerDone struct{ err error }
	// installed are new keys in use.
	installed struct{ initiator bool }
	// pathAlive tells of the path machine's choice.
	pathAlive struct{ alive bool }
	// peerReachable is the overlay's word that the peer is there now.
	peerReachable struct{}
	// sessionOver ends the keys: the peer closed, or isn't authorized any more.
	sessionOver struct {
		why  string
		tell byte // reason to close with; zero tells nothing
		wait time.Duration
	}
)

// Actions of the life machine.
type (
	sendOffer   struct{ again bool } // again: give up the call under way
	sendRekey   struct{}
	dropSession struct {
		why  string
		tell byte
	}
)

// stepLife is the life machine. messages is how many datagrams the key in use has
// sealed.
func stepLife(s lifeState, event any, m moment, messages uint64) (lifeState, []any) {
	var acts []any
	switch e := event.(type) {
	case wanted:
		s.wanted = m.now
	case keepOpen:
		s.keep = e.on
	case offerDone:
		s.offerDone(e.err, m.now)
	case installed:
		if !s.up {
			s.opened = m.now
		}
		s.up, s.installed, s.initiator = true, m.now, e.initiator
		s.rekeyNext, s.rekeys = 0, 0
		if !s.alive {
			s.lost = m.now
			s.next = max(s.next, m.now+pathGrace)
		}
	case pathAlive:
		s.pathAlive(e.alive, m.now)
	case addressLearned:
		if s.up && !s.alive {
			s.next = min(s.next, max(m.now, s.installed+redialAfter))
		}
	case peerReachable:
		s.tries, s.fruitless = 0, 0
		s.next = min(s.next, m.now)
		if s.calling && !s.alive && m.now-s.called >= redialAfter {
			s.called = m.now
			acts = append(acts, sendOffer{again: true})
		}
	case sessionOver:
		acts = s.over(e, m.now, acts)
	}
	return s, s.due(m, messages, acts)
}

// over ends the keys. A session that ends as soon as it is made isn't asked for at
// once, or two members who disagree would do nothing else.
func (s *lifeState) over(e sessionOver, now time.Duration, acts []any) []any {
	if !s.up {
		s.next = max(s.next, now+e.wait)
		return acts
	}
	if now-s.opened < quickBackoff {
		e.wait = max(e.wait, quickBackoff)
	}
	s.why, s.next = e.why, now+e.wait
	return append(acts, s.drop(e.why, e.tell))
}

func (s *lifeState) offerDone(err error, now time.Duration) {
	s.calling = false
	if err != nil {
		s.why = err.Error()
		s.next = now + backoff(s.tries)
		s.tries++
		return
	}
	s.tries = 0
	if !s.alive {
		s.next = now + min(pathGrace<<min(s.fruitless, 8), maxFruitless)
		s.fruitless++
	}
}

func (s *lifeState) pathAlive(alive bool, now time.Duration) {
	if alive {
		s.fruitless, s.tries, s.why = 0, 0, ""
	} else if s.alive {
		s.lost = now
		s.next = now
	}
	s.alive = alive
}

func backoff(tries int) time.Duration {
	if tries >= quickTries {
		return slowBackoff
	}
	return min(firstBackoff<<min(tries, 8), quickBackoff)
}

// needed reports whether anybody wants the session.
func (s *lifeState) needed(now time.Duration) bool {
	return s.keep || s.wanted != 0 && now-s.wanted < wantFor
}

func (s *lifeState) drop(why string, tell byte) dropSession {
	s.up, s.alive = false, false
	s.rekeyNext, s.rekeys = 0, 0
	return dropSession{why: why, tell: tell}
}

// due does what time has made necessary.
func (s *lifeState) due(m moment, messages uint64, acts []any) []any {
	if s.up {
		acts = s.end(m, acts)
	}
	stale := s.up && m.now-s.installed >= rejectAfter && m.now-m.data < wantFor
	missing := s.needed(m.now) && (!s.up || !s.alive)
	if !s.calling && m.now >= s.next && (missing || stale) {
		s.calling, s.called = true, m.now
		acts = append(acts, sendOffer{})
	}
	if s.rekeyDue(m.now, messages) && m.now >= s.rekeyNext {
		s.rekeys++
		s.rekeyNext = m.now + rekeyRetry
		if s.rekeys%rekeyTries == 0 {
			s.rekeyNext = m.now + rekeyPause
		}
		acts = append(acts, sendRekey{})
	}
	return acts
}

func (s *lifeState) rekeyDue(now time.Duration, messages uint64) bool {
	return s.up && s.alive && (now >= s.rekeyAt() || messages >= rekeyAfterMessages)
}

func (s *lifeState) rekeyAt() time.Duration {
	if s.initiator {
		return s.installed + rekeyAfter
	}
	return s.installed + rekeyAfterPeer
}

// end drops a session that is idle, or lost and not missed.
func (s *lifeState) end(m moment, acts []any) []any {
	switch {
	case s.keep || m.now < s.endsAt(m):
		return acts
	case s.alive:
		return append(acts, s.drop(fmt.Sprintf("idle for %v", idleAfter), closeIdle))
	}
	return append(acts, s.drop("no path, and nothing to send", closeIdle))
}

// endsAt is when a session ends that isn't kept, if nothing happens until then.
func (s *lifeState) endsAt(m moment) time.Duration {
	if s.alive {
		return max(m.data, s.opened) + idleAfter
	}
	return max(max(s.lost, m.data, s.installed)+lostAfter, s.wanted+wantFor)
}

// deadline returns when the machine wants the next tick.
func (s *lifeState) deadline(m moment, messages uint64) time.Duration {
	at := never
	if s.needed(m.now) && !s.calling && (!s.up || !s.alive) {
		at = min(at, s.next)
	}
	if !s.up {
		return at
	}
	if s.alive {
		rekey := s.rekeyAt()
		if messages >= rekeyAfterMessages {
			rekey = m.now
		}
		at = min(at, max(rekey, s.rekeyNext))
	}
	if !s.keep {
		at = min(at, s.endsAt(m))
	}
	return at
}
