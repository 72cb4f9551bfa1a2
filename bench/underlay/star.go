package underlay

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"strconv"
	"strings"

	"landbridge/internal/netlab"
)

// Star is one host, and many others, on one Ethernet.
type Star struct {
	Lab     *netlab.Lab
	Hub     *Side
	Members []*Side

	neighbours []func() error // put the machine's tables back
}

// OpenStar makes a star of up to 200 members, which the caller must Close.
func OpenStar(ctx context.Context, members int) (*Star, error) {
	lab := netlab.New(slog.New(slog.DiscardHandler))
	lan := lab.LAN("wan")
	s := &Star{Lab: lab, Hub: newSide(lan, "hub", 1)}
	for i := range members {
		s.Members = append(s.Members, newSide(lan, fmt.Sprintf("m%d", i+1), byte(i+2)))
	}
	err := errors.Join(lab.Err(), s.makeRoom())
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
func (s *Star) Close() {
	s.Lab.Close()
	for _, back := range s.neighbours {
		_ = back() // the next star sets it anew
	}
}

// neighbours is how many entries the ARP and ND tables must take: the kernel counts those
// of all network namespaces together, and where each of a hundred hosts talks to the
// others, its default of 1,024 leaves most of them without an answer.
const neighbours = 1 << 16

// makeRoom makes the machine's tables of neighbours as large as the star needs them.
func (s *Star) makeRoom() error {
	for _, table := range []string{"ipv4", "ipv6"} {
		for _, limit := range []string{"gc_thresh3", "gc_thresh2", "gc_thresh1"} {
			file := "/proc/sys/net/" + table + "/neigh/default/" + limit
			was, err := os.ReadFile(file)
			if err != nil {
				return err
			}
			if n, err := strconv.Atoi(strings.TrimSpace(string(was))); err != nil || n >= neighbours {
				continue
			}
			if err := os.WriteFile(file, []byte(strconv.Itoa(neighbours)), 0); err != nil {
				return fmt.Errorf("make room for the neighbours of many hosts: %w", err)
			}
			s.neighbours = append(s.neighbours, func() error { return os.WriteFile(file, was, 0) })
		}
	}
	return nil
}

// newSide puts a host on the underlay, as number last of its network.
func newSide(lan *netlab.LAN, name string, last byte, cable ...netlab.Option) *Side {
	return &Side{Host: lan.Host(name, cable...), Addr: netip.AddrFrom4([4]byte{192, 0, 2, last})}
}
