package appliance

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
)

// waitingState is a state that waits to be let into a group.
func waitingState(t *testing.T) (*state, application) {
	t.Helper()
	s, err := openState(t.TempDir())
	must(t, err)
	t.Cleanup(func() { must(t, s.close()) })
	a := application{Token: "lb1-token", Name: "site-b", Since: time.Now(), id: group.ID{1}}
	waiting, err := s.turnedAway(a, false, group.ErrAwaitingApproval)
	must(t, err)
	if kept, known, err := s.application(a.id); waiting == nil || err != nil || !known || kept.Token != a.Token {
		t.Fatalf("kept: %+v, %v, %v", kept, known, err)
	}
	return s, a
}

// It asks every few seconds for as long as nobody decides.
func TestToGoOnWaitingWritesNothing(t *testing.T) {
	s, a := waitingState(t)
	before, err := os.ReadFile(s.file())
	must(t, err)
	for _, said := range []error{group.ErrAwaitingApproval, group.ErrCrowded} {
		if waiting, err := s.turnedAway(a, true, said); err != nil || waiting == nil || waiting.Token != a.Token {
			t.Errorf("%v: %+v, %v", said, waiting, err)
		}
	}
	after, err := os.ReadFile(filepath.Join(s.dir, databaseFile))
	must(t, err)
	if !bytes.Equal(before, after) {
		t.Error("something was written")
	}
}

func TestAnApplicationThatWasWithdrawnMeanwhileStaysSo(t *testing.T) {
	for _, said := range []error{group.ErrAwaitingApproval, group.ErrDenied} {
		s, a := waitingState(t)
		_, err := s.withdraw(a.id.String())
		must(t, err)
		_, _ = s.turnedAway(a, true, said)
		if all, err := s.applications(); err != nil || len(all) != 0 {
			t.Errorf("%v: %+v, %v", said, all, err)
		}
	}
}

func TestARefusalIsRememberedOfTheInvitationThatWasRefused(t *testing.T) {
	s, a := waitingState(t)
	newer := a
	newer.Token = "lb1-newer"
	must(t, s.keepApplication(newer)) // meanwhile
	if _, err := s.turnedAway(a, true, group.ErrDenied); err == nil {
		t.Error("the refusal isn't told")
	}
	if kept, _, err := s.application(a.id); err != nil || kept.Token != newer.Token || kept.Refused != "" {
		t.Errorf("of the newer one is kept: %+v, %v", kept, err)
	}
	if _, err := s.turnedAway(newer, true, group.ErrDenied); err == nil {
		t.Error("the refusal isn't told")
	}
	if kept, known, err := s.application(a.id); err != nil || !known || kept.Refused == "" {
		t.Errorf("of the refused one is kept: %+v, %v", kept, err)
	}
}

// asks reports whether an appliance asks to be let into a group.
func (n *node) asks(id group.ID) bool {
	n.pursuits.mu.Lock()
	defer n.pursuits.mu.Unlock()
	return n.pursuits.ends[id] != nil
}

func TestAnApplianceThatWaitsGoesOnAskingWhereJoinFails(t *testing.T) {
	g, other := &testGroup{t: t}, &testGroup{t: t}
	m := newMember(t, g.create).node
	t.Cleanup(m.pursuits.close)
	id := newMember(t, other.create).id
	a := application{Token: "lb1-token", Name: "site-b", Since: anHourAgo(), id: id}
	must(t, m.state.keepApplication(a))
	m.pursue(id, &a)
	expired, err := other.authority.Invite(time.Minute, []string{"/ip4/127.0.0.1/tcp/1/p2p/" + m.state.self().String()}, anHourAgo())
	must(t, err)
	if _, err := m.Join(t.Context(), api.JoinRequest{Token: expired}); err == nil {
		t.Fatal("an invitation that has expired lets it in")
	}
	if !m.asks(id) {
		t.Error("it asks no more")
	}
	_, err = m.WithdrawApplication(t.Context(), id.String())
	if must(t, err); m.asks(id) {
		t.Error("it asks on")
	}
}

func TestAnApplicationForAGroupThatCannotBeReadIsKept(t *testing.T) {
	n := newMember(t, (&testGroup{t: t}).create)
	t.Cleanup(n.node.pursuits.close)
	must(t, n.node.state.keepApplication(application{Token: "lb1-token", Since: anHourAgo(), id: n.id}))
	n.node.state.key = ed25519.NewKeyFromSeed(make([]byte, ed25519.SeedSize)) // not that of the membership
	if err := n.node.resumeApplications(); !errors.Is(err, group.ErrOtherNode) {
		t.Errorf("it goes on with: %v", err)
	}
	if all, err := n.node.state.applications(); err != nil || len(all) != 1 {
		t.Errorf("it waits for %+v, %v", all, err)
	}
}

func TestAnApplianceThatIsInAGroupWaitsForItNoMore(t *testing.T) {
	n := newMember(t, (&testGroup{t: t}).create)
	t.Cleanup(n.node.pursuits.close)
	other := group.ID{1}
	for _, id := range []group.ID{n.id, other} {
		must(t, n.node.state.keepApplication(application{Token: "lb1-token", Since: anHourAgo(), id: id}))
	}
	must(t, n.node.resumeApplications())
	if all, err := n.node.state.applications(); err != nil || len(all) != 1 || all[0].id != other || !n.node.asks(other) || n.node.asks(n.id) {
		t.Errorf("it waits for %+v, %v", all, err)
	}
}
