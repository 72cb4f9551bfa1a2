package e2e

import (
	"context"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// groups returns the groups that the machine's state has.
func (m *machine) groups() []api.Group {
	m.t.Helper()
	var list api.GroupList
	if err := m.get(&list, "group", "show"); err != nil {
		m.t.Fatal(err)
	}
	return list.Items
}

// knows reports whether the machine's only group lists a member of that name.
func (m *machine) knows(name string) bool {
	m.t.Helper()
	for _, member := range m.groups()[0].Members {
		if member.Name == name {
			return true
		}
	}
	return false
}

// says runs landbridge, which must exit with 0 and say all of these words.
func (m *machine) says(words []string, args ...string) {
	m.t.Helper()
	r := m.cli(nil, args...)
	for _, word := range words {
		if r.code != 0 || !strings.Contains(r.stdout+r.stderr, word) {
			m.t.Errorf("%.60s: exit %d, %q isn't in what it says: %s%s", strings.Join(args, " "), r.code, word, r.stdout, r.stderr)
		}
	}
}

// A member leaves while it runs, comes back by a new invitation, and does both again
// while it doesn't.
func TestAMemberLeavesAndComesBack(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := newMachine(t, wan.Host("a")), newMachine(t, wan.Host("b"))
	a.must("group", "create", "--name", "office")
	a.start()
	b.start()
	before := b.system()
	token := a.invite().Token
	b.says([]string{"now, as b."}, "join", token)
	b.says([]string{"already, as b:", "isn't needed"}, "join", token)
	first := b.address()
	reaches(t, b.Host, a.address())

	b.says([]string{"b, has left group office", "Given back: ", "roster is without it", "goes on running, in no group"}, "group", "leave")
	if after := b.system(); after != before {
		t.Errorf("b isn't as it was: %s", differences(before, after))
	}
	if st := b.status(); len(st.Groups) != 0 || len(st.Health) != 0 {
		t.Errorf("b's status: groups %+v, health %+v", st.Groups, st.Health)
	}
	if _, err := a.peer("b"); err == nil || a.knows("b") {
		t.Error("a still has b")
	}
	b.refuses(failed, []string{"in no group"}, "group", "leave")

	back := a.invite().Token
	b.says([]string{"now, as b."}, "join", back)
	if again := b.address(); again == a.address() {
		t.Errorf("b has a's address %v, had %v", again, first)
	}
	reaches(t, b.Host, a.address())
	b.end(syscall.SIGTERM)
	if text, err := os.ReadFile(b.log); err != nil || !strings.Contains(string(text), "landbridge stops") {
		t.Errorf("b doesn't say that it stops (%v)", err)
	}
	b.says([]string{"already, as b:"}, "join", back)
	b.says([]string{"b, has left group office", "roster is without it", "Not given back: "}, "group", "leave", "office")
	if len(b.groups()) != 0 || a.knows("b") {
		t.Error("b is a member still")
	}
	b.says([]string{"now, as b."}, "join", a.invite().Token)
	b.start()
	if again := b.address(); again == a.address() {
		t.Errorf("b has a's address %v", again)
	}
	reaches(t, b.Host, a.address())
}

// In router mode the LAN port is put back, and what hosts of the LAN have leased lapses.
func TestASiteThatLeavesGetsItsLANPortBack(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	c := newClient(t, a.wire, "c").lease(netlab.Udhcpc)
	reaches(t, c.Host, s.d.address())
	a.says([]string{"a, has left group e2e", "Not given back: 1 block"}, "group", "leave")
	if links := a.exec("ip", "-o", "link").stdout; strings.Contains(links, "lbbr") || strings.Contains(links, "lb0") || strings.Contains(links, "master") {
		t.Errorf("devices are left: %s", links)
	}
	if s.d.knows("a") {
		t.Error("d still has a")
	}
	s.d.wait("word of a's departure", func() (bool, error) { return s.d.status().Groups[0].MembersKnown == 1, nil })
	a.must("join", s.d.invite().Token)
	c.dhcp.Kill()
	had := c.addr
	if c.lease(netlab.Udhcpc); c.addr != had {
		t.Logf("c had %v, has %v", had, c.addr)
	}
	reaches(t, c.Host, s.d.address())
}

// Who created the group is asked, as there is nobody to take over; without a terminal
// nothing is done.
func TestTheCreatorLeavesOnlyWhenItSaysSo(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	m, b := newMachine(t, wan.Host("m")), newMachine(t, wan.Host("b"))
	m.must("group", "create", "--name", "mistake")
	m.refuses(usage, []string{"CA key of group mistake", "for good", "--yes"}, "group", "leave")
	m.says([]string{"m, has left group mistake", "CA key is destroyed"}, "group", "leave", "--yes")
	m.must("group", "create", "--name", "office")
	m.start()
	m.address()
	token := m.invite().Token
	b.says([]string{"now, as m-2.", "Another member is called m.", "--name"}, "join", m.invite().Token, "--name", "m")
	m.refuses(usage, []string{"CA key of group office", "1 other member", "--yes"}, "group", "leave")
	m.says([]string{"CA key is destroyed"}, "group", "leave", "--yes")
	b.refuses(failed, []string{"office (10.9.0.0/16)", "overlap", "landbridge group leave"}, "group", "create", "--prefix", "10.9.0.0/20")
	b.says([]string{"m-2, has left group office", "couldn't be told", "landbridge group remove m-2"}, "group", "leave")
	r := b.cli(nil, "join", token)
	if r.code != failed {
		t.Errorf("joined a group without its authority: exit %d: %s", r.code, r.stderr)
	}
	m.must("group", "create", "--name", "third", "--prefix", "10.89.0.0/16")
	m.address()
}

// Killed in the middle of leaving, an appliance is a member or it isn't: it runs, and
// either leaves once more or joins.
func TestALeaveThatIsKilledLeavesAMemberOrNone(t *testing.T) {
	t.Parallel()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := newMachine(t, wan.Host("a")), newMachine(t, wan.Host("b"))
	a.must("group", "create", "--name", "office")
	a.start()
	b.must("join", a.invite().Token)
	members, strangers := 0, 0
	for _, ms := range []int{1, 10, 15, 20, 25, 30, 40, 60, 100} {
		if len(b.groups()) == 0 {
			b.must("join", a.invite().Token)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(ms)*time.Millisecond) // Command kills
		_ = b.Command(ctx, binary, "--state", b.state(), "group", "leave").Run()
		cancel()
		if len(b.groups()) == 1 {
			members++
		} else {
			strangers++
		}
	}
	t.Logf("killed: %d times a member, %d times not", members, strangers)
	// The same to a daemon that leaves.
	for _, ms := range []int{20, 60, 100, 200} {
		if len(b.groups()) == 0 {
			b.must("join", a.invite().Token)
		}
		b.start()
		if _, err := a.peer("b"); err != nil {
			b.must("join", a.invite().Token) // it was removed, and not killed late enough to know
		}
		b.address()
		leaving := b.Command(t.Context(), binary, "--state", b.state(), "group", "leave")
		if err := leaving.Start(); err != nil {
			t.Fatal(err)
		}
		<-time.After(time.Duration(ms) * time.Millisecond) // somewhere in the middle
		b.end(syscall.SIGKILL)
		_ = leaving.Wait()
	}
	if len(b.groups()) == 0 {
		b.must("join", a.invite().Token)
	}
	b.start()
	b.address()
	b.must("group", "leave")
	b.must("join", a.invite().Token)
	b.address()
	reaches(t, b.Host, a.address())
}
