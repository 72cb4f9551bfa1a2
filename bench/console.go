package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"landbridge/bench/flood"
	"landbridge/bench/load"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

const (
	consoleInterval = 10 * time.Millisecond // between two echoes
	consoleRest     = 3 * time.Second       // after a flood, until its connections are gone
)

// console measures what the tunnel's round trips suffer while the appliance's console is
// flooded: before, meanwhile and afterwards.
func (r *repetition) console(ctx context.Context) {
	if err := r.besideFlood(ctx, r.peer.(peers.Consoled)); err != nil {
		r.fail(ctx, report.ConsolePing99, err)
	}
}

func (r *repetition) besideFlood(ctx context.Context, peer peers.Consoled) error {
	if _, err := r.tunnel.Echo(ctx, r.plan.settle, 50*time.Millisecond); err != nil {
		return err
	}
	url, code, err := peer.Console(ctx)
	if err != nil {
		return err
	}
	cookie, err := r.tools.SetUpConsole(ctx, r.pair.W.Host, url, code)
	if err != nil {
		return err
	}
	var beside, alone load.Latency
	var counts flood.Counts
	var used underlay.Usage
	err = r.quietly(ctx, func() error {
		before, err := r.echoes(ctx)
		if err != nil {
			return err
		}
		f, err := r.tools.FloodConsole(ctx, r.pair.W.Host, url, cookie)
		if err != nil {
			return err
		}
		during, perr := r.echoes(ctx)
		used, _ = underlay.Used(r.pair.A)
		if counts, err = f.Stop(); err != nil || perr != nil {
			return errors.Join(perr, err)
		}
		select {
		case <-time.After(consoleRest):
		case <-ctx.Done():
		}
		after, err := r.echoes(ctx)
		beside, alone = load.Summarize(during), load.Summarize(append(before, after...))
		return err
	})
	if err != nil {
		return err
	}
	r.note(report.ConsolePing50, micros(beside.P50), micros(alone.P50))
	r.note(report.ConsolePing99, micros(beside.P99), micros(alone.P99))
	r.note(report.ConsoleRate, float64(counts.Answered)/counts.Seconds, 0)
	r.note(report.ConsoleStreams, float64(counts.Streams), 0)
	r.note(report.ConsoleRSS, float64(used.Peak)/1e6, 0)
	r.say("    %d requests failed, %d logins refused, %d connections of the slow-loris closed", counts.Failed, counts.Logins, counts.Closed)
	if counts.LetIn > 0 {
		return fmt.Errorf("%d wrong passwords weren't refused", counts.LetIn)
	}
	return nil
}

// echoes returns the round trips of some seconds.
func (r *repetition) echoes(ctx context.Context) ([]time.Duration, error) {
	return r.tools.Echoes(ctx, r.tunnel, consoleInterval, r.plan.console)
}
