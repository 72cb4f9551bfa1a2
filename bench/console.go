package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/bench/flood"
	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

const (
	consoleInterval = 10 * time.Millisecond // between two echoes
	consoleRest     = 3 * time.Second       // after a flood, until its connections are gone
)

// console measures what the tunnel's round trips suffer while the appliance's console is
// flooded. The machine's cores are also the flood's, and ping's: so the bare path's are measured
// beside the same flood, and the tunnel's beside one of an appliance that is no end of it.
func (r *repetition) console(ctx context.Context) {
	if err := r.besideFloods(ctx, r.peer.(peers.Consoled)); err != nil {
		r.fail(ctx, report.ConsolePing99, err)
	}
}

// door is a console, and a session there.
type door struct{ url, cookie string }

func (r *repetition) setUp(ctx context.Context, console func(context.Context) (url, code string, err error)) (d door, err error) {
	url, code, err := console(ctx)
	if err != nil {
		return d, err
	}
	d.url = url
	d.cookie, err = r.tools.SetUpConsole(ctx, r.pair.W.Host, url, code)
	return d, err
}

// trips are round trips through the tunnel and on the bare path, at the same load.
type trips struct{ tunnel, bare []time.Duration }

func (r *repetition) besideFloods(ctx context.Context, peer peers.Consoled) error {
	if _, err := r.tunnel.Echo(ctx, r.plan.settle, 50*time.Millisecond); err != nil {
		return err
	}
	own, err := r.setUp(ctx, peer.Console)
	if err != nil {
		return err
	}
	other, err := r.setUp(ctx, peer.Bystander)
	if err != nil {
		return err
	}
	var alone, besideOther, beside trips
	var counts, countsOther flood.Counts
	var used underlay.Usage
	err = r.quietly(ctx, func() (err error) {
		alone, besideOther, beside = trips{}, trips{}, trips{}
		if err := r.echoes(ctx, &alone); err != nil {
			return err
		}
		if countsOther, err = r.flooded(ctx, other, &besideOther, nil); err != nil {
			return err
		}
		if counts, err = r.flooded(ctx, own, &beside, &used); err != nil {
			return err
		}
		return r.echoes(ctx, &alone)
	})
	if err != nil {
		return err
	}
	r.noteTrips(report.ConsoleAlone50, report.ConsoleAlone99, alone)
	r.noteTrips(report.ConsoleOther50, report.ConsoleOther99, besideOther)
	r.noteTrips(report.ConsolePing50, report.ConsolePing99, beside)
	r.note(report.ConsoleOtherRate, float64(countsOther.Answered)/countsOther.Seconds, 0)
	r.note(report.ConsoleRate, float64(counts.Answered)/counts.Seconds, 0)
	r.note(report.ConsoleStreams, float64(counts.Streams), 0)
	r.note(report.ConsoleRSS, float64(used.Peak)/1e6, 0)
	r.say("    %d requests failed, %d logins refused, %d connections of the slow-loris closed", counts.Failed, counts.Logins, counts.Closed)
	if counts.LetIn > 0 {
		return fmt.Errorf("%d wrong passwords weren't refused", counts.LetIn)
	}
	return nil
}

// flooded floods a console while it measures round trips, and returns when the flood's connections are gone.
// What side A uses meanwhile goes to used, if there is one.
func (r *repetition) flooded(ctx context.Context, d door, t *trips, used *underlay.Usage) (flood.Counts, error) {
	f, err := r.tools.FloodConsole(ctx, r.pair.W.Host, d.url, d.cookie)
	if err != nil {
		return flood.Counts{}, err
	}
	perr := r.echoes(ctx, t)
	if used != nil {
		*used, _ = underlay.Used(r.pair.A)
	}
	counts, err := f.Stop()
	select {
	case <-time.After(consoleRest):
	case <-ctx.Done():
	}
	return counts, errors.Join(perr, err)
}

// echoes adds the round trips of some seconds, half of them through the tunnel.
func (r *repetition) echoes(ctx context.Context, t *trips) error {
	for _, on := range []struct {
		path measure.Path
		into *[]time.Duration
	}{{r.bare, &t.bare}, {r.tunnel, &t.tunnel}} {
		got, err := r.tools.Echoes(ctx, on.path, consoleInterval, r.plan.console)
		if err != nil {
			return err
		}
		*on.into = append(*on.into, got...)
	}
	return nil
}

func (r *repetition) noteTrips(p50, p99 string, t trips) {
	tunnel, bare := load.Summarize(t.tunnel), load.Summarize(t.bare)
	r.note(p50, micros(tunnel.P50), micros(bare.P50))
	r.note(p99, micros(tunnel.P99), micros(bare.P99))
}
