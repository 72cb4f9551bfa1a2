package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// invitations returns those that the authority remembers.
func (m *machine) invitations() []api.IssuedInvitation {
	m.t.Helper()
	var list api.IssuedInvitationList
	if err := m.get(&list, "group", "invitations", "--all"); err != nil {
		m.t.Fatalf("%s: invitations: %v", m.Name, err)
	}
	return list.Items
}

// in reports whether the machine, which doesn't run, is in the group; there may be no state.
func (m *machine) in(group string) bool {
	m.t.Helper()
	r := m.cli(nil, "group", "show", group)
	return r.code == 0
}

// Six appliances come with an invitation for three while the authority is killed again and
// again: whatever a newcomer was told, no use is lost and none is one too many.
func TestNoKillGivesAnInvitationAUseTooMany(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a := newMachine(t, wan.Host("a"))
	a.must("group", "create", "--name", "office")
	a.start()
	inv := a.invite("--uses", "3", "--expires", "1h", "--note", "branches")
	newcomers := make([]*machine, 6)
	for n := range newcomers {
		newcomers[n] = newMachine(t, wan.Host(fmt.Sprint("n", n)))
	}
	joined := func() (in int) {
		for _, n := range newcomers {
			if n.in("office") {
				in++
			}
		}
		return in
	}
	for round := 0; joined() < 3; round++ {
		if round == 10 {
			t.Fatalf("%d of 3 have joined after %d rounds", joined(), round)
		}
		results := make(chan result)
		for _, n := range newcomers {
			go func() { results <- n.cli(nil, "join", inv.Token) }()
		}
		if round < 3 {
			<-results // somebody has had an answer; others are on their way
			a.end(syscall.SIGKILL)
			a.start()
		} else {
			<-results
		}
		for range newcomers[1:] {
			<-results
		}
	}
	list := a.invitations()
	if len(list) != 1 || list[0].State != api.InvitationStateUsed || len(list[0].Users) != 3 || list[0].Note != "branches" {
		t.Errorf("the authority remembers %+v", list)
	}
	if members := a.groups()[0].Members; len(members) != 4 || joined() != 3 {
		t.Errorf("%d have joined, the roster has %+v", joined(), members)
	}
	for _, n := range newcomers {
		if n.in("office") {
			continue
		}
		// One that was asking as the authority was killed has kept its key, and keeps whom it meets.
		if r := n.cli(nil, "join", inv.Token); r.code != failed || !strings.Contains(r.stderr, "as many nodes as it admits") {
			t.Errorf("join: exit %d: %s", r.code, r.stderr)
		}
	}

	other := a.invite("--uses", "2")
	if said := a.must("group", "invitations", "revoke", other.ID); !strings.Contains(said, "used 0 of 2 times") {
		t.Errorf("revoked: %s", said)
	}
	late := newMachine(t, wan.Host("late"))
	late.refuses(failed, []string{"revoked by the group's authority"}, "join", other.Token)
}
