package registry

import (
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
)

// What a cut-off site can do for hosts that are new, and how many addresses two hosts have as it comes back: found
// out with this package's own members, joined by the network in memory, with clocks that the test moves on. It
// takes minutes, and runs where LANDBRIDGE_SIMULATE says of which seed. What it prints are rows of the tables in
// docs/addresses.md. The seed says who the members and hosts are, and who comes and goes; the order in which
// members get their turns is the scheduler's, so that figures differ by a few from run to run.

// simulated is a group in the simulation.
type simulated struct {
	*lab
	rng    *rand.Rand
	sites  []*node
	hosts  [][]int            // at each site, by the numbers of their clients
	addr   map[int]netip.Addr // that a client has been told
	next   int                // number of the next client
	denied []int              // hosts that got no address, at each site
	mu     sync.Mutex
}

func simulate(t *testing.T, prefix string, bits, sites int, seed uint64) *simulated {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		t.Setenv("TMPDIR", "/dev/shm") // how fast a disk is isn't what is asked for
	}
	l := newLab(t, prefix, bits)
	l.pace.phase, l.pace.silence, l.pace.tick = time.Second, 2*time.Second, time.Duration(20+2*sites)*time.Millisecond
	s := &simulated{lab: l, rng: rand.New(rand.NewPCG(seed, uint64(sites))), hosts: make([][]int, sites), addr: make(map[int]netip.Addr), denied: make([]int, sites)}
	for i := range sites { // all from the group's first version on, so that no register changes its keepers
		name := fmt.Sprintf("seed %d site %d", seed, i)
		sum := sha256.Sum256([]byte(name))
		key := ed25519.NewKeyFromSeed(sum[:])
		n := &node{lab: l, name: name, key: key, id: group.MemberOf(key.Public().(ed25519.PublicKey)), version: 1,
			path: filepath.Join(l.dir, fmt.Sprintf("%d.db", i)), clock: &labClock{start: time.Now(), boot: name}, listen: make(map[int]func())}
		l.entries = append(l.entries, rosterEntry{id: n.id, added: 1})
		l.nodes[n.id] = n
		l.order, s.sites = append(l.order, n), append(s.sites, n)
	}
	l.bump()
	for _, n := range s.sites {
		n.start()
	}
	return s
}

// atEach does something at each site, all at a time.
func (s *simulated) atEach(do func(i int, n *node)) {
	var all sync.WaitGroup
	for i, n := range s.sites {
		all.Go(func() { do(i, n) })
	}
	all.Wait()
}

// pass moves all clocks on, and waits until the members that are joined have done what is due.
func (s *simulated) pass(d time.Duration) {
	for _, n := range s.sites {
		n.clock.pass(d)
	}
	s.rest()
}

// rest waits until nobody has asked anybody for a while, and every hold that can be is young.
func (s *simulated) rest() {
	s.t.Helper()
	was, since := -1, time.Now()
	for deadline := time.Now().Add(2 * time.Minute); ; time.Sleep(10 * time.Millisecond) {
		s.lab.mu.Lock()
		calls := s.calls
		s.lab.mu.Unlock()
		if calls != was {
			was, since = calls, time.Now()
		}
		if time.Since(since) > 10*s.pace.tick && (s.young() || time.Since(since) > 2*time.Second) {
			return
		}
		if time.Now().After(deadline) {
			s.t.Fatal("the members don't come to rest")
		}
	}
}

func (s *simulated) young() bool {
	for _, n := range s.sites {
		now := n.clock.Instant()
		n.reg.mu.Lock()
		for _, blk := range n.reg.book.held {
			if blk.due(now, s.hold) {
				n.reg.mu.Unlock()
				return false
			}
		}
		n.reg.mu.Unlock()
	}
	return true
}

// ask has a host ask for an address as one does that has none, or for the one that it has.
func (s *simulated) ask(n *node, c int) error {
	s.mu.Lock()
	addr, has := s.addr[c]
	s.mu.Unlock()
	ctx := short(s.t, time.Minute)
	if has {
		if _, err := n.reg.Commit(ctx, client(c), addr); err == nil || !errors.Is(err, ErrNotOurs) && !errors.Is(err, ErrTaken) {
			return err // refused, it asks anew
		}
	}
	o, err := n.reg.Offer(ctx, client(c), netip.Addr{})
	if err == nil {
		_, err = n.reg.Commit(ctx, client(c), o.Addr)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		delete(s.addr, c)
		return err
	}
	s.addr[c] = o.Addr
	return nil
}

// come brings new hosts to a site, until one gets no address.
func (s *simulated) come(i int, n *node, hosts int) (served int) {
	for range hosts {
		s.mu.Lock()
		c := s.next
		s.next++
		s.mu.Unlock()
		if err := s.ask(n, c); err != nil {
			if errors.Is(err, ErrNoAddress) {
				s.denied[i]++
				return served
			}
			s.t.Errorf("%s, a new host: %v", n.name, err)
			return served
		}
		s.hosts[i] = append(s.hosts[i], c)
		served++
	}
	return served
}

// fill has every site serve its part of so many hosts; they come in turns.
func (s *simulated) fill(hosts int) {
	const turns = 8
	for turn := range turns {
		s.atEach(func(i int, n *node) {
			part := hosts / len(s.sites)
			if i < hosts%len(s.sites) {
				part++
			}
			s.come(i, n, part*(turn+1)/turns-part*turn/turns)
		})
	}
	s.rest()
	for range 12 { // until each has its spare, as far as there is one
		if !slices.ContainsFunc(s.sites, func(n *node) bool { return n.reg.needSpare(n.clock.Instant()) }) {
			return
		}
		s.pass(time.Minute)
	}
}

