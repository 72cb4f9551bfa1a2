package tunnel

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// TestAMeshHealsWhateverHappens lets members of all kinds talk at random while some
// crash, return, move, lose their NAT's memory or are cut off, with loss on all
// links. When the ground is still again, every pair must talk within seconds.
func TestAMeshHealsWhateverHappens(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { mesh(t, seed) })
		})
	}
}

func mesh(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 3))
	m := newMemNet(t)
	m.drop = lossy(0.02)
	d, e := m.node(public), m.node(public)
	nodes := []*memNode{d, e}
	for _, kind := range []natKind{portRestricted, portRestricted, symmetric, fullCone} {
		nodes = append(nodes, m.node(kind, keeping(d, e)))
	}
	pick := func() *memNode { return nodes[random.IntN(len(nodes))] }
	for i := range 1500 {
		a, b := pick(), pick()
		if a.stop != nil && a != b {
			a.send(b, fmt.Sprint("noise ", i))
		}
		if random.IntN(30) == 0 {
			upset(m, random, nodes[random.IntN(len(nodes))])
		}
		time.Sleep(time.Duration(random.ExpFloat64() * float64(40*ms)))
	}
	for _, n := range nodes {
		m.mu.Lock()
		n.cut, n.down = false, false
		m.mu.Unlock()
		if n.stop == nil {
			n.revive()
		}
	}
	start := time.Now()
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				text := fmt.Sprintf("%v to %v", a.member.id.Short(), b.member.id.Short())
				await(t, 15*time.Second, text, func() bool {
					a.send(b, text)
					time.Sleep(20 * ms)
					return b.has(a, text)()
				})
			}
		}
	}
	t.Logf("all pairs talk %v after the last upset", time.Since(start))
	time.Sleep(time.Minute)
	for _, n := range nodes {
		if used := n.indexes(); used > 3*len(nodes) {
			t.Errorf("%d receiver indexes in use", used)
		}
		if c := n.tunnel.Counters(); c["forged"]+c["bad_control"] != 0 {
			t.Errorf("counters %v", c)
		}
	}
}

func upset(m *memNet, random *rand.Rand, n *memNode) {
	switch random.IntN(6) {
	case 0:
		if n.stop != nil {
			n.crash()
		}
	case 1, 2:
		if n.stop == nil {
			n.revive()
		}
	case 3:
		m.mu.Lock()
		n.cut = !n.cut
		m.mu.Unlock()
	case 4:
		m.mu.Lock()
		if n.nat != nil {
			n.nat.forget()
		}
		m.mu.Unlock()
	case 5:
		if n.nat != nil {
			n.move(n.nat.kind)
		}
	}
}

func TestAQuickRestartIsNoticedByTheOverlaysWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		time.Sleep(time.Second)
		b.crash()
		time.Sleep(200 * ms)
		b.revive()
		a.tunnel.Reachable(b.member.id) // a connection came up in the overlay
		took := await(t, 1200*ms, "packets arrive again", func() bool {
			a.send(b, "after")
			time.Sleep(5 * ms)
			return b.has(a, "after")()
		})
		t.Logf("%v after the restart", took)
	})
}

func TestARestartBehindTwoRelaysIsNoticedWithoutAWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d, e := m.node(public), m.node(public)
		a, b := m.node(symmetric, keeping(d, e)), m.node(symmetric, keeping(d, e))
		relayed := func() bool {
			return b.connected(d, PathDirect)() && b.connected(e, PathDirect)() && a.connected(d, PathDirect)() && a.connected(e, PathDirect)()
		}
		await(t, 2*time.Second, "sessions with the relays", relayed)
		a.send(b, "before")
		await(t, time.Second, "a packet arrives", b.has(a, "before"))
		b.crash()
		time.Sleep(200 * ms)
		b.revive()
		await(t, 2*time.Second, "sessions with the relays", relayed) // they forward to b, and it opens nothing
		took := await(t, 7*time.Second, "packets arrive again", func() bool {
			a.send(b, "after")
			time.Sleep(20 * ms)
			return b.has(a, "after")()
		})
		t.Logf("%v after the restart", took)
	})
}

func TestAPairTalksSoonAfterALongTimeWithoutUDP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		cut := func(on bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			b.cut = on // the signal still gets through
		}
		cut(true)
		flow(a, b, "lost ", 100*ms, 2*time.Minute)
		cut(false)
		took := await(t, 6*time.Second, "packets arrive again", func() bool {
			a.send(b, "after")
			time.Sleep(20 * ms)
			return b.has(a, "after")()
		})
		t.Logf("%v after the cut", took)
	})
}

func TestWordOfARestartMakesASessionAnewButOnlyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		time.Sleep(time.Minute)
		b.crash()
		time.Sleep(200 * ms)
		b.revive()
		a.tunnel.Restarted(b.member.id)
		a.send(b, "after")
		await(t, 200*ms, "a packet arrives", b.has(a, "after"))
		keys := a.tunnel.peer(b.member.id).current
		a.tunnel.Restarted(b.member.id) // the same word by another way
		a.send(b, "still")
		await(t, 50*ms, "a packet arrives", b.has(a, "still"))
		if a.tunnel.peer(b.member.id).current != keys {
			t.Error("the new session was dropped too")
		}
	})
}

func TestANodeThatStopsInOrderSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		time.Sleep(time.Second)
		b.halt()
		await(t, 100*ms, "the session is over", func() bool { return a.status(b).State != StateConnected })
		b.revive()
		a.send(b, "after")
		await(t, 1500*ms, "a packet arrives", b.has(a, "after"))
	})
}

// oneWay lets only calls from one member through.
type oneWay struct {
	Signal
	open bool
}

func (s oneWay) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	if !s.open {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Signal.Call(ctx, to, req)
}

func TestOneEndsOffersAreEnough(t *testing.T) {
	for _, lowerCalls := range []bool{true, false} {
		t.Run(fmt.Sprint("the lower ID's: ", lowerCalls), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(t)
				a, b := m.node(public), m.node(public)
				low, high := a, b
				if lower(b.member.id, a.member.id) {
					low, high = b, a
				}
				low.tunnel.cfg.Signal = oneWay{memSignal{low}, lowerCalls}
				high.tunnel.cfg.Signal = oneWay{memSignal{high}, !lowerCalls}
				a.send(b, "to b")
				b.send(a, "to a")
				await(t, 1500*ms, "both packets arrive", func() bool { return b.has(a, "to b")() && a.has(b, "to a")() })
			})
		})
	}
}

func TestAnAnswerThatIsLostLeavesNothingBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		lost := 0
		a.tunnel.cfg.Signal = callFunc(func(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
			reply, err := memSignal{a}.Call(ctx, to, req)
			if lost++; lost <= 3 {
				return nil, errors.New("the stream broke")
			}
			return reply, err
		})
		a.send(b, "hello")
		await(t, 5*time.Second, "the packet arrives", b.has(a, "hello"))
		time.Sleep(2 * confirmWithin)
		if a.indexes() != 1 || b.indexes() != 1 {
			t.Errorf("%d and %d receiver indexes in use", a.indexes(), b.indexes())
		}
	})
}

func TestARelayForwardsOnlyWhatItMay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		a.send(b, "hello")
		await(t, time.Second, "through the relay", b.has(a, "hello"))
		stranger := newFakeMember(m.group, 500)

		// a sends d envelopes that d must not forward
		pa := a.tunnel.peer(d.member.id)
		envelope := func(to group.MemberID, inner []byte) {
			pa.mu.Lock()
			defer pa.mu.Unlock()
			pa.sendControl(pa.paths.chosen, append(appendEnvelope(nil, msgForward, hashOf(to)), inner...))
		}
		filler := make([]byte, 100)
		envelope(stranger.id, filler)
		envelope(a.member.id, filler)
		envelope(b.member.id, filler[:10])
		time.Sleep(time.Second)
		c := d.tunnel.Counters()
		if c["relay_no_path"] != 2 || c["bad_relayed"] != 1 {
			t.Errorf("counters %v", c)
		}

		// an envelope inside a relayed datagram
		pb := a.tunnel.peer(b.member.id)
		pb.mu.Lock()
		pb.sendControl(pb.paths.chosen, append(appendEnvelope(nil, msgForward, hashOf(d.member.id)), filler...))
		pb.sendControl(pb.paths.chosen, append(appendEnvelope(nil, msgForwarded, hashOf(d.member.id)), filler...))
		pb.mu.Unlock()
		time.Sleep(time.Second)
		if n := b.tunnel.Counters()["bad_relayed"]; n != 2 {
			t.Errorf("%d nested envelopes counted", n)
		}
	})
}

func TestARelayDoesNotForwardToWhomItReachesByARelay(t *testing.T) {
	got := 0
	list := wire(t, 4, func(_ group.MemberID, pkts []frame.Packet) { got += len(pkts) })
	a, b, c, d := list[0], list[1], list[2], list[3]
	detour(a, b, c)
	detour(c, b, d)
	a.Send(b.self, packets(3, 100))
	if got != 0 || c.Counters()["relay_no_path"] != 3 || d.Counters()["forwarded"] != 0 {
		t.Errorf("%d came, %v, %v", got, c.Counters(), d.Counters())
	}
}

func TestDatagramsFromManySourcesLeadToFewProbes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		p := b.tunnel.peer(a.member.id)
		p.mu.Lock()
		out := p.current.out
		p.mu.Unlock()
		m.mu.Lock()
		before := a.sent
		m.mu.Unlock()
		for i := range 2000 { // b spoofs its source
			counter, _ := out.reserve(1)
			buf := make([]byte, 100)
			n := out.seal(buf, typeControl, counter, newProbe(1, 0))
			from := netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i >> 8), byte(i)}), 53)
			a.in <- datagram{addr: from, data: buf[:n]}
			if i%100 == 0 {
				time.Sleep(10 * ms)
			}
		}
		time.Sleep(10 * time.Second)
		m.mu.Lock()
		defer m.mu.Unlock()
		if sent := a.sent - before - 2000; sent > 400 { // 2000 pongs for 2000 probes
			t.Errorf("%d datagrams to spoofed sources", sent)
		}
	})
}

