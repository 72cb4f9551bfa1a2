package tunnel

import (
	"net/netip"
	"time"

	"landbridge/internal/group"
)

// Events of the path machine. The candidates in them have been filtered, and their
// kind judged, by the caller.
type (
	// tick lets time pass.
	tick struct{}
	// keysUp says that there are keys, and with fresh that the peer has forgotten
	// all of the past.
	keysUp struct{ fresh bool }
	// keysDown says that there are none.
	keysDown struct{}
	// candidatesFrom are the paths that the peer offers. It will probe at this time
	// too, so that the NATs on both sides open.
	candidatesFrom struct {
		endpoints []ratedEndpoint
		relays    []group.MemberID
	}
	// relaysLive are the members with which we have a direct session and which relay.
	relaysLive struct{ members []group.MemberID }
	// heardFrom is an authentic datagram that came by another path than the chosen one.
	heardFrom struct {
		path pathID
		kind PathKind
	}
	// ponged is the answer to a probe.
	ponged struct {
		path pathID
		id   uint64
	}
	// refused is a relay's word that it can't reach the peer.
	refused struct{ via group.MemberID }
	// unreachable is our own kernel's word about an address.
	unreachable struct{ addr netip.AddrPort }
	// networkChanged says that our own addresses aren't what they were.
	networkChanged struct{}
	// linkUp is a stream to the peer that stands, and linkGone one that has ended.
	linkUp   struct{ addr netip.AddrPort }
	linkGone struct{ addr netip.AddrPort }
	// asked is the question whether the path is still one, as another peer's has fallen silent.
	asked struct{}
	// addressLearned says that another member has told us an address of ours.
	addressLearned struct{}
)

type ratedEndpoint struct {
	addr netip.AddrPort
	kind PathKind
}

// step is the path machine. It changes the state where it lies: there are 9 kB of it, and a hundred
// peers in use have a tick five times a second each.
func (s *pathState) step(event any, m moment) (acts []any) {
	switch e := event.(type) {
	case tick:
	case keysUp:
		s.keysUp(e.fresh, m.now)
	case keysDown:
		s.keysDown(m.now)
	case candidatesFrom:
		s.candidates(e, m.now)
	case relaysLive:
		s.relaysLive(e.members, m.now)
	case heardFrom:
		s.heardFrom(e, m.now)
	case ponged:
		s.ponged(e, m.now)
	case refused:
		if c := s.find(pathID{via: e.via}); c != nil {
			s.died(c, m.now)
		}
	case unreachable:
		s.unreachable(e.addr, m.now)
	case peerReachable:
		s.linkAt = min(s.linkAt, m.now+linkAfter) // it may be by TCP that it is
		acts = s.suspected(m, acts)
	case linkUp:
		if c := s.add(pathID{addr: e.addr}, PathTCP, m.now); c != nil {
			c.doubt(m.now)
		}
	case linkGone:
		s.remove(pathID{addr: e.addr})
	case keepOpen:
		s.keep = e.on
	case asked:
		if c := s.find(s.chosen); s.up && c != nil {
			acts = s.emit(c, false, m.now, acts)
		}
	case addressLearned:
		s.retryAt = min(s.retryAt, m.now)
	case networkChanged:
		acts = s.networkChanged(m.now, acts)
	}
	if s.up {
		acts = s.watch(m, acts)
		s.judge(m.now)
	}
	acts = s.settle(m, acts)
	if s.up {
		acts = s.probeDue(m.now, acts)
		acts = s.retry(m, acts)
		acts = s.askLink(m, acts)
	}
	return acts
}

func (s *pathState) keysUp(fresh bool, now time.Duration) {
	if fresh || !s.up {
		s.linkGap, s.linkAt = max(s.linkGap, retryMin), now+linkAfter
	}
	s.up = true
	s.retryGap, s.retryAt = retryMin, now+retryMin
	for i := range s.n {
		c := &s.paths[i]
		if fresh || !c.proven {
			c.doubt(now)
		}
		c.fell = c.fell && !fresh
	}
	if fresh {
		s.waitSince = 0
	}
}

