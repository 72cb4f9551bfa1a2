package underlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"time"

	"landbridge/internal/netlab"
)

const bits = 24 // of the network 192.0.2.0/24 (RFC 5737)

// MTU is that of the pair's Ethernet, in bytes.
const MTU = 1500

// Pair is the network of one repetition. Everything in it goes when it is closed.
type Pair struct {
	Lab  *netlab.Lab
	LAN  *netlab.LAN
	A, B *Side
	W    *Side // infrastructure: what runs here isn't accounted

	profile Profile
}

// Open makes a pair on one cable, which the caller must Close.
func Open(ctx context.Context, profile Profile) (*Pair, error) {
	return open(ctx, netlab.Link{}, profile)
}

// OpenWAN makes a pair with a WAN between its sides, of a rate in bits per second of
// whole frames and a round trip, which the caller must Close. The queue before the rate
// holds 100 ms. This process carries the frames, one by one.
func OpenWAN(ctx context.Context, rate int64, roundTrip time.Duration) (*Pair, error) {
	return open(ctx, netlab.Link{Rate: rate, Delay: roundTrip / 2}, Veth)
}

// open makes a pair whose side a has this cable.
func open(ctx context.Context, cable netlab.Link, profile Profile) (*Pair, error) {
	lab := netlab.New(slog.New(slog.DiscardHandler))
	p := &Pair{Lab: lab, LAN: lab.LAN("wan"), profile: profile}
	p.A, p.B, p.W = newSide(p.LAN, "a", 1, cable), newSide(p.LAN, "b", 2), newSide(p.LAN, "w", 254)
	p.W.infrastructure = true
	err := lab.Err()
	for _, s := range []*Side{p.A, p.B, p.W} {
		if err == nil {
			err = s.configure(ctx, profile)
		}
	}
	if err == nil {
		_, err = p.A.Run(ctx, "ping", "-q", "-c", "1", "-w", "3", p.B.Addr.String())
	}
	if err != nil {
		p.Close()
		return nil, fmt.Errorf("make the underlay: %w", err)
	}
	return p, nil
}

// Close ends all that runs on the pair and removes it.
func (p *Pair) Close() { p.Lab.Close() }

// Bare makes two more hosts, on an Ethernet of their own that is as the pair's but for its MTU:
// what the same cables give where no peer is near.
func (p *Pair) Bare(ctx context.Context, mtu int) (a, b *Side, err error) {
	name := fmt.Sprint("bare", mtu)
	lan, cable := p.Lab.LAN(name), netlab.Link{MTU: mtu}
	a, b = newSide(lan, name+"-a", 1, cable), newSide(lan, name+"-b", 2, cable)
	a.infrastructure, b.infrastructure = true, true
	err = p.Lab.Err()
	for _, s := range []*Side{a, b} {
		if err == nil {
			err = s.configure(ctx, p.profile)
		}
	}
	if err != nil {
		return nil, nil, fmt.Errorf("make the bare Ethernet: %w", err)
	}
	return a, b, nil
}

// Bystander makes one more host on the pair's Ethernet, which takes no part in what is measured.
func (p *Pair) Bystander(ctx context.Context, name string) (*Side, error) {
	s := newSide(p.LAN, name, 3)
	s.infrastructure = true
	if err := p.Lab.Err(); err != nil {
		return nil, err
	}
	return s, s.configure(ctx, p.profile)
}

// More puts n more sides on the underlay.
func (p *Pair) More(ctx context.Context, n int) (all []*Side, err error) {
	for i := range n {
		all = append(all, newSide(p.LAN, fmt.Sprint("more", i+1), byte(4+i)))
	}
	err = p.Lab.Err()
	for _, s := range all {
		if err == nil {
			err = s.configure(ctx, p.profile)
		}
	}
	return all, err
}

// Cable makes the cable of a port on another wire as those of the pair.
func (p *Pair) Cable(ctx context.Context, port *netlab.Port) error { return p.profile.Apply(ctx, port) }

// Sides returns the two sides that are measured.
func (p *Pair) Sides() []*Side { return []*Side{p.A, p.B} }

// Other returns the side at the other end.
func (p *Pair) Other(s *Side) *Side {
	if s == p.A {
		return p.B
	}
	return p.A
}

func (s *Side) configure(ctx context.Context, profile Profile) error {
	err := s.Do(func() error {
		// Connections that are made and closed by the thousand need many ports.
		return errors.Join(
			os.WriteFile("/proc/sys/net/ipv4/ip_local_port_range", []byte("2000 65000"), 0),
			os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("0"), 0))
	})
	if err != nil {
		return err
	}
	if _, err := s.Run(ctx, "ip", "addr", "add", netip.PrefixFrom(s.Addr, bits).String(), "dev", "eth0"); err != nil {
		return err
	}
	return profile.Apply(ctx, s.Port("eth0"))
}
