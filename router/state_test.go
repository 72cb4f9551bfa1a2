package router

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func nth(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}) }

func TestHostTableFollowsLeasesAndARP(t *testing.T) {
	h, err := NewHosts(prefix)
	if err != nil {
		t.Fatal(err)
	}
	leased, seen, later := frame.MAC{2, 1}, frame.MAC{2, 2}, frame.MAC{2, 3, 4, 5, 6, 7}
	a := nth(700)
	expect := func(step string, want frame.MAC) {
		t.Helper()
		if got, ok := h.MAC(a); got != want || ok != (want != frame.MAC{}) {
			t.Errorf("%s: %v, %v, want %v", step, got, ok, want)
		}
	}
	expect("at first", frame.MAC{})
	h.Learn(a, leased)
	expect("leased", leased)
	h.Observe(a, seen)
	expect("ARP showed another MAC", seen)
	h.Learn(a, leased)
	expect("renewed", seen)
	h.Observe(a, frame.Broadcast())
	expect("ARP showed nonsense", seen)
	h.Learn(a, later)
	expect("the lease has a new MAC", later)
	h.Forget(a)
	expect("lease ended", frame.MAC{})
	for _, outside := range []string{"10.8.255.255", "10.10.0.0", "192.0.2.1", "2001:db8::1"} {
		out := netip.MustParseAddr(outside)
		h.Learn(out, leased)
		if _, ok := h.MAC(out); ok {
			t.Errorf("%v is in the table", out)
		}
	}
	if _, err := NewHosts(netip.MustParsePrefix("0.0.0.0/4")); err == nil {
		t.Error("a table of 2^28 addresses was made")
	}
}

func TestWaitlistIsBoundedAndEmptiesWhole(t *testing.T) {
	w := newWaitlist()
	key := func(i int) waitKey { return waitKey{question: whoServes, addr: nth(i)} }
	big := parked{packet: bareOf(make([]byte, 60<<10))}
	if w.add(key(0), big) != first || w.add(key(0), big) != joined || w.add(key(0), big) != refusedFull {
		t.Error("a question holds more or less than 128 KiB")
	}
	if got := w.take(key(0)); len(got) != 2 || w.bytes != 0 {
		t.Errorf("%d packets came back, %d bytes remain", len(got), w.bytes)
	}

	rng := rand.New(rand.NewPCG(1, 2))
	kept := map[waitKey]int{}
	for range 100_000 {
		k := key(rng.IntN(2000))
		if rng.IntN(40) == 0 {
			if n := len(w.take(k)); n != kept[k] {
				t.Fatalf("%d packets came back of %d", n, kept[k])
			}
			delete(kept, k)
			continue
		}
		_, open := kept[k]
		switch a := w.add(k, parked{packet: bareOf(make([]byte, rng.IntN(9000)))}); a {
		case refusedFull:
		case first, joined:
			if open == (a == first) {
				t.Fatalf("admission %d of a question that was open: %v", a, open)
			}
			kept[k]++
		}
		if w.packets > waitPackets || w.bytes > waitTotal || len(w.queues) > waitKeys || kept[k] > waitPerKey {
			t.Fatalf("%d packets, %d bytes, %d questions", w.packets, w.bytes, len(w.queues))
		}
	}
	for k := range kept {
		w.take(k)
	}
	longest := parked{packet: bareOf(make([]byte, 65535))}
	if w.add(key(0), longest) != first || len(w.take(key(0))) != 1 {
		t.Error("a packet of 65,535 bytes can't wait")
	}
	if w.packets != 0 || w.bytes != 0 || len(w.queues) != 0 {
		t.Errorf("after taking all: %d packets, %d bytes, %d questions", w.packets, w.bytes, len(w.queues))
	}
}

// A member that sends from addresses of others has each of them asked about, and the news of a
// move awaited.
func TestTheSourcesOfOneMemberLeaveRoomForAllOtherQuestions(t *testing.T) {
	w, liar := newWaitlist(), group.MemberID{9}
	source := func(i int, from group.MemberID) waitKey {
		return waitKey{question: whoseIsIt, addr: nth(i), member: from}
	}
	packet := parked{packet: bareOf(make([]byte, 100))}
	for round := range 2 {
		for i := range 2 * waitKeys {
			w.add(source(i, liar), packet)
		}
		if len(w.queues) != waitSources {
			t.Errorf("%d questions about one member's sources, want %d", len(w.queues), waitSources)
		}
		if w.ask(source(0, group.MemberID{8})) != first || w.ask(waitKey{question: whoServes, addr: nth(0)}) != first {
			t.Fatal("another question finds no room")
		}
		for k := range w.queues {
			w.take(k)
		}
		if len(w.sources) != 0 {
			t.Errorf("round %d: %v are counted, and none is open", round, w.sources)
		}
	}
}