// keysDown forgets all paths but streams, which stand.
func (s *pathState) keysDown(now time.Duration) {
	old := *s
	*s = pathState{random: old.random, relays: old.relays, keep: old.keep, retryGap: retryMin, kind: old.kind, chosen: old.chosen}
	for _, c := range old.paths[:old.n] {
		if c.kind == PathTCP {
			s.add(c.id, c.kind, now)
		}
	}
}

func (s *pathState) candidates(e candidatesFrom, now time.Duration) {
	s.forget(now)
	for _, o := range e.endpoints {
		if c := s.add(pathID{addr: o.addr}, o.kind, now); c != nil && !c.proven {
			c.doubt(now)
		}
	}
	for _, r := range e.relays {
		s.add(pathID{via: r}, PathRelay, now)
	}
	s.retryAt = now + s.retryGap
}

// forget drops candidates that neither worked nor were heard of lately.
func (s *pathState) forget(now time.Duration) {
	kept := 0
	for i := range s.n {
		c := s.paths[i]
		if c.proven || c.live || c.kind == PathTCP || c.id == s.chosen || c.heard != 0 && now-c.heard < time.Minute {
			s.paths[kept] = c
			kept++
		}
	}
	clear(s.paths[kept:s.n])
	s.n = kept
}

// relaysLive marks the relays in reach. One that the peer never offered isn't a
// path to it.
func (s *pathState) relaysLive(members []group.MemberID, now time.Duration) {
	clear(s.relays[:])
	copy(s.relays[:], members)
	for i := range s.n {
		c := &s.paths[i]
		if !c.id.relayed() {
			continue
		}
		live := s.reaches(c.id.via)
		if live && !c.live {
			c.doubt(now)
			c.fell = false
		}
		c.live = live
	}
}

func (s *pathState) heardFrom(e heardFrom, now time.Duration) {
	known := s.find(e.path) != nil
	c := s.add(e.path, e.kind, now)
	if c == nil {
		return
	}
	c.heard = now
	if e.path.relayed() {
		c.live, c.fell = true, false // the datagram came through our session with it
	} else if !known && e.kind != PathTCP {
		c.roamed = s.kind == PathLAN || s.kind == PathDirect // there was one to roam from
	}
	if !c.proven && c.next > now && now-c.lastProbe >= probeGaps[0] {
		c.tries = min(c.tries, uint8(len(probeGaps)/2))
		c.next = now
	}
}

func (s *pathState) ponged(e ponged, now time.Duration) {
	c := s.find(e.path)
	if c == nil {
		return
	}
	for i, p := range c.probes {
		if p.id != e.id || p.at == 0 {
			continue
		}
		c.probes[i] = probeRecord{}
		if c.asked != 0 && !p.full && c.heard <= c.asked {
			c.fulls = min(c.fulls, 1) // only from here on does it count that full-size ones don't pass
		}
		c.heard, c.fell = now, false
		if rtt := max(now-p.at, 1); c.rtt == 0 {
			c.rtt = rtt
		} else {
			c.rtt += (rtt - c.rtt) / 8
		}
		if p.full || c.kind == PathTCP { // a stream carries any size
			c.width, c.confirmed, c.asked, c.fulls = widthFull, now, 0, 0
		}
		if !c.proven {
			c.proven, c.fulls = true, 0
		}
		if c.width == widthUnknown && c.fulls == 0 {
			c.next = now
		}
		return
	}
}

func (s *pathState) unreachable(addr netip.AddrPort, now time.Duration) {
	c := s.find(pathID{addr: addr})
	if c == nil {
		return
	}
	if c.id == s.chosen {
		s.died(c, now)
	}
	c.proven, c.next = false, never
	c.tries = uint8(len(probeGaps))
}

