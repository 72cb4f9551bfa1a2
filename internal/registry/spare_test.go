package registry

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"
)

// live counts what is leased here.
func live(r *Registry) (n int) {
	for range r.Leases() {
		n++
	}
	return n
}

// remembered counts the clients whose leases are over.
func remembered(r *Registry) (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, blk := range r.book.held {
		for i := range blk.slots {
			if l := blk.slots[i].lease; l != nil && l.State == leaseKept {
				n++
			}
		}
	}
	return n
}

func TestClientsThatStayAwayAreForgottenAndTheirBlocksGoBack(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = 12*time.Hour, time.Hour
	n := l.members(3)[0]
	const clients = 100
	for i := range clients {
		get(t, n.reg, client(i))
	}
	grown := len(n.reg.Blocks())
	n.clock.pass(l.lease + l.lease/10)
	eventually(t, "all leases over", func() bool { return remembered(n.reg) == clients })
	n.clock.pass(2 * time.Minute)
	again := get(t, n.reg, client(7))
	if err := n.reg.Release(t.Context(), client(7), again.Addr); err != nil {
		t.Fatal(err)
	}
	if len(n.reg.Blocks()) != grown || remembered(n.reg) != clients {
		t.Fatalf("%d clients remembered in %d blocks, were %d in %d", remembered(n.reg), len(n.reg.Blocks()), clients, grown)
	}
	n.clock.pass(l.hold)
	eventually(t, "everybody forgotten", func() bool { return remembered(n.reg) == 0 })
	eventually(t, "few blocks held", func() bool {
		n.clock.pass(time.Second)
		return len(n.reg.Blocks()) <= 3
	})
	n.stop()
	n.start()
	if remembered(n.reg) != 0 {
		t.Fatal("remembered on disk")
	}
}

func TestAnAddressIsTakenFromTheClientLongestAwayBeforeABlockIsClaimed(t *testing.T) {
	l := newLab(t, "10.9.0.0/28", 3)
	n := l.members(1)[0]
	was := make(map[int]netip.Addr)
	for i := range 13 { // as many as there are
		was[i] = get(t, n.reg, client(i)).Addr
	}
	for _, i := range []int{5, 3, 9} {
		if err := n.reg.Release(t.Context(), client(i), was[i]); err != nil {
			t.Fatal(err)
		}
	}
	for k, i := range []int{5, 3} {
		if a := get(t, n.reg, client(100+k)).Addr; a != was[i] {
			t.Errorf("given %v, want %v of client %d", a, was[i], i)
		}
	}
	if a := get(t, n.reg, client(9)).Addr; a != was[9] {
		t.Errorf("back, and given %v, want %v", a, was[9])
	}
}

func TestAMemberHoldsNoMoreThanItsShareAndGivesBackWhatItHasTooMuch(t *testing.T) {
	t.Parallel()                     // it mostly waits
	l := newLab(t, "10.9.0.0/23", 4) // 32 blocks
	ns := l.members(5)
	n := ns[0]
	served := 0
	for i := range 200 {
		o, err := n.reg.Offer(short(t, 10*time.Second), client(i), netip.Addr{})
		if errors.Is(err, ErrNoAddress) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := n.reg.Commit(t.Context(), client(i), o.Addr); err != nil {
			t.Fatal(err)
		}
		served++
	}
	if held := len(n.reg.Blocks()); held != 8 || served < 8*16-3 || served > 8*16 {
		t.Fatalf("%d clients served in %d blocks, want a quarter of 32", served, held)
	}
	get(t, ns[1].reg, client(1000))
	n.clock.pass(l.lease + l.lease/10)
	eventually(t, "all leases over", func() bool { return live(n.reg) == 0 && remembered(n.reg) > 0 })
	eventually(t, "half of the share held", func() bool {
		n.clock.pass(time.Second)
		return len(n.reg.Blocks()) <= 4
	})
	if remembered(n.reg) == 0 {
		t.Error("nobody is remembered though there is room")
	}
}

func TestOneMACGetsFewAddressesUnderHoweverManyIDs(t *testing.T) {
	l := newLab(t, "10.9.0.0/25", 6)
	n := l.members(1)[0]
	mac := net.HardwareAddr{2, 0, 0, 0, 0, 1}
	forged := func(i int) Client { return Client{ID: []byte{0, byte(i), byte(i >> 8)}, MAC: mac} }
	for i := range maxPerMAC {
		o, err := n.reg.Offer(t.Context(), forged(i), netip.Addr{})
		if err == nil && i%2 == 0 {
			_, err = n.reg.Commit(t.Context(), forged(i), o.Addr)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := n.reg.Offer(t.Context(), forged(500), netip.Addr{}); !errors.Is(err, ErrTooManyNew) {
		t.Errorf("an offer to one ID more: %v", err)
	}
	var err error
	b := n.reg.Blocks()[0].Block
	for off := range 64 { // without an offer
		a := n.reg.geo.addr(b, off)
		if _, err = n.reg.Commit(t.Context(), forged(501), a); !errors.Is(err, ErrTaken) && !errors.Is(err, ErrNotOurs) {
			break
		}
	}
	if !errors.Is(err, ErrTooManyNew) {
		t.Errorf("a lease of one ID more: %v", err)
	}
	if _, err := n.reg.Offer(t.Context(), forged(1), netip.Addr{}); err != nil {
		t.Errorf("one of those that have an offer: %v", err)
	}
	get(t, n.reg, client(77)) // another host
}

func TestNewClientsAreServedAtABoundedRateAndKnownOnesAlways(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	l.burst = 30
	n := l.members(1)[0]
	var known Lease
	first := time.Now()
	refused := 0
	for i := range 100 {
		o, err := n.reg.Offer(t.Context(), client(i), netip.Addr{})
		switch {
		case err == nil && i == 0:
			if known, err = n.reg.Commit(t.Context(), client(0), o.Addr); err != nil {
				t.Fatal(err)
			}
		case errors.Is(err, ErrTooManyNew):
			refused++
		case err != nil:
			t.Fatal(err)
		}
	}
	if back := int(time.Since(first)/(250*time.Millisecond)) + 1; refused > 70 || refused < 70-back {
		t.Errorf("%d of 100 were refused", refused)
	}
	if n.reg.Stats().TurnedAway != uint64(refused) {
		t.Errorf("counted %d", n.reg.Stats().TurnedAway)
	}
	if err := n.reg.Release(t.Context(), client(0), known.Addr); err != nil {
		t.Fatal(err)
	}
	if again := get(t, n.reg, client(0)); again.Addr != known.Addr {
		t.Errorf("a client that is remembered got %v, had %v", again.Addr, known.Addr)
	}
	n.clock.pass(time.Minute)
	get(t, n.reg, client(200))
}
