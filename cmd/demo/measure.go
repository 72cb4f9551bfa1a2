package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"

	"landbridge/internal/netlab"
)

// measure adds times and round trips to the table. A figure over its
// target is a failed check.
func (d *demo) measure(ctx context.Context) {
	d.view.title("How fast is it?")
	a1 := d.hosts[0]
	d.view.check("new client, DISCOVER to ACK with the address probe: p50 under 1 s", func(note noteFunc) error {
		return d.newClients(ctx, a1, note)
	})
	d.view.check("known client, DISCOVER to ACK without a probe: p50 under 10 ms", func(note noteFunc) error {
		return d.knownClient(ctx, a1, note)
	})
	d.view.check("renewal: p50 under 5 ms", func(note noteFunc) error { return d.renewals(ctx, a1, note) })
	d.view.check("the three again, with A cut off from all members", func(note noteFunc) error {
		return d.cutOff(func() error {
			var notes []string
			collect := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
			err := errors.Join(d.newClients(ctx, a1, collect), d.knownClient(ctx, a1, collect), d.renewals(ctx, a1, collect))
			note("%s", strings.Join(notes, "; "))
			return err
		})
	})
	d.view.check("daemon start to the first reply from a remote host: under 3 s", func(note noteFunc) error {
		return d.startToReply(ctx, a1, note)
	})
	d.view.check("ping over the tunnel adds under 0.15 ms at p50", func(note noteFunc) error { return d.pingOverhead(ctx, note) })
	d.view.check("ARP for a remote host is answered: p99 under 1 ms", func(note noteFunc) error { return d.arpKnown(ctx, a1, note) })
	d.view.check("ARP sweep of the prefix at 10,000 a second: silence, and no address looked up twice", func(note noteFunc) error {
		return d.arpSweep(ctx, a1, note)
	})
}

// newClients leases addresses to clients that nobody has seen before.
func (d *demo) newClients(ctx context.Context, h *host, note noteFunc) error {
	return d.timeDHCP(ctx, h, 10, time.Second, "new client", note, func(ctx context.Context, c *nclient4.Client) error {
		return dora(ctx, c, newClientID())
	})
}

func (d *demo) knownClient(ctx context.Context, h *host, note noteFunc) error {
	id, first := newClientID(), true
	return d.timeDHCP(ctx, h, 31, 10*time.Millisecond, "known client", note, func(ctx context.Context, c *nclient4.Client) error {
		if first {
			first = false
			if err := dora(ctx, c, id); err != nil {
				return err
			}
		}
		return dora(ctx, c, id)
	})
}

func (d *demo) renewals(ctx context.Context, h *host, note noteFunc) error {
	id := newClientID()
	var lease *nclient4.Lease
	return d.timeDHCP(ctx, h, 51, 5*time.Millisecond, "renewal", note, func(ctx context.Context, c *nclient4.Client) (err error) {
		if lease == nil {
			lease, err = c.Request(ctx, dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)))
			return err
		}
		_, err = c.Renew(ctx, lease, dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)))
		return err
	})
}

// timeDHCP runs exchange count times from the host's own wire and compares the median
// with the target.
func (d *demo) timeDHCP(ctx context.Context, h *host, count int, target time.Duration, what string, note noteFunc,
	exchange func(context.Context, *nclient4.Client) error,
) error {
	var client *nclient4.Client
	if err := h.Do(func() (err error) {
		client, err = nclient4.New(h.device, nclient4.WithTimeout(5*time.Second), nclient4.WithRetry(1))
		return err
	}); err != nil {
		return err
	}
	defer client.Close()
	var times []time.Duration
	for range count {
		began := time.Now()
		if err := exchange(ctx, client); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		times = append(times, time.Since(began))
	}
	return judge(what, times, target, note)
}

// judge compares a median with its target.
func judge(what string, times []time.Duration, target time.Duration, note noteFunc) error {
	slices.Sort(times)
	p50, p95 := times[len(times)/2], times[len(times)*95/100]
	text := fmt.Sprintf("%s p50 %v, p95 %v of %d", what, p50.Round(10*time.Microsecond), p95.Round(10*time.Microsecond), len(times))
	note("%s", text)
	if p50 > target {
		return fmt.Errorf("%s: the target is %v", text, target)
	}
	return nil
}

func dora(ctx context.Context, c *nclient4.Client, id []byte) error {
	_, err := c.Request(ctx, dhcpv4.WithOption(dhcpv4.OptClientIdentifier(id)))
	return err
}

