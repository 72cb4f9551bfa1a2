package beacon

import (
	"bytes"
	"crypto/ed25519"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

func hosts(n int) []Says { return slices.Repeat([]Says{{LANWell: true, WANWell: true}}, n) }

func routers(n int) []Says {
	return slices.Repeat([]Says{{Router: true, LANWell: true, WANWell: true, Sharing: true}}, n)
}

func TestMembersOfOneSegmentFindEachOtherAtOnce(t *testing.T) {
	onSegment(t, hosts(3), func(t *testing.T, s *segment) {
		pass(3 * urgentGap)
		for _, st := range s.all {
			var found []group.MemberID
			for _, n := range st.Neighbors() {
				found = append(found, n.Member)
			}
			if len(found) != 2 || !slices.IsSortedFunc(found, group.MemberID.Compare) {
				t.Fatalf("%v found %v", st.mac, found)
			}
			for _, other := range s.all {
				if is := st.Is(other.membership.Self()); is != (other != st) {
					t.Errorf("%v has %v as neighbour: %v", st.mac, other.mac, is)
				}
			}
		}
		n := s.all[0].Neighbors()
		i := slices.IndexFunc(n, func(n Neighbor) bool { return n.Member == s.all[1].membership.Self() })
		if n[i].MAC != macOf(1) || n[i].Says != hosts(1)[0] || n[i].Silent || n[i].Since.IsZero() {
			t.Errorf("%+v", n[i])
		}
	})
}

func TestANeighbourThatFallsSilentIsNoneWithinTwoSeconds(t *testing.T) {
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		for range 20 {
			b.set(func() { b.cut = false })
			pass(5*time.Second + rand.N(Interval))
			if !a.Is(b.membership.Self()) {
				t.Fatal("lost without a reason")
			}
			b.set(func() { b.cut = true })
			const one = ProofLife - 2*Interval - urgentGap // its last beacon, and the nonce that it answered, may be an interval old
			pass(one)
			if !a.Is(b.membership.Self()) {
				t.Fatal("one lost beacon ended the proof")
			}
			pass(2*time.Second - one)
			if a.Is(b.membership.Self()) || len(a.Neighbors()) != 0 {
				t.Fatal("still a neighbour after 2 s of silence")
			}
		}
	})
}

func TestLosingTheLinkEndsAllProofsAtOnce(t *testing.T) {
	onSegment(t, hosts(3), func(t *testing.T, s *segment) {
		a := s.all[0]
		pass(time.Second)
		a.set(func() { a.cut = true })
		a.LinkLost()
		if len(a.Neighbors()) != 0 || a.Is(s.all[1].membership.Self()) {
			t.Fatal("still a neighbour")
		}
		// What was under way when the link was lost proves nothing any more.
		for _, f := range s.frames() {
			a.Receive(f, time.Now())
		}
		pass(time.Second)
		if len(a.Neighbors()) != 0 {
			t.Fatal("a neighbour again by frames from before")
		}
		a.set(func() { a.cut = false })
		a.Announce()
		pass(3 * urgentGap)
		if len(a.Neighbors()) != 2 {
			t.Fatal("not found again")
		}
	})
}

func TestReplayedBeaconsProveNothing(t *testing.T) {
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(2 * time.Second)
		b.set(func() { b.cut = true })
		recorded := s.frames()
		pass(2 * time.Second)
		changes := a.changes
		for range 50 {
			for _, f := range recorded[max(0, len(recorded)-40):] {
				if frame.Ethernet(f).Src() == b.mac {
					a.Receive(f, time.Now())
				}
			}
			pass(100 * time.Millisecond)
			if a.Is(b.membership.Self()) {
				t.Fatal("a recording is a neighbour")
			}
		}
		if a.changes != changes {
			t.Error("told of changes where there were none")
		}
		if a.Counts().Stale == 0 {
			t.Error("nothing was seen to be stale")
		}
	})
}

// Frames that are held back, and passed on later, prove a member's presence at the time of
// the nonce, not later.
func TestDelayedBeaconsDoNotOutliveTheirProof(t *testing.T) {
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(2 * time.Second)
		b.set(func() { b.cut = true })
		gone := time.Now()
		seen := len(s.frames())
		pass(Interval) // b goes on making beacons, which nobody hears
		for _, f := range s.frames()[seen:] {
			if frame.Ethernet(f).Src() == b.mac {
				pass(time.Second)
				a.Receive(f, time.Now())
			}
		}
		pass(2*time.Second - time.Since(gone))
		if a.Is(b.membership.Self()) {
			t.Error("a held-back beacon kept the proof alive")
		}
	})
}

func TestAnUnansweredNonceIsNoProof(t *testing.T) {
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		// a's frames reach nobody: b speaks, and answers nothing of a's.
		a.LinkLost()
		b.LinkLost()
		a.set(func() { a.cut = true })
		for range 30 {
			pass(200 * time.Millisecond)
			for _, f := range s.frames() {
				if frame.Ethernet(f).Src() == b.mac {
					a.Receive(f, time.Now())
				}
			}
			pass(0)
		}
		if a.Is(b.membership.Self()) {
			t.Error("a neighbour that hears nothing of us")
		}
	})
}

