package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"time"

	"landbridge/bench/load"
	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

// repetition is one peer on one pair.
type repetition struct {
	*bench
	pair         *underlay.Pair
	peer         peers.Peer
	sample       report.Sample // what all samples share
	bare, tunnel measure.Path
	werr         error // of writing samples
}

// up sets the peer up and starts it.
func (r *repetition) up(ctx context.Context) (err error) {
	if r.sample.Version, err = r.peer.Version(ctx); err != nil {
		return err
	}
	if err := r.peer.Setup(ctx, r.pair); err != nil {
		return fmt.Errorf("set up: %w", err)
	}
	ends := r.peer.Ends()
	r.tunnel = measure.Path{From: ends[0].Host, To: ends[1].Host, Addr: ends[1].Addr}
	r.bare = measure.Path{From: r.pair.A.Host, To: r.pair.B.Host, Addr: r.pair.B.Addr}
	for _, h := range distinctHosts(r.tunnel.To, r.bare.To) {
		if err := measure.ServeTCP(ctx, h); err != nil {
			return err
		}
	}
	if quiet, err := measure.AwaitQuiet(ctx, r.plan.await); err != nil {
		return err
	} else if !quiet {
		r.say("    other programs use the machine: expect noise")
	}
	return r.start(ctx)
}

// measure measures what a pair on one cable is for.
func (r *repetition) measure(ctx context.Context) {
	r.idle(ctx)
	for _, g := range []struct {
		name    string
		measure func(context.Context)
	}{{groupPing, r.ping}, {groupTCP, r.tcp}, {groupUDP, r.udp}, {groupRR, r.requests}} {
		if r.wants(g.name) && ctx.Err() == nil {
			g.measure(ctx)
		}
	}
	r.memory(report.RSSLoad, report.RSSPeak)
}

func distinctHosts(a, b *netlab.Host) []*netlab.Host {
	if a == b {
		return []*netlab.Host{a}
	}
	return []*netlab.Host{a, b}
}

// start starts both sides at once and waits for the first echo.
func (r *repetition) start(ctx context.Context) error {
	wait, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	began := time.Now()
	started := make(chan error, 2)
	for _, s := range r.pair.Sides() {
		// With the repetition's context, which outlives this step.
		go func() { started <- r.peer.Start(ctx, s) }()
	}
	took, err := r.tunnel.FirstEcho(wait, began)
	if err = errors.Join(err, <-started, <-started); err != nil {
		return fmt.Errorf("start: %w", err)
	}
	r.note(report.Startup, took.Seconds()*1e3, 0)
	return nil
}

// idle lets paths settle, notes what an idle peer takes, and warms it up.
func (r *repetition) idle(ctx context.Context) {
	if _, err := r.tunnel.Echo(ctx, r.plan.settle, 50*time.Millisecond); err != nil {
		r.fail(ctx, report.PingP50, err)
	}
	r.memory(report.RSSIdle, "")
	if mtu, err := mtuOf(r.peer.Ends()[0]); err == nil {
		r.note(report.MTU, float64(mtu), 0)
	}
	if r.wants(groupTCP) || r.wants(groupPing) || r.modes {
		if _, err := r.tunnel.Transfer(ctx, measure.Bulk{Length: time.Second, Streams: 1}); err != nil {
			r.fail(ctx, report.TCP1, fmt.Errorf("warm-up: %w", err))
		}
	}
}

// mtuOf returns the MTU of the device that has an end's address.
func mtuOf(e peers.End) (mtu int, err error) {
	err = e.Host.Do(func() error {
		devices, err := net.Interfaces()
		if err != nil {
			return err
		}
		for _, d := range devices {
			addrs, err := d.Addrs()
			if err != nil {
				return err
			}
			for _, a := range addrs {
				if strings.HasPrefix(a.String(), e.Addr.String()+"/") {
					mtu = d.MTU
				}
			}
		}
		return nil
	})
	return mtu, err
}

// memory notes what the peer's programs take now, and have taken at most.
func (r *repetition) memory(now, peak string) {
	u, err := underlay.Used()
	if err != nil || u.Processes == 0 {
		return // the kernel's own tunnels have no program
	}
	r.note(now, float64(u.RSS)/1e6, 0)
	if peak != "" {
		r.note(peak, float64(u.Peak)/1e6, 0)
	}
}

func (r *repetition) ping(ctx context.Context) {
	var both []load.Latency
	err := r.quietly(ctx, func() (err error) {
		both, err = measure.Ping(ctx, r.plan.rounds, r.plan.echoes, r.tunnel, r.bare)
		return err
	})
	if err != nil {
		r.fail(ctx, report.PingP50, err)
		return
	}
	r.note(report.PingP50, micros(both[0].P50), micros(both[1].P50))
	r.note(report.PingP99, micros(both[0].P99), micros(both[1].P99))
}

