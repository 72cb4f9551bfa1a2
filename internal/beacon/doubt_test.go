package beacon

import (
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"landbridge/internal/frame"
)

// forge makes frames in a member's name, with its MAC, as somebody can who hears what is said to all.
func (s *segment) forge(in *station, n int) []byte {
	all := s.frames()
	for i := len(all) - 1; i >= 0; i-- {
		if eth := frame.Ethernet(all[i]); eth.Src() == in.mac && eth.Dst() == frame.Broadcast() {
			binary.BigEndian.PutUint64(all[i][90:], 1<<62+uint64(n)) // the sequence: the newest
			return all[i]
		}
	}
	m := message{group: in.membership.Group(), member: in.membership.Self(), mac: in.mac, sequence: 1<<62 + uint64(n), says: Says{Router: true}}
	return append(m.appendUnsigned(nil), make([]byte, signatureLen)...)
}

// flood lets time pass while frames are forged in one's name, some about each millisecond, and another hears them;
// then is called after each.
func (s *segment) flood(d time.Duration, each int, pairs [][2]*station, then func()) {
	const beat = 997 * time.Microsecond // no part of any interval
	n := 0
	for range d / beat {
		for range each {
			for _, p := range pairs {
				f := s.forge(p[0], n)
				n++
				p[1].Receive(f, time.Now())
			}
		}
		pass(beat)
		then()
	}
}

// A bystander on a switched LAN doesn't hear what routers say to each other alone.
func TestForgeriesInARoutersNameMakeItNeitherSilentNorGone(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		before := b.Counts()
		s.flood(5*time.Second, 1, [][2]*station{{a, b}}, func() {
			if n := b.Neighbors(); len(n) != 1 || n[0].Silent {
				t.Fatalf("the other router is %+v", n)
			}
		})
		after := b.Counts()
		if n := after.Verified - before.Verified; n < 95 { // of 100 that it was sent alone
			t.Errorf("%d of the other's frames were verified", n)
		}
		if after.Limited == before.Limited {
			t.Error("nothing was over budget")
		}
		if !slices.Contains(b.Doubted(), a.membership.Self()) || len(a.Doubted()) != 0 {
			t.Errorf("doubted: %v and %v", b.Doubted(), a.Doubted())
		}
		pass(doubtLife)
		if len(b.Doubted()) != 0 {
			t.Error("doubted long after")
		}
	})
}

func TestWhatARouterIsToldAloneIsNeverRepeatedToAll(t *testing.T) {
	onSegment(t, append(routers(3), hosts(1)...), func(t *testing.T, s *segment) {
		pass(5 * time.Second)
		alone := make(map[nonce]bool)
		answered := 0
		for _, f := range s.frames() {
			m, err := parse(f)
			if err != nil {
				t.Fatal(err)
			}
			if alone[m.nonce] = m.alone; m.alone {
				answered += len(m.answers) / nonceLen
				continue
			}
			for a := m.answers; len(a) > 0; a = a[nonceLen:] {
				if alone[nonce(a[:nonceLen])] {
					t.Fatal("a broadcast answers what was said to one")
				}
			}
		}
		if answered == 0 {
			t.Error("routers say nothing to each other")
		}
	})
}

// Members that don't know each other yet have no secret on the segment: it is told by another way.
func TestRoutersMeetByAppointmentThoughOthersForgeFrames(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		both := [][2]*station{{a, b}, {b, a}}
		nothing := func() {}
		for _, st := range s.all {
			st.set(func() { st.cut = true })
			st.LinkLost()
		}
		pass(3 * time.Second)
		s.flood(2*time.Second, 4, both, nothing)
		for _, st := range s.all {
			st.set(func() { st.cut = false })
		}
		s.flood(100*time.Millisecond, 4, both, nothing)
		if !slices.Contains(b.Doubted(), a.membership.Self()) {
			t.Fatal("b doesn't doubt a")
		}
		a.Answer(b.mac, b.Appoint())
		s.flood(200*time.Millisecond, 4, both, nothing)
		s.flood(3*time.Second, 4, both, func() {
			for _, st := range s.all {
				if n := st.Neighbors(); len(n) != 1 || n[0].Silent {
					t.Fatalf("%v has the neighbours %+v", st.mac, n)
				}
			}
		})
	})
}

func TestAppointmentsAreBounded(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		sent := a.Counts().Sent
		for range 1000 {
			a.Answer(b.mac, Nonce{1})
			a.Answer(frame.Broadcast(), Nonce{1})
		}
		pass(0)
		if n := a.Counts().Sent - sent; n > appointedRate+2 { // some have left before the last was asked for
			t.Errorf("%d beacons at once", n)
		}
	})
}

func TestARouterThatIsHeardAndAnswersNothingIsDoubted(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		if len(b.Doubted()) != 0 {
			t.Fatal("doubted without a reason")
		}
		a.LinkLost()
		b.LinkLost()
		a.set(func() { a.cut = true }) // b's frames reach it no more
		b.set(func() { b.cut = true })
		pass(ProofLife)
		b.set(func() { b.cut = false })
		for range 10 {
			for _, f := range s.frames() {
				if frame.Ethernet(f).Src() == a.mac {
					b.Receive(f, time.Now())
				}
			}
			pass(introductionTime)
		}
		if !slices.Contains(b.Doubted(), a.membership.Self()) || b.Is(a.membership.Self()) {
			t.Errorf("doubted: %v", b.Doubted())
		}
	})
}

// Somebody who takes a router's MAC on the LAN's switch keeps from it what others send to it alone.
func TestARouterThatWasSilentOrInWhoseNameAnotherSpeaksIsDoubted(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		a.set(func() { a.cut = true })
		pass(SilentAfter + RouterInterval)
		if n := b.Neighbors(); len(n) != 1 || !n[0].Silent || len(b.Doubted()) != 0 {
			t.Fatalf("%+v, doubted %v", n, b.Doubted())
		}
		a.set(func() { a.cut = false })
		pass(RouterInterval)
		if !slices.Contains(b.Doubted(), a.membership.Self()) {
			t.Error("a router that was silent a moment ago isn't doubted")
		}
		pass(doubtLife)
		b.Receive(s.forge(b, 1), time.Now())
		if !slices.Contains(b.Doubted(), b.membership.Self()) {
			t.Error("somebody speaks in b's name, and it doesn't mind")
		}
	})
}