func (s *pathState) networkChanged(now time.Duration, acts []any) []any {
	s.retryGap, s.retryAt = retryMin, now
	for i := range s.n {
		c := &s.paths[i]
		switch {
		case c.id == s.chosen && s.up:
			acts = s.emit(c, false, now, acts)
		case !c.id.relayed():
			c.doubt(now)
		}
	}
	return acts
}

// suspected looks at once whether a peer that has just come to the overlay still has
// our keys.
func (s *pathState) suspected(m moment, acts []any) []any {
	c := s.find(s.chosen)
	if !s.up || c == nil {
		return acts
	}
	s.suspect = true
	s.await(m.now)
	return s.emit(c, false, m.now, acts)
}

// died puts a path in doubt, and all other addresses with it: what silenced one
// mostly silenced them all. The relay, if there is one, takes over.
func (s *pathState) died(c *candidate, now time.Duration) {
	c.deaths = min(c.deaths+1, 5)
	if !c.fell { // else its trial is under way
		c.doubt(now)
	}
	if c.id.relayed() {
		c.fell = true
		if c.id != s.chosen {
			return
		}
	} else {
		c.hold = now + time.Second<<c.deaths
	}
	for i := range s.n {
		if o := &s.paths[i]; !o.id.relayed() || o.fell {
			o.doubt(now)
		}
	}
	s.waitSince, s.suspect = 0, false
	s.retryGap, s.retryAt = retryMin, now
	s.linkGap, s.linkAt = retryMin, now+linkAfter
}

// await notes that the chosen path owes us an answer from now on.
func (s *pathState) await(now time.Duration) {
	s.waitSince, s.waitProbes, s.relaysAsked = now, 0, false
}

// watch looks after the chosen path: it probes when something was sent and nothing
// came back, and gives the path up when that stays so. A probe every 15 s keeps
// NATs open and the round trip measured, and while there are packets one of full size
// tells whether a link on the way has become narrower (RFC 8899, section 4.3).
func (s *pathState) watch(m moment, acts []any) []any {
	c := s.find(s.chosen)
	if c == nil {
		return acts
	}
	heard, sent := max(c.heard, m.heard), max(c.lastProbe, m.sent)
	if s.waitSince != 0 && heard >= s.waitSince {
		s.waitSince, s.suspect = 0, false
	}
	if m.now-s.since > forgiveAfter {
		c.deaths = 0
	}
	if s.waitSince == 0 && sent > heard {
		s.await(m.now)
	}
	if s.waitSince != 0 && m.now-s.waitSince >= s.deadAfter(c, m.now) && s.waitProbes >= 2 {
		s.died(c, m.now)
		return acts
	}
	if c.width == widthFull && c.asked == 0 && m.now-c.confirmed >= confirmGap && m.flowed(activeFor) {
		c.asked, c.next = m.now, m.now
		return acts
	}
	stopped := heard > c.lastProbe && m.now-heard >= quietFor && m.flowed(activeFor)
	silent := s.waitSince != 0 && m.now-max(s.waitSince, c.lastProbe) >= probeWaiting
	if silent || stopped || m.now-c.lastProbe >= keepaliveGap {
		acts = s.emit(c, false, m.now, acts)
		if !s.relaysAsked && s.waitProbes >= askAfter && m.now-s.waitSince > c.rtt*3/2 {
			s.relaysAsked = true
			acts = append(acts, askRelays{})
		}
	}
	return acts
}

// judge finds the paths that have had their full-size probes and answered none. Of one that was wide
// a small probe must have been answered meanwhile: else it is no narrower, but gone.
func (s *pathState) judge(now time.Duration) {
	for i := range s.n {
		c := &s.paths[i]
		switch {
		case !c.proven || now < c.next:
		case c.width == widthUnknown && c.fulls >= fullTries, c.asked != 0 && c.fulls >= confirmTries && c.heard > c.asked:
			c.width, c.next, c.roamed, c.asked = widthNarrow, never, false, 0
		case c.asked != 0 && c.fulls >= confirmTries:
			c.asked, c.fulls, c.confirmed = 0, 0, now
		}
	}
}

