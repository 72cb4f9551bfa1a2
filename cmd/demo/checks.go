package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

const copySize = 100 << 20 // bytes

type noteFunc = func(format string, args ...any)

// verify proves what the demo claims.
func (d *demo) verify(ctx context.Context) {
	d.view.title("Does it hold?")
	a1, a2, b1 := d.hosts[0], d.hosts[1], d.hosts[2]
	d.view.check("every host is leased by its own appliance", func(note noteFunc) error { return d.leasedAtHome(ctx, note) })
	d.view.check("idle memory of each appliance, at most 38 MB", func(note noteFunc) error { return d.memory(ctx, note) })
	d.view.check("every pair pings by address", func(note noteFunc) error {
		return d.pingAll(ctx, note, func(to *host) string { return to.addr.String() })
	})
	d.view.check("every pair pings by name", func(note noteFunc) error {
		return d.pingAll(ctx, note, func(to *host) string { return to.Name })
	})
	d.view.check("A and B talk directly, NAT to NAT", func(note noteFunc) error { return d.direct(ctx, note) })
	d.view.check("100 MB from a1 to b1 by TCP, same SHA-256", func(note noteFunc) error { return d.copyFile(ctx, a1, b1, nil, note) })
	d.view.check("neighbours: remote at the gateway MAC, local at their own", func(note noteFunc) error { return d.neighbours(ctx, note) })
	d.view.check("a1 to a2 passes by the appliance (its counters stay)", func(note noteFunc) error { return d.bypass(ctx, a1, a2, note) })
	d.view.check("kill -9 of A and a restart: leases as they were", func(note noteFunc) error {
		return d.survivesKill(ctx, note)
	})
	d.view.check("kill -9 of A and a restart: a running copy goes on", func(note noteFunc) error {
		return d.copyFile(ctx, b1, a1, func() error { return d.survivesKill(ctx, func(string, ...any) {}) }, note)
	})
}

func (d *demo) leasedAtHome(ctx context.Context, note noteFunc) error {
	for _, h := range d.hosts {
		var leases api.LeaseList
		if err := h.box.landbridgeJSON(ctx, &leases, "leases"); err != nil {
			return err
		}
		found := false
		for _, l := range leases.Items {
			found = found || l.Address == h.addr && l.Name == h.Name
		}
		if !found {
			return fmt.Errorf("%s has %v, which appliance %s doesn't list: %v", h.Name, h.addr, h.box.Name, leases.Items)
		}
	}
	note("%d hosts, %d appliances", len(d.hosts), len(d.boxes))
	return nil
}

// pingAll pings from every host to every other, all sources at once.
func (d *demo) pingAll(ctx context.Context, note noteFunc, name func(to *host) string) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	errs := make([]error, len(d.hosts))
	var wg sync.WaitGroup
	for i, from := range d.hosts {
		wg.Go(func() {
			for _, to := range d.hosts {
				if to != from {
					_, err := from.Run(ctx, "ping", "-c", "1", "-W", "4", name(to))
					errs[i] = errors.Join(errs[i], err)
				}
			}
		})
	}
	wg.Wait()
	note("%d pairs", len(d.hosts)*(len(d.hosts)-1))
	return errors.Join(errs...)
}

// direct waits until A reaches B without a relay, as the first packets may not.
func (d *demo) direct(ctx context.Context, note noteFunc) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return netlab.WaitFor(ctx, "a direct path from A to B", func() (bool, error) {
		var peers api.PeerList
		if err := d.a.landbridgeJSON(ctx, &peers, "peers"); err != nil {
			return false, err
		}
		for _, p := range peers.Items {
			if p.Name == d.b.Name {
				note("%s at %v, round trip %v", p.Path, p.Address, time.Duration(p.RttMicroseconds)*time.Microsecond)
				return p.Path == api.PathKindDirect, fmt.Errorf("the path is %s: %s", p.Path, p.Why)
			}
		}
		return false, errors.New("it isn't among the peers")
	})
}

