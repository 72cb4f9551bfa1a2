package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/bench/measure"
	"landbridge/bench/peers"
	"landbridge/bench/report"
	"landbridge/bench/underlay"
)

// The groups of measures of "bench addresses".
const (
	groupDHCP = "dhcp" // beside Kea and dnsmasq
	groupDNS  = "dns"  // beside CoreDNS and dnsmasq
)

const (
	leasingClients = 400  // that ask for leases, in turn: as many new ones as an appliance admits at once
	warmRate       = 200  // of their first leases, exchanges a second
	latencyRate    = 1000 // at which the time that a lease takes is measured
	mostRate       = 64000
	mostLost       = 0.01 // share of messages, at a rate that counts
	manyNames      = 200
	firstNamed     = 10 // of 10.79.4.0/24
)

// parseAddresses reads the command line of "bench addresses".
func parseAddresses(args []string) (options, error) {
	o := options{addresses: true}
	f := flag.NewFlagSet("bench-addresses", flag.ContinueOnError)
	names := f.String("peers", "", "those whose names begin with one of these comma-separated `words`; all by default")
	measures := f.String("measures", groupDHCP+","+groupDNS, "comma-separated: dhcp (beside Kea and dnsmasq), dns (beside CoreDNS and dnsmasq)")
	f.BoolVar(&o.quick, "quick", false, "short measurements, once unless -reps says otherwise")
	f.StringVar(&o.programs.Cache, "cache", ".cache/bench", "`directory` of the peers' programs (scripts/bench-peers)")
	if _, err := o.parse(f, "addresses.md", args); err != nil {
		return o, err
	}
	o.servers = split(*names)
	return o, errors.Join(o.choose(*measures, []string{groupDHCP, groupDNS}, ""), o.absolute())
}

// asked reports whether a kind of server is to be measured.
func (o options) asked(k peers.ServerKind) bool {
	return len(o.servers) == 0 || slices.ContainsFunc(o.servers, func(word string) bool { return strings.HasPrefix(k.Name, word) })
}

