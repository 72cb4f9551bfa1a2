package registry

import (
	"errors"
	"net/netip"
	"testing"
	"time"
)

func TestALoneFounderLeasesAndRemembers(t *testing.T) {
	l := newLab(t, "10.9.0.0/24", 4)
	n := l.members(1)[0]
	first := get(t, n.reg, client(1))
	if loc, s := n.reg.Lookup(first.Addr); s != Known || !loc.Local {
		t.Fatalf("lookup of a lease here: %v %v", loc, s)
	}
	if again := get(t, n.reg, client(1)); again.Addr != first.Addr {
		t.Fatalf("same client, two addresses: %v and %v", first.Addr, again.Addr)
	}
	if other := get(t, n.reg, client(2)); other.Addr == first.Addr {
		t.Fatal("two clients, one address")
	}
	if _, err := n.reg.Commit(t.Context(), client(2), first.Addr); !errors.Is(err, ErrTaken) {
		t.Fatalf("commit of another's address: %v", err)
	}
	n.stop()
	n.start()
	if again := get(t, n.reg, client(1)); again.Addr != first.Addr {
		t.Fatalf("after a restart: %v, was %v", again.Addr, first.Addr)
	}
	if err := n.reg.Release(t.Context(), client(1), first.Addr); err != nil {
		t.Fatal(err)
	}
	if _, s := n.reg.Lookup(first.Addr); s != Absent {
		t.Fatalf("lookup of a released address: %v", s)
	}
	if again := get(t, n.reg, client(1)); again.Addr != first.Addr {
		t.Fatalf("after a release: %v, was %v", again.Addr, first.Addr)
	}
}

func TestMembersFindEachOthersHostsByAddressAndName(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(4)
	ctx := short(t, 10*time.Second)
	for i, n := range ns {
		lease := get(t, n.reg, client(i))
		for j, m := range ns {
			loc, err := m.reg.Resolve(ctx, lease.Addr)
			if err != nil || loc.Member != n.id || loc.Local != (i == j) {
				t.Fatalf("member %d resolves %v of member %d to %v, %v", j, lease.Addr, i, loc, err)
			}
			if _, s := m.reg.Lookup(lease.Addr); s != Known {
				t.Fatalf("member %d doesn't remember %v", j, lease.Addr)
			}
		}
		eventually(t, "name found everywhere", func() bool {
			for _, m := range ns {
				if a, err := m.reg.LookupName(ctx, lease.Name); err != nil || a != lease.Addr {
					return false
				}
				if s, err := m.reg.ReverseName(ctx, lease.Addr); err != nil || s != lease.Name {
					return false
				}
			}
			return true
		})
	}
	if _, err := ns[0].reg.Resolve(ctx, netip.MustParseAddr("10.9.3.77")); !errors.Is(err, ErrAbsent) {
		t.Fatalf("an address of nobody: %v", err)
	}
}

func TestAHostThatMovesTakesItsAddressAlong(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(3)
	ctx := short(t, 10*time.Second)
	c := client(7)
	lease := get(t, ns[0].reg, c)
	at := func(want *node) func() bool {
		return func() bool {
			for _, m := range ns {
				loc, err := m.reg.Resolve(ctx, lease.Addr)
				if err != nil || loc.Member != want.id || loc.Local != (m == want) {
					return false
				}
			}
			return true
		}
	}
	eventually(t, "known at home", at(ns[0]))
	for _, stop := range []int{1, 2, 0, 2, 1} {
		got, err := ns[stop].reg.Commit(ctx, c, lease.Addr)
		if err != nil || got.Addr != lease.Addr {
			t.Fatalf("moved to member %d: %v, %v", stop, got, err)
		}
		if loc, s := ns[stop].reg.Lookup(lease.Addr); s != Known || !loc.Local {
			t.Fatalf("member %d doesn't serve it: %v %v", stop, loc, s)
		}
		eventually(t, "everybody follows", at(ns[stop]))
		for i, m := range ns {
			served := 0
			for range m.reg.Leases() {
				served++
			}
			if (served == 1) != (i == stop) {
				eventually(t, "one member serves it", func() bool {
					n := 0
					for range m.reg.Leases() {
						n++
					}
					return (n == 1) == (i == stop)
				})
			}
		}
	}
	if _, err := ns[2].reg.Commit(ctx, client(8), lease.Addr); !errors.Is(err, ErrNotOurs) {
		t.Fatalf("a stranger asks for the address at another site: %v", err)
	}
	if err := ns[1].reg.Release(ctx, c, lease.Addr); err != nil {
		t.Fatal(err)
	}
	eventually(t, "free again", func() bool {
		_, err := ns[2].reg.Resolve(ctx, lease.Addr)
		return errors.Is(err, ErrAbsent)
	})
}

// What a lease's renewal changes only its holder has to know: hundreds of renewals a second must not become as many
// signed records.
func TestARenewalThatChangesNothingIsNotPublished(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(3)
	n := ns[0]
	lease := get(t, n.reg, client(1))
	l.made(ns)
	before := n.reg.Stats().Published
	for range 5 {
		get(t, n.reg, client(1))
	}
	l.made(ns)
	if got := n.reg.Stats().Published; got != before {
		t.Errorf("5 renewals: %d records published", got-before)
	}
	named := client(1)
	named.Name = "another"
	if _, err := n.reg.Commit(t.Context(), named, lease.Addr); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its new name is known elsewhere", func() bool {
		a, err := ns[1].reg.LookupName(t.Context(), "another")
		return err == nil && a == lease.Addr
	})
}

// Those who keep a lease's hints forget them after twice the lease time, and nobody else renews them for so long.
func TestARenewedLeaseIsFoundByItsNameForAsLongAsItIsRenewed(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/22", 6)
	l.lease = time.Minute // shorter than what is published anew by itself
	ns := l.members(3)
	lease := get(t, ns[0].reg, client(1))
	for range 8 {
		for _, n := range ns {
			n.clock.pass(l.lease / 2)
		}
		if _, err := ns[0].reg.Commit(t.Context(), client(1), lease.Addr); err != nil {
			t.Fatal(err)
		}
		eventually(t, "found by name", func() bool {
			a, err := ns[1].reg.LookupName(t.Context(), client(1).Name)
			return err == nil && a == lease.Addr
		})
	}
}