// copyFile sends copySize random bytes by netcat and compares the hashes. Meanwhile,
// once part of it has arrived, it does what meanwhile says.
func (d *demo) copyFile(ctx context.Context, from, to *host, meanwhile func() error, note noteFunc) error {
	ctx, cancel := context.WithTimeout(ctx, 6*patience)
	defer cancel()
	sent, got := from.Dir()+"/sent", to.Dir()+"/got"
	sum, err := from.Run(ctx, "sh", "-c", fmt.Sprintf("head -c %d /dev/urandom > %s && sha256sum < %s", copySize, sent, sent))
	if err != nil {
		return err
	}
	receiver := to.Command(ctx, "sh", "-c", fmt.Sprintf("exec nc -l -N 7000 > %s", got))
	if err := receiver.Start(); err != nil {
		return err
	}
	defer func() { _, _ = to.Run(context.WithoutCancel(ctx), "rm", "-f", got) }()
	defer func() { _, _ = from.Run(context.WithoutCancel(ctx), "rm", "-f", sent) }()
	if err := d.listening(ctx, to, 7000); err != nil {
		return err
	}
	began := time.Now()
	sender := from.Command(ctx, "sh", "-c", fmt.Sprintf("exec nc -N %v 7000 < %s", to.addr, sent))
	if err := sender.Start(); err != nil {
		return err
	}
	if meanwhile != nil {
		if err := d.arrived(ctx, to, got, copySize/5); err != nil {
			return err
		}
		if err := meanwhile(); err != nil {
			return err
		}
	}
	if err := errors.Join(sender.Wait(), receiver.Wait()); err != nil {
		return err
	}
	took := time.Since(began)
	arrived, err := to.Run(ctx, "sh", "-c", "sha256sum < "+got)
	if err != nil {
		return err
	}
	if arrived != sum {
		return fmt.Errorf("sent %s, arrived %s", strings.TrimSpace(sum), strings.TrimSpace(arrived))
	}
	note("%.8s…, %.0f Mbit/s", sum, float64(copySize)*8/1e6/took.Seconds())
	return nil
}

// listening waits until a TCP port of the host is open, without connecting to it.
func (d *demo) listening(ctx context.Context, h *host, port int) error {
	return netlab.WaitFor(ctx, fmt.Sprintf("port %d on %s", port, h.Name), func() (bool, error) {
		out, err := h.Run(ctx, "cat", "/proc/net/tcp", "/proc/net/tcp6")
		return strings.Contains(out, fmt.Sprintf(":%04X 0", port)) && strings.Contains(out, " 0A "), err
	})
}

// arrived waits until the file has at least size bytes, and fails if it is whole.
func (d *demo) arrived(ctx context.Context, h *host, file string, size int64) error {
	return netlab.WaitFor(ctx, "the first part of the copy", func() (bool, error) {
		out, err := h.Run(ctx, "stat", "-c", "%s", file)
		if err != nil {
			return false, err
		}
		var have int64
		if _, err := fmt.Sscan(out, &have); err != nil {
			return false, err
		}
		if have == copySize {
			return false, errors.New("the copy was over before it could be disturbed")
		}
		return have >= size, nil
	})
}

// neighbours compares every host's ARP table with who is where.
func (d *demo) neighbours(ctx context.Context, note noteFunc) error {
	local, remote := 0, 0
	for _, h := range d.hosts {
		var status api.Status
		if err := h.box.landbridgeJSON(ctx, &status, "status"); err != nil {
			return err
		}
		gateway, err := net.ParseMAC(status.Attachment.GatewayMAC)
		if err != nil {
			return err
		}
		seen, err := h.Neighbours(h.device)
		if err != nil {
			return err
		}
		for _, other := range d.hosts {
			mac, ok := seen[other.addr]
			if other == h || !ok {
				continue
			}
			want := gateway
			if other.box == h.box {
				if want, err = other.MAC(other.device); err != nil {
					return err
				}
				local++
			} else {
				remote++
			}
			if mac.String() != want.String() {
				return fmt.Errorf("%s has %s (%v) at %v, want %v", h.Name, other.Name, other.addr, mac, want)
			}
		}
	}
	if local < 4 || remote < 20 {
		return fmt.Errorf("only %d local and %d remote neighbours are known: the pings before must have left them", local, remote)
	}
	note("%d local, %d remote", local, remote)
	return nil
}

