package appliance

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
)

// nobodyAt is a TCP address of this machine where nothing listens.
func nobodyAt(t *testing.T) *net.TCPAddr {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// removedMember is a member that was removed, and knows, with an invitation to the
// group whose authority isn't there.
func removedMember(t *testing.T) (m *member, token string, at *net.TCPAddr) {
	t.Helper()
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	m = newMember(t, g.join)
	m.node.networks = map[group.ID]*network{m.id: m.network}
	if _, err := g.authority.Remove(m.membership.Self()); err != nil {
		t.Fatal(err)
	}
	if _, err := m.membership.Update(founder.membership.Signed()); err != nil {
		t.Fatal(err)
	}
	at = nobodyAt(t)
	place := fmt.Sprintf("/ip4/127.0.0.1/tcp/%d/p2p/%s", at.Port, founder.membership.Self())
	token, err := g.authority.Invite(time.Hour, []string{place}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return m, token, at
}

func TestARemovedMemberThatCantRejoinRunsAsBefore(t *testing.T) {
	m, token, at := removedMember(t)
	_, err := m.node.Join(t.Context(), api.JoinRequest{Token: token})
	if err == nil || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), at.String()+": connection refused") || strings.Contains(err.Error(), "30s") {
		t.Errorf("%v", err)
	}
	if nw, ok := m.node.network(m.id); !ok || nw != m.network || nw.stopped {
		t.Errorf("its group: there %v", ok)
	}
}

func TestAnAuthorityThatDoesntAnswerIsToldOfInPlainWords(t *testing.T) {
	away := &overlay.UnreachableError{Tried: []overlay.Attempt{{At: "203.0.113.5:4860", Cause: overlay.NoAnswer}}}
	for name, c := range map[string]struct {
		err  error
		want string
	}{
		"no answer":  {fmt.Errorf("call: %w", away), "the group's authority can't be reached (203.0.113.5:4860: no answer): see that"},
		"too slow":   {context.DeadlineExceeded, "no answer from the group's authority within 30s: see that"},
		"a surprise": {errors.New("what nobody thought of"), "no answer from the group's authority (what nobody thought of): see that"},
	} {
		if err := explainJoin(c.err); !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := explainJoin(group.ErrUsed); !errors.Is(err, group.ErrUsed) {
		t.Errorf("a refusal: %v", err)
	}
}
