package main

import (
	"context"
	"fmt"
	"time"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// point is what a rate of TCP takes.
type point struct {
	offered, got float64 // bits per second
	cores        float64 // of both sides' appliances together
}

// rates returns what is offered, in bits per second; 0 is as fast as it goes.
func rates() []int64 { return []int64{100e6, 500e6, 1000e6, 2000e6, 4000e6, 0} }

// cpus measures interface mode and router mode.
func (o options) cpus(ctx context.Context, r *results) error {
	kinds, err := peers.Choose([]string{peers.Landbridge, peers.Router})
	if err != nil {
		return err
	}
	for _, k := range kinds {
		fmt.Fprintln(o.out, "CPU:", k.Name)
		points, err := o.cpu(ctx, k.New(o.programs))
		if err != nil {
			return fmt.Errorf("%s: %w", k.Name, err)
		}
		r.cpu = append(r.cpu, points)
	}
	return nil
}

// cpu measures what the appliances of two sites use at several rates.
func (o options) cpu(ctx context.Context, peer peers.Peer) (points []point, err error) {
	pair, err := underlay.Open(ctx, underlay.NIC)
	if err != nil {
		return nil, err
	}
	defer pair.Close()
	if err := up(ctx, pair, peer); err != nil {
		return nil, err
	}
	ends := peer.Ends()
	path := measure.Path{From: ends[0].Host, To: ends[1].Host, Addr: ends[1].Addr}
	if err := measure.ServeTCP(ctx, path.To); err != nil {
		return nil, err
	}
	if _, err := path.Transfer(ctx, measure.Bulk{Length: 2 * time.Second, Streams: 1}); err != nil {
		return nil, err
	}
	for _, rate := range rates() {
		before, err := underlay.Used()
		if err != nil {
			return nil, err
		}
		began := time.Now()
		got, err := path.Transfer(ctx, measure.Bulk{Length: o.length, Streams: 1, Rate: rate})
		took := time.Since(began)
		after, uerr := underlay.Used()
		if err != nil || uerr != nil {
			return nil, fmt.Errorf("at %d Mbit/s: %w (%w)", rate/1e6, err, uerr)
		}
		p := point{offered: float64(rate), got: got.BitsPerSecond, cores: float64(after.CPU-before.CPU) / float64(took)}
		fmt.Fprintf(o.out, "  %s Mbit/s: %.2f cores\n", report.Number(p.got/1e6), p.cores)
		points = append(points, p)
	}
	return points, nil
}
