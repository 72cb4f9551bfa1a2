package e2e

import (
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// wantGap is the longest that hosts of a LAN may be without what a failed router did.
const wantGap = time.Second

// observe is how long the streams are watched after something has happened.
const observe = 3 * time.Second

// unheard is what health says of a router that the other one of its LAN misses.
const unheard = "isn't heard any more"

func TestTheOtherRouterOfALANTakesOverWhenOneDies(t *testing.T) {
	t.Parallel()
	takesOver(t, unheard, func(r *site) { r.end(syscall.SIGKILL) }, func(r *site) { r.start() })
}

func TestTheOtherRouterOfALANTakesOverWhenOneLosesItsLAN(t *testing.T) {
	t.Parallel()
	takesOver(t, unheard, func(r *site) { r.sh("ip link set lan0 down") }, func(r *site) { r.sh("ip link set lan0 up") })
}

func TestTheOtherRouterOfALANTakesOverWhenOneLosesItsWAN(t *testing.T) {
	t.Parallel()
	takesOver(t, "", func(r *site) { r.sh("ip link set eth0 down") }, func(r *site) {
		if err := r.Port("eth0").Restore(); err != nil {
			t.Fatal(err)
		}
	})
}

// Its WAN side is up, and what is sent there comes to nothing: no error says so, and no address is gone.
func TestTheOtherRouterOfALANTakesOverWhenTheWANOfOneIsABlackHole(t *testing.T) {
	const comes, goes = "ip daddr $1 drop;", "ip saddr $1 drop;"
	for name, drops := range map[string]map[string]string{
		"both ways": {"r1": comes + goes, "r2": comes + goes},
		"one way":   {"r1": goes, "r2": comes},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			beyond := func(r *site, script string) {
				t.Helper()
				addr, err := r.Host.Addr("eth0")
				if err != nil {
					t.Fatal(err)
				}
				if out, err := r.net.Router().Run(t.Context(), "sh", "-c", script, "sh", addr.Addr().String()); err != nil {
					t.Fatal(out, err)
				}
			}
			takesOver(t, "",
				func(r *site) {
					beyond(r, `nft "table ip hole { chain f { type filter hook forward priority -300; `+drops[r.Name]+` }; }"`)
				},
				func(r *site) { beyond(r, "nft delete table ip hole") })
		})
	}
}

// trials is how often a router fails in each of these tests: once each, unless
// LANDBRIDGE_TAKEOVER_TRIALS says otherwise (make test-takeover).
func trials(t *testing.T) int {
	t.Helper()
	said := os.Getenv("LANDBRIDGE_TAKEOVER_TRIALS")
	if said == "" {
		return 2
	}
	n, err := strconv.Atoi(said)
	if err != nil {
		t.Fatalf("LANDBRIDGE_TAKEOVER_TRIALS: %v", err)
	}
	return n
}

// returns is how long a router may take to take part again. The tunnel leaves a path alone for up to half a
// minute that has fallen silent some times within minutes, and a router whose packets go by the other one meanwhile
// can't stand in for that.
const returns = time.Minute

// takesOver has two routers fail in turn and return, while hosts that either of them serves have connections
// with a member elsewhere. says is what the other's health has to say meanwhile.
func takesOver(t *testing.T, says string, fail, mend func(*site)) {
	n := trials(t)
	s := newScene(t)
	r1 := s.site("r1")
	r2 := s.beside(r1, "r2")
	probe := newProbe(t, r1.wire)
	probe.settle(2, patience)
	d := s.d.address()
	var streams []*stream
	served := make(map[bool]int) // by r1
	for n := 0; n < 20 && (len(streams) < 3 || len(served) < 2); n++ {
		h := newClient(t, r1.wire, fmt.Sprint("h", n)).lease(netlab.Udhcpc)
		served[r1.serves(h.addr)]++
		reaches(t, h.Host, d)
		streams = append(streams, newStream(t, h.Host, s.d.Host, d))
	}
	if len(served) != 2 {
		t.Fatal("one router serves all hosts")
	}
	machine := newStalls(t)
	watch := func(what string, began time.Time) (all []time.Duration) {
		t.Helper()
		waitFor(t, "some seconds", func() (bool, error) { return time.Since(began) > observe, nil })
		for _, st := range streams {
			gap, ours := st.gaps()
			if ours > wantGap {
				t.Errorf("%s: the stream from %s had a gap of %v, and of %v without what this process stood still, more than %v", what, st.name, gap, ours, wantGap)
			}
			all = append(all, gap.Round(time.Millisecond))
		}
		t.Logf("%s: gaps of %v; this process stood still for up to %v", what, all, machine.worst().Round(time.Millisecond))
		return all
	}
	watch("undisturbed", time.Now())
	var failing, returning gaps
	for i := range n {
		r := []*site{r1, r2}[i%2]
		began := time.Now()
		fail(r)
		failing.add(watch(r.Name+" fails", began))
		if i < 2 {
			answeredOnce(t, r1.wire, "late-"+r.Name, d)
			if status := []*site{r2, r1}[i%2].must("status"); says != "" && !strings.Contains(status, r.Name+" of the LAN") || !strings.Contains(status, says) {
				t.Errorf("of %s, which has failed, the other says %s", r.Name, status)
			}
		}
		began = time.Now()
		mend(r)
		probe.settle(2, returns)
		returning.add(watch(r.Name+" is back", began))
	}
	t.Logf("a router fails: %v", &failing)
	t.Logf("it returns: %v", &returning)
}

// gaps are those of some trials, with some streams each.
type gaps struct{ all, worst []time.Duration }

func (g *gaps) add(trial []time.Duration) {
	g.all = append(g.all, trial...)
	g.worst = append(g.worst, slices.Max(trial))
}

// String says how long hosts were without, of the connections, and of the trials' worst ones.
func (g *gaps) String() string {
	say := func(all []time.Duration) string {
		slices.Sort(all)
		at := func(percent int) time.Duration { return all[(len(all)*percent+99)/100-1] }
		return fmt.Sprintf("p50 %v, p99 %v, max %v", at(50), at(99), at(100))
	}
	return fmt.Sprintf("%d trials, the longest gap of each: %s; %d gaps of connections: %s", len(g.worst), say(g.worst), len(g.all), say(g.all))
}

// answeredOnce has a new host ask for an address and for others by ARP: each is answered once.
func answeredOnce(t *testing.T, wire *netlab.LAN, name string, remote netip.Addr) {
	t.Helper()
	h := newClient(t, wire, name)
	heard := countOffers(t, h.Host, "eth0")
	h.lease(netlab.Udhcpc)
	if n := heard.servers(); n != 1 {
		t.Errorf("%s was offered addresses by %d routers", name, n)
	}
	l := listen(t, h.Host, "eth0")
	got := l.expect(2, h.addr, remote, netip.MustParseAddr(service))
	if len(got[remote]) != 1 || len(got[netip.MustParseAddr(service)]) != 1 {
		t.Errorf("%s asks: answered by %v", name, got)
	}
}

// sh runs a shell script on the machine, which may not fail.
func (m *machine) sh(script string) {
	m.t.Helper()
	if r := m.exec("sh", "-c", script); r.code != 0 {
		m.t.Fatalf("%s: %s: %s", m.Name, script, r.stderr)
	}
}
