package tunnel

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Tests of what happens to sessions that stand when the ground moves.

// together makes two public members that have talked.
func together(t *testing.T, m *memNet) (a, b *memNode) {
	a, b = m.node(public), m.node(public)
	a.send(b, "hello")
	b.send(a, "hello")
	await(t, 2*time.Second, "both talk", func() bool {
		return b.has(a, "hello")() && a.has(b, "hello")() &&
			a.connected(b, PathDirect, PathLAN)() && b.connected(a, PathDirect, PathLAN)()
	})
	return a, b
}

// flow sends numbered packets and returns how many came and the longest time
// without one.
func flow(from, to *memNode, name string, gap, last time.Duration) (sent, came int, hole time.Duration) {
	had, arrived := to.count(from), time.Now()
	for end := time.Now().Add(last); time.Now().Before(end); sent++ {
		from.send(to, fmt.Sprint(name, sent))
		time.Sleep(gap)
		if n := to.count(from); n != had {
			came, had, arrived = came+n-had, n, time.Now()
		}
		hole = max(hole, time.Since(arrived))
	}
	return sent, came, hole
}

func TestRekeyLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		first := a.tunnel.peer(b.member.id).current.out.index
		sent, came, hole := flow(a, b, "flow ", 20*time.Millisecond, 7*time.Minute)
		if came < sent-2 || hole > 100*time.Millisecond {
			t.Errorf("of %d packets %d came, with a hole of %v", sent, came, hole)
		}
		if s := a.status(b); s.Rekeys < 3 {
			t.Errorf("%d rekeys in 7 minutes", s.Rekeys)
		}
		if a.tunnel.peer(b.member.id).current.out.index == first {
			t.Error("the first key is still in use")
		}
		if n := a.indexes(); n > 3 {
			t.Errorf("%d receiver indexes in use", n)
		}
	})
}

// Each exchange costs a hundred microseconds of the data plane's thread, and an index.
func TestAMemberThatRekeysWithoutEndIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		mad := b.tunnel.peer(a.member.id)
		for i := range uint32(300) {
			key, err := newEphemeral()
			if err != nil {
				t.Fatal(err)
			}
			mad.mu.Lock()
			mad.sendControl(mad.paths.chosen, rekeyOffer{index: i, ephemeral: [ephemeralSize]byte(key.PublicKey().Bytes())}.bytes())
			mad.mu.Unlock()
		}
		time.Sleep(m.delay + ms)
		if n := a.indexes(); n > 10 {
			t.Errorf("%d receiver indexes in use", n)
		}
		a.send(b, "still there")
		await(t, time.Second, "packets pass", b.has(a, "still there"))
	})
}

func TestRekeySurvivesLoss(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		m.mu.Lock()
		m.drop = lossy(0.3)
		m.mu.Unlock()
		sent, came, _ := flow(a, b, "flow ", 50*time.Millisecond, 10*time.Minute)
		if came < sent/2 {
			t.Errorf("of %d packets %d came", sent, came)
		}
		if s := a.status(b); s.Rekeys < 3 {
			t.Errorf("%d rekeys in 10 minutes", s.Rekeys)
		}
	})
}

func TestAMemberThatMovesIsFollowed(t *testing.T) {
	for _, kind := range []natKind{public, portRestricted, symmetric} {
		t.Run(fmt.Sprint(kind), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				m := newMemNet(t)
				a, b := together(t, m)
				b.move(kind)
				b.send(a, "I am here now")
				_, came, hole := flow(a, b, "flow ", 10*time.Millisecond, 3*time.Second)
				if came == 0 || hole > time.Second {
					t.Errorf("%d packets, a hole of %v", came, hole)
				}
			})
		})
	}
}

