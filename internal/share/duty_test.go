package share

import (
	"slices"
	"testing"
	"time"

	"landbridge/internal/group"
)

// room is some routers on a segment, each with its duty, in a world where what one says all
// others hear at once.
type room struct {
	t    *testing.T
	now  time.Time
	all  []*occupant
	told map[group.MemberID]bool // whom each says to take part
}

type occupant struct {
	id       group.MemberID
	duty     *Duty
	lan, wan bool
	dead     bool
	gone     time.Time // dead since
	orders   Orders
}

const (
	silentAfter = 200 * time.Millisecond
	proofLife   = 1800 * time.Millisecond
	tick        = 50 * time.Millisecond
)

func newRoom(t *testing.T, n byte) *room {
	r := &room{t: t, now: time.Unix(1e9, 0), told: make(map[group.MemberID]bool)}
	for i := range n {
		r.all = append(r.all, &occupant{id: member(i), duty: NewDuty(member(i)), lan: true, wan: true, dead: true})
	}
	return r
}

// pass lets time pass, and each router take its orders at each tick.
func (r *room) pass(d time.Duration) {
	for end := r.now.Add(d); r.now.Before(end); r.now = r.now.Add(tick) {
		for _, o := range r.all {
			if o.dead {
				continue
			}
			o.orders = o.duty.Step(o.lan, o.wan, r.seenBy(o), r.now)
			r.told[o.id] = o.orders.Sharing
		}
		r.check()
	}
}

func (r *room) seenBy(o *occupant) (seen []Router) {
	for _, other := range r.all {
		away := r.now.Sub(other.gone)
		if other == o || !o.lan || (other.dead || !other.lan) && away >= proofLife {
			continue
		}
		seen = append(seen, Router{
			Member: other.id, LAN: true, WAN: other.wan, Sharing: r.told[other.id],
			Silent: (other.dead || !other.lan) && away >= silentAfter,
		})
	}
	return seen
}

// check sees that no address is answered by two.
func (r *room) check() {
	for n := range uint32(50) {
		k := AddrKey(addr(n))
		var ours []group.MemberID
		for _, o := range r.all {
			if !o.dead && o.orders.Circle != nil && o.orders.Circle.Ours(k) {
				ours = append(ours, o.id)
			}
		}
		if len(ours) > 1 {
			r.t.Fatalf("at %v %v is answered by %d routers", r.now.Sub(time.Unix(1e9, 0)), addr(n), len(ours))
		}
	}
}

func (o *occupant) start() { o.duty, o.dead, o.orders = NewDuty(o.id), false, Orders{} }

func (r *room) kill(o *occupant) { o.dead, o.gone, r.told[o.id] = true, r.now, false }

// crash is kill where the others go on believing what it said last.
func (r *room) crash(o *occupant) { o.dead, o.gone = true, r.now }

func (r *room) unplug(o *occupant) { o.lan, o.gone = false, r.now }

func stands(o *occupant) (all []group.MemberID) {
	for _, s := range o.orders.Stands {
		all = append(all, s.Member)
	}
	return all
}

func TestARouterAloneTakesPartAfterItHasListened(t *testing.T) {
	r := newRoom(t, 1)
	a := r.all[0]
	a.start()
	r.pass(listenFor)
	if a.orders.Sharing || a.orders.Circle.Ours(AddrKey(addr(1))) || !a.orders.Next.Equal(time.Unix(1e9, 0).Add(listenFor)) {
		t.Fatalf("%+v", a.orders)
	}
	r.pass(2 * tick)
	if !a.orders.Sharing || !a.orders.Circle.Ours(AddrKey(addr(1))) || len(a.orders.Stands) != 0 {
		t.Errorf("%+v", a.orders)
	}
}

func TestANewRouterTakesItsShareAfterTenGoodSeconds(t *testing.T) {
	r := newRoom(t, 2)
	a, b := r.all[0], r.all[1]
	a.start()
	r.pass(time.Second)
	b.start()
	r.pass(ReturnAfter)
	if b.orders.Sharing || b.orders.Circle.Has(b.id) || a.orders.Circle.Has(b.id) {
		t.Error("took part early")
	}
	r.pass(3 * tick)
	if !b.orders.Sharing || !a.orders.Circle.Has(b.id) || !b.orders.Circle.Has(a.id) {
		t.Error("doesn't take part")
	}
}

// pairOf returns routers that share.
func pairOf(t *testing.T, n byte) *room {
	r := newRoom(t, n)
	for _, o := range r.all {
		o.start()
	}
	r.pass(ReturnAfter + time.Second)
	for _, o := range r.all {
		if len(o.orders.Circle.routers) != int(n) || len(o.orders.Stands) != 0 {
			t.Fatalf("%+v", o.orders)
		}
	}
	return r
}