func TestForgedForeignAndUnreadableBeaconsCountForNothing(t *testing.T) {
	strangers := members(t, 1)[0] // another group: the CA's key is new
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a := s.all[0]
		pass(time.Second)
		s.all[1].set(func() { s.all[1].cut = true })
		good := slices.Clone(s.frames()[len(s.frames())-1])
		for _, f := range s.frames() {
			if frame.Ethernet(f).Src() == macOf(1) {
				good = slices.Clone(f)
			}
		}
		pass(2 * time.Second)
		before := a.Counts()
		changed := func(at int, with byte) []byte {
			f := slices.Clone(good)
			f[at] ^= with
			return f
		}
		nobody := ed25519.NewKeyFromSeed(make([]byte, 32)).Public().(ed25519.PublicKey)
		stranger := slices.Clone(good)
		copy(stranger[50:], nobody)
		foreignGroup := slices.Clone(good)
		id := strangers.Group()
		copy(foreignGroup[18:], id[:])
		for name, f := range map[string][]byte{
			"forged":                  changed(90, 1), // the sequence
			"forged signature":        changed(len(good)-1, 1),
			"foreign group":           foreignGroup,
			"not a member":            stranger,
			"another version":         changed(16, 2),
			"another MAC":             changed(11, 2),
			"too short":               good[:len(good)-1],
			"no EtherType of ours":    changed(13, 1),
			"more answers than bytes": changed(89, 0x40),
			"nothing":                 nil,
		} {
			a.Receive(f, time.Now())
			pass(0)
			if a.Is(s.all[1].membership.Self()) {
				t.Errorf("%s: a neighbour", name)
			}
		}
		after := a.Counts()
		got := [...]uint64{after.Forged - before.Forged, after.Foreign - before.Foreign, after.Malformed - before.Malformed, after.Verified - before.Verified}
		if got != [...]uint64{2, 2, 6, 0} {
			t.Errorf("forged, foreign, malformed, verified: %v", got)
		}
	})
}

func TestAFloodOfForgeriesCostsABoundedNumberOfSignatures(t *testing.T) {
	onSegment(t, hosts(3), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		c := s.all[2]
		pass(time.Second)
		b.set(func() { b.cut = true })
		template := slices.Clone(s.frames()[0])
		before := a.Counts()
		const seconds = 10
		for i := range 100 * seconds {
			for j := range 20 { // 2,000 a second, as b and as nobody that is here
				copy(template[6:], b.mac[:])
				copy(template[82:], b.mac[:])
				self := b.membership.Self()
				copy(template[50:], self[:])
				template[90] = 0x7f
				template[97] = byte(i*20 + j)
				a.Receive(template, time.Now())
			}
			pass(10 * time.Millisecond)
		}
		after := a.Counts()
		if n := after.Forged - before.Forged; n > (seconds+2)*(memberRate+strangersRate) {
			t.Errorf("%d signatures checked in %d s", n, seconds)
		}
		if after.Limited == before.Limited {
			t.Error("nothing was over budget")
		}
		if !a.Is(c.membership.Self()) {
			t.Error("the flood in b's name cost c its proof")
		}
		if a.made > maxPackets || len(a.m.peers) > 2 {
			t.Errorf("%d packets, %d peers", a.made, len(a.m.peers))
		}
	})
}

func TestAnOwnBeaconThatComesBackIsALoop(t *testing.T) {
	onSegment(t, hosts(2), func(t *testing.T, s *segment) {
		a := s.all[0]
		pass(time.Second)
		if a.Looped() {
			t.Fatal("a loop without a reason")
		}
		old := s.frames()
		a.set(func() { a.loop = true })
		pass(Interval + urgentGap)
		if !a.Looped() {
			t.Fatal("the loop wasn't seen within an interval")
		}
		sent := a.Counts().Sent
		pass(5 * time.Second)
		if n := a.Counts().Sent - sent; n > 6 {
			t.Errorf("%d beacons in 5 s of a loop", n)
		}
		a.set(func() { a.loop = false })
		pass(loopMemory)
		if a.Looped() {
			t.Error("still looped 3 s after the last came back")
		}
		pass(10 * time.Second)
		for _, f := range old { // somebody plays a recording
			a.Receive(f, time.Now())
		}
		pass(0)
		if a.Looped() {
			t.Error("a recording counts as a loop")
		}
	})
}

// Anybody on the segment can play a router's beacon back to it: that must not make it look dead.
func TestARouterThatSeesALoopIsHeardByOthers(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		a.set(func() { a.loop = true })
		for range 100 {
			pass(RouterInterval)
			n := b.Neighbors()
			if len(n) != 1 || n[0].Member != a.membership.Self() || n[0].Silent {
				t.Fatalf("b sees %+v", n)
			}
		}
		if !a.Looped() {
			t.Error("there was no loop")
		}
	})
}

