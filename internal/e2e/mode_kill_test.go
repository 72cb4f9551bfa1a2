package e2e

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// rounds is how many rounds a long test has: few, unless LANDBRIDGE_MODE_ROUNDS says
// otherwise (make test-modes).
func rounds(t *testing.T, few int) int {
	t.Helper()
	said := os.Getenv("LANDBRIDGE_MODE_ROUNDS")
	if said == "" {
		return few
	}
	var n int
	if _, err := fmt.Sscan(said, &n); err != nil {
		t.Fatalf("LANDBRIDGE_MODE_ROUNDS=%q: %v", said, err)
	}
	return n
}

// tour goes through all six switches between three modes, from interface mode back to it.
func tour() []string {
	return []string{"router", "hybrid", "interface", "hybrid", "router", "interface"}
}

// All six switches, with kill -9 at a random point of half of them: the appliance is in the
// mode before or the one after, never between; no host is without its physical connection
// meanwhile, and no lease is lost.
func TestAKilledSwitchEndsInTheOldModeOrTheNew(t *testing.T) {
	t.Parallel()
	s := newModeScene(t)
	m, own := s.m, s.m.address()
	m.must(setMode("router", "--yes")...)
	s.h1.lease(netlab.Udhcpc)
	s.h2.lease(netlab.Dhclient)
	reaches(t, s.h1.Host, s.h2.addr)
	m.must(setMode("interface", "--yes")...)

	others := newStream(t, s.a1.Host, s.d.Host, s.d.address())
	wan, wire := newPinger(t, m.Host, "203.0.113.1"), newPinger(t, s.h1.Host, s.h2.addr.String())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	now, killed := "interface", 0
	for i := range rounds(t, 6) {
		want := tour()[i%6]
		if (i+i/6)%2 == 0 {
			killed++
			now = s.killIn(now, want, dice)
		}
		if now != want {
			m.must(setMode(want, "--yes")...)
			now = want
		}
		m.isIn(now)
		s.works(now, own)
	}
	gap := others.gap()
	t.Logf("%d rounds, %d killed; longest pause of the stream of others %v", rounds(t, 6), killed, gap)
	if gap > time.Second {
		t.Errorf("the stream of others paused for %v", gap)
	}
	wan.end(0)
	wire.end(0)
}

// works checks that what is attached in a mode reaches the others, and that all leases are
// there.
func (s *modeScene) works(mode string, own netip.Addr) {
	s.t.Helper()
	d := s.d.address()
	if mode == "router" {
		reaches(s.t, s.h1.Host, d)
		reaches(s.t, s.a1.Host, s.h2.addr)
	} else {
		if now := s.m.address(); now != own {
			s.t.Errorf("this host had %v and has %v", own, now)
		}
		reaches(s.t, s.m.Host, d)
		reaches(s.t, s.a1.Host, own)
	}
	for _, addr := range []netip.Addr{own, s.h1.addr, s.h2.addr} {
		if !s.m.serves(addr) {
			s.t.Errorf("in %s mode the lease of %v is lost", mode, addr)
		}
	}
}

// killIn kills the daemon at a random point of a switch, starts it again, and returns the
// mode that it is in then.
func (s *modeScene) killIn(from, to string, dice *rand.Rand) string {
	s.t.Helper()
	m := s.m
	orders := [][]string{setMode(to, "--yes")}
	after := time.Duration(dice.Int64N(int64(150 * time.Millisecond)))
	switch dice.IntN(3) {
	case 1: // as it goes back by itself
		orders = [][]string{setMode(to, "--timeout", "1s")}
		after += 950 * time.Millisecond
	case 2: // as it is confirmed
		orders = [][]string{setMode(to), {"mode", "confirm"}}
		m.must(orders[0]...)
		orders, after = orders[1:], after/4
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	order := m.Command(ctx, binary, append([]string{"--state", m.state()}, orders[0]...)...)
	order.Stdout, order.Stderr = io.Discard, io.Discard
	if err := order.Start(); err != nil {
		s.t.Fatal(err)
	}
	<-time.After(after) // somewhere in the middle
	m.end(syscall.SIGKILL)
	confirmed := order.Wait() == nil && !slices.Contains(orders[0], "1s")
	m.start()
	became := string(m.mode().Now.Mode)
	s.t.Logf("from %s to %s, killed after %v of %v: %s", from, to, after, orders[0], became)
	if became != from && became != to || confirmed && became != to {
		s.t.Errorf("from %s to %s, killed after %v of %v, confirmed %t: it is in %s mode", from, to, after, orders[0], confirmed, became)
	}
	if p := m.mode().Pending; p.State != "" {
		s.t.Errorf("after a start a switch is pending: %+v", p)
	}
	m.isIn(became)
	return became
}
