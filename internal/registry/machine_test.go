package registry

import (
	"errors"
	"testing"
	"time"

	"landbridge/internal/group"
)

func member(i byte) group.MemberID { return group.MemberID{i} }

func setOf(first uint64, ids ...byte) configuration {
	var es []rosterEntry
	for i, id := range ids {
		es = append(es, rosterEntry{id: member(id), added: uint64(i + 1)})
	}
	return configuration{first: first, voters: newVoters(es)}
}

func TestAnyTwoQuorumsShareAMember(t *testing.T) {
	for n := 1; n <= replicaCount; n++ {
		set := setOf(1, []byte{1, 2, 3, 4, 5}[:n]...)
		for a := range 1 << n {
			for b := range 1 << n {
				va, vb := 0, 0
				for i := range n {
					va += set.votes[i] * (a >> i & 1)
					vb += set.votes[i] * (b >> i & 1)
				}
				if va >= set.need && vb >= set.need && a&b == 0 {
					t.Errorf("%d members: %b and %b are both quorums", n, a, b)
				}
			}
		}
	}
	if pair := setOf(1, 1, 2); pair.votesOf(member(1)) < pair.need || pair.votesOf(member(2)) >= pair.need {
		t.Error("of a pair the first, and only the first, must be a quorum alone")
	}
}

func TestNoBallotIsPromisedTwice(t *testing.T) {
	b := Ballot{Conf: 1, Counter: 3, Member: member(1)}
	s, v := acceptorState{}.prepare(prepareRequest{b})
	if v.status != statusOK {
		t.Fatal("the first promise was refused")
	}
	if _, v := s.prepare(prepareRequest{b}); v.status != statusNack {
		t.Error("one ballot was promised twice: a proposer without memory could give it two values")
	}
	s, v = s.accept(member(1), acceptRequest{ballot: b, value: Grant{Holder: member(1), Epoch: 1}}, false)
	if v.status != statusOK {
		t.Fatal("not accepted")
	}
	if _, v := s.accept(member(1), acceptRequest{ballot: b, value: Grant{Holder: member(1), Epoch: 2}}, false); v.status == statusOK {
		t.Error("one ballot was accepted with two values")
	}
	if _, v := s.accept(member(1), acceptRequest{ballot: b, value: Grant{Holder: member(1), Epoch: 1}}, false); v.status != statusOK {
		t.Error("a repeated message was refused")
	}
}

func TestAcceptorsPermitOnlyTheClosedSetOfChanges(t *testing.T) {
	a, b := member(1), member(2)
	for _, c := range []struct {
		what        string
		from        group.MemberID
		base, value Grant
		lapsed      bool
		want        error
	}{
		{"read", b, Grant{Holder: a, Epoch: 4}, Grant{Holder: a, Epoch: 4}, false, nil},
		{"claim of a free block", b, Grant{Epoch: 4}, Grant{Holder: b, Epoch: 5}, false, nil},
		{"claim in another's name", b, Grant{Epoch: 4}, Grant{Holder: a, Epoch: 5}, false, ErrNotHolder},
		{"claim that skips an epoch", b, Grant{Epoch: 4}, Grant{Holder: b, Epoch: 6}, false, ErrNotHolder},
		{"claim at the old epoch", b, Grant{Epoch: 4}, Grant{Holder: b, Epoch: 4}, false, ErrNotHolder},
		{"claim of one's own", a, Grant{Holder: a, Epoch: 4}, Grant{Holder: a, Epoch: 5}, false, nil},
		{"release", a, Grant{Holder: a, Epoch: 4}, Grant{Epoch: 4}, false, nil},
		{"release of another's", b, Grant{Holder: a, Epoch: 4}, Grant{Epoch: 4}, true, ErrNotHolder},
		{"inheritance too early", b, Grant{Holder: a, Epoch: 4}, Grant{Holder: b, Epoch: 5}, false, ErrHeld},
		{"inheritance", b, Grant{Holder: a, Epoch: 4}, Grant{Holder: b, Epoch: 5}, true, nil},
		{"another table of aliases", b, Grant{Epoch: 4, Aliases: "a b 1 -\n"}, Grant{Epoch: 5}, false, nil},
		{"another table at the same epoch", b, Grant{Epoch: 4, Aliases: "a b 1 -\n"}, Grant{Epoch: 4}, true, ErrNotHolder},
		{"a table for a block that is held", b, Grant{Holder: a, Epoch: 4}, Grant{Epoch: 5, Aliases: "a b 1 -\n"}, true, ErrNotHolder},
		{"an epoch without a change", b, Grant{Epoch: 4}, Grant{Epoch: 5}, false, ErrNotHolder},
		{"back to an older epoch", a, Grant{Holder: a, Epoch: 4}, Grant{Holder: a, Epoch: 3}, true, ErrNotHolder},
	} {
		if err := permitted(c.from, c.base, c.value, c.lapsed); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.what, err, c.want)
		}
	}
}

