package registry

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"
)

// bind reserves an address for a client's MAC, and says why not.
func bind(t *testing.T, n *node, addr netip.Addr, c Client) error {
	t.Helper()
	refused, err := n.reg.Reserve(short(t, 10*time.Second), []Reservation{{Addr: addr, MAC: [6]byte(c.MAC)}}, "anna", false)
	return errors.Join(append(refused, err)...)
}

func acts(t *testing.T, r *Registry, q HistoryQuery) (all []Act) {
	t.Helper()
	if q.Limit == 0 {
		q.Limit = 100
	}
	found, err := r.History(q)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range found {
		all = append(all, e.Act)
	}
	slices.Reverse(all)
	return all
}

func TestAReservedAddressGoesToItsHostAloneAndOutlivesReleaseKillAndRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 4)
	ns := l.members(2)
	n := ns[0]
	get(t, n.reg, client(1))
	addr := freeOf(t, n)
	if err := bind(t, n, addr, client(2)); err != nil {
		t.Fatal(err)
	}
	check := func(when string) {
		t.Helper()
		for i := 10; i < 30; i++ { // more than the block has
			if got := get(t, n.reg, client(i)); got.Addr == addr {
				t.Fatalf("%s: another host got it", when)
			}
		}
		if _, err := n.reg.Commit(short(t, 5*time.Second), client(3), addr); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: another host asks for it: %v", when, err)
		}
		if _, err := n.reg.Adopt(short(t, 5*time.Second), [6]byte{2, 9}, addr); !errors.Is(err, ErrTaken) {
			t.Errorf("%s: another host uses it: %v", when, err)
		}
		other := client(2)
		other.ID = []byte("an identifier of its own")
		if got := get(t, n.reg, other); got.Addr != addr {
			t.Errorf("%s: its host got %v", when, got.Addr)
		}
		if err := n.reg.Release(context.Background(), other, addr); err != nil {
			t.Errorf("%s: %v", when, err)
		}
	}
	check("at first")
	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	n.start()
	check("after a kill")
	n.clock.pass(23 * time.Hour)
	check("after a day")
	if w, ok := n.reg.Row(addr); !ok || w.State != RowReserved || !w.Reserved || w.MAC != [6]byte(client(2).MAC) {
		t.Errorf("its row is %+v", w)
	}
	if err := n.reg.Unreserve(addr, "anna"); err != nil {
		t.Fatal(err)
	}
	if err := n.reg.Unreserve(addr, "anna"); !errors.Is(err, ErrNotReserved) {
		t.Errorf("unreserved twice: %v", err)
	}
	if _, err := n.reg.Commit(short(t, 5*time.Second), client(3), addr); err != nil {
		t.Errorf("when nobody has it any more: %v", err)
	}
}

func TestAReservationIsRefusedWhereTheAddressIsAnothersAndSaysWhose(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	has := get(t, ns[0].reg, client(1)).Addr
	theirs := get(t, ns[1].reg, client(2)).Addr
	var held *HeldError
	if err := bind(t, ns[0], has, client(3)); !errors.As(err, &held) || held.Row.Name != "host1" {
		t.Errorf("leased to another: %v", err)
	}
	var away *ElsewhereError
	if err := bind(t, ns[0], theirs, client(3)); !errors.As(err, &away) || away.Member != ns[1].id {
		t.Errorf("in another's block: %v", err)
	}
	for text, why := range map[string]string{
		"10.9.0.0": "the first of the prefix", "10.9.0.1": "the group's service address", "10.9.15.255": "its broadcast address", "192.0.2.1": "isn't in the group's prefix, 10.9.0.0/20",
	} {
		if err := bind(t, ns[0], netip.MustParseAddr(text), client(3)); !errors.Is(err, ErrOutside) || !strings.Contains(err.Error(), why) {
			t.Errorf("%s: %v, want %q", text, err, why)
		}
	}
	if err := bind(t, ns[0], has, client(1)); err != nil { // its own
		t.Error(err)
	}
	free := freeOf(t, ns[0])
	if err := bind(t, ns[0], free, client(1)); !errors.As(err, &held) {
		t.Errorf("a second address for one host: %v", err)
	}
	fresh := unheld(t, ns)
	if err := bind(t, ns[0], fresh, client(4)); err != nil || !ns[0].reg.holds(fresh) {
		t.Errorf("in a block that nobody holds: %v", err)
	}
	if got := get(t, ns[0].reg, client(4)); got.Addr != fresh {
		t.Errorf("its host got %v", got.Addr)
	}
	// All or none: the second is refused.
	refused, err := ns[0].reg.Reserve(short(t, 5*time.Second), []Reservation{{Addr: free, MAC: [6]byte{2, 8}}, {Addr: has, MAC: [6]byte{2, 9}}}, "anna", false)
	if err != nil || refused[0] != nil || refused[1] == nil {
		t.Errorf("refused %v, %v", refused, err)
	}
	if w, ok := ns[0].reg.Row(free); ok {
		t.Errorf("the other was reserved: %+v", w)
	}
	twice := []Reservation{{Addr: free, MAC: [6]byte{2, 8}}, {Addr: free, MAC: [6]byte{2, 9}}}
	if refused, err = ns[0].reg.Reserve(short(t, 5*time.Second), twice, "anna", false); err != nil || refused[0] != nil || !errors.As(refused[1], &held) {
		t.Errorf("one address for two hosts: %v, %v", refused, err)
	}
	if w, ok := ns[0].reg.Row(free); ok {
		t.Errorf("it was reserved for one of them: %+v", w)
	}
}