func (s *simulated) isolateAll() {
	for _, n := range s.sites {
		s.isolate(n, true)
	}
}

func fewMiddleMost(all []int) string {
	slices.Sort(all)
	return fmt.Sprintf("%d | %d | %d", all[0], all[len(all)/2], all[len(all)-1])
}

func simulations(t *testing.T) (seed uint64) {
	t.Helper()
	seed, err := strconv.ParseUint(os.Getenv("LANDBRIDGE_SIMULATE"), 10, 64)
	if err != nil {
		t.Skip("takes minutes: LANDBRIDGE_SIMULATE=SEED, or make simulate")
	}
	return seed
}

// groups has a simulation run for each number of sites and each share of the prefix that is leased.
func groups(t *testing.T, run func(t *testing.T, sites, percent int)) {
	for _, sites := range []int{2, 10, 100} {
		for _, percent := range []int{1, 50, 95} {
			t.Run(fmt.Sprintf("%d sites, %d %% full", sites, percent), func(t *testing.T) { run(t, sites, percent) })
		}
	}
}

// manyNew is how many new hosts a site is tried with: that of two that has a majority by itself goes on claiming blocks.
const manyNew = 250

// How many new hosts each site can serve that is cut off from all others, in a prefix of 1,024 blocks, as a /16 has; of
// 8 addresses each in place of 64, so that there are fewer hosts. And how many found no address before, while all
// were joined.
func TestSimulatedSitesThatAreCutOffServeNewHosts(t *testing.T) {
	seed := simulations(t)
	groups(t, func(t *testing.T, sites, percent int) {
		s := simulate(t, "10.9.0.0/19", 3, sites, seed)
		s.lease, s.hold = group.DefaultLeaseTime, group.DefaultHoldTime
		s.fill((1<<13 - 3) * percent / 100)
		refused, blocks := 0, 0
		for i, n := range s.sites {
			refused += s.denied[i]
			blocks += len(n.reg.Blocks())
		}
		s.isolateAll()
		served := make([]int, sites)
		s.atEach(func(i int, n *node) { served[i] = s.come(i, n, manyNew) })
		if sites == 2 { // one of them has a majority by itself
			t.Logf("the two serve %d", served)
		}
		t.Logf("ROW | %d | %d %% | %d | %d | %s |", sites, percent, blocks, refused, fewMiddleMost(served))
	})
}

// How many addresses are in use on both sides of a cut, by different hosts, as it gets older: in a /21 of blocks of
// 8 addresses with leases of a day, so that there are fewer to renew. A tenth of the hosts goes every day, and as
// many come.
func TestSimulatedSitesThatAreCutOffForLongHaveConflicts(t *testing.T) {
	seed := simulations(t)
	groups(t, func(t *testing.T, sites, percent int) {
		s := simulate(t, "10.9.0.0/21", 3, sites, seed)
		s.lease = 24 * time.Hour
		s.lab.mu.Lock()
		s.bump() // with that lease time
		s.history[1] = s.history[2]
		s.lab.mu.Unlock()
		s.fill((1<<11 - 3) * percent / 100)
		away := 0
		for i, n := range s.sites { // not one that has a majority of two by itself
			if sites != 2 || !n.reg.Claimable(func(group.MemberID) bool { return false }) {
				away = i
			}
		}
		s.isolate(s.sites[away], true)
		const step, days = 12 * time.Hour, 14
		var conflicts []string
		last := time.Duration(0) // when the site served a new host
		for passed := step; passed <= days*24*time.Hour; passed += step {
			s.pass(step)
			if s.turnOver(away) > 0 {
				last = passed
			}
			if passed%(24*time.Hour) == 0 && passed >= 7*24*time.Hour {
				conflicts = append(conflicts, strconv.Itoa(s.conflicts(away)))
			}
		}
		had := len(s.hosts[away])
		s.isolate(s.sites[away], false)
		healed := 0
		for ; healed < 4; healed++ {
			s.rest()
			if s.conflicts(away) == 0 {
				break
			}
			s.pass(step)
			s.turnOver(away)
		}
		t.Logf("ROW | %d | %d %% | %d | %.1f | %s | %d |", sites, percent, had, last.Hours()/24, strings.Join(conflicts, " | "), healed)
	})
}

// turnOver has a twentieth of the hosts go, as many come, and the others renew what they have. It returns how many
// came to a site.
func (s *simulated) turnOver(site int) (came int) {
	goes := make([]uint64, len(s.sites))
	for i := range goes {
		goes[i] = s.rng.Uint64()
	}
	s.atEach(func(i int, n *node) {
		rng := rand.New(rand.NewPCG(goes[i], 1))
		var stay []int
		gone := 0
		for _, c := range s.hosts[i] {
			if rng.IntN(20) == 0 {
				gone++
				s.mu.Lock()
				delete(s.addr, c)
				s.mu.Unlock()
				continue
			}
			stay = append(stay, c)
		}
		s.hosts[i] = stay
		for _, c := range stay {
			_ = s.ask(n, c) // refused or not, it is still there
		}
		if served := s.come(i, n, gone); i == site {
			came = served
		}
	})
	return came
}

// conflicts counts the addresses that a site's hosts have and other hosts elsewhere.
func (s *simulated) conflicts(site int) (n int) {
	here := make(map[netip.Addr]string)
	for l := range s.sites[site].reg.Leases() {
		here[l.Addr] = string(l.Client)
	}
	for i, o := range s.sites {
		if i == site {
			continue
		}
		for l := range o.reg.Leases() {
			if c, both := here[l.Addr]; both && c != string(l.Client) {
				n++
			}
		}
	}
	return n
}
