package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/internal/netlab"
)

// bench is a run.
type bench struct {
	options
	plan    plan
	tools   measure.Tools
	samples report.Writer
	view    io.Writer
}

func run(ctx context.Context, o options) error {
	if o.from != "" {
		return publish(o.from, o)
	}
	if missing := netlab.Missing(o.needs()...); len(missing) > 0 {
		return errors.Join(missing...)
	}
	for _, k := range o.kinds { // before hours are spent
		if _, err := k.New(o.programs).Version(ctx); err != nil {
			return err
		}
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.out, 0o755); err != nil {
		return err
	}
	begin := os.O_TRUNC
	if o.add {
		begin = os.O_APPEND
	}
	file, err := os.OpenFile(o.samples(), os.O_CREATE|os.O_WRONLY|begin, 0o644)
	if err != nil {
		return err
	}
	defer file.Close()
	samples, err := report.NewWriter(file, report.Here(ctx, o.quick))
	if err != nil {
		return err
	}
	b := &bench{options: o, plan: full(), tools: measure.Tools{Self: self}, samples: samples, view: os.Stdout}
	if o.quick {
		b.plan = quick()
	}
	if o.modes {
		b.plan = b.plan.ofModes(o.turns)
	}
	measure := b.all
	if o.addresses {
		measure = b.addresses
	}
	if err := measure(ctx); err != nil {
		return err
	}
	return publish(o.samples(), o)
}

// needs returns the programs that the machine must have.
func (o options) needs() []string {
	if o.addresses {
		return []string{"ip", "nft", "ethtool", "dig", "udhcpc", "perfdhcp", "kea-dhcp4", "dnsmasq", "dnsperf"}
	}
	return []string{"ip", "ping", "iperf3", "ethtool"}
}

// all runs every repetition of every scene with every peer that it is for.
func (b *bench) all(ctx context.Context) error {
	began := time.Now()
	scenes := b.scenes()
	total, n := 0, 0
	for _, s := range scenes {
		total += b.reps * len(s.kinds)
	}
	for rep := range b.reps {
		for _, s := range scenes {
			for _, kind := range s.kinds {
				n++
				b.say("[%d of %d] %s, %s, repetition %d", n, total, kind.Name, s.profile, rep+1)
				if err := b.repetition(ctx, s, kind, rep+1); err != nil {
					return err
				}
			}
		}
	}
	if len(b.members) > 0 && len(b.only(peers.Landbridge)) > 0 {
		if err := b.many(ctx); err != nil {
			return err
		}
	}
	b.say("%v in all", time.Since(began).Round(time.Second))
	return nil
}

func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.view, format+"\n", args...) }

// repetition measures one peer on a pair of its own. Only what ends the whole run is
// an error; what fails of the peer is said, and noted as a sample.
func (b *bench) repetition(ctx context.Context, s scene, kind peers.Kind, number int) error {
	step, cancel := context.WithTimeout(ctx, b.plan.limit)
	defer cancel()
	pair, err := s.open(step)
	if err != nil {
		return errors.Join(err, ctx.Err())
	}
	defer pair.Close()
	r := &repetition{
		bench: b, pair: pair, peer: kind.New(b.programs),
		sample: report.Sample{Peer: kind.Name, Profile: s.profile, Repetition: number},
	}
	if err = r.up(step); err == nil {
		s.measure(r, step)
		err = step.Err()
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.fail(step, report.Startup, err)
		b.say("    %s", strings.ReplaceAll(strings.TrimSpace(pair.A.Log()+pair.B.Log()+pair.W.Log()), "\n", "\n    "))
	}
	return r.werr
}