func newClientID() []byte {
	id := make([]byte, 12)
	_, _ = rand.Read(id) // never fails
	return append([]byte{0}, id...)
}

// cutOff unplugs A's uplink while work runs, and waits for the members afterwards.
func (d *demo) cutOff(work func() error) error {
	uplink := d.a.Port("eth0")
	if err := uplink.SetCarrier(false); err != nil {
		return err
	}
	err := work()
	return errors.Join(err, uplink.SetCarrier(true), uplink.Restore())
}

// startToReply kills A, starts it again and counts the time until a host behind it
// hears from a remote one.
func (d *demo) startToReply(ctx context.Context, h *host, note noteFunc) error {
	ctx, cancel := context.WithTimeout(ctx, 2*patience)
	defer cancel()
	remote := d.hosts[len(d.hosts)-1]
	if err := netlab.WaitFor(ctx, "the remote host, before the restart", func() (bool, error) {
		_, err := h.Run(ctx, "ping", "-c", "1", "-W", "1", remote.addr.String())
		return err == nil, err
	}); err != nil {
		return err
	}
	var times []time.Duration
	for range 5 {
		if err := d.a.kill(); err != nil {
			return err
		}
		began := time.Now()
		if err := d.a.start(ctx); err != nil {
			return err
		}
		if err := netlab.WaitFor(ctx, "the remote host's reply", func() (bool, error) {
			_, err := h.Run(ctx, "ping", "-c", "1", "-W", "0.1", remote.addr.String())
			return err == nil, err
		}); err != nil {
			return err
		}
		times = append(times, time.Since(began))
	}
	return judge("start to reply", times, 3*time.Second, note)
}

// pingOverhead compares round trips over the tunnel with those over the bare path,
// in turn, between two members on plain cables.
func (d *demo) pingOverhead(ctx context.Context, note noteFunc) error {
	if d.e == nil {
		d.e = d.box(d.wan.Host("e"), "public member")
		if err := d.lab.Err(); err != nil {
			return err
		}
		if err := d.join(ctx, d.e, func(string, ...any) {}); err != nil {
			return err
		}
	}
	remote := d.hosts[len(d.hosts)-1]
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	if err := netlab.WaitFor(ctx, "E to reach D by a direct path", func() (bool, error) {
		out, err := d.e.landbridge(ctx, "peers")
		if err != nil {
			return false, err
		}
		_, err = d.e.Run(ctx, "ping", "-c", "1", "-W", "1", remote.addr.String())
		return err == nil && (strings.Contains(out, "lan") || strings.Contains(out, "direct")), err
	}); err != nil {
		return err
	}
	var bare, tunnel []time.Duration
	for range 5 {
		for _, path := range []struct {
			addr  string
			times *[]time.Duration
		}{{d.d.Port("eth0").Addr().String(), &bare}, {remote.addr.String(), &tunnel}} {
			rtt, err := d.ping(ctx, d.e, path.addr, 50)
			if err != nil {
				return err
			}
			*path.times = append(*path.times, rtt...)
		}
	}
	slices.Sort(bare)
	slices.Sort(tunnel)
	under, over := bare[len(bare)/2], tunnel[len(tunnel)/2]
	note("bare p50 %v, tunnel p50 %v (p99 %v): %v more", under, over, tunnel[len(tunnel)*99/100], over-under)
	if over-under > 150*time.Microsecond {
		return fmt.Errorf("the tunnel adds %v (bare %v, tunnel %v)", over-under, under, over)
	}
	return nil
}

// ping returns the round trips of count echoes, 5 ms apart.
func (d *demo) ping(ctx context.Context, from *box, addr string, count int) ([]time.Duration, error) {
	if net.ParseIP(addr) == nil {
		return nil, fmt.Errorf("no address to ping: %q", addr)
	}
	out, err := from.Run(ctx, "ping", "-c", fmt.Sprint(count), "-i", "0.005", addr)
	if err != nil {
		return nil, err
	}
	var times []time.Duration
	for _, m := range regexp.MustCompile(`time=([0-9.]+) ms`).FindAllStringSubmatch(out, -1) {
		t, err := time.ParseDuration(m[1] + "ms")
		if err != nil {
			return nil, err
		}
		times = append(times, t)
	}
	if len(times) < count*9/10 {
		return nil, fmt.Errorf("only %d of %d echoes came back from %s", len(times), count, addr)
	}
	return times, nil
}
