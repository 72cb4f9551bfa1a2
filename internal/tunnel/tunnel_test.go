package tunnel

import (
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

func (n *memNode) connected(to *memNode, kinds ...PathKind) func() bool {
	return func() bool {
		s := n.status(to)
		return s.State == StateConnected && slices.Contains(kinds, s.Path)
	}
}

func (n *memNode) has(from *memNode, text string) func() bool {
	return func() bool { return slices.Contains(n.received(from), text) }
}

func TestTwoPublicMembersTalkDirectlyAndLoseNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		for _, text := range texts(0, 10) {
			a.send(b, text)
		}
		took := await(t, time.Second, "all packets arrive", func() bool { return len(b.received(a)) == 10 })
		// signal 2 x 20 ms, probe and full-size probe 2 x 20 ms, the packet 10 ms
		if took > 150*time.Millisecond {
			t.Errorf("the first packets took %v", took)
		}
		if got := b.received(a); !slices.Equal(got, texts(0, 10)) {
			t.Errorf("received %q", got)
		}
		b.send(a, "back")
		await(t, 100*time.Millisecond, "the answer arrives", a.has(b, "back"))
		if s := a.status(b); s.Path != PathDirect || s.Addr != b.addr || s.RTT < 20*time.Millisecond || s.Narrow {
			t.Errorf("status %+v", s)
		}
	})
}

// site makes two members behind NATs and a public one that relays for them.
func site(t *testing.T, m *memNet, one, two natKind) (a, b, d *memNode) {
	d = m.node(public)
	a, b = m.node(one, keeping(d)), m.node(two, keeping(d))
	await(t, 2*time.Second, "both have sessions with the relay", func() bool {
		return a.connected(d, PathDirect)() && b.connected(d, PathDirect)()
	})
	return a, b, d
}

func TestMembersBehindPortRestrictedNATsRelayAtOnceAndMeetDirectly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, portRestricted, portRestricted)
		start := time.Now()
		a.send(b, "first")
		await(t, 200*time.Millisecond, "the first packet arrives", b.has(a, "first"))
		if d.tunnel.Counters()["forwarded"] == 0 {
			t.Error("the first packet didn't take the relay")
		}
		b.send(a, "reply")
		await(t, 100*time.Millisecond, "the reply arrives", a.has(b, "reply"))
		t.Logf("first packet to reply: %v", time.Since(start))
		await(t, time.Second, "both use the direct path", func() bool {
			return a.connected(b, PathDirect)() && b.connected(a, PathDirect)()
		})
		t.Logf("direct after %v", time.Since(start))
		forwarded := d.tunnel.Counters()["forwarded"]
		a.send(b, "direct")
		await(t, 100*time.Millisecond, "a packet arrives directly", b.has(a, "direct"))
		if d.tunnel.Counters()["forwarded"] != forwarded {
			t.Error("the relay still forwards")
		}
	})
}

func TestSymmetricNATsStayOnTheRelay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, _ := site(t, m, symmetric, symmetric)
		for i, text := range texts(0, 300) {
			a.send(b, text)
			await(t, 200*time.Millisecond, "the packet arrives", func() bool { return len(b.received(a)) == i+1 })
			time.Sleep(100 * time.Millisecond)
		}
		s := a.status(b)
		if s.Path != PathRelay || s.Why == "" || s.RTT < 40*time.Millisecond {
			t.Errorf("status %+v", s)
		}
		t.Log(s.Why)
	})
}

func TestOneSymmetricNATMeetsAFullCone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, _ := site(t, m, symmetric, fullCone)
		b.send(a, "hello")
		await(t, 3*time.Second, "both use the direct path", func() bool {
			return a.connected(b, PathDirect)() && b.connected(a, PathDirect)()
		})
	})
}

func TestMembersOnOneLANUseIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		d := m.node(public)
		a := m.node(portRestricted, keeping(d))
		m.mu.Lock()
		h := m.attach(neighbour(a), a.nat)
		m.mu.Unlock()
		b := m.nodeOn(h, newFakeMember(m.group, 99), keeping(d))
		a.send(b, "hello")
		await(t, time.Second, "both use the LAN", func() bool {
			return a.connected(b, PathLAN)() && b.connected(a, PathLAN)()
		})
	})
}

