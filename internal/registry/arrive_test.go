package registry

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
)

func (c Client) mac() [6]byte { return [6]byte(c.MAC) }

// servedBy waits until all members know that m serves the address, and returns how long the
// last took.
func servedBy(t *testing.T, ns []*node, addr netip.Addr, m *node) time.Duration {
	t.Helper()
	began := time.Now()
	for _, n := range ns {
		eventually(t, n.name+" knows that "+addr.String()+" is at "+m.name, func() bool {
			at, err := n.reg.Resolve(short(t, time.Second), addr)
			return err == nil && at.Member == m.id && at.Local == (n == m)
		})
	}
	return time.Since(began)
}

// Whoever holds the block, and whoever served the host before: the holder, another, or the
// holder again.
func TestAHostThatShowsItselfAtAnotherSiteIsServedThere(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(4)
	c := client(7)
	c.ID = []byte("an ID of its own") // which nobody but its server knows
	lease := get(t, ns[0].reg, c)
	for _, n := range ns {
		if at, err := n.reg.Resolve(short(t, 5*time.Second), lease.Addr); err != nil || at.Member != ns[0].id {
			t.Fatalf("%s: %v, %v", n.name, at, err)
		}
	}
	at := ns[0]
	for _, to := range []*node{ns[1], ns[2], ns[0], ns[3], ns[1]} {
		got, err := to.reg.Arrive(short(t, 5*time.Second), lease.Addr, c.mac())
		if err != nil || got.Addr != lease.Addr || string(got.Client) != string(c.ID) || got.Name != lease.Name {
			t.Fatalf("from %s to %s: %+v, %v", at.name, to.name, got, err)
		}
		t.Logf("from %s to %s: all know it after %v", at.name, to.name, servedBy(t, ns, lease.Addr, to))
		eventually(t, at.name+" serves it no more", func() bool {
			_, here := at.reg.Served(lease.Addr)
			return !here
		})
		at = to
	}
	if l, err := at.reg.Commit(short(t, 5*time.Second), c, lease.Addr); err != nil {
		t.Errorf("renewed by DHCP where it is: %v, %v", l, err)
	}
	if s := ns[1].reg.Stats(); s.Arrived != 2 {
		t.Errorf("%d arrivals counted, want 2", s.Arrived)
	}
}

func TestAnAddressIsGivenUpOnEvidenceOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	c := client(7)
	lease := get(t, ns[0].reg, c)
	var free netip.Addr
	for b, off, _ := ns[0].reg.geo.split(lease.Addr); ; off = (off + 1) % 64 {
		if free = ns[0].reg.geo.addr(b, off); free != lease.Addr && !ns[0].reg.geo.reserved(b, off) {
			break
		}
	}
	there := func(context.Context, netip.Addr) (bool, error) { return true, nil }
	mute := func(context.Context, netip.Addr) (bool, error) { return false, errors.New("no LAN here") }
	for what, k := range map[string]struct {
		addr    netip.Addr
		mac     [6]byte
		present func(context.Context, netip.Addr) (bool, error)
		want    error
	}{
		"its host answers at the old site": {lease.Addr, c.mac(), there, ErrStays},
		"the old site can't ask its LAN":   {lease.Addr, c.mac(), mute, ErrUnsure},
		"another MAC uses it":              {lease.Addr, client(8).mac(), nil, ErrNotOurs},
		"nobody has it":                    {free, c.mac(), nil, ErrAbsent},
	} {
		ns[0].whereHostsAre(k.present)
		if got, err := ns[1].reg.Arrive(short(t, 5*time.Second), k.addr, k.mac); !errors.Is(err, k.want) {
			t.Errorf("%s: %v, %v; want %v", what, got, err, k.want)
		}
	}
	servedBy(t, ns, lease.Addr, ns[0])
	if s := ns[0].reg.Stats(); s.Stayed != 1 {
		t.Errorf("%d counted as having stayed, want 1", s.Stayed)
	}
	ns[0].whereHostsAre(nil)
	l.isolate(ns[0], true)
	if got, err := ns[1].reg.Arrive(short(t, 5*time.Second), lease.Addr, c.mac()); !errors.Is(err, ErrUnsure) {
		t.Errorf("the old site is away: %v, %v", got, err)
	}
}

// In router mode nobody on the LAN answers for the address that the machine keeps for itself, and
// everybody can work out its MAC.
func TestTheAddressOfTheMachineItselfIsNotGivenUp(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(3)
	c := client(7)
	c.ID = OwnClient(ns[0].id)
	lease := get(t, ns[0].reg, c)
	if got, err := ns[1].reg.Arrive(short(t, 5*time.Second), lease.Addr, c.mac()); !errors.Is(err, ErrStays) {
		t.Errorf("given up: %v, %v; want %v", got, err, ErrStays)
	}
	servedBy(t, ns, lease.Addr, ns[0])
}

// A clone of a machine is up at two other sites at once, and each has seen it. Whoever gets it
// keeps it, as a host answers there from then on.
func TestAHostThatShowsItselfAtTwoSitesAtOnceEndsAtOne(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	l.delay = func() time.Duration { return 5 * time.Millisecond }
	ns := l.members(4)
	for round := range 8 {
		c := client(100 + round)
		lease := get(t, ns[0].reg, c)
		for _, n := range ns[1:3] {
			n.whereHostsAre(func(context.Context, netip.Addr) (bool, error) { return true, nil })
		}
		var both sync.WaitGroup
		for _, n := range ns[1:3] {
			both.Go(func() {
				for range 5 {
					_, err := n.reg.Arrive(short(t, 5*time.Second), lease.Addr, c.mac())
					if err == nil || errors.Is(err, ErrStays) {
						return
					}
				}
				t.Errorf("round %d: %s has no answer", round, n.name)
			})
		}
		both.Wait()
		var by []group.MemberID
		eventually(t, "one serves it and all know", func() bool {
			by = nil
			for _, n := range ns {
				at, err := n.reg.Resolve(short(t, time.Second), lease.Addr)
				if err != nil || at.Member == ns[0].id || len(by) > 0 && by[0] != at.Member {
					return false
				}
				by = append(by, at.Member)
			}
			return true
		})
		serving := 0
		for _, n := range ns {
			if _, here := n.reg.Served(lease.Addr); here {
				serving++
			}
		}
		if serving != 1 {
			t.Errorf("round %d: %d members serve it", round, serving)
		}
	}
}

// A hypervisor announces a guest by its MAC alone.
func TestTheAddressOfAMACIsFound(t *testing.T) {
	t.Parallel()
	l := newLab(t, "10.9.0.0/20", 6)
	ns := l.members(4)
	plain, named := client(1), client(2)
	named.ID = []byte("an ID of its own")
	for _, c := range []Client{plain, named} {
		lease := get(t, ns[0].reg, c)
		for _, n := range ns {
			eventually(t, n.name+" finds it", func() bool {
				addrs := n.reg.FindMAC(short(t, time.Second), c.mac())
				return len(addrs) == 1 && addrs[0] == lease.Addr
			})
		}
	}
	if addrs := ns[1].reg.FindMAC(short(t, time.Second), client(3).mac()); len(addrs) > 0 {
		t.Errorf("a MAC that nobody has: %v", addrs)
	}
}
