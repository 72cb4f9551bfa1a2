package registry

import (
	"errors"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// What a pair does while one is away (docs/decisions): the founder goes on alone;
// the other serves what it holds, spare included, and claims nothing.
func TestOfTwoMembersTheFounderGoesOnAloneAndTheOtherFromWhatItHolds(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(2)
	founder, other := ns[0], ns[1]
	for _, n := range ns {
		eventually(t, "a first block", func() bool { return len(n.reg.Blocks()) > 0 })
	}
	l.isolate(other, true)
	before := len(other.reg.Blocks())
	for i := range 40 { // more than what it holds
		get(t, founder.reg, client(i))
	}
	served := 0
	for i := 100; i < 140; i++ {
		o, err := other.reg.Offer(short(t, time.Second), client(i), netip.Addr{})
		if err == nil {
			_, err = other.reg.Commit(t.Context(), client(i), o.Addr)
		}
		if err == nil {
			served++
			continue
		}
		if !errors.Is(err, ErrNoAddress) {
			t.Fatalf("cut off and full: %v", err)
		}
		break
	}
	if room := before * 16; served < room-4 || served > room || len(other.reg.Blocks()) != before {
		t.Fatalf("cut off with %d blocks of 16: %d leases, then %d blocks", before, served, len(other.reg.Blocks()))
	}
	if again := get(t, other.reg, client(100)); !again.Addr.IsValid() {
		t.Fatal("a renewal while cut off")
	}
	l.isolate(other, false)
	eventually(t, "more room after the other is back", func() bool { return len(other.reg.Blocks()) > before })
}

func TestADeadReplicaDelaysNothing(t *testing.T) {
	l := newLab(t, "10.9.0.0/20", 4)
	l.pace.phase = time.Second
	ns := l.members(6)
	lease := get(t, ns[0].reg, client(1))
	var dead *node
	b, _, _ := ns[0].reg.geo.split(lease.Addr)
	tt, _ := ns[0].terms()
	for _, n := range ns[1:] {
		if tt.current(b).has(n.id) {
			dead = n
			break
		}
	}
	dead.stop()
	for _, n := range ns {
		if n == dead || n == ns[0] {
			continue
		}
		began := time.Now()
		if _, err := n.reg.Resolve(t.Context(), lease.Addr); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(began); d > 2*l.pace.phase {
			t.Errorf("resolved in %v with one replica dead", d)
		}
		began = time.Now()
		if _, err := n.reg.obtain(short(t, 3*time.Second), b+7, opClaim); err != nil && !errors.Is(err, ErrTaken) {
			t.Error(err)
		}
		if d := time.Since(began); d > 4*l.pace.phase { // a claim of one's own is followed by one question more
			t.Errorf("claimed in %v with one replica dead", d)
		}
		b++
	}
}

func TestAnAbsentAddressIsRefusedWithinABoundWhenItsHolderIsDead(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	l.pace.phase = time.Second // a busy machine takes part of it
	ns := l.members(5)
	lease := get(t, ns[0].reg, client(1))
	if _, err := ns[1].reg.Resolve(t.Context(), lease.Addr); err != nil {
		t.Fatal(err)
	}
	ns[0].stop()
	b, off, _ := ns[1].reg.geo.split(lease.Addr)
	free := ns[1].reg.geo.addr(b, (off+1)%16)
	if ns[1].reg.geo.reserved(b, (off+1)%16) {
		free = ns[1].reg.geo.addr(b, (off+5)%16)
	}
	began := time.Now()
	_, err := ns[1].reg.Resolve(t.Context(), free)
	if d := time.Since(began); !errors.Is(err, ErrAbsent) || d > 3*l.pace.phase {
		t.Fatalf("%v after %v", err, d)
	}
	if _, s := ns[1].reg.Lookup(free); s != Absent {
		t.Fatalf("the refusal was not remembered: %v", s)
	}
	if _, s := ns[1].reg.Lookup(lease.Addr); s != Known {
		t.Fatalf("the lease was forgotten: %v", s)
	}
}

func TestOffersAndCommitsNeedNoNetworkWhileASpareIsThere(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/20", 6)
	l.pace.phase = time.Second // what one question would cost
	ns := l.members(4)
	n := ns[2]
	get(t, n.reg, client(0))
	l.isolate(n, true)
	began := time.Now()
	for i := 1; i <= 20; i++ {
		get(t, n.reg, client(i))
	}
	if d := time.Since(began) / 20; d > l.pace.phase/2 {
		t.Fatalf("%v a lease while cut off", d)
	}
	n.stop()
	n.start()
	for i := 1; i <= 20; i++ { // after a restart too
		get(t, n.reg, client(i))
	}
}

func TestAMemberGoneForGoodIsInheritedFromWithItsLeases(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = time.Hour, 10*time.Minute
	ns := l.members(4)
	lost := ns[3]
	lease := get(t, lost.reg, client(1))
	b, _, _ := lost.reg.geo.split(lease.Addr)
	eventually(t, "the record is kept", func() bool {
		for _, n := range ns {
			raw, _, err := n.reg.storedRecord(b)
			if rec, _, perr := parseRecord(n.reg.codec, n.reg.group, n.reg.geo, raw); err != nil || perr != nil || len(rec.Entries) != 1 {
				return false
			}
		}
		return true
	})
	l.isolate(lost, true)
	if _, err := ns[0].reg.obtain(short(t, time.Second), b, opInherit); !errors.Is(err, ErrHeld) {
		t.Fatalf("inherited while its holder's time ran: %v", err)
	}
	for _, n := range ns[:3] {
		n.clock.pass(75 * time.Minute)
	}
	var heir *node
	eventually(t, "an heir", func() bool {
		for _, n := range ns[:3] {
			n.clock.pass(2 * time.Second)
			for _, s := range n.reg.Blocks() {
				if s.Block == b {
					heir = n
				}
			}
		}
		return heir != nil
	})
	if loc, s := heir.reg.Lookup(lease.Addr); s != Known || loc.Member != lost.id {
		t.Fatalf("the heir forgot the lease: %v %v", loc, s)
	}
	if _, err := heir.reg.Commit(t.Context(), client(2), lease.Addr); !errors.Is(err, ErrTaken) {
		t.Fatalf("the heir gave the address to another: %v", err)
	}
	// The lessee shows up at the heir's: same address.
	if _, err := heir.reg.Commit(t.Context(), client(1), lease.Addr); err != nil {
		t.Fatal(err)
	}
	// The lost member comes back and is fenced.
	l.isolate(lost, false)
	lost.reg.publisher.mark(b)
	eventually(t, "the former holder is fenced", func() bool {
		return !slices.ContainsFunc(lost.reg.Blocks(), func(s BlockStatus) bool { return s.Block == b })
	})
	if _, err := lost.reg.Commit(t.Context(), client(9), lease.Addr); !errors.Is(err, ErrNotOurs) && !errors.Is(err, ErrTaken) {
		t.Fatalf("a fenced member leases: %v", err)
	}
}

func TestReplicasFollowMembersThatComeAndGo(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	lease := get(t, ns[0].reg, client(1))
	b, _, _ := ns[0].reg.geo.split(lease.Addr)
	for _, name := range []string{"x1", "x2", "x3", "x4", "x5"} {
		n := l.admit(name)
		n.start() // nobody else has heard of it: it tells them
		eventually(t, "a block for "+name, func() bool { return len(n.reg.Blocks()) > 0 })
		ns = append(ns, n)
	}
	settled := func(alive []*node) func() bool {
		return func() bool {
			newest := l.history[l.newest]
			for _, n := range alive {
				if !newest.current(b).has(n.id) {
					continue
				}
				raw, g, err := n.reg.storedRecord(b)
				if err != nil || g.Holder != ns[0].id || len(raw) == 0 {
					return false
				}
			}
			return true
		}
	}
	l.isolate(ns[0], true) // the holder doesn't have to help
	for _, gone := range ns[1:3] {
		l.remove(gone, ns[4])
		gone.stop()
	}
	alive := ns[3:]
	for _, n := range alive { // gossip, as the overlay does it
		if err := n.learn(l.history[l.newest].raw); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the new replicas have register and record", settled(alive))
	for _, n := range alive {
		loc, err := n.reg.Resolve(short(t, 10*time.Second), lease.Addr)
		if err != nil || loc.Member != ns[0].id {
			t.Fatalf("resolve after the change of replicas: %v, %v", loc, err)
		}
		if _, err := n.reg.obtain(short(t, 10*time.Second), b, opClaim); !errors.Is(err, ErrTaken) {
			t.Fatalf("claim of a held block after the change of replicas: %v", err)
		}
	}
}

func TestAClientThatIsNewHereGetsTheAddressItHasElsewhere(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(3)
	c := client(5)
	lease := get(t, ns[0].reg, c)
	eventually(t, "the hint has arrived", func() bool {
		addrs, err := ns[1].reg.candidates(t.Context(), clientKey(ns[1].reg.group, hashClient(ns[1].reg.group, c.ID)))
		return err == nil && slices.Contains(addrs, lease.Addr)
	})
	// DISCOVER without a wish: the first offer is made at once, from memory, while
	// the hint is looked up; by the REQUEST the member knows better.
	ctx := short(t, 5*time.Second)
	if _, err := ns[1].reg.Offer(ctx, c, netip.Addr{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "offered its own address", func() bool {
		o, err := ns[1].reg.Offer(ctx, c, netip.Addr{})
		return err == nil && o.Addr == lease.Addr
	})
	if _, err := ns[1].reg.Commit(ctx, c, lease.Addr); err != nil {
		t.Fatal(err)
	}
	// Home again, without a wish: the block's holder has signed the address over for
	// this very client.
	if o, err := ns[0].reg.Offer(ctx, c, netip.Addr{}); err != nil || o.Addr != lease.Addr {
		t.Errorf("back at its first member it is offered %v (%v), want %v", o.Addr, err, lease.Addr)
	}
	if o, err := ns[0].reg.Offer(ctx, client(6), netip.Addr{}); err != nil || o.Addr == lease.Addr {
		t.Errorf("a stranger is offered %v (%v)", o.Addr, err)
	}
}

func TestManyClaimsOfOneBlockAtOneMemberMakeOneHold(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.delay = func() time.Duration { return time.Millisecond }
	ns := l.members(3)
	for b := BlockID(20); b < 40; b++ {
		var all sync.WaitGroup
		var mu sync.Mutex
		holds := make(map[*block]bool)
		for range 8 {
			all.Go(func() {
				if blk, err := ns[0].reg.obtain(short(t, 5*time.Second), b, opClaim); err == nil {
					mu.Lock()
					holds[blk] = true
					mu.Unlock()
				}
			})
		}
		all.Wait()
		g, _, err := ns[1].reg.change(short(t, 5*time.Second), b, opRead, 0)
		if err != nil {
			t.Fatal(err)
		}
		for blk := range holds {
			if len(holds) != 1 || blk.Epoch != g.Epoch || g.Holder != ns[0].id {
				t.Fatalf("block %d: %d holds, one at epoch %d; the register says epoch %d", b, len(holds), blk.Epoch, g.Epoch)
			}
		}
	}
}

func TestMembersFartherAwayThanThePhaseBoundStillClaim(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.pace.phase = 60 * time.Millisecond
	l.delay = func() time.Duration { return 50 * time.Millisecond } // 100 ms there and back
	ns := l.members(3)
	if _, _, err := ns[1].reg.change(short(t, 5*time.Second), 40, opClaim, 0); err != nil {
		t.Fatal(err)
	}
}

func TestBlocksThatNobodyNeedsAreGivenBack(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold = 2 * time.Second
	ns := l.members(3)
	var won []BlockID
	for b := BlockID(0); len(won) < 6; b++ {
		switch _, err := ns[0].reg.obtain(short(t, 5*time.Second), b, opClaim); {
		case err == nil:
			won = append(won, b)
		case !errors.Is(err, ErrTaken):
			t.Fatal(err)
		}
	}
	eventually(t, "few blocks held", func() bool { return len(ns[0].reg.Blocks()) <= 3 })
	eventually(t, "one of them another's", func() bool {
		for _, b := range won {
			if _, err := ns[1].reg.obtain(short(t, time.Second), b, opClaim); err == nil {
				return true
			}
		}
		return false
	})
	if len(ns[0].reg.Blocks()) == 0 {
		t.Fatal("nothing left to lease from")
	}
}

func TestADeclinedAddressRests(t *testing.T) {
	l := newLab(t, "10.9.0.0/24", 4)
	n := l.members(1)[0]
	first := get(t, n.reg, client(1))
	if err := n.reg.Decline(t.Context(), first.Addr); err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.start()
	if second := get(t, n.reg, client(1)); second.Addr == first.Addr {
		t.Fatal("a declined address was leased again at once")
	}
	n.clock.pass(quarantine)
	eventually(t, "usable again", func() bool {
		_, err := n.reg.Commit(t.Context(), client(2), first.Addr)
		return err == nil
	})
}

func TestALeaseEndsAndItsAddressIsLeasedAgain(t *testing.T) {
	l := newLab(t, "10.9.0.0/24", 4)
	n := l.members(1)[0]
	lease := get(t, n.reg, client(1))
	n.clock.step(-48 * time.Hour) // the wall clock says nothing
	if _, err := n.reg.Commit(t.Context(), client(2), lease.Addr); !errors.Is(err, ErrTaken) {
		t.Fatalf("taken from a live lease: %v", err)
	}
	n.clock.pass(l.lease + l.lease/10)
	eventually(t, "absent", func() bool { _, s := n.reg.Lookup(lease.Addr); return s == Absent })
	if _, err := n.reg.Commit(t.Context(), client(2), lease.Addr); err != nil {
		t.Fatal(err)
	}
}

func TestOverAHoldThatRanOutNothingNewIsLeasedButRenewalsGoOn(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = time.Hour, 40*time.Minute
	ns := l.members(3)
	n := ns[2]
	lease := get(t, n.reg, client(1))
	l.isolate(n, true)
	n.clock.pass(35 * time.Minute)
	get(t, n.reg, client(1))
	n.clock.pass(30 * time.Minute)
	if _, err := n.reg.Commit(t.Context(), client(1), lease.Addr); err != nil {
		t.Fatalf("renewal: %v", err)
	}
	if o, err := n.reg.Offer(short(t, time.Second), client(2), netip.Addr{}); err == nil {
		t.Fatalf("a new lease out of a hold that ran out: %v", o.Addr)
	}
	l.isolate(n, false)
	eventually(t, "leasing again", func() bool {
		_, err := n.reg.Offer(short(t, time.Second), client(2), netip.Addr{})
		return err == nil
	})
}