// A carried-over ballot that was never chosen must not outrank what a new
// configuration chose, however high its counter.
func TestWhatANewConfigurationChoosesOutranksWhatWasCarriedOver(t *testing.T) {
	old, set := setOf(1, 1, 2, 3), setOf(5, 3, 4, 5)
	x, y := Grant{Holder: member(1), Epoch: 1}, Grant{Holder: member(4), Epoch: 1}
	high := Ballot{Conf: 1, Counter: 1000, Member: member(1)}
	// Member 1 alone accepted x. Members 4 and 5 read members 2 and 3, member 3 read 1 and 2.
	read := func(from map[byte]transferReply) acceptorState {
		m := newTransfer([]configuration{old, set})
		for id, r := range from {
			m.feed(member(id), r)
		}
		if !m.done {
			t.Fatal("transfer not done")
		}
		return acceptorState{}.adopt(m.target, m.found, m.value)
	}
	s4 := read(map[byte]transferReply{2: {Conf: 1}, 3: {Conf: 1}})
	s5 := read(map[byte]transferReply{2: {Conf: 1}, 3: {Conf: 1}})
	s3 := read(map[byte]transferReply{1: {Conf: 1, Accepted: high, Value: x}, 2: {Conf: 1}})

	p := newProposal(member(4), set, opClaim, 0, 1)
	s4, v4 := s4.prepare(prepareRequest{p.ballot})
	s5, v5 := s5.prepare(prepareRequest{p.ballot})
	if p.onPromise(member(4), v4); p.onPromise(member(5), v5) != sendAll {
		t.Fatal("no quorum of promises")
	}
	_, v4 = s4.accept(member(4), *p.accepts, false)
	s5, v5 = s5.accept(member(4), *p.accepts, false)
	if p.onAccepted(member(4), v4); p.onAccepted(member(5), v5) != finished {
		t.Fatal("not chosen")
	}
	if g, err := p.outcome(); g != y || err != nil {
		t.Fatalf("chosen %v, %v", g, err)
	}
	q := newProposal(member(3), set, opRead, 0, 2)
	_, v3 := s3.prepare(prepareRequest{q.ballot})
	_, v5 = s5.prepare(prepareRequest{q.ballot})
	q.onPromise(member(3), v3)
	if state := q.onPromise(member(5), v5); state != sendAll && state != finished {
		t.Fatal("no quorum of promises")
	}
	if g, _ := q.outcome(); g != y {
		t.Fatalf("the next reader finds %v, although %v was chosen", g, y)
	}
}

// A quorum that carried over the same ballot proves nothing: it must be confirmed.
func TestCarriedOverAgreementIsConfirmedBeforeItIsBelieved(t *testing.T) {
	set := setOf(5, 3, 4, 5)
	carried := verdict{accepted: Ballot{Conf: 1, Counter: 7, Member: member(1)}, value: Grant{Holder: member(1), Epoch: 1}}
	p := newProposal(member(3), set, opRead, 0, 1)
	p.onPromise(member(3), carried)
	if p.onPromise(member(4), carried) != sendAll {
		t.Error("believed without a ballot of the present configuration")
	}
	carried.accepted.Conf = 5
	p = newProposal(member(3), set, opRead, 0, 1)
	p.onPromise(member(3), carried)
	if p.onPromise(member(4), carried) != finished {
		t.Error("a chosen value was confirmed again, which costs a round trip")
	}
}

