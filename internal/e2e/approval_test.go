package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// requests returns who waits to be let in.
func (m *machine) requests() (all []api.Applicant, err error) {
	var list api.ApplicantList
	err = m.get(&list, "group", "requests")
	return list.Items, err
}

// A newcomer waits for approval while both ends are killed and started again, is let in and
// reached; another is denied and told why; a third asks without a daemon.
func TestANewcomerIsLetInByApproval(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b, c, d := newMachine(t, wan.Host("a")), newMachine(t, wan.Host("b")), newMachine(t, wan.Host("c")), newMachine(t, wan.Host("d"))
	a.must("group", "create", "--name", "office")
	a.start()
	inv := a.invite("--uses", "2", "--approve", "--note", "branches")
	b.start()
	b.says([]string{"Waiting for approval, fingerprint "}, "join", inv.Token, "--no-wait")
	b.ails("waits to be let into the group")
	ask := func(n int) (all []api.Applicant) {
		a.wait(fmt.Sprintf("%d to wait", n), func() (ok bool, err error) {
			all, err = a.requests()
			return len(all) == n, fmt.Errorf("%+v wait (%w)", all, err)
		})
		return all
	}
	first := ask(1)[0]
	at, err := b.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	if first.Name != "b" || !strings.HasPrefix(first.Address, at.Addr().String()+":") || first.Note != "branches" || first.MemberID != b.status().MemberID {
		t.Errorf("who waits is told of as %+v", first)
	}
	a.ails("office: b (" + first.Fingerprint + ")")
	if s := fmt.Sprint(b.status().Health); !strings.Contains(s, first.Fingerprint) {
		t.Errorf("b shows another fingerprint than %s: %s", first.Fingerprint, s)
	}

	b.end(syscall.SIGKILL)
	a.end(syscall.SIGKILL)
	a.start()
	b.start()
	if again := ask(1)[0]; again.MemberID != first.MemberID || !again.Since.Equal(first.Since) {
		t.Errorf("after kills at both ends: %+v, it was %+v", again, first)
	}
	a.must("group", "approve", first.Fingerprint)
	b.wait("to be let in", func() (bool, error) { g := b.groups(); return len(g) == 1 && len(g[0].Members) == 2, nil })
	reaches(t, b.Host, a.address())
	ask(0)
	if s := fmt.Sprint(a.status().Health, b.status().Health); strings.Contains(s, "let into") {
		t.Errorf("afterwards health says %s", s)
	}

	c.start()
	prefix := a.groups()[0].Prefix
	c.sh("ip link add lan9 type veth peer lan9peer && ip link set lan9peer up && ip addr add " + prefix.Addr().Next().String() + "/24 dev lan9 && ip link set lan9 up")
	// Not by refuses, which sees the new link come up meanwhile.
	if r := c.cli(nil, "join", inv.Token, "--no-wait"); r.code != failed || !strings.Contains(r.stderr, "overlaps the route") || !strings.Contains(r.stderr, "nobody was asked") {
		t.Errorf("with a route into the prefix: %+v", r)
	}
	ask(0)
	c.sh("ip link del lan9")
	c.must("join", inv.Token, "--no-wait")
	ask(1)
	a.must("group", "deny", "c", "--reason", "nobody here knows it")
	c.ails("nobody here knows it")
	c.refuses(failed, []string{"nobody here knows it"}, "join", inv.Token)
	c.must("join", "cancel", inv.Group[:8])
	c.ails()

	results := make(chan result)
	go func() { results <- d.cli(nil, "join", inv.Token) }()
	a.must("group", "approve", ask(1)[0].MemberID)
	if r := <-results; r.code != 0 || !strings.Contains(r.stderr, "Waiting for approval, fingerprint ") || !strings.Contains(r.stdout, "office") {
		t.Errorf("without a daemon: %+v", r)
	}
	if list := a.invitations(); list[0].State != api.InvitationStateUsed || len(list[0].Users) != 2 {
		t.Errorf("the invitation is %+v", list)
	}
}