func TestAHostMovesToTheAddressThatIsReservedForItWhenItRenews(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	had := get(t, n.reg, client(1)).Addr
	addr := freeOf(t, n)
	if err := bind(t, n, addr, client(1)); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reg.Commit(context.Background(), client(1), had); !errors.Is(err, ErrNotOurs) {
		t.Errorf("it renews what it had: %v", err)
	}
	if got := get(t, n.reg, client(1)); got.Addr != addr {
		t.Errorf("it asks anew and gets %v", got.Addr)
	}
	if _, err := n.reg.Commit(context.Background(), client(1), addr); err != nil {
		t.Errorf("it renews the reserved one: %v", err)
	}
	if _, live := n.reg.Served(had); live {
		t.Error("it has both")
	}
}

// holding reports whether a node has a block, and whether its hold is good now.
func holding(n *node, b BlockID, hold time.Duration) (held, valid bool) {
	n.reg.mu.Lock()
	defer n.reg.mu.Unlock()
	blk := n.reg.book.held[b]
	return blk != nil, blk != nil && blk.valid(n.reg.clock.Instant(), hold)
}

func TestAnHeirOfABlockKeepsItsReservations(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = time.Hour, 10*time.Minute
	ns := l.members(4)
	lost, alive := ns[3], ns[:3]
	get(t, lost.reg, client(1))
	addr := freeOf(t, lost)
	b, _, _ := lost.reg.geo.split(addr)
	if err := bind(t, lost, addr, client(2)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the keepers have the record", func() bool {
		for _, m := range lost.lab.nodes[lost.id].reg.Blocks()[0].Replicas {
			raw, _, err := l.nodes[m].reg.storedRecord(b)
			if rec, _, bad := parseRecord(lost.reg.codec, lost.reg.group, lost.reg.geo, raw); err != nil || bad != nil || len(rec.Bound) != 1 {
				return false
			}
		}
		return true
	})
	l.isolate(lost, true)
	var heir *node
	eventually(t, "an heir", func() bool {
		step := 3 * time.Minute
		for _, n := range alive {
			switch held, valid := holding(n, b, l.hold); {
			case valid:
				heir = n
			case held:
				step = time.Second // it has claimed the block, and must renew: time was quicker than it
			}
		}
		for _, n := range alive {
			if heir == nil {
				n.clock.pass(step)
			}
		}
		return heir != nil
	})
	if _, err := heir.reg.Commit(short(t, 5*time.Second), client(3), addr); !errors.Is(err, ErrTaken) {
		t.Errorf("another host asks the heir for it: %v", err)
	}
	if got := get(t, heir.reg, client(2)); got.Addr != addr {
		t.Errorf("its host got %v of the heir", got.Addr)
	}
}

func TestARenamedHostIsFoundByItsNewNameAndKeepsItOverRenewalAndRestart(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(2)
	n := ns[0]
	addr := get(t, n.reg, client(1)).Addr
	if err := errors.Join(n.reg.Rename(addr, "printer", "anna"), n.reg.Note(addr, "second floor", "anna")); err != nil {
		t.Fatal(err)
	}
	check := func(when, name, note string) {
		t.Helper()
		for _, m := range ns {
			eventually(t, when+": the host is found by "+name, func() bool {
				a, err := m.reg.LookupName(short(t, time.Second), name)
				return err == nil && a == addr
			})
		}
		w, ok := n.reg.Row(addr)
		if !ok || w.Name != name || w.Note != note {
			t.Errorf("%s: the row is %+v", when, w)
		}
		if back, err := n.reg.ReverseName(short(t, time.Second), addr); err != nil || back != name {
			t.Errorf("%s: the address has the name %q, %v", when, back, err)
		}
	}
	check("at once", "printer", "second floor")
	if _, err := n.reg.Commit(context.Background(), client(1), addr); err != nil {
		t.Fatal(err)
	}
	check("after a renewal", "printer", "second floor")
	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	n.start()
	check("after a kill", "printer", "second floor")
	if err := n.reg.Rename(addr, "", "anna"); err != nil {
		t.Fatal(err)
	}
	check("when it is taken back", "host1", "second floor")
	if err := n.reg.Release(context.Background(), client(1), addr); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reg.Commit(context.Background(), client(2), addr); err != nil {
		t.Fatal(err)
	}
	check("when another host has it", "host2", "")
	var away *ElsewhereError
	if err := ns[1].reg.Rename(addr, "x", "anna"); !errors.As(err, &away) || away.Member != n.id {
		t.Errorf("at another member: %v", err)
	}
}

