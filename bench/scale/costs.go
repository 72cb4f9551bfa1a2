package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"landbridge/bench/member"
	"landbridge/console/api"
)

// sample is what members cost in a group of one size.
type sample struct {
	members  int
	joins    []time.Duration // of the last few: from the use of an invitation to the first reply
	meetings []time.Duration // from a host's first packet to a member it never spoke to, to the reply
	calls    float64         // a meeting, of all members
	searches float64         // a meeting, of the DHT

	// At rest, of each member.
	rss, own  []int64 // bytes in memory; of these, what isn't the program's file
	cpu       float64 // milliseconds a second
	bytes     float64 // a second, sent and received
	restCalls float64 // a minute
}

// mostJoins is how many of the last joins count for a size.
const mostJoins = 10

// costs lets the group grow, takes a sample at each size, and writes them.
func (g *group) costs(ctx context.Context) error {
	var all []sample
	for _, size := range g.sizes {
		s, err := g.sample(ctx, size)
		if err != nil {
			return fmt.Errorf("with %d members: %w", len(g.nodes), err)
		}
		all = append(all, s)
	}
	text := table(all)
	fmt.Fprint(g.out, "\n", text)
	if g.docs == "" {
		return nil
	}
	return write(ctx, g.docs, all)
}

func (g *group) sample(ctx context.Context, size int) (s sample, err error) {
	for len(g.nodes) < size {
		took, err := g.grow(ctx)
		if err != nil {
			return s, err
		}
		if len(g.nodes) > 1 {
			s.joins = append(s.joins, took)
		}
		fmt.Fprintf(g.out, "\r%d members: the last joined in %v   ", len(g.nodes), took.Round(time.Millisecond))
	}
	s.members, s.joins = size, s.joins[max(0, len(s.joins)-mostJoins):]
	fmt.Fprintf(g.out, "\r%d members: at rest for %v                    ", size, g.rest)
	if err := pause(ctx, g.rest/2); err != nil { // what joining began ends
		return s, err
	}
	if err := g.watchRest(ctx, &s); err != nil {
		return s, err
	}
	if err := g.meet(ctx, &s); err != nil {
		return s, err
	}
	fmt.Fprintf(g.out, "\r%s\n", s)
	return s, nil
}

// String says in a line what was measured.
func (s sample) String() string {
	return fmt.Sprintf("%d members: join %v, first reply of a stranger %v (p90 %v) by %.1f calls; at rest %.2f ms CPU and %.0f bytes a second, %.1f MB",
		s.members, median(s.joins).Round(time.Millisecond), median(s.meetings).Round(time.Millisecond), quantile(s.meetings, 0.9).Round(time.Millisecond),
		s.calls, s.cpu, s.bytes, float64(median(s.rss))/1e6)
}

// watchRest notes what members use that do nothing.
func (g *group) watchRest(ctx context.Context, s *sample) error {
	before, callsBefore, err := g.used(ctx)
	if err != nil {
		return err
	}
	began := time.Now()
	if err := pause(ctx, g.rest); err != nil {
		return err
	}
	after, callsAfter, err := g.used(ctx)
	if err != nil {
		return err
	}
	span, members := time.Since(began), float64(len(g.nodes))
	for i := range after {
		s.rss, s.own = append(s.rss, after[i].RSS), append(s.own, after[i].Anonymous)
		s.cpu += float64((after[i].CPU - before[i].CPU).Microseconds()) / 1e3 / span.Seconds() / members
		s.bytes += float64(after[i].carried-before[i].carried) / span.Seconds() / members
	}
	s.restCalls = float64(callsAfter.calls-callsBefore.calls) / span.Minutes() / members
	return nil
}

// use is what a member has used so far.
type use struct {
	member.Usage
	carried int64 // bytes
}

// asked is what all members have asked each other so far.
type asked struct{ calls, searches uint64 }

// used reads what the members have used, before it asks them for their counters: that costs, too.
func (g *group) used(ctx context.Context) (all []use, sum asked, err error) {
	for _, n := range g.nodes {
		u := use{}
		if u.Usage, err = n.Usage(); err != nil {
			return nil, sum, err
		}
		if u.carried, err = n.Carried("eth0"); err != nil {
			return nil, sum, err
		}
		all = append(all, u)
	}
	sum, err = g.asked(ctx)
	return all, sum, err
}

func (g *group) asked(ctx context.Context) (sum asked, err error) {
	for _, n := range g.nodes {
		var list api.CounterList
		if err := n.Ask(ctx, &list, "counters"); err != nil {
			return sum, err
		}
		for _, c := range list.Items {
			switch {
			case c.Component != "overlay":
			case c.Name == "calls":
				sum.calls += c.Value
			case c.Name == "searches":
				sum.searches += c.Value
			}
		}
	}
	return sum, nil
}

// meet has members that never spoke to each other do so, one pair after the other.
func (g *group) meet(ctx context.Context, s *sample) error {
	began := time.Now()
	before, err := g.asked(ctx)
	if err != nil {
		return err
	}
	for i, p := range g.strangers() {
		fmt.Fprintf(g.out, "\r%d members: %d of %d meetings                 ", s.members, i+1, g.pairs)
		took, err := p[0].reach(ctx, member.Patience, p[1])
		if err != nil {
			return err
		}
		s.meetings = append(s.meetings, took)
	}
	after, err := g.asked(ctx)
	if err != nil {
		return err
	}
	// What they ask at rest isn't the meetings'.
	rest := s.restCalls * float64(s.members) * time.Since(began).Minutes()
	s.calls = max(0, float64(after.calls-before.calls)-rest) / float64(len(s.meetings))
	s.searches = float64(after.searches-before.searches) / float64(len(s.meetings))
	return nil
}

// strangers returns pairs of the newer half of the members, of whom the second never was a first.
// Nobody but the first member has been spoken to by a member that has just joined.
func (g *group) strangers() [][2]*node {
	var all [][2]*node
	newer := g.nodes[len(g.nodes)/2:]
	for i, from := range newer {
		for _, to := range newer[i+1:] {
			all = append(all, [2]*node{from, to})
		}
	}
	random := rand.New(rand.NewPCG(1, uint64(len(g.nodes)))) // the same pairs each time
	random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all[:min(g.pairs, len(all))]
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func median[T int64 | time.Duration](all []T) T { return quantile(all, 0.5) }

// quantile returns the smallest value that this share of all doesn't exceed; 0 of none.
func quantile[T int64 | time.Duration](all []T, share float64) T {
	if len(all) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(all))
	return sorted[min(len(sorted)-1, int(share*float64(len(sorted))))]
}
