package appliance

import (
	"context"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/neighbourhood"
	"landbridge/internal/vouch"
)

// newRouter is a member with its standins.
func newRouter(t *testing.T, m *member) *member {
	t.Helper()
	m.standins = newStandins(m.network)
	m.gate.handle(neighbourhood.Protocol, func(_ context.Context, nw *network, from group.MemberID, req []byte) ([]byte, error) {
		return nw.standins.Answer(from, req)
	})
	return m
}

// name has one router name another to it.
func (m *member) name(t *testing.T, other *member, st vouch.Statement) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	_, err := m.gate.call(ctx, m.network, other.membership.Self(), neighbourhood.Protocol, st.Append([]byte{neighbourhood.AskVouch}))
	return err
}

func TestARouterShowsWhoHasNamedItAndTellsForWhomItServes(t *testing.T) {
	g := &testGroup{t: t}
	far := newRouter(t, newMember(t, g.create))
	one, two := newRouter(t, newMember(t, g.join)), newRouter(t, newMember(t, g.join))
	for _, m := range []*member{far, one} {
		if _, err := m.membership.Update(two.membership.Signed()); err != nil {
			t.Fatal(err)
		}
	}
	for _, pair := range [][2]*member{{one, two}, {two, one}, {far, one}, {far, two}, {one, far}, {two, far}} {
		if _, err := pair[0].call(t, pair[1]); err != nil {
			t.Fatal(err)
		}
	}
	id1, id2 := one.membership.Self(), two.membership.Self()
	now := time.Now()

	if far.standins.Ask(t.Context(), id2, id1) {
		t.Error("two speaks for one, who hasn't named it")
	}
	if err := two.name(t, one, vouch.Sign(one.membership, id2, now)); err == nil {
		t.Error("a statement of another was taken")
	}
	if err := one.name(t, two, vouch.Sign(one.membership, far.membership.Self(), now)); err == nil {
		t.Error("a statement about another was taken")
	}
	if err := one.name(t, two, vouch.Sign(one.membership, id2, now)); err != nil {
		t.Fatal(err)
	}
	if !far.standins.Ask(t.Context(), id2, id1) || !far.standins.Speaks(id2, id1) {
		t.Error("two has shown that it may speak for one, and isn't believed")
	}
	if far.standins.Ask(t.Context(), id1, id2) {
		t.Error("one speaks for two, who hasn't named it")
	}

	serving := func(want group.MemberID) {
		t.Helper()
		for end := time.Now().Add(time.Minute); far.standins.Serving(id1) != want; {
			if time.Now().After(end) {
				t.Fatalf("packets for one go to %v", far.standins.Serving(id1))
			}
		}
	}
	serving(id1)
	two.standins.Serve([]group.MemberID{id1})
	serving(id2)
	two.standins.Serve(nil)
	serving(id1)
	if _, err := far.standins.Answer(id2, []byte{99}); err == nil {
		t.Error("an unknown request was answered")
	}
	if reply, err := far.standins.Answer(id2, []byte{neighbourhood.AskAlive}); err != nil || reply[0] != 0 {
		t.Errorf("a member that routes for no LAN says that it does: %v (%v)", reply, err)
	}
	two.running.Wait()
}
