package e2e

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// What the medians of the whole matrix may be.
const (
	wantFirstReply = time.Second
	wantDirect     = 3 * time.Second
)

// standing is how a member stands in the network.
type standing struct {
	name string
	opts []netlab.Option // of its site; nil for a public address
}

func standings() []standing {
	list := []standing{{name: "public"}}
	for _, kind := range []netlab.NAT{netlab.FullCone, netlab.Restricted, netlab.PortRestricted, netlab.Symmetric} {
		list = append(list, standing{kind.String(), []netlab.Option{netlab.Behind(kind)}})
	}
	return append(list, standing{noUDP, []netlab.Option{netlab.BlockUDP()}})
}

const noUDP = "UDP blocked"

// best is the path that two members should come to. They meet directly by what others have seen of their addresses,
// but not where a symmetric NAT sends from a port that the other side's filter doesn't know.
func best(a, b standing) api.PathKind {
	const public = "public"
	symmetric, filters := netlab.Symmetric.String(), netlab.PortRestricted.String()
	either := func(x, y string) bool { return a.name == x && b.name == y || a.name == y && b.name == x }
	switch {
	case either(noUDP, public):
		return api.PathKindTCP
	case a.name == noUDP, b.name == noUDP, either(symmetric, symmetric), either(symmetric, filters):
		return api.PathKindRelay
	}
	return api.PathKindDirect
}

// Members find the best path that there can be between any two kinds of NAT: each pair, in both orders, so often as
// LANDBRIDGE_NAT_RUNS says (make test-nat); without it those alone, once, that no other test has.
func TestMembersBehindAnyTwoNATsFindTheBestPath(t *testing.T) {
	runs, all := 1, false
	if said := os.Getenv("LANDBRIDGE_NAT_RUNS"); said != "" {
		var err error
		if runs, err = strconv.Atoi(said); err != nil || runs < 1 {
			t.Fatalf("LANDBRIDGE_NAT_RUNS=%q: want how often, 1 or more", said)
		}
		all = true
	}
	telling := []string{"symmetric to restricted", "symmetric to symmetric", noUDP + " to " + noUDP}
	results := &natResults{pairs: make(map[string][]natResult)}
	t.Cleanup(func() { results.report(t) })
	for _, a := range standings() {
		for _, b := range standings() {
			name := a.name + " to " + b.name
			if !all && !slices.Contains(telling, name) {
				continue
			}
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				p := newNATPair(t, a, b)
				for range runs {
					p.anew()
					results.add(name, p.measure())
				}
				t.Log(results.cell(name))
			})
		}
	}
}

// natPair is two members of a group whose other three are public.
type natPair struct {
	*scene
	ends   [2]*natEnd
	relays []*machine
	best   api.PathKind // that the ends should come to
}

type natEnd struct {
	*machine
	net *netlab.Site // nil where its address is public
}

func newNATPair(t *testing.T, a, b standing) *natPair {
	t.Helper()
	p := &natPair{scene: newScene(t), best: best(a, b)}
	p.relays = []*machine{p.d}
	for _, name := range []string{"e", "f"} {
		m := newMachine(t, p.wan.Host(name))
		p.join(m)
		p.relays = append(p.relays, m)
	}
	for i, at := range []standing{a, b} {
		name := string(rune('a' + i))
		end := &natEnd{}
		host := p.wan.Host
		if at.opts != nil {
			end.net = p.wan.Site("site-"+name, at.opts...)
			host = end.net.Host
		}
		end.machine = newMachine(t, host(name))
		p.join(end.machine)
		end.address()
		p.ends[i] = end
	}
	return p
}

// anew has both members begin anew, behind NATs that know nothing of them.
func (p *natPair) anew() {
	p.t.Helper()
	for _, m := range p.ends {
		m.end(syscall.SIGTERM)
	}
	for _, m := range p.ends {
		if m.net == nil {
			continue
		}
		if err := m.net.ForgetMappings(); err != nil {
			p.t.Fatal(err)
		}
	}
	for _, m := range p.ends {
		m.start()
	}
	for _, m := range p.ends {
		m.address()
	}
}

// alike makes no difference between the two kinds of direct path: the lab's public addresses are neighbours.
func alike(kind api.PathKind) api.PathKind {
	if kind == api.PathKindLAN {
		return api.PathKindDirect
	}
	return kind
}

// natResult is what became of a run.
type natResult struct {
	path            api.PathKind
	reply, straight time.Duration // from the first packet to its reply, and until both ends use the path
	replies, lost   int
}

