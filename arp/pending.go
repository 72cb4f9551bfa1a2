package arp

import (
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/frame"
)

// Limits bound what a segment's hosts can make the appliance look up. A host that
// sweeps the prefix gets its burst, then its rate; what is over is not looked up and
// gets silence, as an address that nobody holds would. While a host sweeps, no address is
// looked up for it that was lately. A quarter of what is bounded in all is kept for hosts with a
// lease, whatever others do. Zero fields take the default.
type Limits struct {
	Targets int // lookups running or unanswered at a time, in all; default 1,024
	Waiters int // hosts remembered for one target; default 8
	Burst   int // lookups that one host may start at once; default 256
	Rate    int // lookups that one host may start a second, after its burst; default 64
	Hosts   int // hosts whose rate is watched at a time; default 1,024
	// Expiry is how long a lookup may go unreported before it counts as lost;
	// default 3 s.
	Expiry time.Duration
	// Again is how long an address isn't looked up again for a host that has used up half of its
	// burst, or for any without a lease while a quarter of what is remembered is; default 10 s.
	Again  time.Duration
	Lately int // lookups remembered for Again; default 4,096
}

func (l Limits) withDefaults() Limits {
	setDefault(&l.Targets, 1024)
	setDefault(&l.Waiters, 8)
	setDefault(&l.Burst, 256)
	setDefault(&l.Rate, 64)
	setDefault(&l.Hosts, 1024)
	if l.Expiry <= 0 {
		l.Expiry = 3 * time.Second
	}
	if l.Again <= 0 {
		l.Again = 10 * time.Second
	}
	setDefault(&l.Lately, 4096)
	return l
}

func setDefault(field *int, value int) {
	if *field <= 0 {
		*field = value
	}
}

// requester is a host that waits for an answer; addr is 0.0.0.0 for a prober.
type requester struct {
	mac  frame.MAC
	addr netip.Addr
}

// pending holds the lookups that run and who waits for each.
type pending struct {
	limits  Limits
	mu      sync.Mutex
	targets map[netip.Addr]*lookup
	budgets map[frame.MAC]budget
	lately  map[netip.Addr]time.Time // when addresses were looked up last
	tidied  time.Time                // when lately was rid of what is too old
}

type lookup struct {
	since   time.Time
	waiters []requester
}

// budget is a token bucket: what a host had left at a time.
type budget struct {
	tokens float64
	at     time.Time
}

func newPending(l Limits) pending {
	return pending{
		limits:  l.withDefaults(),
		targets: make(map[netip.Addr]*lookup),
		budgets: make(map[frame.MAC]budget),
		lately:  make(map[netip.Addr]time.Time),
	}
}

// open returns how much of a bound there is for a host: for any but those with a lease, which
// can't be made up, a reserve is kept.
func open(bound int, leased bool) int {
	if leased {
		return bound
	}
	return bound - bound/4
}

// add notes that w waits for target. It returns ReasonUnknown if a lookup must be
// started, ReasonWaiting if one runs, and ReasonLimited if none may. leased says that w has a
// lease on this segment.
func (p *pending) add(target netip.Addr, w requester, leased bool, now time.Time) Reason {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.targets[target]; l != nil && now.Sub(l.since) < p.limits.Expiry {
		l.wait(w, p.limits.Waiters)
		return ReasonWaiting
	}
	targets := open(p.limits.Targets, leased)
	if len(p.targets) >= targets {
		p.dropExpired(now)
	}
	if len(p.targets) >= targets || p.tooSoon(target, w.mac, leased, now) || !p.spend(w.mac, leased, now) {
		return ReasonLimited
	}
	p.lately[target] = now
	p.targets[target] = &lookup{since: now, waiters: []requester{w}}
	return ReasonUnknown
}

// tooSoon reports whether an address was looked up lately and must not be again for the host at
// mac, or for anybody without a lease. A host that asks for few addresses may ask again and again: one may have
// been leased since.
func (p *pending) tooSoon(target netip.Addr, mac frame.MAC, leased bool, now time.Time) bool {
	if now.Sub(p.tidied) >= p.limits.Again/10 {
		p.tidied = now
		for addr, at := range p.lately {
			if now.Sub(at) >= p.limits.Again {
				delete(p.lately, addr)
			}
		}
	}
	at, known := p.lately[target]
	if !known {
		return len(p.lately) >= open(p.limits.Lately, leased) // a sweep by many hosts, or by one with many MACs
	}
	if now.Sub(at) >= p.limits.Again {
		return false
	}
	b, met := p.budgets[mac]
	return met && p.refilled(b, now) < float64(p.limits.Burst)/2 || !leased && len(p.lately) >= p.limits.Lately/4
}

// take ends a lookup and returns who waited for it.
func (p *pending) take(target netip.Addr) []requester {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := p.targets[target]
	if l == nil {
		return nil
	}
	delete(p.targets, target)
	return l.waiters
}

func (p *pending) dropExpired(now time.Time) {
	for target, l := range p.targets {
		if now.Sub(l.since) >= p.limits.Expiry {
			delete(p.targets, target)
		}
	}
}

// wait remembers w once; beyond most it is forgotten, and asks again.
func (l *lookup) wait(w requester, most int) {
	for _, known := range l.waiters {
		if known == w {
			return
		}
	}
	if len(l.waiters) < most {
		l.waiters = append(l.waiters, w)
	}
}

// spend takes one lookup from the budget of the host at mac, if it has one left.
func (p *pending) spend(mac frame.MAC, leased bool, now time.Time) bool {
	b, known := p.budgets[mac]
	if !known {
		if len(p.budgets) >= open(p.limits.Hosts, leased) && !p.forgetFull(now) {
			return false // as many MACs as this within moments: a flood of made-up ones
		}
		b = budget{tokens: float64(p.limits.Burst)}
	} else {
		b.tokens = p.refilled(b, now)
	}
	if b.tokens < 1 {
		return false
	}
	p.budgets[mac] = budget{tokens: b.tokens - 1, at: now}
	return true
}

func (p *pending) refilled(b budget, now time.Time) float64 {
	gained := max(0, now.Sub(b.at).Seconds()) * float64(p.limits.Rate)
	return min(float64(p.limits.Burst), b.tokens+gained)
}

// forgetFull forgets the hosts whose budget is full again, which is as if they had
// never asked. It reports whether there were any.
func (p *pending) forgetFull(now time.Time) bool {
	before := len(p.budgets)
	for mac, b := range p.budgets {
		if p.refilled(b, now) >= float64(p.limits.Burst) {
			delete(p.budgets, mac)
		}
	}
	return len(p.budgets) < before
}
