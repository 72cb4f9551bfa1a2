package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// parseMany reads the numbers of -many, in their order.
func parseMany(text string) (all []int, err error) {
	for _, field := range split(text) {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 || n > peers.MostMembers {
			return nil, fmt.Errorf("-many %s: want numbers from 1 to %d, such as 1,10,100", text, peers.MostMembers)
		}
		all = append(all, n)
	}
	slices.Sort(all)
	return slices.Compact(all), nil
}

// manyLimit bounds what is measured of one crowd.
const manyLimit = 15 * time.Minute

// many measures datagrams between one Landbridge appliance and some of the others of its group,
// of which there are as many as the largest number says: to each in turn, and one from each in turn. No two that follow each other are of the
// same member, the worst for whoever batches. The others are one process (bench/crowd).
func (b *bench) many(ctx context.Context) error {
	for _, profile := range b.profiles {
		r := &repetition{bench: b, sample: report.Sample{Peer: peers.Landbridge}}
		step, cancel := context.WithTimeout(ctx, manyLimit)
		err := r.crowd(step, profile)
		cancel()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			r.fail(ctx, report.ManyUDP64, err)
		}
		if r.werr != nil {
			return r.werr
		}
	}
	return nil
}

func manyProfile(n int, p underlay.Profile) string { return fmt.Sprintf("%s%d-%s", report.Many, n, p) }

// gathering is a crowd that stands, and the way to it.
type gathering struct {
	*peers.Crowd
	ends *measure.Crowd
	hub  peers.End
	pair *underlay.Pair
}

// crowd measures all repetitions, those of the numbers in turn, with one crowd.
func (r *repetition) crowd(ctx context.Context, profile underlay.Profile) error {
	members := r.members[len(r.members)-1]
	r.sample.Profile = manyProfile(members, profile)
	r.say("%s, %s, a group of %d others:", peers.Landbridge, profile, members)
	pair, err := underlay.Open(ctx, profile)
	if err != nil {
		return err
	}
	defer pair.Close()
	r.pair = pair
	g, err := r.gather(ctx, members)
	if err != nil {
		return fmt.Errorf("%w\n%s", err, pair.A.Log())
	}
	defer g.ends.Close()
	for rep := range r.reps {
		r.sample.Repetition = rep + 1
		for _, n := range r.members {
			r.sample.Profile = manyProfile(n, profile)
			r.say("    with %d, repetition %d:", n, rep+1)
			if err := r.withSome(ctx, g, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// withSome measures traffic between the hub and some of the others.
func (r *repetition) withSome(ctx context.Context, g *gathering, n int) error {
	for _, m := range []struct {
		size                     int
		to, from, toCPU, fromCPU string
	}{
		{64, report.ManyUDP64, report.ManyUDP64Back, report.ManyCPU, report.ManyCPUBack},
		{1200, report.ManyUDP1200, report.ManyUDP1200Back, "", ""},
	} {
		if err := errors.Join(r.toCrowd(ctx, g, n, m.size, m.to, m.toCPU), r.fromCrowd(ctx, g, n, m.size, m.from, m.fromCPU)); err != nil {
			return err
		}
	}
	return nil
}

// gather starts the hub and the others, and has the hub reach each of them once.
func (r *repetition) gather(ctx context.Context, members int) (*gathering, error) {
	// The program has told its version before the run began.
	r.sample.Version, _ = r.only(peers.Landbridge)[0].New(r.programs).Version(ctx)
	c, err := peers.NewCrowd(ctx, r.programs, r.pair, members)
	if err != nil {
		return nil, err
	}
	ends, err := r.tools.Crowd(ctx, r.pair.B.Host, c.Dir, c.At, c.Members)
	if err != nil {
		return nil, err
	}
	g := &gathering{Crowd: c, ends: ends, pair: r.pair}
	if g.hub, err = c.Hub(ctx); err != nil {
		ends.Close()
		return nil, err
	}
	warm := load.Plan{Size: 64, Flood: 200 * time.Millisecond, Trial: 100 * time.Millisecond, Trials: 1}
	if _, err := ends.To(ctx, r.pair.A.Host, members, warm); err != nil {
		ends.Close()
		return nil, err
	}
	if err := calm(ctx); err != nil {
		ends.Close()
		return nil, err
	}
	r.say("    all stand")
	return g, nil
}

// toCrowd measures datagrams from the hub.
func (r *repetition) toCrowd(ctx context.Context, g *gathering, n, size int, id, cpu string) error {
	return r.spread(ctx, id, cpu, func() (load.Rates, error) {
		return g.ends.To(ctx, g.pair.A.Host, n, likeMany(r.plan.udp, size))
	}, func() (load.Rates, error) {
		return r.tools.Spread(ctx, g.pair.A.Host, g.pair.B.Host, g.Members[:n], likeMany(r.plan.bareUDP, size))
	})
}

// likeMany is a plan of that size whose sender does for one destination what it does for many.
func likeMany(p load.Plan, bytes int) load.Plan {
	p.Size, p.Unconnected = bytes, true
	return p
}

// fromCrowd measures datagrams to the hub.
func (r *repetition) fromCrowd(ctx context.Context, g *gathering, n, size int, id, cpu string) error {
	return r.spread(ctx, id, cpu, func() (load.Rates, error) {
		return g.ends.From(ctx, g.pair.A.Host, g.hub.Addr, n, sized(r.plan.udp, size))
	}, nil)
}

// spread notes what a search finds, beside the bare wire where that can be had.
func (r *repetition) spread(ctx context.Context, id, cpu string, search, bare func() (load.Rates, error)) error {
	var rates, wire load.Rates
	var before, after underlay.Usage
	err := r.quietly(ctx, func() (err error) {
		before, _ = underlay.Used(r.pair.A)
		rates, err = search()
		after, _ = underlay.Used(r.pair.A)
		if err == nil && bare != nil {
			wire, err = bare()
		}
		return err
	})
	if err != nil {
		return err
	}
	r.note(id, rates.OK.Received, wire.OK.Received)
	if cpu != "" {
		r.note(cpu, micros(after.CPU-before.CPU)/rates.Sent, 0)
	}
	return nil
}

// calm waits until what runs on the underlay uses little of the machine: a group that has
// just come together is busy with itself.
func calm(ctx context.Context) error {
	const most = 0.3 // cores
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last, at := time.Duration(0), time.Time{}
	for {
		u, err := underlay.Used()
		if err != nil {
			return err
		}
		now := time.Now()
		cores := float64(u.CPU-last) / float64(now.Sub(at))
		if !at.IsZero() && cores < most {
			return nil
		}
		last, at = u.CPU, now
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("the group still uses %.1f cores with nothing to carry: %w", cores, ctx.Err())
		}
	}
}