func TestAnAnswerBeforeTheQuestionsWaitIsNotLost(t *testing.T) {
	w := newWaitlist()
	k := waitKey{question: whichMAC, addr: nth(1)}
	w.ask(k)
	w.signal(k)
	w.signal(k)
	select {
	case <-w.answered(k):
	default:
		t.Error("the answer was lost")
	}
	w.take(k)
	if w.asked.Load() != 0 {
		t.Error("questions are still counted as open")
	}
}

func TestRefusalsHoldForTheirTimeAndTheirKeyOnly(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newRefusals(now)
	k := waitKey{question: whoseIsIt, addr: nth(1), member: group.MemberID{1}}
	r.remember(k, now, time.Second)
	for name, c := range map[string]struct {
		key  waitKey
		at   time.Duration
		want bool
	}{
		"at once":          {k, 0, true},
		"just before":      {k, 899 * time.Millisecond, true},
		"after":            {k, 1001 * time.Millisecond, false},
		"other question":   {waitKey{whoServes, k.addr, k.member}, 0, false},
		"other address":    {waitKey{k.question, nth(2), k.member}, 0, false},
		"other member":     {waitKey{k.question, k.addr, group.MemberID{2}}, 0, false},
		"clock went back?": {k, -time.Hour, true},
	} {
		if got := r.holds(c.key, now.Add(c.at)); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestARefusalThatSharesASlotIsNotTakenForAnother(t *testing.T) {
	now := time.Unix(1e9, 0)
	r := newRefusals(now)
	r.slots = r.slots[:1]
	r.remember(waitKey{addr: nth(1)}, now, time.Second)
	if r.holds(waitKey{addr: nth(2)}, now) || !r.holds(waitKey{addr: nth(1)}, now) {
		t.Error("the wrong address is refused")
	}
}

func TestOneSweepingHostDoesNotTakeAnothersICMPErrors(t *testing.T) {
	l := newICMPLimiter()
	now := time.Unix(1e9, 0)
	sent := 0
	for range 10_000 {
		if l.allow(nth(1), now) {
			sent++
		}
	}
	if sent != icmpHostBurst {
		t.Errorf("%d errors at once to one host, want %d", sent, icmpHostBurst)
	}
	if !l.allow(nth(2), now) && !l.allow(nth(3), now) { // one of them may share the slot
		t.Error("other hosts get nothing")
	}
	sent = 0
	for i := range 10_000 {
		if l.allow(nth(1), now.Add(time.Duration(i)*time.Millisecond)) {
			sent++
		}
	}
	if want := icmpHostRate * 10; sent < want-2 || sent > want+icmpHostBurst {
		t.Errorf("%d errors in 10 s, want about %d", sent, want)
	}
	sent = 0
	for i := range 10_000 {
		if l.allow(nth(i), now.Add(time.Hour)) {
			sent++
		}
	}
	if sent != icmpBurst {
		t.Errorf("%d errors at once to all hosts, want %d", sent, icmpBurst)
	}
}

func TestEveryCounterHasANameOfItsOwn(t *testing.T) {
	seen := map[string]bool{}
	for i, n := range countNames() {
		if n[0] == "" || n[1] == "" || seen[n[0]] || strings.ToLower(n[0]) != n[0] {
			t.Errorf("counter %d: %q, %q", i, n[0], n[1])
		}
		seen[n[0]] = true
	}
	a := newSite(t, memberA, gwA)
	a.router.counters.add(dropTTL, 3)
	if got := a.router.Counters(); !slices.ContainsFunc(got, func(c Count) bool { return c.Name == "drop_ttl" && c.Value == 3 }) {
		t.Errorf("%v", got)
	}
}

func TestAFaultyConfigIsRefusedWithAllItsFaults(t *testing.T) {
	_, err := New(Config{Prefix: netip.MustParsePrefix("2001:db8::/64"), MTU: 100})
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{"required", "prefix", "gateway MAC", "MTU 100"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q doesn't speak of %s", err, want)
		}
	}
}
