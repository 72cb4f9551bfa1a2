package share

import (
	"slices"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
)

const (
	// listenFor is how long a router listens on its LAN before it takes part: others answer
	// its first beacon within a fraction of that.
	listenFor = 300 * time.Millisecond
	// doubtFor is how much longer it listens at most where somebody else may speak in the names of others.
	doubtFor = 2 * time.Second
	// settleFor is how long after saying that it takes part a router does so: by then the
	// others have heard, and leave it its share.
	settleFor = 100 * time.Millisecond
	// ReturnAfter is how long a router must be well before it takes part beside others.
	ReturnAfter = 10 * time.Second
	// partnerMemory is how long a router that has gone is remembered, where nobody stands in for it.
	partnerMemory = time.Hour
)

// Router is another router of the segment as it is now.
type Router struct {
	Member   group.MemberID
	LAN, WAN bool // what it says of its sides
	Sharing  bool // it takes part
	Silent   bool // it hasn't been heard for a moment
}

func (r Router) well() bool { return r.LAN && r.WAN && !r.Silent }

// Stand is a router for which another stands in.
type Stand struct {
	Member group.MemberID
	// Unheard says that nothing is heard of it on the segment: its MAC is there for the
	// taking. Else it has said itself that it is ill, and is there to be sent frames.
	Unheard bool
}

// Orders are what a router is to do.
type Orders struct {
	Sharing bool           // take part, and say so
	Circle  *Circle        // who shares
	Stands  []Stand        // for whom to stand in, in order
	Relief  group.MemberID // to whom, over the LAN, what can't be sent by the WAN goes; zero: to nobody
	Next    time.Time      // when they may change by time alone; zero: not
}

// Duty decides about a router's orders. It is used by one goroutine at a time.
type Duty struct {
	self     group.MemberID
	lanSince time.Time // the LAN side works since; zero: it doesn't
	unsure   bool
	listened bool      // for long enough, since then
	well     time.Time // both sides have since; zero: they don't
	sharing  bool
	joined   time.Time // sharing since
	partners map[group.MemberID]*partner
}

// partner is a router that has been seen to take part and be well.
type partner struct {
	seen     time.Time
	standing bool
}

// NewDuty returns the duty of a router that has just started.
func NewDuty(self group.MemberID) *Duty {
	return &Duty{self: self, partners: make(map[group.MemberID]*partner)}
}

// Unsure says whether there may be another router on the segment that wasn't heard. One that
// doesn't take part yet then goes on listening for a while.
func (d *Duty) Unsure(unsure bool) { d.unsure = unsure }

// Step takes how our sides are and which other routers are proven to be on the segment.
func (d *Duty) Step(lan, wan bool, routers []Router, now time.Time) Orders {
	if !lan { // whoever isn't heard may be well
		*d = *NewDuty(d.self)
		return Orders{Circle: NewCircle(d.self)}
	}
	if d.lanSince.IsZero() {
		d.lanSince = now
	}
	o := Orders{}
	d.listened = d.listened || d.until(&o, d.lanSince.Add(listenFor), now) && (!d.unsure || d.until(&o, d.lanSince.Add(listenFor+doubtFor), now))
	listened, before := d.listened, d.sharing
	d.takePart(&o, wan, listened, routers, now)
	if d.sharing && !before {
		d.joined = now
	}
	o.Sharing = d.sharing
	settled := d.sharing && d.until(&o, d.joined.Add(settleFor), now)
	o.Circle = d.circle(Router{Member: d.self, LAN: listened, WAN: wan, Sharing: settled}, routers)
	if !wan {
		o.Relief = relief(d.self, routers)
	}
	d.remember(routers, now)
	if listened {
		o.Stands = d.stands(o.Circle, wan, routers)
	}
	return o
}

// takePart decides whether we share.
func (d *Duty) takePart(o *Orders, wan, listened bool, routers []Router, now time.Time) {
	sharers := slices.ContainsFunc(routers, func(r Router) bool { return r.Sharing && r.well() })
	switch {
	case !wan && sharers:
		d.sharing, d.well = false, time.Time{}
		return
	case !wan: // nobody does better
		d.well = time.Time{}
		d.sharing = d.sharing || listened
		return
	}
	if d.well.IsZero() {
		d.well = now
	}
	if d.sharing || !listened {
		return
	}
	d.sharing = !sharers || d.until(o, d.well.Add(ReturnAfter), now)
}

// until reports whether at has come, and else has Step called then.
func (d *Duty) until(o *Orders, at, now time.Time) bool {
	if !now.Before(at) {
		return true
	}
	if o.Next.IsZero() || at.Before(o.Next) {
		o.Next = at
	}
	return false
}

// circle returns those who take part and are well; where nobody is, those who take part; where
// nobody does, all whose LAN side works. Each router comes to the same.
func (d *Duty) circle(self Router, routers []Router) *Circle {
	all := append([]Router{self}, routers...)
	for _, fit := range []func(Router) bool{
		func(r Router) bool { return r.Sharing && r.well() },
		func(r Router) bool { return r.Sharing && r.LAN && !r.Silent },
		func(r Router) bool { return r.LAN && !r.Silent },
	} {
		var members []group.MemberID
		for _, r := range all {
			if fit(r) {
				members = append(members, r.Member)
			}
		}
		if len(members) > 0 {
			return NewCircle(d.self, members...)
		}
	}
	return NewCircle(d.self)
}

// relief returns the router that sends for one that can't; never one that can't either.
func relief(self group.MemberID, routers []Router) group.MemberID {
	var well []group.MemberID
	for _, r := range routers {
		if r.well() {
			well = append(well, r.Member)
		}
	}
	return NewCircle(self, well...).Owner(MemberKey(self))
}

// remember notes who takes part, and forgets who has long gone.
func (d *Duty) remember(routers []Router, now time.Time) {
	for _, r := range routers {
		if !r.Sharing || !r.well() {
			continue
		}
		if d.partners[r.Member] == nil {
			d.partners[r.Member] = &partner{}
		}
		d.partners[r.Member].seen = now
	}
	for m, p := range d.partners {
		if !p.standing && now.Sub(p.seen) >= partnerMemory {
			delete(d.partners, m)
		}
	}
}

// stands decides for whom we stand in: sticky, until the other takes part again.
func (d *Duty) stands(circle *Circle, wan bool, routers []Router) (all []Stand) {
	for m, p := range d.partners {
		i := slices.IndexFunc(routers, func(r Router) bool { return r.Member == m })
		heard := i >= 0 && !routers[i].Silent
		switch {
		case !wan, heard && routers[i].well() && routers[i].Sharing:
			p.standing = false
		case heard && routers[i].well(): // it is coming back: who stands in goes on
		default:
			p.standing = p.standing || circle.Ours(MemberKey(m))
		}
		if p.standing {
			all = append(all, Stand{Member: m, Unheard: !heard})
		}
	}
	sorting.By(all, func(a, b Stand) int { return a.Member.Compare(b.Member) })
	return all
}
