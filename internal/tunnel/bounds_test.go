package tunnel

import (
	"context"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func TestTwoGroupsShareASocket(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		ha, hb := m.host(public), m.host(public)
		a, b := m.nodeOn(ha, newFakeMember(m.group, 1)), m.nodeOn(hb, newFakeMember(m.group, 2))
		// the second group's tunnels live on the same hosts and readers
		other := group.ID{9}
		var got atomic.Int64
		second := make(map[group.MemberID]*Tunnel)
		for i, h := range []*memHost{ha, hb} {
			member := newFakeMember(other, uint64(i))
			tun, err := open(Config{
				Membership: member, Log: testLog(), Deliver: func(group.MemberID, []frame.Packet) { got.Add(1) },
				Interfaces: func() []netip.Addr { return []netip.Addr{h.addr.Addr()} },
				Signal: callFunc(func(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
					return second[to].HandleSignal(ctx, member.id, req)
				}),
			}, h)
			if err != nil {
				t.Fatal(err)
			}
			defer tun.Close()
			second[member.id] = tun
		}
		from, to := newFakeMember(other, 0).id, newFakeMember(other, 1).id
		a.send(b, "first group")
		second[from].Send(to, []frame.Packet{packet("second group")})
		await(t, time.Second, "both packets arrive", func() bool { return b.has(a, "first group")() && got.Load() == 1 })
		if len(second[to].Peers()) != 1 || len(b.tunnel.Peers()) != 1 {
			t.Error("the groups mix")
		}
	})
}

func TestOfferedAddressesAreFiltered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a := m.node(public)
		a.tunnel.cfg.Exclude = netip.MustParsePrefix("10.9.0.0/16").Contains
		local := a.tunnel.localNow()
		for addr, want := range map[string]bool{
			"192.0.2.1:7": true, "10.1.2.3:7": true, "[2001:db8::1]:7": true, "100.64.0.1:1": true,
			"192.0.2.1:0": false, "127.0.0.1:7": false, "[::1]:7": false, "0.0.0.0:7": false, "[::]:7": false,
			"224.0.0.1:7": false, "[ff02::1]:7": false, "255.255.255.255:7": false,
			"169.254.1.1:7": false, "[fe80::1]:7": false, "10.9.4.4:7": false, a.addr.String(): false,
		} {
			if got := a.tunnel.acceptable(endpointCandidate{addr: netip.MustParseAddrPort(addr)}, local); got != want {
				t.Errorf("%s: %v", addr, got)
			}
		}
	})
}

func TestAnAddressThatDoesNotAnswerGetsFewProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		victim := netip.MustParseAddrPort("203.0.113.77:53")
		hits := 0
		m.drop = func(_, to netip.AddrPort, _ int) bool {
			if to == victim {
				hits++
			}
			return false
		}
		a := m.node(public)
		b := m.node(public, func(n *memNode) { n.seen = func() []netip.AddrPort { return []netip.AddrPort{victim} } })
		a.send(b, "hello")
		await(t, time.Second, "connected", b.has(a, "hello"))
		flow(a, b, "flow ", 50*ms, 10*time.Minute)
		m.mu.Lock()
		defer m.mu.Unlock()
		if hits == 0 || hits > len(probeGaps) {
			t.Errorf("%d datagrams to an address that never answered", hits)
		}
	})
}

func TestCloseIsTheEndOfDeliver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		for range 200 {
			a.send(b, "one of many")
		}
		time.Sleep(m.delay)
		if err := b.tunnel.Close(); err != nil {
			t.Fatal(err)
		}
		n := b.count(a)
		time.Sleep(time.Second)
		if b.count(a) != n {
			t.Error("Deliver was called after Close")
		}
		b.send(a, "too late")
		if _, err := b.tunnel.HandleSignal(t.Context(), a.member.id, nil); err == nil {
			t.Error("a closed tunnel answers")
		}
		if b.indexes() != 0 {
			t.Errorf("%d receiver indexes in use", b.indexes())
		}
		if err := b.tunnel.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestOnlyIPPacketsUpToTheMTUAreSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		fits := packet(string(make([]byte, DefaultMTU-20)))
		large := packet(string(make([]byte, DefaultMTU-20+1)))
		for range 2 {
			a.tunnel.Send(b.member.id, []frame.Packet{wrap(nil), wrap([]byte{0x10, 1, 2}), large, fits})
		}
		a.tunnel.Send(a.member.id, []frame.Packet{packet("to myself")})
		time.Sleep(time.Second)
		if b.count(a) != 1+2 {
			t.Errorf("%d packets arrived", b.count(a))
		}
		c := a.tunnel.Counters()
		if c["not_ip"] != 4 || c["over_mtu"] != 2 {
			t.Errorf("counters %v", c)
		}
	})
}

func TestPeersThatNobodyHasToDoWithAreForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a := m.node(public)
		for i := range uint64(20) {
			a.tunnel.Send(newFakeMember(m.group, 3000+i).id, []frame.Packet{packet("anybody?")})
		}
		if n := len(a.tunnel.Peers()); n != 20 {
			t.Errorf("%d peers", n)
		}
		time.Sleep(forgetPeer + time.Minute)
		if n := len(a.tunnel.Peers()); n != 0 {
			t.Errorf("%d peers after %v", n, forgetPeer)
		}
		a.tunnel.Send(newFakeMember(m.group, 3000).id, []frame.Packet{packet("again")})
		if n := len(a.tunnel.Peers()); n != 1 {
			t.Errorf("%d peers", n)
		}
	})
}

func TestChangedInterfacesAreTried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		a.send(b, "hello")
		await(t, time.Second, "connected", b.has(a, "hello"))
		a.move(public)
		a.tunnel.surveyNow()
		await(t, 500*ms, "the peer follows", func() bool { return b.status(a).Addr == a.memHost.addr })
		if !slices.ContainsFunc(a.tunnel.candidates().endpoints, func(e endpointCandidate) bool { return e.addr == a.memHost.addr }) {
			t.Error("the new address isn't offered")
		}
	})
}