func TestRoutersNoticeEachOthersSilenceSoon(t *testing.T) {
	says := append(routers(2), hosts(1)...)
	onSegment(t, says, func(t *testing.T, s *segment) {
		a, b, host := s.all[0], s.all[1], s.all[2]
		silent := func(of *station) bool {
			for _, n := range of.Neighbors() {
				if n.Member == b.membership.Self() {
					return n.Silent
				}
			}
			t.Fatal("not a neighbour")
			return false
		}
		for range 30 {
			pass(RouterInterval)
			if silent(a) {
				t.Fatal("silent without a reason")
			}
		}
		b.set(func() { b.cut = true })
		pass(SilentAfter + RouterInterval)
		if !silent(a) {
			t.Error("the silence wasn't noticed")
		}
		if silent(host) {
			t.Error("a host expects what routers say to each other")
		}
		unicast := 0
		for _, f := range s.frames() {
			if frame.Ethernet(f).Dst() != frame.Broadcast() {
				unicast++
				if frame.Ethernet(f).Dst() == host.mac {
					t.Error("spoken to a host alone")
				}
			}
		}
		if unicast < 20 {
			t.Errorf("%d frames between the routers", unicast)
		}
	})
}

func TestWhatChangesIsSaidAtOnce(t *testing.T) {
	onSegment(t, routers(2), func(t *testing.T, s *segment) {
		a, b := s.all[0], s.all[1]
		pass(time.Second)
		b.set(func() { b.says.WANWell = false })
		b.Announce()
		pass(urgentGap)
		if n := a.Neighbors(); len(n) != 1 || n[0].Says.WANWell {
			t.Errorf("%+v", n)
		}
		if a.changes < 2 {
			t.Error("the change wasn't told")
		}
	})
}

func TestTheWireFormatStands(t *testing.T) {
	m := message{
		says: Says{Router: true, WANWell: true}, member: group.MemberID{1: 7}, group: group.ID{2: 9},
		mac: macOf(5), sequence: 0x0102030405060708, nonce: nonce{8, 7, 6, 5, 4, 3, 2, 1}, answers: []byte("answer 1answer 2"),
	}
	f := append(m.appendUnsigned(nil), bytes.Repeat([]byte{0xee}, signatureLen)...)
	want := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0, 0, 5, 0x88, 0xb5, 'L', 'B', 1, 5}
	if !bytes.HasPrefix(f, want) || len(f) != 106+16+64 {
		t.Fatalf("% x", f)
	}
	if f[50+1] != 7 || f[18+2] != 9 || f[87] != 5 || f[89] != 2 || f[97] != 8 || f[98] != 8 {
		t.Errorf("% x", f)
	}
	got, err := parse(append(f, 0, 0, 0)) // padded
	if err != nil || got.says != m.says || got.sequence != m.sequence || !bytes.Equal(got.answers, m.answers) || !bytes.Equal(got.signed, f[14:len(f)-64]) {
		t.Errorf("%+v (%v)", got, err)
	}
}

func TestHostileFramesAllocateNothing(t *testing.T) {
	all := members(t, 2)
	b, err := New(Config{Membership: all[0], MAC: macOf(0), Send: func([]byte) error { return nil }, Self: func() Says { return Says{} }})
	if err != nil {
		t.Fatal(err)
	}
	m := message{group: all[0].Group(), member: group.MemberID{1}, mac: macOf(9)}
	stranger := append(m.appendUnsigned(nil), make([]byte, signatureLen)...)
	m.member = all[1].Self()
	forged := append(m.appendUnsigned(nil), make([]byte, signatureLen)...)
	now := time.Now()
	for range 2 * maxPackets { // until no packet is free
		b.Receive(forged, now)
	}
	if n := testing.AllocsPerRun(1000, func() { b.Receive(stranger, now); b.Receive(forged, now); b.Is(all[1].Self()) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzReceive(f *testing.F) {
	all := members(f, 2)
	m := message{group: all[0].Group(), member: all[1].Self(), mac: macOf(9), answers: make([]byte, 16), sequence: 5}
	good := m.appendUnsigned(nil)
	good = append(good, all[1].Sign(domain, good[frame.EthernetHeaderLen:])...)
	f.Add(good)
	f.Add(good[:60])
	f.Add(append(good, 0, 0))
	f.Fuzz(func(t *testing.T, frame []byte) {
		b, err := New(Config{Membership: all[0], MAC: macOf(0), Send: func([]byte) error { return nil }, Self: func() Says { return Says{} }})
		if err != nil {
			t.Fatal(err)
		}
		b.Receive(frame, time.Now())
		select {
		case p := <-b.inbox:
			b.verify(p)
		default:
		}
		if c := b.Counts(); c.Verified == 1 && !bytes.HasPrefix(frame[14:], good[14:]) {
			t.Error("another frame than the signed one was taken")
		}
		if len(b.Neighbors()) != 0 {
			t.Error("a neighbour without an answered nonce")
		}
	})
}
