package underlay

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"

	"landbridge/internal/netlab"
)

// Star is one host, and many others, on one Ethernet.
type Star struct {
	Lab     *netlab.Lab
	Hub     *Side
	Members []*Side
}

// OpenStar makes a star of up to 200 members, which the caller must Close.
func OpenStar(ctx context.Context, members int) (*Star, error) {
	lab := netlab.New(slog.New(slog.DiscardHandler))
	lan := lab.LAN("wan")
	s := &Star{Lab: lab, Hub: newSide(lan, "hub", 1)}
	for i := range members {
		s.Members = append(s.Members, newSide(lan, fmt.Sprintf("m%d", i+1), byte(i+2)))
	}
	err := lab.Err()
	for _, side := range append([]*Side{s.Hub}, s.Members...) {
		if err == nil {
			err = side.configure(ctx, Veth)
		}
	}
	if err != nil {
		s.Close()
		return nil, fmt.Errorf("make the underlay: %w", err)
	}
	return s, nil
}

// Close ends all that runs on the star and removes it.
func (s *Star) Close() { s.Lab.Close() }

// newSide puts a host on the underlay, as number last of its network.
func newSide(lan *netlab.LAN, name string, last byte, cable ...netlab.Option) *Side {
	return &Side{Host: lan.Host(name, cable...), Addr: netip.AddrFrom4([4]byte{192, 0, 2, last})}
}
