package neighbourhood

import (
	"maps"
	"slices"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/group"
	"landbridge/internal/share"
)

// What routers of one LAN ask each other over the overlay.
const (
	// AliveTimeout bounds the question to a router that has fallen silent on the LAN whether it
	// is well: the LAN may be what has failed.
	AliveTimeout = 150 * time.Millisecond
	// AliveAgain is how soon it is asked again, having said yes.
	AliveAgain = time.Second
)

const (
	// doubtAgain is how soon a member is asked again that isn't known to be on the LAN.
	doubtAgain = 2 * time.Second
	// doubtTimeout bounds the question to such a one.
	doubtTimeout = time.Second
	// doubtsAtOnce bounds the questions without an answer yet.
	doubtsAtOnce = 8
	// routerMemory is how long a router that isn't heard any more counts as one of this LAN.
	routerMemory = time.Minute
)

// Doubts is what a router does about members in whose names somebody else may speak on its
// LAN (beacon.Doubted): their silence is believed only once they were asked over the overlay.
// It is pure.
type Doubts struct {
	self group.MemberID
	seen map[group.MemberID]seenRouter
	all  map[group.MemberID]*doubt
}

// seenRouter is how another router was when it was heard last, or said that it is well.
type seenRouter struct {
	router share.Router
	at     time.Time
}

type doubt struct {
	asking   bool
	asked    time.Time // zero: not since it was heard
	answered bool      // or failed to
	well     bool
}

// NewDoubts returns the doubts of a router that has heard nobody yet.
func NewDoubts(self group.MemberID) Doubts {
	return Doubts{self: self, seen: make(map[group.MemberID]seenRouter), all: make(map[group.MemberID]*doubt)}
}

// Step takes whom the beacon has found, and whom it doubts. It returns the other routers,
// as they are to be taken: a doubted one that is silent is as it was until it was asked, and while it
// says that it is well; whom to ask; and whether somebody may be here who wasn't heard.
func (d *Doubts) Step(neighbors []beacon.Neighbor, doubted []group.MemberID, now time.Time) (routers []share.Router, ask []group.MemberID, unsure bool) {
	for _, n := range neighbors {
		if !n.Says.Router {
			continue
		}
		r := share.Router{Member: n.Member, LAN: n.Says.LANWell, WAN: n.Says.WANWell, Sharing: n.Says.Sharing, Silent: n.Silent}
		routers = append(routers, r)
		if !n.Silent {
			d.seen[n.Member] = seenRouter{r, now}
		}
	}
	maps.DeleteFunc(d.seen, func(_ group.MemberID, s seenRouter) bool { return now.Sub(s.at) >= routerMemory })
	if slices.Contains(doubted, d.self) { // somebody speaks in our name: any silence may be his work
		doubted = slices.DeleteFunc(doubted, func(m group.MemberID) bool { return m == d.self || d.known(m) })
		doubted = slices.AppendSeq(doubted, maps.Keys(d.seen))
	}
	maps.DeleteFunc(d.all, func(m group.MemberID, q *doubt) bool { return !q.asking && !slices.Contains(doubted, m) })
	asking := 0
	for _, q := range d.all {
		if q.asking {
			asking++
		}
	}
	for _, m := range doubted {
		q := d.all[m]
		if q == nil {
			q = &doubt{}
			d.all[m] = q
		}
		i := slices.IndexFunc(routers, func(r share.Router) bool { return r.Member == m })
		if i >= 0 && !routers[i].Silent {
			*q = doubt{asking: q.asking}
			continue
		}
		was, known := d.seen[m]
		again := doubtAgain
		if known {
			again = AliveAgain
		}
		if !q.asking && asking < doubtsAtOnce && (q.asked.IsZero() || now.Sub(q.asked) >= again) {
			q.asking, q.asked = true, now
			asking++
			ask = append(ask, m)
		}
		switch {
		case !known:
			unsure = unsure || !q.answered
		case q.answered && !q.well:
		case i >= 0:
			routers[i] = was.router
		default:
			routers = append(routers, was.router)
		}
	}
	return routers, ask, unsure
}

// Answer takes what a member says that was asked; one that doesn't answer isn't well.
func (d *Doubts) Answer(m group.MemberID, well bool, now time.Time) {
	q := d.all[m]
	if q == nil {
		return
	}
	q.asking, q.answered, q.well = false, true, well
	if s, known := d.seen[m]; known && well {
		s.at = now
		d.seen[m] = s
	}
}

// Patience is how long a member that is asked has for its answer.
func (d *Doubts) Patience(m group.MemberID) time.Duration {
	if d.known(m) {
		return AliveTimeout
	}
	return doubtTimeout
}

// known reports whether a member counts as a router of this LAN.
func (d *Doubts) known(m group.MemberID) bool {
	_, known := d.seen[m]
	return known
}