func TestTheRelayTakesOverWhenTheDirectPathDies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, _ := site(t, m, portRestricted, portRestricted)
		a.send(b, "hello")
		direct := func() bool { return a.connected(b, PathDirect)() && b.connected(a, PathDirect)() }
		await(t, 2*time.Second, "direct", direct)
		between := func(from, to netip.AddrPort, _ int) bool {
			ends := []netip.Addr{from.Addr(), to.Addr()}
			return slices.Contains(ends, a.nat.outer) && slices.Contains(ends, b.nat.outer)
		}
		m.mu.Lock()
		m.drop = between
		m.mu.Unlock()
		_, came, hole := flow(a, b, "flow ", 10*time.Millisecond, 10*time.Second)
		if came == 0 || hole > 2500*time.Millisecond || !a.connected(b, PathRelay)() {
			t.Errorf("%d packets, a hole of %v, %+v", came, hole, a.status(b))
		}
		m.mu.Lock()
		m.drop = nil
		m.mu.Unlock()
		if _, _, hole = flow(a, b, "flow ", 10*time.Millisecond, 60*time.Second); !direct() || hole > 200*time.Millisecond {
			t.Errorf("the direct path isn't in use again: %+v, a hole of %v", a.status(b), hole)
		}
	})
}

func TestNATsThatForgetAreOpenedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, _ := site(t, m, portRestricted, portRestricted)
		a.send(b, "hello")
		await(t, 2*time.Second, "direct", func() bool { return a.connected(b, PathDirect)() && b.connected(a, PathDirect)() })
		m.mu.Lock()
		a.nat.forget()
		b.nat.forget()
		m.mu.Unlock()
		_, came, hole := flow(a, b, "flow ", 10*time.Millisecond, 20*time.Second)
		if came == 0 || hole > 5*time.Second {
			t.Errorf("%d packets, a hole of %v", came, hole)
		}
		_, _, _ = flow(a, b, "flow ", 10*time.Millisecond, 30*time.Second)
		if !a.connected(b, PathDirect)() {
			t.Errorf("not direct again: %+v", a.status(b))
		}
	})
}

func TestIdleSessionsAreKeptOpenAndThenEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		idle := func(n *memNode) { n.relay.Off = true } // sessions with relays are held
		a, b := m.node(public, idle), m.node(public, idle)
		a.send(b, "hello")
		await(t, time.Second, "a packet arrives", b.has(a, "hello"))
		m.mu.Lock()
		before := a.sent
		m.mu.Unlock()
		time.Sleep(2 * time.Minute)
		m.mu.Lock()
		sent := a.sent - before
		m.mu.Unlock()
		if sent < 8 || sent > 40 {
			t.Errorf("%d datagrams in two idle minutes", sent)
		}
		await(t, idleAfter+time.Minute, "the session ends", func() bool {
			return a.status(b).State == StateIdle && b.status(a).State == StateIdle
		})
		a.send(b, "again")
		await(t, time.Second, "a packet makes a new one", b.has(a, "again"))
		time.Sleep(time.Minute)
		if n := a.indexes() + b.indexes(); n != 2 {
			t.Errorf("%d receiver indexes in use", n)
		}
	})
}

func TestARemovedMemberIsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		a.member.revoke(b.member.id)
		await(t, 2*surveyGap, "the session ends", func() bool {
			return a.status(b).State != StateConnected && b.status(a).State != StateConnected
		})
		b.send(a, "let me in")
		time.Sleep(20 * time.Second)
		if slices.Contains(a.received(b), "let me in") {
			t.Error("a packet of the removed member arrived")
		}
		if a.tunnel.Counters()["unauthorized"] == 0 || a.tunnel.Counters()["bad_offer"] == 0 {
			t.Errorf("counters %v", a.tunnel.Counters())
		}
		if s := b.status(a); s.Why == "" {
			t.Errorf("no word of why: %+v", s)
		}
	})
}

func TestNothingUnderTheKeysOfARemovedMemberIsOpened(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		b.tunnel.peer(a.member.id).mu.Lock() // one of the past, too
		b.tunnel.peer(a.member.id).dispatch(sessionOver{why: "anew", tell: closeIdle})
		b.tunnel.peer(a.member.id).mu.Unlock()
		b.send(a, "again")
		await(t, 5*time.Second, "a new session", func() bool { return a.has(b, "again")() && a.indexes() > 1 })
		m.mu.Lock()
		m.drop = func(from, _ netip.AddrPort, _ int) bool { return from.Addr() == a.addr.Addr() } // b hears nothing of it
		m.mu.Unlock()
		a.member.revoke(b.member.id)
		a.tunnel.surveyNow()
		await(t, time.Second, "no key opens anything", func() bool { return a.indexes() == 0 })
		b.send(a, "still here")
		time.Sleep(time.Second)
		if a.has(b, "still here")() {
			t.Error("a packet of the removed member arrived")
		}
	})
}