func TestOffersThatCrossMakeOneSessionAndLoseNothing(t *testing.T) {
	for _, order := range []string{"at once", "a moment apart"} {
		t.Run(order, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(t)
				a, b := m.node(public), m.node(public)
				for i, text := range texts(0, 50) {
					a.send(b, text)
					if i == 0 && order != "at once" {
						time.Sleep(5 * time.Millisecond)
					}
					b.send(a, text)
				}
				await(t, 2*time.Second, "all packets arrive", func() bool {
					return len(b.received(a)) == 50 && len(a.received(b)) == 50
				})
				time.Sleep(2 * confirmWithin)
				for _, text := range texts(50, 60) {
					a.send(b, text)
					b.send(a, text)
				}
				await(t, time.Second, "later packets arrive too", func() bool {
					return len(b.received(a)) == 60 && len(a.received(b)) == 60
				})
				pa, pb := a.tunnel.peer(b.member.id), b.tunnel.peer(a.member.id)
				if pa.current.out.index != pb.current.in.index || pb.current.out.index != pa.current.in.index {
					t.Error("the two ends use different keys")
				}
				if len(pa.old)+len(pb.old) != 0 || pa.next != nil || pb.next != nil {
					t.Error("keys of the other offer are still there")
				}
			})
		})
	}
}

// After a restart both ends ask for a session, more than once, and offers and answers overtake each other. Both
// come to the same keys: else each would go on with those that the other has retired, until they are gone.
func TestOffersThatCrossInAnyOrderEndInOneSession(t *testing.T) {
	for seed := range uint64(400) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet(t)
			m.jitter = rand.New(rand.NewPCG(seed, 11))
			a, b := together(t, m)
			if seed%2 == 1 { // the other has the lower ID
				a, b = b, a
			}
			b.crash()
			if seed%4 >= 2 { // a has noticed
				time.Sleep(20 * time.Second)
			}
			b.revive()
			dice := rand.New(rand.NewPCG(seed, 12))
			begins := dice.IntN(16) // b, perhaps when it has been asked already
			for i := range 40 {
				switch dice.IntN(8) {
				case 0:
					a.tunnel.Reachable(b.member.id)
				case 1:
					b.tunnel.Reachable(a.member.id)
				}
				a.send(b, "there")
				if i >= begins {
					b.send(a, "back")
				}
				time.Sleep(time.Duration(dice.Int64N(int64(10 * time.Millisecond))))
			}
			time.Sleep(time.Second)
			for since := time.Now(); time.Since(since) < 2*confirmWithin; time.Sleep(100 * time.Millisecond) {
				there, back := b.count(a), a.count(b)
				a.send(b, "there")
				b.send(a, "back")
				time.Sleep(100 * time.Millisecond)
				if b.count(a) == there || a.count(b) == back {
					t.Fatalf("seed %d: nothing comes %v after the crossing", seed, time.Since(since))
				}
			}
			pa, pb := a.tunnel.peer(b.member.id), b.tunnel.peer(a.member.id)
			if pa.current.out.index != pb.current.in.index || pb.current.out.index != pa.current.in.index {
				t.Fatalf("seed %d: the two ends use different keys", seed)
			}
		})
	}
}

func TestAPeerThatLostItsKeysIsBackWithinASecond(t *testing.T) {
	for _, who := range []string{"the restarted end sends", "the running end sends"} {
		t.Run(who, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(t)
				a, b := m.node(public), m.node(public)
				a.send(b, "before")
				await(t, time.Second, "the packet arrives", b.has(a, "before"))
				b.crash()
				stop := time.Now().Add(8 * time.Second)
				for i := 0; time.Now().Before(stop); i++ { // a keeps trying meanwhile
					a.send(b, "into the void")
					time.Sleep(100 * time.Millisecond)
				}
				if s := a.status(b); s.State == StateConnected {
					t.Errorf("a dead peer counts as connected: %+v", s)
				}
				b.revive()
				if who == "the restarted end sends" {
					b.send(a, "after")
					await(t, time.Second, "its packet arrives", a.has(b, "after"))
				}
				took := await(t, 1200*time.Millisecond, "packets arrive again", func() bool {
					a.send(b, "after")
					return b.has(a, "after")()
				})
				t.Logf("back after %v", took)
			})
		})
	}
}

func TestADeadPeerIsFoundWithinFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		a.send(b, "hello")
		await(t, time.Second, "connected", b.has(a, "hello"))
		time.Sleep(time.Minute)
		b.crash()
		took := await(t, 5*time.Second, "the peer is no longer connected", func() bool {
			a.send(b, "anybody there?")
			return a.status(b).State != StateConnected
		})
		t.Logf("found after %v", took)
	})
}
