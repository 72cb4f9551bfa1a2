package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"strings"
	"time"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// The groups of measures of "bench modes".
const (
	groupHybrid = peers.ModeHybrid // two hybrid hosts of one LAN
	groupRouter = peers.ModeRouter // two hosts of a router's LAN
	groupSites  = "sites"          // each mode between two sites
)

func modeGroups() []string { return []string{groupHybrid, groupRouter, groupSites} }

// parseModes reads the command line of "bench modes".
func parseModes(args []string) (options, error) {
	o := options{modes: true}
	f := flag.NewFlagSet("bench-modes", flag.ContinueOnError)
	profile := f.String("profile", string(underlay.NIC), "comma-separated profiles of the wires: nic cuts super-frames, veth doesn't")
	measures := f.String("measures", strings.Join(modeGroups(), ","), "comma-separated: hybrid and router (two hosts of one LAN), sites (two hosts of different sites)")
	f.BoolVar(&o.quick, "quick", false, "short measurements, once unless -reps says otherwise")
	f.IntVar(&o.turns, "turns", 0, "`number` of turns in which a repetition measures a LAN and a bare bridge; 0: 8, or 3 if -quick")
	if _, err := o.parse(f, "modes.md", args); err != nil {
		return o, err
	}
	if o.turns < 0 {
		return o, fmt.Errorf("-turns %d: want 1 or more", o.turns)
	}
	return o, errors.Join(o.choose(*measures, modeGroups(), *profile), o.absolute())
}

// modeScenes returns the scenes of "bench modes" that the command line asks for.
func (b *bench) modeScenes() (all []scene) {
	for _, p := range b.profiles {
		open := func(ctx context.Context) (*underlay.Pair, error) { return underlay.Open(ctx, p) }
		var natives []peers.Kind
		for _, k := range peers.Natives() {
			if b.wants(k.Name) {
				natives = append(natives, k)
			}
		}
		if len(natives) > 0 {
			all = append(all, scene{profile: report.LAN + string(p), kinds: natives, open: open, measure: (*repetition).native})
		}
		if b.wants(groupSites) {
			all = append(all, scene{profile: report.Sites + string(p), kinds: peers.Sites(), open: open, measure: (*repetition).site})
		}
	}
	return all
}

// site measures a mode between two sites.
func (r *repetition) site(ctx context.Context) {
	r.idle(ctx)
	r.ping(ctx)
	r.tcp(ctx)
	for _, megabits := range report.Rates() {
		if err := r.atRate(ctx, megabits); err != nil {
			r.fail(ctx, report.Cores(megabits), err)
		}
	}
}

// atRate measures what the appliances of both ends use while TCP goes at a rate.
func (r *repetition) atRate(ctx context.Context, megabits int) error {
	var cores float64
	err := r.quietly(ctx, func() error {
		before, err := underlay.Used()
		if err != nil {
			return err
		}
		began := time.Now()
		got, err := r.tunnel.Transfer(ctx, measure.Bulk{Length: r.plan.rate, Streams: 1, Rate: int64(megabits) * 1e6})
		took := time.Since(began)
		if err != nil {
			return err
		}
		if got.BitsPerSecond < 0.95*float64(megabits)*1e6 {
			return fmt.Errorf("of %d Mbit/s no more than %s got through", megabits, report.Number(got.BitsPerSecond/1e6))
		}
		after, err := underlay.Used()
		cores = float64(after.CPU-before.CPU) / float64(took)
		return err
	})
	if err == nil {
		r.note(report.Cores(megabits), cores, 0)
	}
	return err
}
