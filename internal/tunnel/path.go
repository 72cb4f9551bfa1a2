package tunnel

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/group"
)

// This file holds the state of the path machine and its choice; pathstep.go the
// events. The machine is pure: it draws its probe numbers from a generator in its
// state, and times are durations since the tunnel was opened (zero is "never").

// A PathKind says how datagrams travel, best first.
type PathKind uint8

// The kinds of path.
const (
	PathNone   PathKind = iota
	PathLAN             // an address of the peer's own interface, on a network that we are on
	PathDirect          // from our socket to the peer's, through whatever NATs
	PathTCP             // in a stream of the overlay's, over TCP, where UDP doesn't pass
	PathRelay           // sealed, inside the sealed datagrams of a third member
)

func (k PathKind) String() string {
	switch k {
	case PathLAN:
		return "lan"
	case PathDirect:
		return "direct"
	case PathTCP:
		return "tcp"
	case PathRelay:
		return "relay"
	}
	return "none"
}

// Limits and timing of the path machine.
const (
	maxOffered = 16 // endpoints in an offer
	maxRelays  = 4  // relays in an offer
	maxPaths   = 24 // paths under consideration

	maxLiveRelays = 8 // relays that we keep in mind

	never = time.Duration(1<<63 - 1)

	tickActive   = 200 * time.Millisecond // between looks at a path in use
	activeFor    = 4 * time.Second        // after the last packet
	quietFor     = 2 * time.Second        // after the last datagram from a peer that had been sending
	probeWaiting = 150 * time.Millisecond // between probes on a silent path
	askAfter     = 2                      // probes on a silent path, until relays are asked
	deadMin      = 900 * time.Millisecond // of silence, if there is another path: what TCP sends again after 1.4 s goes by that
	deadAlone    = 3 * time.Second        // if there is none
	deadSuspect  = 700 * time.Millisecond // if there is word that the peer has begun anew
	deadMax      = 4 * time.Second
	keepaliveGap = 15 * time.Second // below the 30 s after which the meanest NATs forget
	fullTries    = 3                // full-size probes before a path counts as narrow
	confirmGap   = 10 * time.Second // between looks whether full-size datagrams still pass, while there are packets; a keepalive less
	confirmTries = 5                // full-size probes before a path that was wide counts as narrow: few of those that are lost are so by size
	dwell        = 5 * time.Second  // on a path before one of equal rank may replace it
	retryMin     = 5 * time.Second  // from relay to direct
	retryMax     = 5 * time.Minute
	retryActive  = 30 * time.Second       // no retries after that long without packets
	linkAfter    = 750 * time.Millisecond // with keys and without an address that answers, until a stream is asked for
	fallenGap    = 3 * time.Second        // between probes of a relay that fell silent, while there is no path
	forgiveAfter = time.Minute            // in use without falling silent
)

// probeGaps are the waits after each probe of a new candidate: quick at first, so
// that both ends' probes cross while their NATs have just opened, and few, so that
// a candidate that is somebody else's address isn't a nuisance.
var probeGaps = [...]time.Duration{
	50 * time.Millisecond, 100 * time.Millisecond, 200 * time.Millisecond, 400 * time.Millisecond,
	750 * time.Millisecond, 1500 * time.Millisecond, 1500 * time.Millisecond,
}

// A pathID names a path to a peer: an address, or a member that relays.
type pathID struct {
	addr netip.AddrPort
	via  group.MemberID
}

func (p pathID) relayed() bool { return !p.via.IsZero() }

// width is what is known of the size that passes.
type width uint8

const (
	widthUnknown width = iota
	widthFull
	widthNarrow // small probes pass and full-size ones don't: an MTU black hole
)

type probeRecord struct {
	id   uint64
	at   time.Duration
	full bool
}

// A candidate is one path under consideration.
type candidate struct {
	id        pathID
	kind      PathKind
	live      bool // relays only: we have a direct session with it
	fell      bool // relays only: it fell silent or refused, and nothing has come by it since
	proven    bool // it answered a probe since it was last in doubt
	roamed    bool // the peer spoke from there unannounced
	width     width
	tries     uint8         // small probes sent since it was last in doubt
	fulls     uint8         // full-size probes sent since the last that was answered
	deaths    uint8         // times that it fell silent in use
	next      time.Duration // when to probe next
	heard     time.Duration // last authentic datagram from there, as far as told
	lastProbe time.Duration
	confirmed time.Duration // last full-size probe that was answered
	asked     time.Duration // since when it is in question whether full-size probes still pass; zero if it isn't
	hold      time.Duration // not to be chosen before, if there is another
	rtt       time.Duration // smoothed
	probes    [8]probeRecord
	probe     uint8 // next in probes
}

