package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// A switch is shown, applied, and goes on to be what it was unless somebody confirms it;
// what others do meanwhile goes on.
func TestASwitchIsUndoneUnlessItIsConfirmed(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m, own := s.m, s.m.address()
	wire := m.lanPort()
	remote := newStream(t, s.a1.Host, s.d.Host, s.d.address())
	wan := newPinger(t, m.Host, "203.0.113.1")

	m.says([]string{"From interface mode to router mode on lan0", "remove", own.String(), "move", "lan0", "What hosts will notice", "The lease is kept"}, "mode", "plan", "router", "--lan-port", "lan0")
	m.isIn("interface")
	m.refuses(failed, []string{"no switch of the mode waits for confirmation"}, "mode", "confirm")

	m.says([]string{"The appliance is in router mode on lan0 now", "landbridge mode confirm"}, setMode("router", "--timeout", "4s")...)
	m.isIn("router")
	if p := m.mode().Pending; p.State != "waiting" || p.Back.Mode != "interface" || p.SecondsLeft < 1 || p.SecondsLeft > 4 {
		t.Errorf("pending: %+v", p)
	}
	if r := m.cli(nil, setMode("interface")...); r.code != failed || r.stdout != "" || !strings.Contains(r.stderr, "the switch to router mode on lan0 is not ended: confirm it") {
		t.Errorf("a second switch: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	m.isIn("interface") // by itself
	if l := m.mode().Last; l.Outcome != "rolledBack" || !strings.Contains(l.Why, "nobody confirmed it within 4s") {
		t.Errorf("last: %+v", l)
	}
	m.refuses(failed, []string{"was rolled back: nobody confirmed it within 4s"}, "mode", "confirm")
	if now := m.address(); now != own {
		t.Errorf("this host had %v and has %v", own, now)
	}
	if now := m.lanPort(); now != wire {
		t.Errorf("lan0 was given back as\n%swas\n%s", now, wire)
	}
	reaches(t, m.Host, s.d.address())

	m.must(setMode("router")...)
	m.says([]string{"in interface mode again"}, "mode", "rollback")
	m.isIn("interface")
	m.must(setMode("router")...)
	m.says([]string{"in router mode on lan0", "also after restarts"}, "mode", "confirm")
	s.h1.lease(netlab.Udhcpc)
	s.h2.lease(netlab.Dhclient)
	for _, h := range []*client{s.h1, s.h2} {
		reaches(t, h.Host, s.d.address())
		reaches(t, s.a1.Host, h.addr)
	}
	m.end(syscall.SIGTERM)
	m.start()
	m.isIn("router") // without a flag
	reaches(t, s.h1.Host, s.d.address())
	for _, h := range []*client{s.h1, s.h2} {
		if !m.serves(h.addr) {
			t.Errorf("the lease of %v is lost", h.addr)
		}
	}
	if !m.serves(own) {
		t.Errorf("this host's own lease, of %v, is lost", own)
	}
	m.must(setMode("interface", "--yes")...)
	m.isIn("interface")
	if now := m.address(); now != own {
		t.Errorf("this host had %v and has %v", own, now)
	}
	gap, ours := remote.gaps()
	if t.Logf("longest pause of the stream of others: %v", gap); ours > time.Second {
		t.Errorf("the stream of others paused for %v, without what this process stood still for %v", gap, ours)
	}
	wan.end(0)
}

// The word that was said last counts: a confirmed mode outlives restarts with the flags as
// they were, and flags that were changed since win.
func TestTheLatestWordOnTheModeCounts(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m := s.m
	m.end(syscall.SIGTERM)
	m.flags = []string{"--mode", "interface"}
	m.start()
	m.must(setMode("router", "--yes")...)
	m.end(syscall.SIGTERM)
	m.start() // the flags are as before
	m.isIn("router")
	m.end(syscall.SIGTERM)
	m.says([]string{"router mode on lan0, at the next start"}, "mode")
	m.flags = []string{"--mode", "router", "--lan-port", "lan0"}
	m.start()
	m.isIn("router")
	m.end(syscall.SIGTERM)
	m.flags = []string{"--mode", "interface"}
	m.start() // still as when it was committed
	m.isIn("router")
	m.must(setMode("interface", "--yes")...)
	m.end(syscall.SIGTERM)
	m.flags = []string{"--mode", "router", "--lan-port", "lan0"}
	m.start() // a new word
	m.isIn("router")
	m.end(syscall.SIGKILL)
	r := m.cli(nil, "recover")
	if r.code != 0 || !strings.Contains(r.stderr, "lbbr0") {
		t.Errorf("recover: exit %d: %s%s", r.code, r.stdout, r.stderr)
	}
	if port, links := m.lanPort(), m.links(); strings.Contains(port, "master") || strings.Contains(links, "lb") {
		t.Errorf("after recover lan0 is %sdevices %s", port, links)
	}
	m.says([]string{"Nothing was left"}, "recover")
	m.start()
	m.says([]string{"An appliance is running", "nothing to put right"}, "recover")
}

// What can't be is refused before anything is touched.
func TestASwitchThatCannotBeIsRefused(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m, own := s.m, s.m.address()
	for name, c := range map[string]struct {
		code int
		says []string
		args []string
	}{
		"no mode":          {usage, []string{"needs a mode", "interface", "router"}, []string{"mode", "set"}},
		"unknown":          {failed, []string{`no mode "bridge"`, "interface", "router"}, []string{"mode", "set", "bridge"}},
		"already":          {failed, []string{"in interface mode already"}, []string{"mode", "set", "interface"}},
		"without a port":   {failed, []string{"router mode needs a LAN port", "eth0, lan0"}, []string{"mode", "set", "router"}},
		"a port too many":  {failed, []string{"interface mode has no LAN port"}, []string{"mode", "set", "interface", "--lan-port", "lan0"}},
		"no such port":     {failed, []string{`"nope"`, "eth0, lan0"}, []string{"mode", "set", "router", "--lan-port", "nope"}},
		"the uplink":       {failed, []string{"eth0", "default route", "nothing was done"}, []string{"mode", "set", "router", "--lan-port", "eth0"}},
		"too short a time": {usage, []string{"at least 1s"}, []string{"mode", "set", "router", "--lan-port", "lan0", "--timeout", "0s"}},
	} {
		t.Run(name, func(t *testing.T) { m.within(t).refuses(c.code, c.says, c.args...) })
	}
	// The operator has come in over the group.
	over := []string{"env", "SSH_CONNECTION=10.77.9.9 50000 " + own.String() + " 22"}
	r := m.cli(over, setMode("router")...)
	if r.code != failed || !strings.Contains(r.stderr, "your own connection, from 10.77.9.9, is to "+own.String()) {
		t.Errorf("a switch that cuts the operator off: exit %d: %s", r.code, r.stderr)
	}
	if s := m.mode(); s.Last.Outcome != "" || s.Pending.State != "" {
		t.Errorf("after refusals: %+v", s)
	}
	m.isIn("interface")
}