func TestTheSurvivorStandsInUntilTheOtherTakesPartAgain(t *testing.T) {
	r := pairOf(t, 2)
	a, b := r.all[0], r.all[1]
	r.crash(b)
	r.pass(silentAfter + 2*tick)
	if !slices.Equal(stands(a), []group.MemberID{b.id}) || !a.orders.Stands[0].Unheard || a.orders.Circle.Has(b.id) {
		t.Fatalf("%+v", a.orders)
	}
	r.pass(20 * time.Second)
	if !slices.Equal(stands(a), []group.MemberID{b.id}) {
		t.Fatal("gave up")
	}
	r.told[b.id] = false
	b.start()
	r.pass(ReturnAfter)
	if !slices.Equal(stands(a), []group.MemberID{b.id}) || a.orders.Stands[0].Unheard {
		t.Errorf("as the other comes back: %+v", a.orders)
	}
	r.pass(4 * tick)
	if len(a.orders.Stands) != 0 || !a.orders.Circle.Has(b.id) {
		t.Errorf("when the other is back: %+v", a.orders)
	}
}

func TestARouterThatComesAndGoesTakesNothingAlong(t *testing.T) {
	r := pairOf(t, 2)
	a, b := r.all[0], r.all[1]
	for range 10 {
		r.crash(b)
		r.pass(3 * time.Second)
		r.told[b.id] = false
		b.start()
		r.pass(3 * time.Second)
		if !slices.Equal(stands(a), []group.MemberID{b.id}) || a.orders.Circle.Has(b.id) {
			t.Fatalf("%+v", a.orders)
		}
	}
}

func TestARouterWithoutWANHandsItsPacketsToTheOther(t *testing.T) {
	r := pairOf(t, 2)
	a, b := r.all[0], r.all[1]
	b.wan = false
	r.pass(2 * tick)
	if b.orders.Relief != a.id || b.orders.Sharing || !slices.Equal(a.orders.Stands, []Stand{{b.id, false}}) || a.orders.Circle.Has(b.id) {
		t.Fatalf("%+v\n%+v", a.orders, b.orders)
	}
	a.wan = false // now nobody has
	r.pass(2 * tick)
	if len(a.orders.Stands) != 0 || !a.orders.Relief.IsZero() || !b.orders.Relief.IsZero() {
		t.Errorf("%+v\n%+v", a.orders, b.orders)
	}
	b.wan = true
	r.pass(2 * tick)
	if a.orders.Relief != b.id || !b.orders.Sharing {
		t.Errorf("%+v\n%+v", a.orders, b.orders)
	}
}

func TestARouterWithoutLANDoesNothingAndTheOtherStandsIn(t *testing.T) {
	r := pairOf(t, 2)
	a, b := r.all[0], r.all[1]
	r.unplug(b)
	r.pass(silentAfter + 2*tick)
	if len(stands(b)) != 0 || b.orders.Sharing || b.orders.Circle.Has(b.id) || !b.orders.Relief.IsZero() {
		t.Errorf("%+v", b.orders)
	}
	if !slices.Equal(stands(a), []group.MemberID{b.id}) {
		t.Errorf("%+v", a.orders)
	}
	b.lan = true
	r.pass(tick)
	if len(stands(b)) != 0 {
		t.Error("stands in for one that it hadn't heard of while it was away")
	}
}

func TestOneOfSeveralStandsIn(t *testing.T) {
	r := pairOf(t, 4)
	dead := r.all[3]
	r.crash(dead)
	r.pass(time.Second)
	var by []*occupant
	for _, o := range r.all[:3] {
		if slices.Contains(stands(o), dead.id) {
			by = append(by, o)
		}
	}
	if len(by) != 1 {
		t.Fatalf("%d stand in", len(by))
	}
	r.crash(by[0]) // then another stands in for both
	r.pass(time.Second)
	count := make(map[group.MemberID]int)
	for _, o := range r.all[:3] {
		if o.dead {
			continue
		}
		for _, m := range stands(o) {
			count[m]++
		}
	}
	if count[dead.id] != 1 || count[by[0].id] != 1 {
		t.Errorf("stand-ins: %v", count)
	}
}

func TestWhoHasNeverTakenPartIsNotStoodInFor(t *testing.T) {
	r := newRoom(t, 2)
	a, b := r.all[0], r.all[1]
	a.start()
	r.pass(time.Second)
	b.start()
	r.pass(time.Second)
	r.kill(b)
	r.pass(5 * time.Second)
	if len(a.orders.Stands) != 0 {
		t.Errorf("%+v", a.orders)
	}
}

func TestARouterThatIsUnsureWhoElseIsThereListensLongerButNotForEver(t *testing.T) {
	for _, unsure := range []bool{false, true} {
		d, now := NewDuty(member(0)), time.Unix(1e9, 0)
		d.Unsure(unsure)
		took := time.Duration(0)
		for !d.Step(true, true, nil, now.Add(took)).Sharing {
			took += tick
		}
		want := listenFor
		if unsure {
			want += doubtFor
		}
		if took != want {
			t.Errorf("unsure %v: it takes part after %v, want %v", unsure, took, want)
		}
	}
	d, now := NewDuty(member(0)), time.Unix(1e9, 0)
	d.Step(true, true, nil, now)
	if !d.Step(true, true, nil, now.Add(listenFor)).Sharing {
		t.Fatal("it doesn't take part")
	}
	d.Unsure(true)
	if o := d.Step(true, true, nil, now.Add(listenFor+settleFor)); !o.Sharing || !o.Circle.Has(member(0)) {
		t.Error("who takes part stops for a doubt")
	}
}