// pathState is the path machine's state for one peer.
type pathState struct {
	up          bool // there are keys to probe with
	keep        bool // the session is held without packets, too: the peer is to relay
	paths       [maxPaths]candidate
	n           int
	chosen      pathID
	kind        PathKind
	narrow      bool          // chosen's width, as the last usePath had it
	since       time.Duration // that chosen has been in use
	waitSince   time.Duration // since when chosen owes us an answer; zero if it doesn't
	waitProbes  int
	relaysAsked bool // since then
	suspect     bool // the peer may have begun anew, without the keys
	retryAt     time.Duration
	retryGap    time.Duration
	linkAt      time.Duration // when a stream to the peer may be asked for
	linkGap     time.Duration
	relays      [maxLiveRelays]group.MemberID // that we reach; zero entries are none
	random      rand.ChaCha8
}

// moment is when something happens, and what the frame path did until then. The
// frame path keeps these times in atomics and doesn't call the machine.
type moment struct {
	now   time.Duration
	sent  time.Duration // last datagram on the chosen path
	heard time.Duration // last authentic datagram from the chosen path
	data  time.Duration // last IP packet, either way
}

// flowed reports whether there were packets lately.
func (m moment) flowed(lately time.Duration) bool { return m.data != 0 && m.now-m.data < lately }

// Actions of the path machine.
type (
	// probePath sends a probe, of full size or small.
	probePath struct {
		to   pathID
		id   uint64
		full bool
	}
	// usePath moves the peer's packets to a path, or says that its kind or width has changed; the zero
	// pathID is none.
	usePath struct {
		path pathID
		kind PathKind
	}
	// tellCandidates sends our candidates through the chosen path and asks for theirs.
	tellCandidates struct{}
	// openLink asks for a stream to the peer, as UDP doesn't reach it.
	openLink struct{}
	// askRelays has the paths to members that relay looked at, too: where a NAT on our side has forgotten us, they
	// learn our new address before packets are to go by them.
	askRelays struct{}
)

func newPathState(seed [32]byte) pathState {
	return pathState{random: *rand.NewChaCha8(seed), retryGap: retryMin}
}

func (s *pathState) find(id pathID) *candidate {
	for i := range s.n {
		if s.paths[i].id == id {
			return &s.paths[i]
		}
	}
	return nil
}

// add returns the candidate with this ID, making it if there is room. A full list
// gives up one that has failed.
func (s *pathState) add(id pathID, kind PathKind, now time.Duration) *candidate {
	if c := s.find(id); c != nil {
		if c.kind == PathDirect && kind == PathLAN {
			c.kind = kind
		}
		return c
	}
	place := s.n
	if place == maxPaths {
		place = s.evictable()
		if place < 0 {
			return nil
		}
	} else {
		s.n++
	}
	s.paths[place] = candidate{id: id, kind: kind, next: now, live: s.reaches(id.via)}
	return &s.paths[place]
}

// evictable returns the place of the failed candidate heard longest ago, or -1.
func (s *pathState) evictable() int {
	place := -1
	for i := range s.n {
		c := &s.paths[i]
		if c.proven || c.id == s.chosen || int(c.tries) < len(probeGaps) {
			continue
		}
		if place < 0 || c.heard < s.paths[place].heard {
			place = i
		}
	}
	return place
}

// reaches reports whether we have a direct session with a member that relays.
func (s *pathState) reaches(via group.MemberID) bool {
	return !via.IsZero() && slices.Contains(s.relays[:], via)
}

// doubt starts a candidate's trial anew.
func (c *candidate) doubt(now time.Duration) {
	c.proven, c.roamed, c.width, c.tries, c.fulls = false, false, widthUnknown, 0, 0
	c.next, c.asked = now, 0
}

// usable reports whether packets may take this path. A relay is believed as soon
// as we have a session with it, because the first packets shouldn't wait, but not
// again when it has let us down: a peer that was restarted answers by none, and
// changing from relay to relay would look like a path forever. An address must have
// answered, and been tried with a probe of full size.
func (c *candidate) usable() bool {
	if c.id.relayed() {
		return c.live && !c.fell
	}
	return c.proven && (c.roamed || c.width != widthUnknown)
}