func TestEachChangeOfALeaseIsInTheHistoryAndOutlivesAKill(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	began := n.clock.Instant().Wall
	addr := get(t, n.reg, client(1)).Addr
	for range 5 { // renewals are no changes
		if _, err := n.reg.Commit(context.Background(), client(1), addr); err != nil {
			t.Fatal(err)
		}
	}
	renamed := client(1)
	renamed.Name = "other"
	if _, err := n.reg.Commit(context.Background(), renamed, addr); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(bind(t, n, addr, client(1)), n.reg.Release(context.Background(), client(1), addr), n.reg.Unreserve(addr, "berta")); err != nil {
		t.Fatal(err)
	}
	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	n.start()
	get(t, n.reg, client(2))
	want := []Act{Granted, Changed, Reserved, Released, Unreserved}
	for name, q := range map[string]HistoryQuery{
		"by address": {Addr: addr}, "by MAC": {MAC: [6]byte(client(1).MAC)}, "by a part of the MAC": {Search: "00:01"}, "by address as text": {Search: addr.String()},
	} {
		if got := acts(t, n.reg, q); !slices.Equal(got, want) {
			t.Errorf("%s: %v, want %v", name, got, want)
		}
	}
	for name, c := range map[string]struct {
		q    HistoryQuery
		want int
	}{
		"by name": {HistoryQuery{Name: "othe"}, 3}, "who": {HistoryQuery{Search: "berta"}, 1}, "before": {HistoryQuery{Until: began.Add(-time.Second)}, 0},
		"since then": {HistoryQuery{Since: began}, 6}, "later": {HistoryQuery{Since: began.Add(time.Hour)}, 0}, "limited": {HistoryQuery{Limit: 2}, 2},
	} {
		if got := acts(t, n.reg, c.q); len(got) != c.want {
			t.Errorf("%s: %v, want %d", name, got, c.want)
		}
	}
	var all []Act
	for q := (HistoryQuery{Limit: 1}); ; {
		page, err := n.reg.History(q)
		if err != nil {
			t.Fatal(err)
		}
		if len(page) == 0 {
			break
		}
		all, q.Before = append(all, page[0].Act), page[0].Place
	}
	if len(all) != 6 {
		t.Errorf("page by page: %v", all)
	}
	if h, err := n.reg.History(HistoryQuery{Addr: netip.IPv6Loopback(), Limit: 1}); err != nil || len(h) != 0 {
		t.Errorf("of an address of IPv6: %v, %v", h, err)
	}
	if _, err := n.reg.History(HistoryQuery{Before: "nonsense"}); !errors.Is(err, ErrBadPlace) {
		t.Errorf("after nonsense: %v", err)
	}
	n.clock.pass(historyLife + time.Hour)
	eventually(t, "what is too old is gone", func() bool { return len(acts(t, n.reg, HistoryQuery{Addr: addr})) == 0 })
}

func TestTheHistoryIsBounded(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	for i := range 5 {
		get(t, n.reg, client(i))
	}
	n.reg.history.n.Add(100) // what never came to the disk
	for _, c := range []struct{ most, left int }{{5, 5}, {3, 3}} {
		if err := n.reg.pruneHistory(n.clock.Instant(), int64(c.most)); err != nil {
			t.Fatal(err)
		}
		if got := acts(t, n.reg, HistoryQuery{}); len(got) != c.left {
			t.Errorf("%d entries are left of at most %d", len(got), c.most)
		}
	}
}

func TestTheHistoryOutlivesAClockThatIsNotSet(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	get(t, n.reg, client(1))
	for _, at := range []time.Time{time.Unix(0, 0), time.Unix(0, 0).Add(historyLife - time.Hour), time.Unix(-86400, 0)} {
		if err := n.reg.pruneHistory(Instant{Wall: at}, maxHistory); err != nil {
			t.Fatal(err)
		}
		if len(acts(t, n.reg, HistoryQuery{})) == 0 {
			t.Fatalf("by a clock of %v it is gone", at)
		}
	}
}

func TestRowsShowWhatIsHereAndWhatIsKnownOfElsewhere(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(2)
	mine := get(t, ns[0].reg, client(1)).Addr
	theirs := get(t, ns[1].reg, client(2)).Addr
	gone := get(t, ns[0].reg, client(3)).Addr
	if err := ns[0].reg.Release(context.Background(), client(3), gone); err != nil {
		t.Fatal(err)
	}
	free := freeOf(t, ns[0])
	if err := bind(t, ns[0], free, client(4)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other's lease is known", func() bool {
		_, err := ns[0].reg.Resolve(short(t, time.Second), theirs)
		return err == nil
	})
	for elsewhere, want := range map[bool]map[netip.Addr]string{
		false: {mine: "1 host1 true", gone: "3 host3 true", free: "2  true"},
		true:  {mine: "1 host1 true", gone: "3 host3 true", free: "2  true", theirs: "1 host2 false"},
	} {
		got := make(map[netip.Addr]string)
		for w := range ns[0].reg.Rows(elsewhere) {
			got[w.Addr] = fmt.Sprintf("%d %s %t", w.State, w.Name, w.Member == ns[0].id)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("elsewhere %t: %v, want %v", elsewhere, got, want)
		}
	}
}
