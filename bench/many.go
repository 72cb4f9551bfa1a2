package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// crowds are the numbers of members that traffic goes to, of a group of so many.
func crowds(members int) []int {
	all := []int{}
	for n := 1; n < members; n *= 10 {
		all = append(all, n)
	}
	return append(all, members)
}

// many measures datagrams from one member of a Landbridge group to 1, 10, … and all of
// the others, to each in turn: no two that follow each other go to the same, the worst for
// whoever batches. All of them share this machine, all of the time.
func (b *bench) many(ctx context.Context, members, number int) error {
	step, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	b.say("%s, a group of %d, repetition %d", peers.Landbridge, members, number)
	star, err := underlay.OpenStar(step, members)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	defer star.Close()
	r := &repetition{bench: b, sample: report.Sample{Peer: peers.Landbridge, Repetition: number, Profile: fmt.Sprint(report.Many, members)}}
	if err := r.crowd(step, star); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		r.fail(step, report.ManyUDP64, err)
		b.say("    %s", star.Hub.Log())
	}
	return r.werr
}

func (r *repetition) crowd(ctx context.Context, star *underlay.Star) error {
	// The program has told its version before the run began.
	r.sample.Version, _ = r.only(peers.Landbridge)[0].New(r.programs).Version(ctx)
	c, err := peers.NewCrowd(ctx, r.programs, star, func(n int) {
		if n%10 == 0 {
			r.say("    %d have joined", n)
		}
	})
	if err != nil {
		return err
	}
	if err := calm(ctx); err != nil {
		return err
	}
	for _, n := range crowds(len(star.Members)) {
		r.sample.Profile = fmt.Sprint(report.Many, n)
		r.say("    to %d:", n)
		ends, err := c.Reach(ctx, n)
		if err != nil {
			return err
		}
		var to []measure.Path
		for _, e := range ends {
			to = append(to, measure.Path{From: star.Hub.Host, To: e.Host, Addr: e.Addr})
		}
		var rates load.Rates
		var before, after underlay.Usage
		err = r.quietly(ctx, func() (err error) {
			before, _ = underlay.Used(star.Hub)
			rates, err = r.tools.Spread(ctx, star.Hub.Host, to, sized(r.plan.udp, 64))
			after, _ = underlay.Used(star.Hub)
			return err
		})
		if err != nil {
			return err
		}
		r.note(report.ManyUDP64, rates.OK.Received, 0)
		r.note(report.ManyUDP64Max, rates.Max, 0)
		r.note(report.ManyCPU, micros(after.CPU-before.CPU)/rates.Sent, 0)
	}
	return nil
}

// calm waits until what runs on the underlay uses little of the machine: a group that has
// just come together is busy with itself.
func calm(ctx context.Context) error {
	const most = 0.3 // cores
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	tick := time.NewTicker(2 * time.Second)
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