// addresses measures every server, in turn.
func (b *bench) addresses(ctx context.Context) error {
	r := &repetition{bench: b, sample: report.Sample{Peer: report.Disk, Profile: report.DHCP, Repetition: 1}}
	rate, err := syncsPerSecond(b.out)
	if err != nil {
		return err
	}
	r.note(report.Syncs, rate, 0)
	for rep := range b.reps {
		for _, g := range []struct {
			name, profile string
			kinds         []peers.ServerKind
			measure       func(*repetition, context.Context, *peers.Segment, peers.Server) error
		}{
			{groupDHCP, report.DHCP, peers.DHCPServers(), (*repetition).leases},
			{groupDNS, report.DNS, peers.DNSServers(), (*repetition).names},
		} {
			if !b.wants(g.name) {
				continue
			}
			for _, k := range g.kinds {
				if !b.asked(k) {
					continue
				}
				b.say("%s, %s, repetition %d", g.name, k.Name, rep+1)
				r := &repetition{bench: b, sample: report.Sample{Peer: k.Name, Profile: g.profile, Repetition: rep + 1}}
				if err := r.serve(ctx, k.New(b.programs), g.measure); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// serve measures a server on a segment of its own.
func (r *repetition) serve(ctx context.Context, server peers.Server, do func(*repetition, context.Context, *peers.Segment, peers.Server) error) error {
	disk, err := os.MkdirTemp(r.out, "disk")
	if err != nil {
		return err
	}
	defer os.RemoveAll(disk)
	if disk, err = filepath.Abs(disk); err != nil {
		return err
	}
	step, cancel := context.WithTimeout(ctx, r.plan.limit)
	defer cancel()
	var names []peers.Name
	if r.sample.Profile == report.DNS {
		names = someNames()
	}
	s, err := peers.OpenSegment(step, disk, names)
	if err != nil {
		return err
	}
	defer s.Pair.Close()
	r.pair = s.Pair
	if r.sample.Version, err = server.Version(step); err == nil {
		err = do(r, step, s, server)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		r.fail(step, report.Leases, err)
		r.say("    %s", s.Pair.A.Log())
	}
	return r.werr
}

// leases measures DHCP.
func (r *repetition) leases(ctx context.Context, s *peers.Segment, server peers.Server) error {
	if _, err := server.Start(ctx, s); err != nil {
		return err
	}
	clients, err := measure.NewClients(ctx, s.LAN)
	if err != nil {
		return err
	}
	const warm = 3 * time.Second // a turn and a half
	if _, err := clients.Lease(ctx, leasingClients, warmRate, warm); err != nil {
		return err
	}
	if err := calm(ctx); err != nil {
		return err
	}
	return r.quietly(ctx, func() error {
		got, err := clients.Lease(ctx, leasingClients, latencyRate, r.plan.lease)
		if err != nil {
			return err
		}
		r.note(report.LeaseP50, micros(got.Latency().P50)/1e3, 0)
		r.note(report.LeaseP99, micros(got.Latency().P99)/1e3, 0)
		best, err := r.mostLeases(ctx, clients)
		if err == nil {
			r.note(report.Leases, best.rate, 0)
			r.note(report.LeaseCPU, best.cpu, 0)
		}
		return err
	})
}

// trial is a rate that a server keeps up with.
type trial struct {
	rate float64 // leases a second
	cpu  float64 // µs of the server's program a lease
}

// mostLeases searches for the highest rate at which nearly nothing is lost.
func (r *repetition) mostLeases(ctx context.Context, clients *measure.Clients) (best trial, err error) {
	try := func(rate int) bool {
		if err != nil {
			return false
		}
		var before, after underlay.Usage
		var got measure.Exchanges
		before, _ = underlay.Used(r.pair.A)
		got, err = clients.Lease(ctx, leasingClients, rate, r.plan.lease)
		after, _ = underlay.Used(r.pair.A)
		if err != nil || got.Lost > mostLost {
			return false
		}
		if leased := float64(got.Acked) / r.plan.lease.Seconds(); leased > best.rate {
			best = trial{leased, micros(after.CPU-before.CPU) / float64(got.Acked)}
		}
		return true
	}
	rate := latencyRate / 2
	for rate < mostRate && try(2*rate) {
		rate *= 2
	}
	const steps = 16 // between a rate and its double
	sort.Search(steps-1, func(i int) bool { return !try(int(float64(rate) * math.Pow(2, float64(i+1)/steps))) })
	if err == nil && best.rate == 0 {
		err = fmt.Errorf("more than %.0f %% was lost at every rate, from %d a second on: %w", 100*mostLost, rate, measure.ErrNothing)
	}
	return best, err
}

// names measures DNS.
func (r *repetition) names(ctx context.Context, s *peers.Segment, server peers.Server) error {
	addr, err := server.Start(ctx, s)
	if err != nil {
		return err
	}
	if _, ok := server.(interface{ Appliance() }); ok { // its names are those of leases
		clients, err := measure.NewClients(ctx, s.LAN)
		if err != nil {
			return err
		}
		if _, err := clients.Lease(ctx, manyNames, manyNames, 2*time.Second); err != nil {
			return err
		}
	}
	if err := calm(ctx); err != nil {
		return err
	}
	var asked []string
	for _, n := range s.Names {
		asked = append(asked, n.Label+"."+peers.Zone)
	}
	return r.quietly(ctx, func() error {
		before, _ := underlay.Used(r.pair.A)
		got, err := measure.Query(ctx, s.Asker, addr, asked, r.plan.query)
		after, _ := underlay.Used(r.pair.A)
		switch {
		case err != nil:
			return err
		case got.Wrong > 0.001:
			return fmt.Errorf("%.1f %% of the names weren't known", 100*got.Wrong)
		}
		r.note(report.QueriesCPU, float64(got.Completed)/(after.CPU-before.CPU).Seconds(), 0)
		r.note(report.Queries, got.PerSecond, 0)
		r.note(report.QueriesLost, float64(got.Lost), 0)
		return nil
	})
}

// someNames returns hosts as perfdhcp's clients are numbered.
func someNames() (all []peers.Name) {
	for i := range manyNames {
		mac := measure.FirstMAC + uint64(i)
		all = append(all, peers.Name{
			Label: fmt.Sprintf("host-%03d", i), Addr: peers.HostAddr(firstNamed + i),
			MAC: fmt.Sprintf("%02x:%02x:%02x:%02x:%02x:%02x", byte(mac>>40), byte(mac>>32), byte(mac>>24), byte(mac>>16), byte(mac>>8), byte(mac)),
		})
	}
	return all
}

// syncsPerSecond measures how often a page can be written and waited for, one after the other.
func syncsPerSecond(dir string) (float64, error) {
	f, err := os.CreateTemp(dir, "sync")
	if err != nil {
		return 0, err
	}
	defer os.Remove(f.Name())
	defer f.Close()
	page := make([]byte, 4096)
	n, began := 0, time.Now()
	for ; time.Since(began) < time.Second; n++ {
		if _, err := f.WriteAt(page, int64(n%256)*int64(len(page))); err != nil {
			return 0, err
		}
		if err := unix.Fdatasync(int(f.Fd())); err != nil {
			return 0, err
		}
	}
	return float64(n) / time.Since(began).Seconds(), nil
}
