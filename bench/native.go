package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// lan measures two hosts of one LAN beside two of bare ones, in turns: each path once in each
// turn, and another one first. What is bare has no Landbridge near it, and is on this machine
// at the same time.
type lan struct {
	*repetition
	// The peer's; one on a bare bridge; and where the peer's hosts have a smaller MTU, one on a bare
	// bridge with that.
	paths []measure.Path
	mtu   int // of the peer's hosts
}

// native measures a LAN, and what the tunnels carry meanwhile.
func (r *repetition) native(ctx context.Context) {
	peer, ok := r.peer.(peers.Native)
	if !ok {
		r.fail(ctx, report.NativeTCP, fmt.Errorf("%s is no mode in which hosts of a LAN speak natively", r.sample.Peer))
		return
	}
	l := &lan{repetition: r}
	err := l.prepare(ctx, peer)
	if err == nil {
		err = l.measure(ctx, peer)
	}
	if err != nil {
		r.fail(ctx, report.NativeTCP, err)
	}
}

// prepare waits until the peer's hosts speak natively, makes what is bare, and speaks on all
// paths once.
func (l *lan) prepare(ctx context.Context, peer peers.Native) error {
	if err := peer.Direct(ctx); err != nil {
		return err
	}
	err := l.tunnel.From.Do(func() error {
		device, err := net.InterfaceByName("eth0")
		if err == nil {
			l.mtu = device.MTU
		}
		return err
	})
	if err != nil {
		return err
	}
	l.note(report.MTU, float64(l.mtu), 0)
	l.paths = []measure.Path{l.tunnel}
	if err := l.addBare(ctx, underlay.MTU); err != nil {
		return err
	}
	l.bare = l.paths[1]
	if l.mtu != underlay.MTU {
		if err := l.addBare(ctx, l.mtu); err != nil {
			return err
		}
	}
	for _, p := range l.paths {
		if _, err := p.Transfer(ctx, measure.Bulk{Length: time.Second, Streams: 1}); err != nil {
			return fmt.Errorf("warm-up: %w", err)
		}
	}
	return nil
}

func (l *lan) addBare(ctx context.Context, mtu int) error {
	a, b, err := l.pair.Bare(ctx, mtu)
	if err != nil {
		return err
	}
	l.paths = append(l.paths, measure.Path{From: a.Host, To: b.Host, Addr: b.Addr})
	return measure.ServeTCP(ctx, b.Host)
}

func (l *lan) measure(ctx context.Context, peer peers.Native) error {
	before, err := peer.Carried(ctx)
	if err != nil {
		return err
	}
	l.ping(ctx)
	for n := range l.plan.turns {
		if err := errors.Join(l.bulk(ctx, n), l.roundTrips(ctx, n)); err != nil {
			return err
		}
	}
	after, err := peer.Carried(ctx)
	if err == nil {
		l.note(report.Carried, float64(after)-float64(before), 0)
	}
	return err
}

// bulk transfers on all paths.
func (l *lan) bulk(ctx context.Context, n int) error {
	got, err := inTurn(l.repetition, n, l.paths, func(p measure.Path) (measure.TCP, error) {
		return p.Transfer(ctx, measure.Bulk{Length: l.plan.bareBulk, Streams: 1})
	})
	if err != nil {
		return err
	}
	l.note(report.NativeTCP, got[0].BitsPerSecond/1e6, got[1].BitsPerSecond/1e6)
	l.note(report.HostCPU, cpu(got[0]), cpu(got[1]))
	if len(got) > 2 {
		l.note(report.NativeTCPSame, got[0].BitsPerSecond/1e6, got[2].BitsPerSecond/1e6)
	}
	return nil
}

// roundTrips measures requests, which are small: the MTU doesn't matter.
func (l *lan) roundTrips(ctx context.Context, n int) error {
	got, err := inTurn(l.repetition, n, l.paths[:2], func(p measure.Path) (load.Latency, error) {
		return l.tools.Requests(ctx, p, l.plan.requests, false)
	})
	if err != nil {
		return err
	}
	l.note(report.NativeRR, micros(got[0].P50), micros(got[1].P50))
	return nil
}

// inTurn measures each of the paths, beginning with the nth. A turn that others disturb isn't
// measured once again: there are many.
func inTurn[T any](r *repetition, n int, paths []measure.Path, fn func(measure.Path) (T, error)) (got []T, err error) {
	got = make([]T, len(paths))
	r.sample.Foreign, err = measure.Noise(func() (err error) {
		for k := range paths {
			i := (n + k) % len(paths)
			if got[i], err = fn(paths[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return got, err
}
