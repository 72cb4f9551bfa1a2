package tunnel

import (
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
)

// TestPathMachineHoldsItsPromises throws random events at the machine.
func TestPathMachineHoldsItsPromises(t *testing.T) {
	for seed := range uint64(100) {
		random := rand.New(rand.NewPCG(seed, 7))
		c := newScript(t)
		paths := []string{"lan", "direct", "other", "roam", "relay1", "relay2"}
		pick := func() pathID { return pathNamed(paths[random.IntN(len(paths))]) }
		counts := make(map[time.Duration]int) // probes by second
		for range 250 {
			before := c.m.now
			c.until(c.m.now + time.Duration(random.ExpFloat64()*float64(300*ms)))
			for _, a := range c.sofar {
				if strings.HasPrefix(a, "probe") {
					counts[before/time.Second]++
				}
			}
			c.sofar = nil
			c.step(randomEvent(c, random, pick))
			c.until(c.m.now) // what a narrow path leads to comes with the next tick
			checkPaths(t, c, seed)
		}
		for second, n := range counts {
			if n > 200 {
				t.Errorf("seed %d: %d probes in second %d", seed, n, second)
			}
		}
	}
}

func randomEvent(c *script, random *rand.Rand, pick func() pathID) any {
	p := pick()
	switch random.IntN(14) {
	case 0:
		return keysUp{fresh: random.IntN(4) == 0}
	case 1:
		if random.IntN(5) == 0 {
			return keysDown{}
		}
	case 2:
		return offers("lan", "direct", "relay1")
	case 3:
		return offers("other", "relay2")
	case 4:
		return relaysLive{[]group.MemberID{relayOne, relayTwo}[:random.IntN(3)]}
	case 5, 6:
		kind := PathDirect
		if p.relayed() {
			kind = PathRelay
		}
		return heardFrom{p, kind}
	case 7, 8, 9:
		return ponged{p, c.probes[pathName(p)].id}
	case 10:
		return refused{relayOne}
	case 11:
		if !p.relayed() {
			return unreachable{p.addr}
		}
	case 12:
		return networkChanged{}
	case 13:
		return peerReachable{}
	}
	c.m.sent, c.m.data = c.m.now, c.m.now
	if random.IntN(2) == 0 {
		c.m.heard = c.m.now
	}
	return tick{}
}

func checkPaths(t *testing.T, c *script, seed uint64) {
	t.Helper()
	s := &c.s
	if s.n > maxPaths {
		t.Fatalf("seed %d: %d paths", seed, s.n)
	}
	if s.chosen == (pathID{}) {
		if s.kind != PathNone {
			t.Fatalf("seed %d: no path of kind %v", seed, s.kind)
		}
		if best := s.choose(c.m); s.up && best != nil {
			t.Fatalf("seed %d: %v is usable and not used", seed, pathName(best.id))
		}
		return
	}
	chosen := s.find(s.chosen)
	if !s.up || chosen == nil || !chosen.usable() {
		t.Fatalf("seed %d: %v is used and not usable", seed, pathName(s.chosen))
	}
	if !chosen.id.relayed() && !chosen.proven {
		t.Fatalf("seed %d: %v is used without a pong", seed, pathName(s.chosen))
	}
	for i := range s.n {
		o := &s.paths[i]
		if o.usable() && o.rank() < chosen.rank() && c.m.now >= o.hold && !chosen.roamed {
			t.Fatalf("seed %d at %v: %v is used though %v is there\n%+v\n%+v", seed, c.m, pathName(s.chosen), pathName(o.id), *chosen, *o)
		}
	}
}
