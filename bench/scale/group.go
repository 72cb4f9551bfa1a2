package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"landbridge/bench/member"
	"landbridge/internal/netlab"
)

const (
	groupPrefix = "10.78.0.0/16"
	perSite     = 10 // members: a public one, and nine behind one NAT
)

// node is a member with an address, and a socket for pings.
type node struct {
	*member.Member
	addr netip.Addr
	ping *pinger
}

// group is the members, on one WAN.
type group struct {
	options
	ended func(error) // told of a daemon that ends
	lab   *netlab.Lab
	wan   *netlab.WAN
	site  *netlab.Site // of the next members
	nodes []*node
}

func newGroup(o options, ended func(error)) *group {
	lab := netlab.New(slog.New(slog.DiscardHandler))
	return &group{options: o, ended: ended, lab: lab, wan: lab.WAN("203.0.113.0/24")}
}

// close ends and removes everything.
func (g *group) close() {
	g.lab.Close()
	for _, n := range g.nodes {
		if n.ping != nil {
			_ = n.ping.conn.Close()
		}
		if over := n.Ended(); over != nil {
			<-over
		}
	}
}

// host makes the next machine.
func (g *group) host() (*netlab.Host, error) {
	var h *netlab.Host
	switch i := len(g.nodes); {
	case i == 0:
		h = g.wan.Host("d")
	case i%perSite == 0:
		h = g.wan.Host(fmt.Sprintf("n%d", i))
	default:
		if i%perSite == 1 {
			g.site = g.wan.Site(fmt.Sprintf("site%d", i/perSite), netlab.Behind(netlab.PortRestricted))
		}
		h = g.site.Host(fmt.Sprintf("n%d", i))
	}
	return h, g.lab.Err()
}

// grow adds a member, as its operator would, and returns how long that took: from its
// invitation's use until the first member has answered its ping.
func (g *group) grow(ctx context.Context) (took time.Duration, err error) {
	h, err := g.host()
	if err != nil {
		return 0, err
	}
	n := &node{Member: member.New(g.program, g.logs, h)}
	g.nodes = append(g.nodes, n)
	began := time.Now()
	if len(g.nodes) == 1 {
		err = n.Do(ctx, "group", "create", "--name", "scale", "--prefix", groupPrefix, "--member-name", n.Name)
	} else {
		err = n.Join(ctx, g.nodes[0].Member)
	}
	if err != nil {
		return 0, err
	}
	if err := n.Launch(ctx, g.ended); err != nil {
		return 0, err
	}
	if n.addr, err = n.Address(ctx); err != nil {
		return 0, err
	}
	if n.ping, err = newPinger(h); err != nil || len(g.nodes) == 1 {
		return time.Since(began), err
	}
	_, err = n.reach(ctx, member.Patience, g.nodes[0])
	return time.Since(began), err
}
