package forward

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	service "landbridge/dns"
	"landbridge/internal/sorting"
)

// probeEvery is how often the servers of a failing zone are asked.
const probeEvery = 10 * time.Second

// Report is how a zone does.
type Report struct {
	Zone
	Failing bool // none of its servers answers
	States  []ServerState
	Asked   uint64 // questions of hosts that its servers were asked: not those answered from the cache, or with another's
	Failed  uint64 // of those, that no server answered
}

// ServerState is how a server does.
type ServerState struct {
	Server  netip.AddrPort
	Failing bool
	Since   time.Time // it fails
	Last    time.Time // when it last answered; zero: never
	Why     string    // why it last didn't
}

// failing reports that no server of the zone answers.
func (z *zone) failing() bool {
	return !slices.ContainsFunc(z.servers, func(s *server) bool { return s.failures < failingAfter })
}

func (z *zone) report() Report {
	r := Report{Zone: z.Zone, Failing: z.failing(), Asked: z.asked, Failed: z.failed}
	for _, s := range z.servers {
		r.States = append(r.States, ServerState{s.addr, s.failures >= failingAfter, s.since, s.last, s.why})
	}
	return r
}

// Report tells of all zones, by name.
func (f *Forwarder) Report() (all []Report) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, z := range f.zones {
		all = append(all, z.report())
	}
	sorting.By(all, func(a, b Report) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// note remembers what came of asking a server: err is nil if it answered, whatever it said.
func (f *Forwarder) note(z *zone, s *server, err error) {
	f.mu.Lock()
	if f.zones[z.Name] != z || f.closed { // set anew meanwhile
		f.mu.Unlock()
		return
	}
	was := z.failing()
	if err == nil {
		s.failures, s.last, s.why, s.since = 0, f.now(), "", time.Time{}
	} else {
		if s.failures == 0 {
			s.since = f.now()
		}
		s.failures++
		s.why = whyOf(err)
	}
	is := z.failing()
	if is && f.probe == nil {
		f.probe = time.AfterFunc(probeEvery, f.probeAll)
	}
	f.mu.Unlock()
	if was != is {
		f.tell(z.Name)
	}
}

// tell tells how a zone does, unless it was told so last. What is told is read while nothing else
// is, so that it is never older than what was told before.
func (f *Forwarder) tell(name string) {
	f.telling.Lock()
	defer f.telling.Unlock()
	r := Report{Zone: Zone{Name: name}}
	f.mu.Lock()
	if z := f.zones[name]; z != nil {
		r = z.report()
	}
	f.mu.Unlock()
	if _, ailing := f.ailing[name]; ailing == r.Failing {
		return
	}
	if r.Failing {
		f.ailing[name] = struct{}{}
	} else {
		delete(f.ailing, name)
	}
	f.told(r)
}

// probeAll asks the servers of failing zones, and again later while one fails.
func (f *Forwarder) probeAll() {
	f.mu.Lock()
	var failing []*zone
	for _, z := range f.zones {
		if z.failing() {
			failing = append(failing, z)
		}
	}
	if f.closed || len(failing) == 0 {
		f.probe = nil
		f.mu.Unlock()
		return
	}
	f.probing.Add(1)
	f.mu.Unlock()
	defer f.probing.Done()
	for _, z := range failing {
		for _, s := range f.inOrder(z) {
			ctx, cancel := context.WithTimeout(f.ctx, totalTime)
			_, err := f.exchange(ctx, s.addr, dns.Question{Name: z.Name, Qtype: dns.TypeSOA, Qclass: dns.ClassINET}, service.Wish{})
			cancel()
			if f.ctx.Err() != nil {
				return
			}
			f.note(z, s, err)
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.closed {
		f.probe = time.AfterFunc(probeEvery, f.probeAll)
	}
}

// Counts returns how many questions were asked of servers, answered from the cache, refused as too
// many, and not answered by any server.
func (f *Forwarder) Counts() (asked, cached, refused, failed uint64) {
	c := &f.counts
	return c.asked.Load(), c.cached.Load(), c.refused.Load(), c.failed.Load()
}

// Cached returns how many answers the cache has, and their bytes.
func (f *Forwarder) Cached() (entries, bytes int) { return f.cache.size() }
