package tunnel

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
)

// script drives a path machine by a table: at a time, an event, and the actions
// that must follow. Between the lines the machine gets the ticks that it asks for,
// whose actions are kept for the next line that asks with "so far".
type script struct {
	t      *testing.T
	s      pathState
	m      moment
	probes map[string]probePath // last to each path
	sofar  []string
	asks   int // of relays
}

var (
	lanAddr    = netip.MustParseAddrPort("192.168.1.7:7000")
	directAddr = netip.MustParseAddrPort("192.0.2.7:7000")
	otherAddr  = netip.MustParseAddrPort("192.0.2.8:7000")
	roamAddr   = netip.MustParseAddrPort("203.0.113.9:4444")
	linkAddr   = netip.MustParseAddrPort("[100::1]:1")
	relayOne   = group.MemberID{1}
	relayTwo   = group.MemberID{2}
)

func pathName(p pathID) string {
	names := map[pathID]string{
		{}: "none", {addr: lanAddr}: "lan", {addr: directAddr}: "direct", {addr: otherAddr}: "other",
		{addr: roamAddr}: "roam", {addr: linkAddr}: "link", {via: relayOne}: "relay1", {via: relayTwo}: "relay2",
	}
	return names[p]
}

func pathNamed(name string) pathID {
	for _, p := range []pathID{{addr: lanAddr}, {addr: directAddr}, {addr: otherAddr}, {addr: roamAddr}, {addr: linkAddr}, {via: relayOne}, {via: relayTwo}} {
		if pathName(p) == name {
			return p
		}
	}
	return pathID{}
}

func newScript(t *testing.T) *script {
	return &script{t: t, s: newPathState([32]byte{1}), m: moment{now: time.Second}, probes: make(map[string]probePath)}
}

func (c *script) step(event any) (acts []string) {
	for _, a := range c.s.step(event, c.m) {
		switch a := a.(type) {
		case probePath:
			name := pathName(a.to)
			c.probes[name] = a
			if a.full {
				name = "full " + name
			} else {
				c.probes["small "+name] = a
			}
			acts = append(acts, "probe "+name)
		case usePath:
			acts = append(acts, "use "+pathName(a.path))
			c.m.sent, c.m.heard = 0, 0
		case tellCandidates:
			acts = append(acts, "tell")
		case openLink:
			acts = append(acts, "open link")
		case askRelays:
			c.asks++
		}
	}
	return acts
}

// until lets time pass, with the ticks that the machine asks for.
func (c *script) until(at time.Duration) {
	for {
		next := c.s.deadline(c.m)
		if next > at {
			break
		}
		if next < c.m.now {
			next = c.m.now
		}
		c.m.now = next
		c.sofar = append(c.sofar, c.step(tick{})...)
		if again := c.s.deadline(c.m); again <= c.m.now {
			c.sofar = append(c.sofar, c.step(tick{})...)
			if again := c.s.deadline(c.m); again <= c.m.now {
				c.t.Fatalf("at %v the machine spins: %v", c.m.now, c.sofar)
			}
		}
	}
	c.m.now = at
}

func (c *script) pong(name string) any {
	return ponged{path: pathNamed(strings.TrimPrefix(name, "small ")), id: c.probes[name].id}
}

// line is one line of a table.
type line struct {
	after time.Duration // since the line before
	do    any           // an event; a string is "pong NAME" (its last probe's) or "pong small NAME", "sent" or "heard" (by the frame path), or "so far"
	want  string        // actions, comma separated
}

func (c *script) play(lines []line) {
	c.t.Helper()
	for i, l := range lines {
		c.until(c.m.now + l.after)
		var got []string
		switch do := l.do.(type) {
		case string:
			what, name, _ := strings.Cut(do, " ")
			switch what {
			case "pong":
				got = c.step(c.pong(name))
			case "sent":
				c.m.sent, c.m.data = c.m.now, c.m.now
			case "heard":
				c.m.heard, c.m.data = c.m.now, c.m.now
			case "so":
				got = c.sofar
			}
		default:
			got = c.step(do)
		}
		c.sofar = nil
		if s := strings.Join(got, ", "); s != l.want {
			c.t.Fatalf("line %d (%v at %v):\n%q instead of\n%q", i, l.do, c.m.now, s, l.want)
		}
	}
}

