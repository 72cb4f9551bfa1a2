package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"landbridge/bench/member"
	"landbridge/bench/traffic"
	"landbridge/console/api"
	"landbridge/internal/netlab"
)

const (
	groupPrefix = "10.78.0.0/16"
	groupMTU    = 1376
	// leaseTime makes the DHCP client renew every few minutes.
	leaseTime = "10m"
)

// scene is who is there: three members, and a host with nothing but a DHCP client.
type scene struct {
	lab     *netlab.Lab
	a, b, d *member.Member
	members []*member.Member
	client  *netlab.Host // on b's wire
	ends    []traffic.End
	links   []*netlab.Port // of the sites
}

// build makes the machines and the wires, and starts nothing. The caller closes it.
func build(o options) (*scene, error) {
	s := &scene{lab: netlab.New(slog.New(slog.DiscardHandler))}
	wan := s.lab.WAN("203.0.113.0/24")
	siteA := wan.Site("site-a", netlab.Behind(netlab.PortRestricted), o.link)
	siteB := wan.Site("site-b", netlab.Behind(netlab.PortRestricted), o.link)
	wire := siteB.Wire("cluster")
	s.d = member.New(o.binary, o.logs, wan.Host("d", o.link))
	s.a = member.New(o.binary, o.logs, siteA.Host("a"))
	// All ends have one MTU, so that what a datagram takes is known (traffic.Class).
	s.b = member.New(o.binary, o.logs, siteB.Host("b"), "--mode", "router", "--lan-port", "lan0", "--dhcp-mtu", "group")
	wire.Plug(s.b.Host, "lan0")
	s.client = wire.Host("c1")
	s.members = []*member.Member{s.a, s.b, s.d}
	if err := s.lab.Err(); err != nil {
		s.close()
		return nil, err
	}
	s.links = []*netlab.Port{siteA.Uplink(), siteB.Uplink(), s.d.Port("eth0")}
	return s, nil
}

// close ends and removes everything.
func (s *scene) close() {
	s.lab.Close()
	for _, m := range s.members {
		if ended := m.Ended(); ended != nil {
			<-ended
		}
	}
}

// casualty returns how a daemon ended, if one has or does so within a moment: what else goes
// wrong then is only what follows.
func (s *scene) casualty() error {
	ended := make(chan error, len(s.members))
	for _, m := range s.members {
		if over := m.Ended(); over != nil {
			go func() { // until the daemon ends: close waits for that
				<-over
				ended <- m.How()
			}()
		}
	}
	select {
	case how := <-ended:
		return how
	case <-time.After(300 * time.Millisecond):
		return nil
	}
}

// boot starts the members as their operators would, leases the client its address, and
// waits until all that will have traffic reach each other. A daemon that ends is told to
// ended, then and later.
func (s *scene) boot(ctx context.Context, ended func(error)) error {
	err := s.d.Do(ctx, "group", "create", "--name", "soak", "--prefix", groupPrefix, "--member-name", "d",
		"--lease-time", leaseTime, "--mtu", fmt.Sprint(groupMTU))
	if err != nil {
		return err
	}
	if err := s.d.Start(ctx, ended); err != nil {
		return err
	}
	for _, m := range []*member.Member{s.a, s.b} {
		if err := m.Join(ctx, s.d); err != nil {
			return err
		}
		if err := m.Start(ctx, ended); err != nil {
			return err
		}
	}
	for _, m := range []*member.Member{s.a, s.d} {
		addr, err := m.Address(ctx)
		if err != nil {
			return err
		}
		s.ends = append(s.ends, traffic.End{Name: m.Name, Host: m.Host, Addr: addr})
	}
	lease, cancel := context.WithTimeout(ctx, member.Patience)
	defer cancel()
	client, err := s.client.StartDHCP(lease, netlab.Udhcpc, "eth0")
	if err != nil {
		return err
	}
	s.ends = append(s.ends, traffic.End{Name: s.client.Name, Host: s.client, Addr: client.Addr.Addr()})
	return errors.Join(s.reach(ctx), s.direct(ctx))
}

// direct waits until no two members need a relay: first packets may.
func (s *scene) direct(ctx context.Context) error {
	for _, m := range s.members {
		err := m.Wait(ctx, "direct paths", func() (bool, error) {
			var peers api.PeerList
			if err := m.Ask(ctx, &peers, "peers"); err != nil {
				return false, err
			}
			for _, p := range peers.Items {
				if p.Path != api.PathKindDirect {
					return false, fmt.Errorf("the path to %s is %s (%s)", p.Name, p.Path, p.Why)
				}
			}
			return len(peers.Items) == len(s.members)-1, nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reach pings from each end to each other one until the first reply.
func (s *scene) reach(ctx context.Context) error {
	for _, from := range s.ends {
		for _, to := range s.ends {
			if from.Addr == to.Addr {
				continue
			}
			if _, err := from.Host.(*netlab.Host).Run(ctx, "ping", "-q", "-c1", "-i0.1", "-w20", to.Addr.String()); err != nil {
				return fmt.Errorf("before any traffic: %w", err)
			}
		}
	}
	return nil
}

// hosts returns every machine whose kernel has part in the traffic.
func (s *scene) hosts() []*netlab.Host {
	return []*netlab.Host{s.a.Host, s.b.Host, s.d.Host, s.client}
}

// leased is an error where the client no longer has the address that it was leased at first.
func (s *scene) leased() error {
	want := s.ends[len(s.ends)-1].Addr
	now, err := s.client.Addr("eth0")
	switch {
	case err != nil:
		return fmt.Errorf("the DHCP client was leased %v and has lost it: %w", want, err)
	case now.Addr() != want:
		return fmt.Errorf("the DHCP client was leased %v, and has %v now", want, now.Addr())
	}
	return nil
}

// carried returns what the sites' links have done, in both directions together.
func (s *scene) carried() (sum netlab.Stats) {
	for _, port := range s.links {
		leaving, coming := port.Stats()
		for _, way := range []netlab.Stats{leaving, coming} {
			sum.Frames += way.Frames
			sum.Bytes += way.Bytes
			sum.Held += way.Held
			sum.Lost += way.Lost
			sum.Dropped += way.Dropped
		}
	}
	return sum
}