func TestAnMTUBlackHoleIsNotedAndTheRelayPreferred(t *testing.T) {
	hole := func(a, b *memNode) func(from, to netip.AddrPort, size int) bool {
		return func(from, to netip.AddrPort, size int) bool {
			ends := []netip.Addr{from.Addr(), to.Addr()}
			return size > 1000 && slices.Contains(ends, a.nat.outer) && slices.Contains(ends, b.nat.outer)
		}
	}
	t.Run("with a relay", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet(t)
			a, b, _ := site(t, m, portRestricted, portRestricted)
			m.mu.Lock()
			m.drop = hole(a, b)
			m.mu.Unlock()
			a.send(b, "hello")
			time.Sleep(3 * time.Second)
			big := string(bytes.Repeat([]byte("x"), DefaultMTU-20))
			a.send(b, big)
			await(t, time.Second, "a large packet arrives", b.has(a, big))
			if s := a.status(b); s.Path != PathRelay || s.Why == "" {
				t.Errorf("status %+v", s)
			}
		})
	})
	t.Run("without one", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			m := newMemNet(t)
			m.drop = func(_, _ netip.AddrPort, size int) bool { return size > 1000 }
			a, b := m.node(public), m.node(public)
			a.send(b, "small")
			await(t, 3*time.Second, "a small packet arrives", b.has(a, "small"))
			if s := a.status(b); !s.Narrow || s.Why == "" {
				t.Errorf("status %+v", s)
			}
		})
	})
}

func TestTheRelayRestarts(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, d := site(t, m, symmetric, symmetric)
		a.send(b, "hello")
		await(t, time.Second, "through the relay", b.has(a, "hello"))
		d.crash()
		time.Sleep(10 * time.Second)
		d.revive()
		took := await(t, 3*time.Second, "through the relay again", func() bool {
			a.send(b, "after")
			time.Sleep(10 * time.Millisecond)
			return b.has(a, "after")()
		})
		t.Logf("%v after the relay was back", took)
	})
}

func TestALossyRelayPathHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b, _ := site(t, m, symmetric, symmetric)
		m.mu.Lock()
		m.drop = lossy(0.1)
		m.mu.Unlock()
		sent, came, hole := flow(a, b, "flow ", 10*time.Millisecond, 3*time.Minute)
		if came < sent*7/10 || hole > 5*time.Second {
			t.Errorf("of %d packets %d came, hole %v", sent, came, hole)
		}
	})
}

func TestOneWayTrafficKeepsItsPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := together(t, m)
		since := a.status(b).Since
		sent, came, hole := flow(a, b, "flow ", 5*time.Millisecond, time.Minute)
		if came < sent-4 || hole > 50*time.Millisecond {
			t.Errorf("of %d packets %d came, hole %v", sent, came, hole)
		}
		if s := a.status(b); !s.Since.Equal(since) {
			t.Errorf("the path changed: %+v", s)
		}
	})
}

func TestOffersFromStrangersMakeNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a := m.node(public)
		other := newMemNet(t)
		other.group = group.ID{2}
		x := other.node(public)
		b := m.node(public)
		stranger := newFakeMember(m.group, 77)
		offer := func(from *memNode, to group.MemberID, change func(*offerBody)) []byte {
			p, _ := newEphemeral()
			body := from.tunnel.describe(to, p.PublicKey().Bytes(), 5, true)
			if change != nil {
				change(&body)
			}
			req, _, err := from.tunnel.sign(offerDomain, body)
			if err != nil {
				t.Fatal(err)
			}
			return req
		}
		forged := func(o *offerBody) { // b's words under x's signature
			o.Certificate, o.From = b.member.Certificate(), b.member.id[:]
			o.Group = m.group[:]
		}
		for name, c := range map[string]struct {
			from group.MemberID
			req  []byte
		}{
			"nothing":        {x.member.id, nil},
			"not CBOR":       {x.member.id, []byte("hello")},
			"other group":    {x.member.id, offer(x, a.member.id, nil)},
			"for another":    {b.member.id, offer(b, stranger.id, nil)},
			"from another":   {stranger.id, offer(b, a.member.id, nil)},
			"forged":         {b.member.id, offer(x, a.member.id, forged)},
			"far too large":  {b.member.id, make([]byte, 1<<20)},
			"one byte flips": {b.member.id, flip(offer(b, a.member.id, nil), 200)},
			"no certificate": {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Certificate = nil })},
			"new version":    {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Version++ })},
			"short key":      {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Ephemeral = o.Ephemeral[1:] })},
			"weak key":       {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Ephemeral = make([]byte, 32) })},
			"crowded":        {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Homes = make([][]byte, maxOffered+1) })},
			"odd address":    {b.member.id, offer(b, a.member.id, func(o *offerBody) { o.Seen = [][]byte{{1, 2, 3}} })},
		} {
			if _, err := a.tunnel.HandleSignal(t.Context(), c.from, c.req); err == nil {
				t.Errorf("%s: an answer", name)
			}
		}
		if n := a.indexes(); n != 0 {
			t.Errorf("%d receiver indexes in use", n)
		}
	})
}

func flip(b []byte, at int) []byte {
	b[at] ^= 1
	return b
}

func TestOffersBeyondTheRateAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		busy := 0
		for range 100 {
			p, _ := newEphemeral()
			req, _, _ := b.tunnel.sign(offerDomain, b.tunnel.describe(a.member.id, p.PublicKey().Bytes(), 5, true))
			if _, err := a.tunnel.HandleSignal(t.Context(), b.member.id, req); errors.Is(err, ErrBusy) {
				busy++
			}
		}
		if busy < 80 {
			t.Errorf("only %d of 100 offers refused", busy)
		}
		if n := a.indexes(); n > 2*offersPerSecond {
			t.Errorf("%d receiver indexes in use", n)
		}
	})
}

func TestPacketsThatWaitAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a := m.node(public)
		nobody := newFakeMember(m.group, 1000)
		for range 1000 {
			a.tunnel.Send(nobody.id, []frame.Packet{packet("small")})
		}
		s := a.tunnel.Peers()[0]
		if s.Waiting != queuePackets || a.tunnel.Counters()["queue_full"] != 1000-queuePackets {
			t.Errorf("%d wait, %v", s.Waiting, a.tunnel.Counters())
		}
		for i := range 80 { // and in all
			other := newFakeMember(m.group, 2000+uint64(i))
			for range queuePackets {
				a.tunnel.Send(other.id, []frame.Packet{packet("small")})
			}
		}
		total := 0
		for _, s := range a.tunnel.Peers() {
			total += s.Waiting
		}
		if total != maxWaiting {
			t.Errorf("%d wait in all", total)
		}
		time.Sleep(waitAtMost + time.Second)
		for _, s := range a.tunnel.Peers() {
			if s.Waiting != 0 {
				t.Fatalf("still %d wait after %v", s.Waiting, waitAtMost)
			}
		}
		if a.tunnel.waiting.packets != maxWaiting || a.tunnel.waiting.bytes != maxWaitingMem {
			t.Errorf("the budget isn't whole again: %d packets, %d bytes", a.tunnel.waiting.packets, a.tunnel.waiting.bytes)
		}
		big := packet(string(make([]byte, DefaultMTU-20)))
		for range queuePackets {
			a.tunnel.Send(nobody.id, []frame.Packet{big, big})
		}
		for _, s := range a.tunnel.Peers() {
			if s.Member == nobody.id && s.Waiting*DefaultMTU > queueBytes {
				t.Errorf("%d large packets wait", s.Waiting)
			}
		}
	})
}
