package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

const (
	// wantHealed is the longest that nothing may come of a connection whose path dies.
	wantHealed = 2 * time.Second
	// healing is how long a connection is watched after that.
	healing = 4 * time.Second
)

// A fault is what befalls the path between two members whose hosts have a connection.
type fault struct {
	at     netlab.NAT // that both are behind
	before api.PathKind
	strike func(*natPair) (mend func())
}

func faults() map[string]fault {
	return map[string]fault{
		"relay": {at: netlab.Symmetric, before: api.PathKindRelay, strike: (*natPair).loseRelay},
		"path":  {at: netlab.PortRestricted, before: api.PathKindDirect, strike: (*natPair).losePath},
		"mapping": {at: netlab.PortRestricted, before: api.PathKindDirect, strike: func(p *natPair) func() {
			if err := p.ends[0].net.ForgetMappings(); err != nil {
				p.t.Fatal(err)
			}
			return func() {}
		}},
	}
}

// A connection goes on where the machine of the relay in use is gone, where the direct path loses all, and where a NAT
// forgets its mappings: each so often as LANDBRIDGE_HEAL_TRIALS says (make test-heal), which judges the gaps, too.
func TestConnectionsOutliveTheirPath(t *testing.T) {
	trials, judged := 1, false
	if said := os.Getenv("LANDBRIDGE_HEAL_TRIALS"); said != "" {
		var err error
		if trials, err = strconv.Atoi(said); err != nil || trials < 1 {
			t.Fatalf("LANDBRIDGE_HEAL_TRIALS=%q: want how often, 1 or more", said)
		}
		judged = true
	}
	for name, f := range faults() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			at := standing{f.at.String(), []netlab.Option{netlab.Behind(f.at)}}
			p := newNATPair(t, at, at)
			var all gaps
			for i := range trials {
				t.Run(fmt.Sprint(i+1), func(t *testing.T) {
					p.in(t)
					all.add([]time.Duration{p.trial(f)})
				})
			}
			if p.in(t); len(all.all) == 0 {
				return
			}
			t.Logf("%s: %v", name, &all)
			if worst := slices.Max(all.all); judged && worst > wantHealed {
				t.Errorf("%s: nothing came for %v", name, worst)
			}
		})
	}
}

// in makes the pair that of a subtest, or of its test again.
func (p *natPair) in(t *testing.T) {
	p.t = t
	for _, m := range append([]*machine{p.ends[0].machine, p.ends[1].machine}, p.relays...) {
		m.t = t
	}
}

// trial returns the longest time in which nothing came of a connection when the fault befell its path.
func (p *natPair) trial(f fault) time.Duration {
	p.t.Helper()
	p.anew()
	from, to := p.ends[0], p.ends[1]
	reaches(p.t, from.Host, to.address())
	st := newStream(p.t, from.Host, to.Host, to.address())
	p.travels(f.before)
	p.reachRelays()
	machine := newStalls(p.t)
	calm, _ := st.settles(time.Now())
	machine.worst()
	began := time.Now()
	mend := f.strike(p)
	waitFor(p.t, "some seconds", func() (bool, error) { return time.Since(began) > healing, nil })
	gap := st.gap()
	now, err := from.peer(to.Name)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Logf("a gap of %v, %v before; now by %s; this process stood still for up to %v",
		gap.Round(time.Millisecond), calm.Round(time.Millisecond), now.Path, machine.worst().Round(time.Millisecond))
	mend()
	p.travels(f.before)
	st.flows()
	return gap
}

// travels waits until packets take that kind of path, both ways.
func (p *natPair) travels(by api.PathKind) {
	p.t.Helper()
	for i, m := range p.ends {
		other := p.ends[1-i]
		m.wait("a path to "+other.Name+": "+string(by), func() (bool, error) {
			peer, err := m.peer(other.Name)
			return err == nil && peer.Path == by, fmt.Errorf("%+v (%v)", peer, err)
		})
	}
}

// reachRelays waits until both ends reach all members that relay.
func (p *natPair) reachRelays() {
	p.t.Helper()
	for _, m := range p.ends {
		for _, relay := range p.relays {
			m.wait("a path to "+relay.Name, func() (bool, error) {
				peer, err := m.peer(relay.Name)
				return err == nil && peer.Path == api.PathKindDirect, fmt.Errorf("%+v (%v)", peer, err)
			})
		}
	}
}

// loseRelay takes the member away by which the first end's packets go: what is sent there vanishes.
func (p *natPair) loseRelay() (mend func()) {
	p.t.Helper()
	peer, err := p.ends[0].peer(p.ends[1].Name)
	if err != nil {
		p.t.Fatal(err)
	}
	i := slices.IndexFunc(p.relays, func(m *machine) bool { return m.Name == peer.ViaName })
	if i < 0 {
		p.t.Fatalf("nobody relays: %+v", peer)
	}
	port := p.relays[i].Port("eth0")
	if err := port.Cut(); err != nil {
		p.t.Fatal(err)
	}
	return func() {
		if err := port.Mend(); err != nil {
			p.t.Fatal(err)
		}
	}
}

// losePath has all vanish that goes between the two ends, and nothing else.
func (p *natPair) losePath() (mend func()) {
	p.t.Helper()
	sh := func(script string) {
		p.t.Helper()
		a, b := p.ends[0].net.Public().String(), p.ends[1].net.Public().String()
		if out, err := p.wan.Router().Run(p.t.Context(), "sh", "-c", script, "sh", a, b); err != nil {
			p.t.Fatal(out, err)
		}
	}
	sh(`nft "table ip hole { chain f { type filter hook forward priority -300; ip saddr $1 ip daddr $2 drop; ip saddr $2 ip daddr $1 drop; }; }"`)
	return func() { p.t.Helper(); sh("nft delete table ip hole") }
}