// bypass has two hosts of one LAN talk and compares the appliance's counters of
// packets forwarded and of datagrams that carry them.
func (d *demo) bypass(ctx context.Context, a, b *host, note noteFunc) error {
	before, err := d.forwarded(ctx, a.box)
	if err != nil {
		return err
	}
	if _, err := a.Run(ctx, "ping", "-c", "50", "-i", "0.01", "-q", b.addr.String()); err != nil {
		return err
	}
	if err := d.copyFile(ctx, a, b, nil, note); err != nil {
		return err
	}
	after, err := d.forwarded(ctx, a.box)
	if err != nil {
		return err
	}
	if !reflect.DeepEqual(before, after) {
		return fmt.Errorf("the appliance forwarded: before %v, after %v", before, after)
	}
	return nil
}

// forwarded returns the counters that a frame between remote hosts would move.
func (d *demo) forwarded(ctx context.Context, b *box) (map[string]uint64, error) {
	var list api.CounterList
	if err := b.landbridgeJSON(ctx, &list, "counters"); err != nil {
		return nil, err
	}
	counts := make(map[string]uint64)
	for _, c := range list.Items {
		if c.Component == "router" && slices.Contains([]string{"out_packets", "in_packets", "out_hairpin"}, c.Name) {
			counts[c.Name] = c.Value
		}
	}
	if len(counts) == 0 {
		return nil, errors.New("the appliance counts nothing forwarded")
	}
	return counts, nil
}

// survivesKill kills appliance A, starts it again, and compares its leases.
func (d *demo) survivesKill(ctx context.Context, note noteFunc) error {
	before, err := d.leases(ctx, d.a)
	if err != nil {
		return err
	}
	if err := d.a.kill(); err != nil {
		return err
	}
	began := time.Now()
	if err := d.a.run(ctx); err != nil {
		return err
	}
	took := time.Since(began)
	after, err := d.leases(ctx, d.a)
	if err != nil {
		return err
	}
	for addr, name := range before {
		if after[addr] != name {
			return fmt.Errorf("%s had %v; after the restart the appliance says %v", name, addr, after)
		}
	}
	note("%d leases, back after %v", len(after), took.Round(10*time.Millisecond))
	return nil
}

func (d *demo) leases(ctx context.Context, b *box) (map[netip.Addr]string, error) {
	var list api.LeaseList
	if err := b.landbridgeJSON(ctx, &list, "leases"); err != nil {
		return nil, err
	}
	leases := make(map[netip.Addr]string)
	for _, l := range list.Items {
		leases[l.Address] = l.Name
	}
	return leases, nil
}

// memory reports the resident set of each appliance once it has come to rest: what the checks before
// have left over goes back to the machine in some seconds.
func (d *demo) memory(ctx context.Context, note noteFunc) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		all, err := d.residents(ctx)
		note("%s", strings.Join(all, ", "))
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Second):
		}
	}
}

// residents returns the resident set of each appliance in words; an error names those that have
// too much.
func (d *demo) residents(ctx context.Context) (all []string, err error) {
	const most = 38e6
	var errs []error
	for _, b := range d.boxes {
		var status api.Status
		if err := b.landbridgeJSON(ctx, &status, "status"); err != nil {
			return all, err
		}
		mb := float64(status.Memory.ResidentBytes) / 1e6
		all = append(all, fmt.Sprintf("%s %.1f MB", strings.ToUpper(b.Name), mb))
		if status.Memory.ResidentBytes > most {
			errs = append(errs, fmt.Errorf("%s has %.1f MB", strings.ToUpper(b.Name), mb))
		}
	}
	return all, errors.Join(errs...)
}
