package appliance

import (
	"context"
	"errors"
	"net/netip"
	"testing"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/share"
)

// leaseBook is a locator: what memory says, and what the members say who are asked.
type leaseBook struct {
	memory registry.Status
	at     registry.Location
	err    error
	asked  int
}

func (b *leaseBook) Lookup(netip.Addr) (registry.Location, registry.Status) {
	if b.memory == registry.Known {
		return b.at, registry.Known
	}
	return registry.Location{}, b.memory
}

func (b *leaseBook) Resolve(context.Context, netip.Addr) (registry.Location, error) {
	b.asked++
	return b.at, b.err
}

func TestAClientIsTheRoutersThatHasLeasedItsAddressAlsoWhereThatMustBeAskedFirst(t *testing.T) {
	self, other, away := group.MemberID{1}, group.MemberID{2}, group.MemberID{3}
	circle := share.NewCircle(self, self, other)
	mac := func(owner group.MemberID) (m frame.MAC) {
		for m = (frame.MAC{2}); circle.Owner(share.MACKey(m)) != owner; m[5]++ {
		}
		return m
	}
	mine, its := mac(self), mac(other)
	local, remote, elsewhere := registry.Location{Member: self, Local: true}, registry.Location{Member: other}, registry.Location{Member: away}
	const known, absent, unknown = registry.Known, registry.Absent, registry.Unknown
	addr := netip.MustParseAddr("10.9.0.9")
	for name, c := range map[string]struct {
		client frame.MAC
		addr   netip.Addr
		alone  bool // no other router is heard
		book   leaseBook
		ours   bool
		asked  int
	}{
		"no address":                         {mine, netip.Addr{}, false, leaseBook{}, true, 0},
		"no address, the other's":            {its, netip.Addr{}, false, leaseBook{}, false, 0},
		"leased here":                        {its, addr, false, leaseBook{memory: known, at: local}, true, 0},
		"leased there":                       {mine, addr, false, leaseBook{memory: known, at: remote}, false, 0},
		"leased there by one that is silent": {mine, addr, true, leaseBook{memory: known, at: remote}, true, 0},
		"leased at another site":             {mine, addr, false, leaseBook{memory: known, at: elsewhere}, true, 0},
		"leased to nobody":                   {mine, addr, false, leaseBook{memory: absent}, true, 0},
		"asked: leased there":                {mine, addr, false, leaseBook{memory: unknown, at: remote}, false, 1},
		"asked: leased at another site":      {mine, addr, false, leaseBook{memory: unknown, at: elsewhere}, true, 1},
		"asked: leased to nobody":            {mine, addr, false, leaseBook{memory: unknown, err: registry.ErrAbsent}, true, 1},
		"asked: nobody can tell":             {mine, addr, false, leaseBook{memory: unknown, err: registry.ErrNoQuorum}, false, 1},
		"asked: no answer in time":           {mine, addr, false, leaseBook{memory: unknown, err: errors.New("late")}, false, 1},
		"not asked: the other's":             {its, addr, false, leaseBook{memory: unknown, at: elsewhere}, false, 0},
		"not asked: alone":                   {mine, addr, true, leaseBook{memory: unknown}, true, 0},
	} {
		s := &neighbours{self: self}
		s.circle.Store(circle)
		if !c.alone {
			s.hear([]share.Router{{Member: other, LAN: true, WAN: true}, {Member: away, LAN: true, Silent: true}})
		}
		if ours := s.isOurs(t.Context(), &c.book, c.client, c.addr); ours != c.ours || c.book.asked != c.asked {
			t.Errorf("%s: ours %v, asked %d times", name, ours, c.book.asked)
		}
	}
}

func TestBlocksAreToldByAnAddressThatEachHas(t *testing.T) {
	told := blocksTold([]registry.BlockStatus{{First: netip.MustParseAddr("10.9.255.240"), Size: 16}, {First: netip.MustParseAddr("10.9.0.0"), Size: 256}})
	if string(told) != "\x0a\x09\xff\xf8\x0a\x09\x00\x80" {
		t.Errorf("% x", told)
	}
	if n := len(blocksTold(make([]registry.BlockStatus, 0, 1))); n != 0 {
		t.Errorf("%d bytes for no blocks", n)
	}
}
