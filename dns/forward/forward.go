package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	service "landbridge/dns"

	"landbridge/internal/sorting"
)

const (
	// Patience with a server by UDP, and in all; the router gives a query 2 s.
	tryTime   = 700 * time.Millisecond
	totalTime = 1800 * time.Millisecond
	maxTries  = 4

	underWay     = 48 // questions of hosts at a time: fewer than the router handles, so that our own names go on
	zoneUnderWay = 16 // of those, of one zone, so that one whose servers are slow leaves room to others
	hostRate     = 50 // questions of one host a second, in the long run
	hostBurst    = 200
	hostsKnown   = 1024

	udpSize = 1232 // of an answer that we say we take
)

// Dial opens a connection to a server; network is udp or tcp.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// Forwarder asks servers. Make one with New; it is safe for concurrent use.
type Forwarder struct {
	dial   Dial
	now    func() time.Time
	told   func(Report)
	cache  cache
	limit  limiter
	slots  chan struct{}
	counts counts

	telling sync.Mutex          // taken before mu, and held while told is called
	ailing  map[string]struct{} // zones that were told as failing last; guarded by telling

	mu      sync.Mutex
	zones   map[string]*zone
	probe   *time.Timer // nil while nothing fails
	probing sync.WaitGroup
	closed  bool
	ctx     context.Context
	cancel  context.CancelFunc
}

type counts struct{ asked, cached, refused, failed atomic.Uint64 }

// zone is a zone and how its servers do. Its fields are guarded by Forwarder.mu.
type zone struct {
	Zone
	servers []*server
	asked   uint64
	failed  uint64
	open    int               // who waits for an answer
	asking  map[key]*question // under way
}

// server is one server of a zone.
type server struct {
	addr     netip.AddrPort
	failures int // since it answered last
	since    time.Time
	last     time.Time // when it answered last
	why      string
}

// failingAfter is how many times in a row a server may fail to answer before it counts as failing.
const failingAfter = 2

// New returns a Forwarder that forwards nothing yet. dial is nil for the kernel's. told, if it
// isn't nil, is called when a zone begins to fail and when it answers again, once at a time; it mustn't
// call Set.
func New(dial Dial, told func(Report)) *Forwarder {
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	if told == nil {
		told = func(Report) {}
	}
	f := &Forwarder{dial: dial, now: time.Now, told: told, slots: make(chan struct{}, underWay), zones: make(map[string]*zone), ailing: make(map[string]struct{})}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	return f
}

// Close ends what runs in the background.
func (f *Forwarder) Close() {
	f.mu.Lock()
	f.closed = true
	if f.probe != nil {
		f.probe.Stop()
	}
	f.mu.Unlock()
	f.cancel()
	f.probing.Wait()
}

// Set makes these the zones that are forwarded. What is known of servers that stay is kept;
// answers in the cache aren't.
func (f *Forwarder) Set(zones []Zone) {
	f.mu.Lock()
	was := f.zones
	f.zones = make(map[string]*zone)
	for _, z := range zones {
		next := &zone{Zone: z, asking: make(map[key]*question)}
		old := was[z.Name]
		if old != nil {
			next.asked, next.failed = old.asked, old.failed
		}
		for _, addr := range z.Servers {
			s := &server{addr: addr}
			if old != nil {
				if i := slices.IndexFunc(old.servers, func(o *server) bool { return o.addr == addr }); i >= 0 {
					s = old.servers[i]
				}
			}
			next.servers = append(next.servers, s)
		}
		f.zones[z.Name] = next
	}
	f.cache.clear()
	f.mu.Unlock()
	for name := range was { // what fails no more, as it isn't asked any more
		f.tell(name)
	}
}

// find returns the zone that a name, absolute and in lower case, is in, by the longest match;
// nil for none. Called with mu held.
func (f *Forwarder) find(name string) *zone {
	if len(f.zones) == 0 {
		return nil
	}
	for off, end := 0, false; !end; off, end = dns.NextLabel(name, off) {
		if z := f.zones[name[off:]]; z != nil {
			return z
		}
	}
	return f.zones["."]
}

// Says tells in a sentence of whom a name is asked; nothing for one that isn't forwarded.
func (f *Forwarder) Says(name string) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	z := f.find(strings.ToLower(name))
	switch {
	case z == nil:
		return ""
	case z.Name == ".":
		return "All that isn't the group's own is forwarded to " + strings.Join(z.Texts(), ", ") + ", as an operator has set."
	}
	return fmt.Sprintf("Names of %s are forwarded to %s, as an operator has set.", z.Label(), strings.Join(z.Texts(), ", "))
}

// Forward answers a question for a host: nil where the name is forwarded to nobody, or the host
// has asked too much. It takes no longer than ctx, or 1.8 s.
func (f *Forwarder) Forward(ctx context.Context, from netip.Addr, q dns.Question, o service.Wish) *dns.Msg {
	k := key{strings.ToLower(q.Name), q.Qtype, q.Qclass, o.DO, o.CD}
	f.mu.Lock()
	z := f.find(k.name)
	f.mu.Unlock()
	now := f.now()
	if z == nil {
		return nil
	}
	if !f.limit.allow(from, now) {
		f.counts.refused.Add(1)
		return nil
	}
	if m := f.cache.get(k, now); m != nil {
		f.counts.cached.Add(1)
		return m
	}
	if !f.enter(z) {
		f.counts.refused.Add(1)
		return failure()
	}
	defer f.leave(z)
	ctx, cancel := context.WithTimeout(ctx, totalTime)
	defer cancel()
	m := f.answer(ctx, z, k, q, o)
	if m == nil {
		f.counts.failed.Add(1)
		return failure()
	}
	return m
}

func failure() *dns.Msg {
	m := new(dns.Msg)
	m.Rcode = dns.RcodeServerFailure
	return m
}

// ask asks the servers of a zone in turn, those that answered last first; nil where none has
// answered. What a server refuses or fails at, another is asked, too.
func (f *Forwarder) ask(ctx context.Context, z *zone, q dns.Question, o service.Wish) (best *dns.Msg) {
	f.counts.asked.Add(1)
	servers := f.inOrder(z)
	for try := range maxTries {
		if try >= max(2, len(servers)) || ctx.Err() != nil {
			break
		}
		s := servers[try%len(servers)]
		m, err := f.exchange(ctx, s.addr, q, o)
		if !errors.Is(ctx.Err(), context.Canceled) { // nobody waits any more: that says nothing of the server
			f.note(z, s, err)
		}
		if err != nil {
			continue
		}
		if m.Rcode == dns.RcodeSuccess || m.Rcode == dns.RcodeNameError {
			best = m
			break
		}
		if best == nil {
			best = m
		} else if len(servers) == 1 {
			break // it says so twice
		}
	}
	f.mu.Lock()
	z.asked++
	if best == nil {
		z.failed++
	}
	f.mu.Unlock()
	return best
}

// inOrder returns a zone's servers, those that fail last.
func (f *Forwarder) inOrder(z *zone) []*server {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := slices.Clone(z.servers)
	failures := make(map[*server]int, len(all))
	for _, s := range all {
		failures[s] = min(s.failures, failingAfter)
	}
	sorting.StablyBy(all, func(a, b *server) int { return failures[a] - failures[b] })
	return all
}
