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
	physical := newStream(t, m.Host, s.d.Host, s.d.Port("eth0").Addr()) // by the machine's own card
	wan, wire := newPinger(t, m.Host, "203.0.113.1"), newPinger(t, s.h1.Host, s.h2.addr.String())
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	dice := rand.New(rand.NewPCG(seed, 0))
	now, killed := "interface", 0
	for i := range rounds(t, 6) {
		want, port := tour()[i%6], "--lan-port=lan0"
		if want == "hybrid" && i%4 != 1 {
			port = "--lan-port=eth0" // the card by which the machine reaches the world
		}
		order := []string{"mode", "set", want, port}
		if want == "interface" {
			order = order[:3]
		}
		if (i+i/6)%2 == 0 {
			killed++
			now = s.killIn(now, order, dice)
		}
		if now != want {
			m.must(append(order, "--yes")...)
			now = want
		}
		m.isIn(now)
		s.works(now, own)
	}
	for name, stream := range map[string]*stream{"of others": others, "by the machine's own card": physical} {
		gap, ours := stream.gaps()
		if t.Logf("longest pause of the stream %s: %v", name, gap); ours > time.Second {
			t.Errorf("the stream %s paused for %v, without what this process stood still for %v", name, gap, ours)
		}
	}
	t.Logf("%d rounds, %d killed", rounds(t, 6), killed)
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
func (s *modeScene) killIn(from string, order []string, dice *rand.Rand) string {
	s.t.Helper()
	m, to := s.m, order[2]
	after := time.Duration(dice.Int64N(int64(150 * time.Millisecond)))
	switch dice.IntN(4) {
	default:
		order = append(order, "--yes")
	case 1: // as it goes back by itself
		order = append(order, "--timeout", "1s")
		after += 950 * time.Millisecond
	case 2: // as it is confirmed
		m.must(order...)
		order, after = []string{"mode", "confirm"}, after/4
	}
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	cli := m.Command(ctx, binary, append([]string{"--state", m.state()}, order...)...)
	cli.Stdout, cli.Stderr = io.Discard, io.Discard
	if err := cli.Start(); err != nil {
		s.t.Fatal(err)
	}
	<-time.After(after) // somewhere in the middle
	m.end(syscall.SIGKILL)
	confirmed := cli.Wait() == nil && !slices.Contains(order, "1s")
	m.start()
	became := string(m.mode().Now.Mode)
	s.t.Logf("from %s to %s, killed after %v of %v: %s", from, to, after, order, became)
	if became != from && became != to || confirmed && became != to {
		s.t.Errorf("from %s to %s, killed after %v of %v, confirmed %t: it is in %s mode", from, to, after, order, confirmed, became)
	}
	if p := m.mode().Pending; p.State != "" {
		s.t.Errorf("after a start a switch is pending: %+v", p)
	}
	m.isIn(became)
	return became
}