func (r *repetition) tcp(ctx context.Context) {
	for _, t := range []struct {
		id   string
		bulk measure.Bulk
	}{
		{report.TCP1, measure.Bulk{Streams: 1}},
		{report.TCP1Back, measure.Bulk{Streams: 1, Reverse: true}},
		{report.TCP4, measure.Bulk{Streams: 4}},
	} {
		var got measure.TCP
		var before, after underlay.Usage
		err := r.quietly(ctx, func() (err error) {
			t.bulk.Length = r.plan.bulk
			before, _ = underlay.Used()
			got, err = r.tunnel.Transfer(ctx, t.bulk)
			after, _ = underlay.Used()
			return err
		})
		if err != nil {
			r.fail(ctx, t.id, err)
			continue
		}
		t.bulk.Length = r.plan.bareBulk
		bare, err := r.bare.Transfer(ctx, t.bulk)
		if err != nil && ctx.Err() == nil {
			r.say("    underlay: %v", err)
		}
		r.note(t.id, got.BitsPerSecond/1e6, bare.BitsPerSecond/1e6)
		if t.id == report.TCP1 {
			if after.Processes > 0 {
				r.note(report.CPU, (after.CPU-before.CPU).Seconds()/(got.Bytes/1e9), 0)
			}
			r.note(report.HostCPU, cpu(got), cpu(bare))
		}
	}
}

// cpu is what the programs that sent and received took, in seconds a gigabyte.
func cpu(t measure.TCP) float64 {
	if t.Bytes == 0 {
		return 0
	}
	return t.CPU.Seconds() / (t.Bytes / 1e9)
}

func (r *repetition) udp(ctx context.Context) {
	for _, u := range []struct {
		ok, most string
		size     int
		unit     float64 // datagrams a second in one of the measure's units
	}{
		{report.UDP64, report.UDP64Max, 64, 1},
		{report.UDP1200, report.UDP1200Max, 1200, 1e6 / 8 / 1200},
	} {
		var got load.Rates
		err := r.quietly(ctx, func() (err error) {
			got, err = r.tools.Datagrams(ctx, r.tunnel, sized(r.plan.udp, u.size))
			return err
		})
		if err != nil {
			r.fail(ctx, u.ok, err)
			continue
		}
		bare, err := r.tools.Datagrams(ctx, r.bare, sized(r.plan.bareUDP, u.size))
		if err != nil && ctx.Err() == nil {
			r.say("    underlay: %v", err)
		}
		r.note(u.ok, got.OK.Received/u.unit, bare.OK.Received/u.unit)
		r.note(u.most, got.Max/u.unit, bare.Max/u.unit)
	}
}

func (r *repetition) requests(ctx context.Context) {
	for _, q := range []struct {
		rate, p99 string
		connects  bool
	}{{report.RR, report.RRP99, false}, {report.CRR, report.CRRP99, true}} {
		var got load.Latency
		err := r.quietly(ctx, func() (err error) {
			got, err = r.tools.Requests(ctx, r.tunnel, r.plan.requests, q.connects)
			return err
		})
		if err != nil {
			r.fail(ctx, q.rate, err)
			continue
		}
		bare, err := r.tools.Requests(ctx, r.bare, r.plan.bareRequests, q.connects)
		if err != nil && ctx.Err() == nil {
			r.say("    underlay: %v", err)
		}
		r.note(q.rate, perSecond(got), perSecond(bare))
		r.note(q.p99, micros(got.P99), micros(bare.P99))
	}
}

// perSecond is how many round trips, one after the other, fit into a second.
func perSecond(l load.Latency) float64 {
	if l.Mean == 0 {
		return 0
	}
	return float64(time.Second) / float64(l.Mean)
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// quietly measures; where others used the machine meanwhile and don't any more, once
// again.
func (r *repetition) quietly(ctx context.Context, fn func() error) error {
	for again := true; ; again = false {
		cores, err := measure.Noise(fn)
		r.sample.Foreign = cores
		if err != nil || cores < measure.Quiet || !again || r.plan.awaitAgain == 0 {
			return err
		}
		if quiet, qerr := measure.AwaitQuiet(ctx, r.plan.awaitAgain); qerr != nil || !quiet {
			return err
		}
		r.say("    other programs used %.1f cores; quiet now: once more", cores)
	}
}

// note writes a sample and shows it.
func (r *repetition) note(id string, value, bare float64) {
	s := r.sample
	s.At, s.Measure, s.Value, s.Bare = time.Now().UTC(), id, value, bare
	m, _ := report.Describe(id)
	text := fmt.Sprintf("    %-26s %10s %s", m.Title, report.Number(value), m.Unit)
	if bare != 0 {
		text += fmt.Sprintf("   (bare: %s)", report.Number(bare))
	}
	r.say("%s", text)
	r.werr = errors.Join(r.werr, r.samples.Write(s))
}

// fail writes why there is no sample. That the run was interrupted is no reason.
func (r *repetition) fail(ctx context.Context, id string, err error) {
	if errors.Is(ctx.Err(), context.Canceled) {
		return
	}
	s := r.sample
	s.At, s.Measure, s.Error = time.Now().UTC(), id, err.Error()
	m, _ := report.Describe(id)
	r.say("    %-26s failed: %v", m.Title, err)
	r.werr = errors.Join(r.werr, r.samples.Write(s))
}
