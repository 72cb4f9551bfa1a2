package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// both is a measure of the bare wire and of native traffic, round by round.
type both struct{ bare, native []float64 }

// ratios returns, for each round, how much of the bare wire is left; in order.
func (b both) ratios() []float64 {
	all := make([]float64, len(b.bare))
	for i := range all {
		all[i] = b.native[i] / b.bare[i]
	}
	slices.Sort(all)
	return all
}

// native is what was measured of hosts of one LAN.
type native struct {
	name    string
	tcp     both   // bits per second
	back    both   // the other way
	ping    both   // seconds; see pings
	carried uint64 // packets by the tunnel meanwhile
}

// native measures hosts of one LAN.
func (o options) native(ctx context.Context, peer peers.Native) (n native, err error) {
	pair, err := underlay.Open(ctx, underlay.NIC)
	if err != nil {
		return n, err
	}
	defer pair.Close()
	if err := up(ctx, pair, peer); err != nil {
		return n, err
	}
	if err := peer.Settle(ctx); err != nil {
		return n, err
	}
	ends, bareEnds := peer.Ends(), peer.BareEnds()
	nativePath := measure.Path{From: ends[0].Host, To: ends[1].Host, Addr: ends[1].Addr}
	bare := measure.Path{From: bareEnds[0].Host, To: bareEnds[1].Host, Addr: bareEnds[1].Addr}
	if err := measure.ServeTCP(ctx, bare.To); err != nil {
		return n, err
	}
	for _, p := range []measure.Path{bare, nativePath} { // the first after a start is slower
		if _, err := p.Transfer(ctx, measure.Bulk{Length: time.Second, Streams: 1}); err != nil {
			return n, err
		}
	}
	before, err := peer.Carried(ctx)
	if err != nil {
		return n, err
	}
	for _, way := range []struct {
		into    *both
		reverse bool
	}{{&n.tcp, false}, {&n.back, true}} {
		if *way.into, err = o.inTurn(ctx, bare, nativePath, measure.Bulk{Length: o.length, Streams: 1, Reverse: way.reverse, Pinned: true}); err != nil {
			return n, err
		}
	}
	if n.ping, err = pings(ctx, bare, nativePath); err != nil {
		return n, err
	}
	now, err := peer.Carried(ctx)
	n.carried = now - before
	return n, err
}

// inTurn transfers on both paths, round after round, each first in every second.
func (o options) inTurn(ctx context.Context, bare, native measure.Path, bulk measure.Bulk) (both, error) {
	var got [2][]float64
	for round := range o.rounds {
		for i := range 2 {
			which := (i + round) % 2
			t, err := [2]measure.Path{bare, native}[which].Transfer(ctx, bulk)
			if err != nil {
				return both{}, err
			}
			got[which] = append(got[which], t.BitsPerSecond)
			fmt.Fprintf(o.out, "  %s %s Mbit/s\n", [2]string{"bare", "native"}[which], report.Number(t.BitsPerSecond/1e6))
		}
	}
	return both{got[0], got[1]}, nil
}

// pings echoes on both paths, round after round. As ping(8) tells whole microseconds, of which a bare wire
// takes few, a median would say little: a round is the mean of all but its slowest tenth.
func pings(ctx context.Context, bare, native measure.Path) (both, error) {
	const rounds, echoes = 60, 20
	var got [2][]float64
	for round := range rounds {
		for i := range 2 {
			which := (i + round) % 2
			times, err := [2]measure.Path{bare, native}[which].Echo(ctx, echoes, 2*time.Millisecond)
			if err != nil {
				return both{}, err
			}
			got[which] = append(got[which], trimmed(times))
		}
	}
	return both{got[0], got[1]}, nil
}

// trimmed is the mean of all but the slowest tenth, in seconds.
func trimmed(times []time.Duration) float64 {
	slices.Sort(times)
	times = times[:len(times)-len(times)/10]
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	return sum.Seconds() / float64(len(times))
}

// up sets a peer up and starts it.
func up(ctx context.Context, pair *underlay.Pair, peer peers.Peer) error {
	if err := peer.Setup(ctx, pair); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	for _, s := range pair.Sides() {
		if err := peer.Start(ctx, s); err != nil {
			return fmt.Errorf("start: %w", err)
		}
	}
	ends := peer.Ends()
	path := measure.Path{From: ends[0].Host, To: ends[1].Host, Addr: ends[1].Addr}
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	_, err := path.FirstEcho(wait, time.Now())
	return err
}
