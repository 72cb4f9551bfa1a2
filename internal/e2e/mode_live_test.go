package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// What a switch leaves to the machine it leaves whole: connections by its own card, sessions
// with other members, and, where it keeps its virtual address, the connections by that.
func TestConnectionsOutliveASwitch(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m := s.m
	reaches(t, m.Host, s.d.address())
	physical := newStream(t, m.Host, s.d.Host, s.d.Port("eth0").Addr())
	virtual := newStream(t, m.Host, s.d.Host, s.d.address())
	made, err := m.peer("d")
	if err != nil {
		t.Fatal(err)
	}
	for _, order := range [][]string{
		setMode("hybrid", "--lan-port", "eth0", "--yes"), setMode("interface", "--yes"),
		setMode("hybrid", "--yes"), setMode("hybrid", "--lan-port", "eth0", "--yes"), setMode("interface", "--yes"),
	} {
		m.must(order...)
		m.isIn(order[2])
	}
	pause := virtual.gap()
	// A host's connection outlives that its LAN is detached for a moment.
	m.must(setMode("router", "--yes")...)
	s.h1.lease(netlab.Udhcpc)
	hosts := newStream(t, s.h1.Host, s.d.Host, s.d.address())
	m.must(setMode("interface", "--timeout", "1s")...)
	m.isIn("router")
	t.Logf("longest pauses: by its own card %v, by its virtual address %v, of a host of the LAN %v", physical.gap(), pause, hosts.gap())
	m.must(setMode("interface", "--yes")...)
	// It was without its address for seconds, and has it again.
	virtual.flows()
	if now, err := m.peer("d"); err != nil || now.Since.Sub(made.Since).Abs() > 100*time.Millisecond { // of a monotonic clock
		t.Errorf("the session with d was made at %v, and is of %v: %v", made.Since, now.Since, err)
	}
}

// A mode that doesn't work isn't kept; one that can't be had again is waited for.
func TestASwitchThatDoesNotWorkIsUndone(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m := s.m
	m.must(setMode("router", "--yes")...)
	s.h1.lease(netlab.Udhcpc)
	flow := newStream(t, s.h1.Host, s.d.Host, s.d.address())
	if r := m.exec("nft", "add table ip test; add chain ip test out { type filter hook output priority 0; }; add rule ip test out udp dport 53 drop"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	machine, began := newStalls(t), time.Now()
	r := m.cli(nil, setMode("interface")...)
	for _, part := range []string{"the switch to interface mode failed, and the appliance is in router mode on lan0 again", "the service address " + service + " doesn't answer DNS"} {
		if r.code != failed || !strings.Contains(r.stderr, part) {
			t.Errorf("exit %d, %q isn't in what it says: %s", r.code, part, r.stderr)
		}
	}
	ended := time.Now()
	if took := ended.Sub(began); took-machine.within(span{began, ended}) > 16*time.Second {
		t.Errorf("it took %v to find that out", took)
	}
	m.isIn("router")
	flow.flows()
	if l := m.mode().Last; l.Outcome != "rolledBack" || !strings.Contains(l.Why, "doesn't answer") {
		t.Errorf("last: %+v", l)
	}
	if r := m.exec("nft", "delete table ip test"); r.code != 0 {
		t.Fatal(r.stderr)
	}

	port := m.Port("lan0")
	m.must(setMode("interface", "--timeout", "3s")...)
	if err := port.Vanish(); err != nil {
		t.Fatal(err)
	}
	m.wait("health to say that it can't go back", func() (bool, error) {
		health := m.status().Health
		return strings.Contains(fmt.Sprint(health), "going back to router mode on lan0 fails") && m.mode().Pending.State == "returning", fmt.Errorf("%v", health)
	})
	if r := m.cli(nil, "mode", "confirm"); r.code != failed || !strings.Contains(r.stderr, "is being undone") {
		t.Errorf("confirm: exit %d: %s", r.code, r.stderr)
	}
	if err := port.Return(); err != nil {
		t.Fatal(err)
	}
	m.isIn("router")
	flow.flows()
	m.wait("all is well", func() (bool, error) { h := m.status().Health; return len(h) == 0, fmt.Errorf("%v", h) })
}

// The operator may have come by SSH and sudo, which clears the environment.
func TestASwitchThatCutsTheOperatorOffIsRefusedThroughSudo(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	own := s.m.address()
	shell := []string{"env", "SSH_CONNECTION=10.77.9.9 50000 " + own.String() + " 22", "sh", "-c", `env -u SSH_CONNECTION "$@"; exit $?`, "sh"}
	r := s.m.cli(shell, setMode("router")...)
	if r.code != failed || !strings.Contains(r.stderr, "your own connection, from 10.77.9.9, is to "+own.String()) {
		t.Errorf("exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	s.m.isIn("interface")
}
