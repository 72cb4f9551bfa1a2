package registry

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"
)

func TestAnEvictedHostMustAskAnewAlsoAfterAKill(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	n := l.members(1)[0]
	addr := get(t, n.reg, client(1)).Addr
	was, err := n.reg.End(addr, true, "anna")
	if err != nil || was.Addr != addr {
		t.Fatalf("%+v, %v", was, err)
	}
	if notice := n.reg.Notice(was); notice.Before(was.Start) || !notice.Before(was.End) {
		t.Errorf("it notices at %v, leased from %v to %v", notice, was.Start, was.End)
	}
	if _, s := n.reg.Lookup(addr); s != Absent {
		t.Error("it is still found")
	}
	for range 2 {
		if !n.reg.Evicted(client(1).ID, addr) || n.reg.Evicted(client(2).ID, addr) || n.reg.Evicted(client(1).ID, addr.Next()) || n.reg.Evicted(client(1).ID, netip.Addr{}) {
			t.Error("who was evicted, and from where, is told wrongly")
		}
		if all := n.reg.Evictions(); len(all) != 1 || all[0] != [6]byte(client(1).MAC) {
			t.Errorf("evicted were %v", all)
		}
		if _, err := n.reg.Commit(context.Background(), client(1), addr); !errors.Is(err, ErrNotOurs) {
			t.Errorf("it renews: %v", err)
		}
		if _, err := n.reg.Adopt(context.Background(), [6]byte(client(1).MAC), addr); !errors.Is(err, ErrUnsure) {
			t.Errorf("it is found with the address: %v", err)
		}
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		n.start()
	}
	get(t, n.reg, client(1)) // it has asked
	if n.reg.Evicted(client(1).ID, addr) || len(n.reg.Evictions()) > 0 {
		t.Error("it has asked anew, and is said to be evicted")
	}
	if _, err := n.reg.End(addr, false, "anna"); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reg.Commit(context.Background(), client(1), addr); err != nil {
		t.Errorf("it was released, and renews: %v", err)
	}
	if _, err := n.reg.End(freeOf(t, n), true, "anna"); !errors.Is(err, ErrNoLease) {
		t.Errorf("nobody's lease: %v", err)
	}
	want := []Act{Granted, Evicted, Granted, Released, Granted}
	if got := acts(t, n.reg, HistoryQuery{Addr: addr}); !slices.Equal(got, want) {
		t.Errorf("its history is %v, want %v", got, want)
	}
}

// Its former holder has no say in it, and may not be there.
func TestAHostEvictedFromAnotherMembersBlockMustAskAnewAlsoAfterAKill(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	home, n := ns[0], ns[1]
	addr := get(t, home.reg, client(1)).Addr
	if _, err := n.reg.Commit(short(t, 5*time.Second), client(1), addr); err != nil {
		t.Fatal(err)
	}
	l.isolate(home, true)
	if was, err := n.reg.End(addr, true, "anna"); err != nil || was.Addr != addr {
		t.Fatalf("%+v, %v", was, err)
	}
	for range 2 {
		if !n.reg.Evicted(client(1).ID, addr) || n.reg.Evicted(client(2).ID, addr) || n.reg.Evicted(client(1).ID, addr.Next()) {
			t.Error("who was evicted, and from where, is told wrongly")
		}
		if all := n.reg.Evictions(); len(all) != 1 || all[0] != [6]byte(client(1).MAC) {
			t.Errorf("evicted were %v", all)
		}
		if _, err := n.reg.Commit(short(t, 5*time.Second), client(1), addr); !errors.Is(err, ErrNotOurs) {
			t.Errorf("it renews: %v", err)
		}
		if _, err := n.reg.Adopt(short(t, 5*time.Second), [6]byte(client(1).MAC), addr); !errors.Is(err, ErrUnsure) {
			t.Errorf("it is found with the address: %v", err)
		}
		if _, here := n.reg.Served(addr); here {
			t.Error("it is still served")
		}
		if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		n.start()
	}
	get(t, n.reg, client(1)) // it has asked
	if n.reg.Evicted(client(1).ID, addr) || len(n.reg.Evictions()) > 0 {
		t.Error("it has asked anew, and is said to be evicted")
	}
	if got := acts(t, n.reg, HistoryQuery{Addr: addr}); got[len(got)-1] != Evicted {
		t.Errorf("its history is %v", got)
	}
	l.isolate(home, false)
}

func TestAnEvictionFromAnotherMembersBlockIsForgottenAfterTheHoldTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	n := ns[1]
	addr := get(t, ns[0].reg, client(1)).Addr
	if _, err := n.reg.Commit(short(t, 5*time.Second), client(1), addr); err != nil {
		t.Fatal(err)
	}
	if _, err := n.reg.End(addr, true, "anna"); err != nil {
		t.Fatal(err)
	}
	for _, m := range ns {
		m.clock.pass(l.hold)
	}
	eventually(t, "it is forgotten", func() bool { return len(n.reg.Evictions()) == 0 })
	if err := n.kill(); err != nil {
		t.Fatal(err)
	}
	n.start()
	if all := n.reg.Evictions(); len(all) > 0 {
		t.Errorf("after a restart %v are evicted", all)
	}
}
