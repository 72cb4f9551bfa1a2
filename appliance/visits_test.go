package appliance

import (
	"context"
	"slices"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
)

func TestMembersAreAskedForTheirLeasesNotSoonerThanARoundApart(t *testing.T) {
	g := &testGroup{t: t}
	n := newMember(t, g.create).network
	n.base = t.Context()
	first := time.Now()
	begun := n.goRound(first)
	ended := func(name string, round <-chan struct{}) {
		t.Helper()
		select {
		case <-round:
		case <-time.After(time.Minute):
			t.Fatalf("the %s round doesn't end", name)
		}
	}
	ended("first", begun)
	if n.goRound(first.Add(roundsApart-1)) != begun {
		t.Error("asked again at once")
	}
	again := n.goRound(first.Add(roundsApart))
	if again == begun {
		t.Error("never asked again")
	}
	ended("second", again)
	n.mu.Lock()
	n.stopped = true
	n.mu.Unlock()
	ended("third, which comes as the group is left,", n.goRound(first.Add(2*roundsApart)))
}

func TestWhoIsNotConnectedIsNamedAsUnheard(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	newMember(t, g.join)
	founder.base = t.Context()
	<-founder.goRound(time.Now())
	if got := founder.unheard(); len(got) != 1 {
		t.Errorf("unheard: %v", got)
	}
}

func TestBlocksThatAMemberTellsAreReadWithinBounds(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	var told []byte
	second.gate.handle(neighbourhood.Protocol, func(context.Context, *network, group.MemberID, []byte) ([]byte, error) { return told, nil })
	if _, err := founder.call(t, second); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		told  []byte
		count int
		fails bool
	}{
		{told: []byte{10, 9, 0, 32, 10, 9, 0, 96}, count: 2},
		{told: nil},
		{told: []byte{10, 9, 0}, fails: true},
		{told: slices.Repeat([]byte{10, 9, 0, 32}, maxBlocksTold), count: maxBlocksTold},
		{told: slices.Repeat([]byte{10, 9, 0, 32}, maxBlocksTold+1), fails: true},
	} {
		told = c.told
		blocks, err := founder.blocksOf(t.Context(), second.membership.Self())
		if len(blocks) != c.count || (err != nil) != c.fails {
			t.Errorf("%d bytes: %d blocks, %v", len(c.told), len(blocks), err)
		}
	}
}