// rank orders usable paths; lower is better.
func (c *candidate) rank() int {
	switch {
	case c.width == widthNarrow && c.kind == PathRelay:
		return 5
	case c.width == widthNarrow:
		return 4
	case c.kind == PathRelay:
		return 3
	case c.kind == PathTCP:
		return 2
	case c.kind == PathDirect:
		return 1
	}
	return 0
}

const lesserRank = 2 // from which on something better is looked for

// better reports whether c is to be preferred to d, both being usable.
func (c *candidate) better(d *candidate, now time.Duration) bool {
	if held, dHeld := now < c.hold, now < d.hold; held != dHeld {
		return !held
	}
	if c.rank() != d.rank() {
		return c.rank() < d.rank()
	}
	if c.proven != d.proven {
		return c.proven
	}
	return c.rtt < d.rtt
}

// choose returns the path to use now, or nil. It stays where it is unless a path
// is better in kind, clearly quicker, or where the peer has gone.
func (s *pathState) choose(m moment) *candidate {
	if !s.up {
		return nil
	}
	var best *candidate
	current := s.find(s.chosen)
	if current != nil && !current.usable() {
		current = nil
	}
	for i := range s.n {
		c := &s.paths[i]
		if !c.usable() {
			continue
		}
		if current != nil && c.roamed && c != current && c.heard > max(current.heard, m.heard) {
			return c // the peer moved: it speaks from there and no longer from here
		}
		if best == nil || c.better(best, m.now) {
			best = c
		}
	}
	if current == nil || best == current {
		return best
	}
	if best.rank() < current.rank() && m.now >= best.hold {
		return best
	}
	margin := max(2*time.Millisecond, current.rtt/5)
	if best.rank() == current.rank() && m.now-s.since >= dwell && best.proven && best.rtt+margin < current.rtt {
		return best
	}
	return current
}

// settle makes the choice, and the action if it changed.
func (s *pathState) settle(m moment, acts []any) []any {
	c := s.choose(m)
	if c == nil {
		if s.chosen == (pathID{}) {
			return acts
		}
		s.chosen, s.kind, s.since, s.waitSince = pathID{}, PathNone, m.now, 0
		return append(acts, usePath{})
	}
	c.roamed = c.roamed && c.width == widthUnknown
	narrow := c.width == widthNarrow
	switch {
	case c.id != s.chosen:
		if s.kind == PathNone || c.rank() < lesserRank {
			s.retryGap = retryMin
		}
		s.chosen, s.since, s.waitSince = c.id, m.now, 0
	case c.kind == s.kind && narrow == s.narrow:
		return acts
	}
	s.kind, s.narrow = c.kind, narrow
	return append(acts, usePath{c.id, c.kind})
}

// direct reports whether packets go straight, by UDP.
func (s *pathState) direct() bool { return s.kind == PathLAN || s.kind == PathDirect }

// missed reports whether a better path than a lesser one would be of use.
func (s *pathState) missed(m moment) bool { return s.keep || m.flowed(retryActive) }

// alive reports whether packets can be sent.
func (s *pathState) alive() bool { return s.kind != PathNone }

// deadAfter is how long the chosen path may owe an answer.
func (s *pathState) deadAfter(c *candidate, now time.Duration) time.Duration {
	least, slack := deadAlone, 500*time.Millisecond
	for i := range s.n {
		if o := &s.paths[i]; o != c && o.usable() && now >= o.hold {
			least = deadMin
		}
	}
	if s.suspect {
		least, slack = deadSuspect, 300*time.Millisecond
	}
	return min(max(3*c.rtt+slack, least), deadMax)
}

// deadline returns when the machine wants the next tick.
func (s *pathState) deadline(m moment) time.Duration {
	if !s.up {
		return never
	}
	at := never
	for i := range s.n {
		at = min(at, s.paths[i].next)
		if hold := s.paths[i].hold; hold > m.now {
			at = min(at, hold) // a matter of choice again then
		}
	}
	if c := s.find(s.chosen); c != nil {
		at = min(at, c.lastProbe+keepaliveGap)
		if s.waitSince != 0 {
			at = min(at, max(s.waitSince, c.lastProbe)+probeWaiting)
		} else if m.flowed(activeFor) {
			at = min(at, m.now+tickActive)
		}
		if c.rank() < lesserRank {
			return at
		}
	}
	if s.lacksLink(m) {
		at = min(at, s.linkAt)
	}
	if s.missed(m) {
		at = min(at, s.retryAt)
	}
	return at
}