// measure has the first member ping the second, as soon as both have started, until the path is the one that it should
// be.
func (p *natPair) measure() natResult {
	p.t.Helper()
	from, to := p.ends[0], p.ends[1]
	addr := to.address()
	var out bytes.Buffer
	ping := from.Command(context.WithoutCancel(p.t.Context()), "ping", "-n", "-D", "-i0.1", addr.String())
	ping.Stdout = &out
	began := time.Now()
	if err := ping.Start(); err != nil {
		p.t.Fatal(err)
	}
	r := natResult{path: p.best}
	for i, m := range p.ends {
		other := p.ends[1-i]
		m.wait("the path to "+other.Name+": "+string(p.best), func() (bool, error) {
			peer, err := m.peer(other.Name)
			r.straight = max(r.straight, peer.Since.Sub(began))
			return err == nil && alike(peer.Path) == p.best, fmt.Errorf("%+v (%v)", peer, err)
		})
	}
	reaches(p.t, from.Host, addr)
	_ = ping.Process.Signal(syscall.SIGINT)
	_ = ping.Wait()
	for line := range strings.Lines(out.String()) {
		var at float64
		var seq int
		if _, after, ok := strings.Cut(line, "icmp_seq="); !ok || strings.Contains(line, "DUP") {
			continue
		} else if _, err := fmt.Sscanf(line, "[%f]", &at); err != nil {
			continue
		} else if _, err := fmt.Sscanf(after, "%d", &seq); err != nil {
			p.t.Fatalf("ping says %q: %v", line, err)
		}
		if r.replies++; r.replies == 1 {
			r.reply = time.UnixMicro(int64(at * 1e6)).Sub(began)
		}
		r.lost = max(r.lost, seq-r.replies)
	}
	if r.replies == 0 {
		p.t.Errorf("no reply: %s", &out)
	}
	return r
}

// natResults are those of all pairs.
type natResults struct {
	mu    sync.Mutex
	pairs map[string][]natResult
}

func (s *natResults) add(pair string, r natResult) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pairs[pair] = append(s.pairs[pair], r)
}

// cell says what became of a pair's runs: the path, the median of the times to the first reply and, where the path isn't
// a relay's, to that.
func (s *natResults) cell(pair string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	runs := s.pairs[pair]
	if len(runs) == 0 {
		return "–"
	}
	var reply, straight []time.Duration
	lost := 0
	for _, r := range runs {
		reply, straight = append(reply, r.reply), append(straight, r.straight)
		lost += r.lost
	}
	text := fmt.Sprintf("%s, %.2f s", runs[0].path, median(reply).Seconds())
	if runs[0].path != api.PathKindRelay {
		text += fmt.Sprintf(" / %.2f s", median(straight).Seconds())
	}
	if lost > 0 {
		text += fmt.Sprintf(", %d lost", lost)
	}
	return text
}

func median(all []time.Duration) time.Duration {
	all = slices.Sorted(slices.Values(all))
	return all[(len(all)-1)/2]
}

// report prints the matrix as a table, and judges the medians where it is whole.
func (s *natResults) report(t *testing.T) {
	list := standings()
	var table strings.Builder
	row := func(first string, rest func(standing) string) {
		table.WriteString("| " + first + " |")
		for _, at := range list {
			table.WriteString(" " + rest(at) + " |")
		}
		table.WriteString("\n")
	}
	row("from \\ to", func(b standing) string { return b.name })
	row("---", func(standing) string { return "---" })
	for _, a := range list {
		row(a.name, func(b standing) string { return s.cell(a.name + " to " + b.name) })
	}
	var reply, direct []time.Duration
	for _, runs := range s.pairs {
		for _, r := range runs {
			reply = append(reply, r.reply)
			if r.path == api.PathKindDirect {
				direct = append(direct, r.straight)
			}
		}
	}
	if len(reply) == 0 || len(direct) == 0 {
		return
	}
	t.Logf("path, p50 of the first reply / of the path:\n%s", &table)
	t.Logf("%d runs: first reply p50 %v, max %v; direct path p50 %v, max %v", len(reply), median(reply), slices.Max(reply), median(direct), slices.Max(direct))
	if len(s.pairs) < len(list)*len(list) {
		return
	}
	if p50 := median(reply); p50 > wantFirstReply {
		t.Errorf("the first reply comes after %v at the median, want %v", p50, wantFirstReply)
	}
	if p50 := median(direct); p50 > wantDirect {
		t.Errorf("the path is direct after %v at the median, want %v", p50, wantDirect)
	}
}
