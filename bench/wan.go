package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/report"
)

// wanInterval is the time between two echoes on a WAN.
const wanInterval = 20 * time.Millisecond

// wan measures on a WAN of limited rate: TCP with four streams, what ping says meanwhile,
// and both on the bare path.
func (r *repetition) wan(ctx context.Context) {
	mtu, err := mtuOf(r.peer.Ends()[0])
	if err != nil {
		r.fail(ctx, report.WANTCP, err)
		return
	}
	idle, err := r.tunnel.Echo(ctx, 50, wanInterval)
	if err != nil {
		r.fail(ctx, report.WANPing, err)
		return
	}
	var tunnel, bare loaded
	err = r.quietly(ctx, func() error {
		var berr error
		tunnel, err = r.loadWAN(ctx, r.tunnel)
		bare, berr = r.loadWAN(ctx, r.bare)
		return errors.Join(err, berr)
	})
	if err != nil {
		r.fail(ctx, report.WANTCP, err)
		return
	}
	slices.Sort(idle)
	r.note(report.WANPing, load.Summarize(idle).P50.Seconds()*1e3, 0)
	r.note(report.WANTCP, tunnel.rate/1e6, bare.rate/1e6)
	r.note(report.WANLoaded, tunnel.p99.Seconds()*1e3, bare.p99.Seconds()*1e3)
	r.note(report.WANShare, tunnel.share(mtu)/bare.share(bareMTU), 0)
}

const (
	bareMTU = 1500
	headers = 52 // bytes of IPv4 and TCP, with timestamps
)

// loaded is what a path did under load.
type loaded struct {
	rate  float64       // bits per second, of payload
	p99   time.Duration // of round trips meanwhile
	frame float64       // mean size, in bytes, of the frames that were sent
}

// share is what the path carried in relation to what its headers leave: the payload's
// rate, divided by the payload's share of a frame. That of full frames is known from the
// MTU; a mean frame that is smaller, for other packets between, makes the share smaller.
func (l loaded) share(mtu int) float64 {
	return l.rate * l.frame / float64(mtu-headers)
}

// loadWAN transfers, and pings meanwhile.
func (r *repetition) loadWAN(ctx context.Context, p measure.Path) (loaded, error) {
	slowStart := min(r.plan.wan/3, 3*time.Second)
	var got measure.TCP
	done := make(chan error, 1)
	cable := r.pair.A.Port("eth0")
	before, _ := cable.Stats()
	go func() {
		var err error
		got, err = p.Transfer(ctx, measure.Bulk{Length: r.plan.wan, Omit: slowStart, Streams: 4})
		done <- err
	}()
	select {
	case <-time.After(slowStart):
	case err := <-done:
		return loaded{}, errors.Join(errors.New("the transfer ended too early"), err)
	}
	// The last echo leaves before the transfer ends.
	times, err := p.Echo(ctx, int((r.plan.wan-time.Second)/wanInterval), wanInterval)
	if err = errors.Join(err, <-done); err != nil {
		return loaded{}, err
	}
	after, _ := cable.Stats()
	return loaded{
		rate: got.BitsPerSecond, p99: load.Summarize(times).P99,
		frame: float64(after.Bytes-before.Bytes) / float64(after.Frames-before.Frames),
	}, nil
}
