package share

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func member(n byte) group.MemberID { return sha256.Sum256([]byte{n}) }

func members(n byte) (all []group.MemberID) {
	for i := range n {
		all = append(all, member(i))
	}
	return all
}

func addr(n uint32) netip.Addr {
	var b [4]byte
	binary.BigEndian.PutUint32(b[:], 10<<24+n)
	return netip.AddrFrom4(b)
}

func mac(n uint32) (m frame.MAC) {
	binary.BigEndian.PutUint32(m[2:], n)
	return m
}

func TestEachKeyIsOursAtOneRouterWhateverTheOrder(t *testing.T) {
	all := members(4)
	reversed := slices.Clone(all)
	slices.Reverse(reversed)
	share := make(map[group.MemberID]int)
	const keys = 20000
	for n := range uint32(keys) {
		for _, k := range []Key{AddrKey(addr(n)), MACKey(mac(n))} {
			var ours []group.MemberID
			for i, m := range all {
				if NewCircle(m, [][]group.MemberID{all, reversed}[i%2]...).Ours(k) {
					ours = append(ours, m)
				}
			}
			if len(ours) != 1 {
				t.Fatalf("key %x is %d routers'", k, len(ours))
			}
			share[ours[0]]++
		}
	}
	for m, n := range share {
		if n < 2*keys/4*9/10 || n > 2*keys/4*11/10 {
			t.Errorf("%v has %d of %d", m.Short(), n, 2*keys)
		}
	}
}

func TestOnlyWhatARouterHadChangesHandsWhenItLeaves(t *testing.T) {
	all := members(3)
	with, without := NewCircle(all[0], all...), NewCircle(all[0], all[:2]...)
	moved := 0
	for n := range uint32(3000) {
		k := AddrKey(addr(n))
		before, after := with.Owner(k), without.Owner(k)
		if before == all[2] {
			moved++
		} else if before != after {
			t.Fatalf("%v went from %v to %v, which both stayed", addr(n), before.Short(), after.Short())
		}
	}
	if moved < 900 || moved > 1100 {
		t.Errorf("%d of 3000 changed hands", moved)
	}
}

func TestWhoIsNotInTheCircleOwnsNothing(t *testing.T) {
	k := AddrKey(addr(7))
	for _, c := range []*Circle{NewCircle(member(9)), NewCircle(member(9), member(1)), NewCircle(member(9), members(3)...)} {
		if c.Ours(k) || c.Has(member(9)) {
			t.Errorf("%+v", c)
		}
	}
	if !NewCircle(member(1), member(1)).Ours(k) {
		t.Error("the only router doesn't own all")
	}
}

// Other versions must come to the same.
func TestTheArithmeticStands(t *testing.T) {
	c := NewCircle(member(0), members(5)...)
	var got []int
	for n := range uint32(12) {
		got = append(got, slices.Index(members(5), c.Owner(AddrKey(addr(n)))))
	}
	if want := []int{3, 0, 1, 1, 2, 3, 1, 2, 1, 0, 1, 0}; !slices.Equal(got, want) {
		t.Errorf("owners %v, want %v", got, want)
	}
}

func TestOwnershipAllocatesNothing(t *testing.T) {
	c := NewCircle(member(0), members(3)...)
	a := addr(5)
	if n := testing.AllocsPerRun(100, func() { c.Ours(AddrKey(a)); c.Ours(MACKey(mac(3))) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestAClientIsAnsweredByAnotherOnlyWhenItsOwnRouterHasNot(t *testing.T) {
	var c Clients
	now := time.Unix(1e9, 0)
	after := func(d time.Duration) time.Time { return now.Add(d) }
	ask := func(kind dhcpv4.MessageType, d time.Duration) bool {
		return c.Neglected(mac(1), kind, after(d))
	}
	for d := time.Duration(0); d < patience; d += time.Second {
		if ask(dhcpv4.MessageTypeDiscover, d) {
			t.Fatalf("answered after %v", d)
		}
	}
	if !ask(dhcpv4.MessageTypeDiscover, patience) || !ask(dhcpv4.MessageTypeRequest, patience+time.Second) || !ask(dhcpv4.MessageTypeRequest, patience+2*time.Second) {
		t.Error("a neglected client isn't answered to its end")
	}
	if ask(dhcpv4.MessageTypeDiscover, patience+2*memory) {
		t.Error("answered at once, much later")
	}

	c = Clients{}
	ask(dhcpv4.MessageTypeDiscover, 0)
	if ask(dhcpv4.MessageTypeRequest, time.Second) || ask(dhcpv4.MessageTypeDiscover, patience+time.Second) {
		t.Error("a client that somebody has served counts as neglected")
	}
	if ask(dhcpv4.MessageTypeRequest, 0) {
		t.Error("a renewal is taken over")
	}
}

func TestClientsAreWatchedInBoundedMemory(t *testing.T) {
	var c Clients
	now := time.Unix(1e9, 0)
	for n := range uint32(5 * maxClients) {
		c.Neglected(mac(n), dhcpv4.MessageTypeDiscover, now)
	}
	if len(c.all) != maxClients {
		t.Errorf("%d are watched", len(c.all))
	}
	c.Neglected(mac(1<<30), dhcpv4.MessageTypeDiscover, now.Add(memory))
	if len(c.all) != 1 {
		t.Errorf("%d are watched after a minute", len(c.all))
	}
}