const ms = time.Millisecond

func offers(names ...string) candidatesFrom {
	var c candidatesFrom
	for _, name := range names {
		p := pathNamed(name)
		switch {
		case p.relayed():
			c.relays = append(c.relays, p.via)
		case name == "lan":
			c.endpoints = append(c.endpoints, ratedEndpoint{p.addr, PathLAN})
		default:
			c.endpoints = append(c.endpoints, ratedEndpoint{p.addr, PathDirect})
		}
	}
	return c
}

func TestPathMachine(t *testing.T) {
	live := relaysLive{[]group.MemberID{relayOne}}
	for name, lines := range map[string][]line{
		"nothing happens without keys": {
			{0, offers("direct", "lan"), ""},
			{time.Minute, "so far", ""},
		},
		"a direct path is used after a pong and a full-size pong": {
			{0, offers("direct"), ""},
			{0, keysUp{}, "probe direct"},
			{20 * ms, "pong direct", "probe full direct"},
			{20 * ms, "pong direct", "use direct"},
		},
		"candidates are probed quickly, then less so, then left": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{49 * ms, "so far", ""},
			{2 * ms, "so far", "probe direct"},
			{100 * ms, "so far", "probe direct"},
			{200 * ms, "so far", "probe direct"},
			{400 * ms, "so far", "probe direct, open link"},
			{750 * ms, "so far", "probe direct"},
			{1500 * ms, "so far", "probe direct"},
			{time.Minute, "so far", "open link, open link, open link"}, // after 5, 10, 20 and 40 s
		},
		"a relay in reach is used at once, and left for a direct path": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{20 * ms, "pong direct", "probe full direct"},
			{20 * ms, "pong direct", "use direct"},
			{5 * ms, "pong relay1", "probe full relay1"},
			{5 * ms, "pong relay1", ""},
		},
		"a relay that is out of reach isn't used": {
			{0, keysUp{}, ""},
			{0, offers("relay1"), ""},
			{100 * ms, "so far", ""},
			{0, live, "use relay1, probe relay1"},
			{0, relaysLive{}, "use none"},
		},
		"a relay that refuses is left for the other one": {
			{0, relaysLive{[]group.MemberID{relayOne, relayTwo}}, ""},
			{0, offers("relay1", "relay2"), ""},
			{0, keysUp{}, "use relay1, probe relay1, probe relay2"},
			{10 * ms, refused{relayOne}, "use relay2, probe relay1"},
			{500 * ms, refused{relayTwo}, "use none, probe relay1, probe relay2"},
			{10 * ms, "pong relay1", "use relay1, probe full relay1"},
		},
		"the LAN is preferred to a direct path": {
			{0, keysUp{}, ""},
			{0, offers("direct", "lan"), "probe direct, probe lan"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{10 * ms, "pong lan", "probe full lan"},
			{10 * ms, "pong lan", "use lan"},
		},
		"a pong with another number proves nothing": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, ponged{path: pathID{addr: directAddr}, id: 42}, ""},
		},
		"a pong from elsewhere proves nothing": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, ponged{path: pathID{addr: otherAddr}}, ""},
		},
		"where only small probes pass, a relay is preferred": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{10 * ms, "pong relay1", "probe full relay1"},
			{10 * ms, "pong relay1", ""},
			{0, "pong direct", "probe full direct"},
			{time.Second, "so far", "probe full direct, probe full direct"},
			{0, tick{}, ""},
		},
		"where only small probes pass and nothing else is there, they will have to do": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{time.Second, "so far", "probe full direct, probe full direct, use direct"},
		},
		"a silent path is probed, and given up after 3 s": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, "sent", ""},
			{2900 * ms, "so far", strings.TrimSuffix(strings.Repeat("probe direct, ", 18), ", ")},
			{450 * ms, "so far", "probe direct, use none, probe direct, probe direct, probe direct"},
		},
		"with a relay at hand it is given up after 0.9 s": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, "pong relay1", "probe full relay1"},
			{0, "pong relay1", ""},
			{time.Second, "sent", ""},
			{950 * ms, "so far", "probe direct, probe direct, probe direct, probe direct, probe direct"},
			{200 * ms, "so far", "use relay1, probe direct, tell, probe direct"},
		},
		"word that the peer is new makes it 0.7 s": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, peerReachable{}, "probe direct"},
			{800 * ms, "so far", "probe direct, probe direct, probe direct, probe direct, use none, probe direct, probe direct"},
		},
		"an answered probe clears the suspicion": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, peerReachable{}, "probe direct"},
			{50 * ms, "pong direct", ""},
			{5 * time.Second, "so far", ""},
		},
		"an idle path is probed every 15 s": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{14900 * ms, "so far", ""},
			{100 * ms, "so far", "probe direct"},
			{10 * ms, "pong direct", ""},
			{15 * time.Second, "so far", "probe direct"},
		},
		"a peer that spoke and is silent is probed once": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, "heard", ""},
			{0, tick{}, ""},
			{2100 * ms, "so far", "probe direct"},
			{10 * ms, "pong direct", ""},
			{5 * time.Second, "so far", ""},
		},
		"a peer that moved is followed after one pong": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, heardFrom{pathID{addr: roamAddr}, PathDirect}, "probe roam"},
			{10 * ms, "pong roam", "use roam, probe full roam"},
			{10 * ms, "pong roam", ""},
		},
		"but not while it is heard at the old place": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{time.Second, heardFrom{pathID{addr: roamAddr}, PathDirect}, "probe roam"},
			{11 * ms, "heard", ""},
			{0, "pong roam", "probe full roam"},
			{10 * ms, "heard", ""},
			{0, "pong roam", ""},
		},
		"an equal path replaces one only if it is clearly quicker, and after a while": {
			{0, keysUp{}, ""},
			{0, offers("direct", "other"), "probe direct, probe other"},
			{30 * ms, "pong direct", "probe full direct"},
			{30 * ms, "pong direct", "use direct"},
			{5 * ms, "pong other", "probe full other"},
			{5 * ms, "pong other", ""},
			{4 * time.Second, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, ""},
			{1300 * ms, "so far", "use other, probe other"},
		},
		"what our kernel can't reach is left at once": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, "pong relay1", "probe full relay1"},
			{0, "pong relay1", ""},
			{10 * ms, unreachable{directAddr}, "use relay1"},
		},
		"from a relay, better is tried again while packets flow": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{0, "pong relay1", "probe full relay1"},
			{0, "pong relay1", ""},
			{4500 * ms, "sent", ""},
			{0, "heard", ""},
			{0, "so far", ""},
			{700 * ms, "so far", "probe direct, tell"},
			{2 * time.Minute, offers("direct", "relay1"), "probe direct"}, // the peer tries again
		},
		"what silenced one address puts the others in doubt": {
			{0, keysUp{}, ""},
			{0, offers("direct", "other"), "probe direct, probe other"},
			{10 * ms, "pong direct", "probe full direct"},
			{0, "pong other", "probe full other"},
			{10 * ms, "pong direct", "use direct"},
			{0, "pong other", ""},
			{time.Second, "sent", ""},
			{1140 * ms, "so far", "probe direct, probe direct, probe direct, probe direct, probe direct, use none, probe direct, probe other"},
			{10 * ms, "pong other", "probe full other"},
			{10 * ms, "pong other", "use other"},
		},
		"a narrow path is tried again, less and less often": {
			{0, live, ""},
			{0, offers("direct", "relay1"), ""},
			{0, keysUp{}, "use relay1, probe direct, probe relay1"},
			{10 * ms, "pong relay1", "probe full relay1"},
			{10 * ms, "pong relay1", ""},
			{0, "pong direct", "probe full direct"},
			{time.Second, "so far", "probe full direct, probe full direct"},
			{0, "sent", ""},
			{0, "so far", "open link"},
			{0, "heard", ""},
			{2190 * ms, "so far", "probe relay1"},
			{10 * ms, "pong relay1", ""},
			{1910 * ms, "so far", "probe full direct, tell"},
			{0, "sent", ""},
			{0, "heard", ""},
			{2100 * ms, "so far", "open link, probe relay1"},
			{10 * ms, "pong relay1", ""},
			{3 * time.Second, "so far", "probe full direct, tell"},
			{0, "sent", ""},
			{0, "heard", ""},
			{0, tick{}, "probe full relay1"},
			{10 * ms, "pong relay1", ""},
			{2100 * ms, "so far", "probe relay1"},
			{10 * ms, "pong relay1", ""},
			{7 * time.Second, "so far", "open link"},
			{time.Second, "so far", "probe full direct, tell"},
			{10 * ms, "pong direct", "use direct"},
		},
		"without keys there is no path": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, keysDown{}, "use none"},
			{time.Hour, "so far", ""},
		},
		"new keys keep a proven path": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, offers("direct"), ""},
			{0, keysUp{}, ""},
		},
		"a peer that has forgotten everything proves it anew": {
			{0, keysUp{}, ""},
			{0, offers("direct"), "probe direct"},
			{10 * ms, "pong direct", "probe full direct"},
			{10 * ms, "pong direct", "use direct"},
			{0, keysUp{fresh: true}, "use none, probe direct"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newScript(t)
			c.play(lines)
		})
	}
}