func TestPacketsToARestartedPeerWaitForItsNewKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		p := a.tunnel.peer(b.member.id)
		b.crash()
		b.revive()
		b.send(a, "I am back") // which makes an offer
		await(t, time.Second, "the offer is answered", func() bool {
			p.mu.Lock()
			defer p.mu.Unlock()
			return p.next != nil
		})
		had := b.count(a)
		for _, text := range texts(0, 20) {
			a.send(b, text)
		}
		await(t, time.Second, "all packets arrive", func() bool { return b.count(a) == had+20 })
	})
}

func TestARekeyWhoseConfirmationIsLostComesThrough(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		lost, rekeyed := 0, false
		m.mu.Lock()
		m.drop = func(_, _ netip.AddrPort, size int) bool {
			if rekeyed = rekeyed || size == sealOverhead+rekeyAnswerSize; rekeyed && lost < 4 && size < sealOverhead+rekeySize {
				lost++ // keepalives and probes
				return true
			}
			return false
		}
		m.mu.Unlock()
		same := func() bool {
			pa, pb := a.tunnel.peer(b.member.id), b.tunnel.peer(a.member.id)
			pa.mu.Lock()
			ours := pa.current.in.index
			pa.mu.Unlock()
			pb.mu.Lock()
			defer pb.mu.Unlock()
			return pb.current.out.index == ours && pb.next == nil && pb.rekeys > 0
		}
		await(t, 3*time.Minute, "keepalives are lost", func() bool { m.mu.Lock(); defer m.mu.Unlock(); return lost > 0 })
		took := await(t, 3*time.Second, "both ends use the new keys", same)
		t.Logf("after %v and %d lost", took, lost)
	})
}

func TestARelayThatIsOffIsntUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d := m.node(public, func(n *memNode) { n.relay.Off = true })
		a, b := m.node(symmetric, keeping(d)), m.node(symmetric, keeping(d))
		await(t, 2*time.Second, "sessions", func() bool { return a.connected(d, PathDirect)() && b.connected(d, PathDirect)() })
		a.send(b, "hello")
		time.Sleep(5 * time.Second)
		if len(b.received(a)) != 0 || d.tunnel.Counters()["forwarded"] != 0 {
			t.Errorf("relayed: %v", d.tunnel.Counters())
		}
	})
}

func TestARelayKeepsToItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d := m.node(public, func(n *memNode) { n.relay.Rate = 1e6 })
		a, b := m.node(symmetric, keeping(d)), m.node(symmetric, keeping(d))
		await(t, 2*time.Second, "sessions", func() bool { return a.connected(d, PathDirect)() && b.connected(d, PathDirect)() })
		a.send(b, "hello")
		await(t, 2*time.Second, "through the relay", b.has(a, "hello"))
		big := packet(string(bytes.Repeat([]byte("x"), 1000)))
		for range 1000 { // 8 Mbit/s for a second
			a.tunnel.Send(b.member.id, []frame.Packet{big})
			time.Sleep(ms)
		}
		time.Sleep(time.Second)
		if got := b.count(a) * 8 * len(big.IP()); got > 1.5e6 || got < 4e5 {
			t.Errorf("%d bits in a second, %v", got, d.tunnel.Counters())
		}
		if d.tunnel.Counters()["relay_over_rate"] == 0 {
			t.Errorf("counters %v", d.tunnel.Counters())
		}
	})
}

func TestTheOtherRelayTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d, e := m.node(public), m.node(public)
		a, b := m.node(symmetric, keeping(d, e)), m.node(symmetric, keeping(d, e))
		await(t, 2*time.Second, "sessions", func() bool {
			return a.connected(d, PathDirect)() && b.connected(d, PathDirect)() && a.connected(e, PathDirect)() && b.connected(e, PathDirect)()
		})
		a.send(b, "hello")
		await(t, time.Second, "through a relay", b.has(a, "hello"))
		used := d
		if a.status(b).Via == e.member.id {
			used = e
		}
		if via, direct := a.tunnel.Via(b.member.id), a.tunnel.Via(used.member.id); via != used.member.id || !direct.IsZero() {
			t.Errorf("relayed by %v, want %v; and what goes to that by %v", via, used.member.id, direct)
		}
		time.Sleep(3 * time.Second)
		used.crash()
		_, came, hole := flow(a, b, "flow ", 10*ms, 10*time.Second)
		if came == 0 || hole > 2500*ms {
			t.Errorf("%d packets, a hole of %v", came, hole)
		}
		t.Logf("a hole of %v", hole)
	})
}

func TestMembersWithDifferentRelaysFindACommonOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d, e := m.node(public), m.node(public)
		a, b := m.node(symmetric, keeping(d)), m.node(symmetric, keeping(e))
		await(t, 2*time.Second, "sessions", func() bool { return a.connected(d, PathDirect)() && b.connected(e, PathDirect)() })
		a.send(b, "hello")
		took := await(t, 5*time.Second, "through a relay", b.has(a, "hello"))
		t.Logf("after %v", took)
	})
}
