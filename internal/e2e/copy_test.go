package e2e

import (
	"syscall"
	"testing"

	"landbridge/internal/netlab"
)

// An appliance that is started from a restored backup doesn't know what it has leased
// since. It says so, and leases nothing.
func TestAnApplianceFromAnOlderCopyOfItsStateStops(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	b := s.site("b")
	newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	b.end(syscall.SIGTERM)
	backup := b.Dir() + "/backup"
	b.run("cp", "-a", b.state(), backup)

	b.start()
	b2 := newClient(t, b.wire, "b2").lease(netlab.Udhcpc)
	reaches(t, s.d.Host, b2.addr)
	b.end(syscall.SIGTERM)
	b.run("rm", "-r", b.state())
	b.run("cp", "-a", backup, b.state())

	b.start()
	b.ails("from an older copy of its state")
	if n := len(b.leases()); n != 1 {
		t.Errorf("it serves %d leases, of which it knows one", n)
	}
	s.d.ails() // who goes on without it
}

// run runs a program on the machine; it may not fail.
func (m *machine) run(words ...string) {
	m.t.Helper()
	if r := m.exec(words...); r.code != 0 {
		m.t.Fatalf("%s: %v: %s", m.Name, words, r.stderr)
	}
}