// probeDue sends the probes of candidates on trial.
func (s *pathState) probeDue(now time.Duration, acts []any) []any {
	for i := range s.n {
		c := &s.paths[i]
		if c.next > now || c.id.relayed() && !c.live {
			if c.id.relayed() && !c.live {
				c.next = never
			}
			continue
		}
		switch {
		case !c.proven && int(c.tries) < len(probeGaps):
			gap := probeGaps[c.tries]
			c.tries++
			acts = s.emit(c, false, now, acts)
			c.next = now + gap
		case c.proven && c.width == widthUnknown && c.fulls < fullTries:
			c.fulls++
			acts = s.emit(c, true, now, acts)
			c.next = now + max(150*time.Millisecond, 2*c.rtt)
		case c.asked != 0 && c.fulls < confirmTries:
			if c.fulls > 0 && (c.id != s.chosen || s.waitSince == 0) { // else watch sends some
				acts = s.emit(c, false, now, acts)
			}
			c.fulls++
			acts = s.emit(c, true, now, acts)
			c.next = now + max(300*time.Millisecond, 2*c.rtt)
		case c.fell && s.kind == PathNone:
			acts = s.emit(c, false, now, acts)
			c.next = now + fallenGap
		default:
			c.next = never
		}
	}
	return acts
}

// retry looks for something better than a relay, or than a path that is too
// narrow, now and then, together with the peer.
func (s *pathState) retry(m moment, acts []any) []any {
	c := s.find(s.chosen)
	if c != nil && c.rank() < lesserRank || m.now < s.retryAt || !s.missed(m) {
		return acts
	}
	s.retryAt = m.now + s.retryGap
	s.retryGap = min(2*s.retryGap, retryMax)
	for i := range s.n {
		c := &s.paths[i]
		switch {
		case c.id.relayed() && !c.fell:
		case !c.proven && c.next == never:
			c.tries = uint8(len(probeGaps) / 2)
			c.next = m.now
		case c.width == widthNarrow:
			c.fulls = 0
			acts = s.emit(c, true, m.now, acts)
		}
	}
	acts = s.probeDue(m.now, acts)
	if c != nil {
		acts = append(acts, tellCandidates{})
	}
	return acts
}

// lacksLink reports whether a stream would be better than what there is: no path, or a relay that is to do for packets.
func (s *pathState) lacksLink(m moment) bool {
	for i := range s.n {
		if s.paths[i].kind == PathTCP {
			return false
		}
	}
	return s.up && (s.kind == PathNone || s.kind == PathRelay && s.missed(m))
}

// askLink asks for a stream, less and less often: mostly no TCP connection can be made where UDP doesn't pass.
func (s *pathState) askLink(m moment, acts []any) []any {
	if m.now < s.linkAt || !s.lacksLink(m) {
		return acts
	}
	s.linkAt = m.now + s.linkGap
	s.linkGap = min(2*s.linkGap, retryMax)
	return append(acts, openLink{})
}

// remove forgets a path.
func (s *pathState) remove(id pathID) {
	for i := range s.n {
		if s.paths[i].id == id {
			copy(s.paths[i:s.n], s.paths[i+1:s.n])
			s.n--
			s.paths[s.n] = candidate{}
			return
		}
	}
}

// emit records a probe and makes the action.
func (s *pathState) emit(c *candidate, full bool, now time.Duration, acts []any) []any {
	id := s.random.Uint64()
	c.probes[c.probe] = probeRecord{id: id, at: now, full: full}
	c.probe = (c.probe + 1) % uint8(len(c.probes))
	c.lastProbe = now
	if c.id == s.chosen {
		if s.waitSince == 0 {
			s.await(now)
		}
		s.waitProbes++
	}
	return append(acts, probePath{to: c.id, id: id, full: full})
}
