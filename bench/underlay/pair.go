package underlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"

	"landbridge/internal/netlab"
)

const bits = 24 // of the network 192.0.2.0/24 (RFC 5737)

// Pair is the network of one repetition. Everything in it goes when it is closed.
type Pair struct {
	Lab     *netlab.Lab
	LAN     *netlab.LAN
	A, B    *Side
	W       *Side // infrastructure: what runs here isn't accounted
	Profile Profile
}

// Open makes a pair, which the caller must Close.
func Open(ctx context.Context, profile Profile) (*Pair, error) {
	lab := netlab.New(slog.New(slog.DiscardHandler))
	p := &Pair{Lab: lab, Profile: profile, LAN: lab.LAN("wan")}
	p.A, p.B, p.W = p.side("a", 1), p.side("b", 2), p.side("w", 254)
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

// Sides returns the two sides that are measured.
func (p *Pair) Sides() []*Side { return []*Side{p.A, p.B} }

// Other returns the side at the other end.
func (p *Pair) Other(s *Side) *Side {
	if s == p.A {
		return p.B
	}
	return p.A
}

func (p *Pair) side(name string, last byte) *Side {
	return &Side{Host: p.LAN.Host(name), Addr: netip.AddrFrom4([4]byte{192, 0, 2, last})}
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
	return profile.apply(ctx, s.Port("eth0"))
}