func TestATransferGoesDownUntilSomebodyWasInCharge(t *testing.T) {
	chain := []configuration{setOf(1, 1), setOf(2, 1, 2, 3), setOf(6, 3, 4, 5), setOf(9, 5, 6, 7)}
	m := newTransfer(chain)
	g := Grant{Holder: member(1), Epoch: 2}
	m.feed(member(4), transferReply{})
	if m.feed(member(5), transferReply{}) {
		t.Fatal("done, although nobody there was ever in charge")
	}
	m.feed(member(2), transferReply{Conf: 2, Accepted: Ballot{Conf: 2, Counter: 1}, Value: g})
	if m.done {
		t.Fatal("done with one of three")
	}
	if !m.feed(member(3), transferReply{}) || m.value != g {
		t.Fatalf("done %v, value %v", m.done, m.value)
	}
	lone := newTransfer([]configuration{setOf(1, 1), setOf(2, 1, 2)})
	if !lone.feed(member(1), transferReply{}) || lone.value != (Grant{}) {
		t.Fatal("under the first configuration a keeper without state means free")
	}
}

func TestAHoldErrsOnTheSideOfNo(t *testing.T) {
	const life = time.Hour
	at := func(boot string, mono, wall time.Duration) Instant {
		return Instant{Boot: boot, Mono: mono, Wall: time.Unix(1e9, 0).Add(wall)}
	}
	var h hold
	h.setRenewed(at("a", time.Hour, time.Hour))
	for _, c := range []struct {
		what string
		now  Instant
		want bool
	}{
		{"a moment later", at("a", time.Hour+1, time.Hour+1), true},
		{"just before the end", at("a", 2*time.Hour-1, 2*time.Hour-1), true},
		{"at the end", at("a", 2*time.Hour, 2*time.Hour), false},
		{"the wall clock was set back", at("a", 2*time.Hour, 0), false},
		{"the wall clock was set forward", at("a", time.Hour+1, 9*time.Hour), false},
		{"after a reboot", at("b", 5, time.Hour+time.Minute), true},
		{"after a long reboot", at("b", 5, 2*time.Hour), false},
		{"after a reboot, the clock set back", at("b", 5, 0), false},
	} {
		if got := h.valid(c.now, life); got != c.want {
			t.Errorf("%s: valid %v", c.what, got)
		}
		if end := h.end(c.now, life); end.After(c.now.Wall) != c.want || end.IsZero() == c.want {
			t.Errorf("%s: valid until %v", c.what, end)
		}
		rebased := h
		rebased.rebase(c.now)
		if got := rebased.valid(c.now, life); got != c.want {
			t.Errorf("%s, rebased: valid %v", c.what, got)
		}
	}
	if !h.reanchor(at("a", time.Hour+time.Minute, -9*time.Hour)) || h.valid(at("b", 0, -8*time.Hour), life) {
		t.Error("a clock set back while running makes the hold younger after a reboot")
	}
}

func TestAHoldCountsFromBeforeTheQuestion(t *testing.T) {
	l := newLab(t, "10.9.0.0/20", 4)
	l.delay = func() time.Duration { return 30 * time.Millisecond }
	ns := l.members(3)
	before := ns[1].clock.Mono()
	blk, err := ns[1].reg.obtain(short(t, 5*time.Second), 77, opClaim)
	if err != nil {
		t.Fatal(err)
	}
	if after := ns[1].clock.Mono(); after-before < 100*time.Millisecond || after-blk.Mono < 100*time.Millisecond {
		t.Fatalf("claimed in %v; the hold counts from %v before that", after-before, after-blk.Mono)
	}
}