func TestRelaysAreAskedOnceWhenAPathFallsSilent(t *testing.T) {
	c := newScript(t)
	silent := []line{
		{0, keysUp{}, ""},
		{0, offers("direct"), "probe direct"},
		{10 * ms, "pong direct", "probe full direct"},
		{10 * ms, "pong direct", "use direct"},
		{time.Second, "sent", ""},
	}
	c.play(append(silent, line{400 * ms, "so far", "probe direct"}))
	if c.asks != 0 {
		t.Errorf("asked %d times after one probe", c.asks)
	}
	c.play([]line{{500 * ms, "so far", "probe direct, probe direct, probe direct"}})
	if c.asks != 1 {
		t.Errorf("asked %d times", c.asks)
	}
	c.play([]line{{0, asked{}, "probe direct"}, {10 * ms, "pong direct", ""}, {time.Second, "so far", ""}, {0, asked{}, "probe direct"}})
	if c.asks != 1 {
		t.Errorf("asked %d times after an answer", c.asks)
	}
}

func TestAFullListOfPathsGivesUpWhatFailed(t *testing.T) {
	s := newPathState([32]byte{})
	m := moment{now: time.Second}
	s.step(keysUp{}, m)
	for i := range 200 {
		addr := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(i)}), 1)
		s.step(heardFrom{pathID{addr: addr}, PathDirect}, m)
		m.now += time.Second
	}
	if s.n != maxPaths {
		t.Errorf("%d paths", s.n)
	}
	last := netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, 199}), 1)
	if !slices.ContainsFunc(s.paths[:], func(c candidate) bool { return c.id.addr == last }) {
		t.Error("the newest isn't among them")
	}
}

func TestProbeNumbersDiffer(t *testing.T) {
	seen := make(map[uint64]bool)
	for seed := range byte(10) {
		s := newPathState([32]byte{seed})
		m := moment{now: time.Second}
		acts := s.step(keysUp{}, m)
		for range 20 {
			for _, a := range acts {
				if p, ok := a.(probePath); ok {
					if seen[p.id] {
						t.Fatal(fmt.Sprint("twice: ", p.id))
					}
					seen[p.id] = true
				}
			}
			m.now += time.Second
			acts = s.step(offers("direct", "lan"), m)
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d probes", len(seen))
	}
}
