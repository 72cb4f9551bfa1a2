package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// Option is an argument of the builders: a Link, Behind, At, Inner, BlockUDP or BlockAll.
type Option interface{ apply(*config) }

type config struct {
	link   Link
	nat    NAT
	addr   netip.Addr
	inner  string
	blocks blocks
}

type option func(*config)

func (o option) apply(c *config) { o(c) }
func (l Link) apply(c *config)   { c.link = l }
func options(opts []Option) config {
	var c config
	for _, o := range opts {
		o.apply(&c)
	}
	return c
}

// Behind says what NAT a site is behind; the default is PortRestricted.
func Behind(kind NAT) Option { return option(func(c *config) { c.nat = kind }) }

// At chooses an address, instead of the next free one.
func At(addr netip.Addr) Option { return option(func(c *config) { c.addr = addr }) }

// Inner chooses the prefix of a site's own network; the default is 192.168.N.0/24,
// N counting from 1.
func Inner(prefix string) Option { return option(func(c *config) { c.inner = prefix }) }

// BlockUDP makes a site's router drop all UDP but DNS between the site and the WAN.
func BlockUDP() Option { return option(func(c *config) { c.blocks = blocksUDP }) }

// BlockAll makes a site's router pass nothing on between the site and the WAN: see Site.Proxy.
func BlockAll() Option { return option(func(c *config) { c.blocks = blocksAll }) }

// blocks is what a site's router doesn't pass on.
type blocks int

const (
	blocksUDP blocks = iota + 1 // but DNS
	blocksAll
)

// Site is a NAT router with a network of private addresses behind it.
type Site struct {
	*LAN // the network behind the router, where hosts have addresses

	lab    *Lab
	router *Host
	uplink *Port
	nat    *natBox

	mu    sync.Mutex
	sites int
}

// Site makes a site with an address of the WAN.
func (w *WAN) Site(name string, opts ...Option) *Site {
	w.mu.Lock()
	w.sites++
	n := w.sites
	w.mu.Unlock()
	o := options(opts)
	if o.inner == "" {
		o.inner = fmt.Sprintf("192.168.%d.0/24", n)
	}
	return w.lab.site(name, o, func(router *Host) *Port { return w.attach(router, "wan0", o) })
}

// Site makes a site within this site: two NATs, one behind the other. Its inner
// prefix is 10.N.0.0/24 by default.
func (s *Site) Site(name string, opts ...Option) *Site {
	s.mu.Lock()
	s.sites++
	n := s.sites
	s.mu.Unlock()
	o := options(opts)
	if o.inner == "" {
		o.inner = fmt.Sprintf("10.%d.0.0/24", n)
	}
	return s.lab.site(name, o, func(router *Host) *Port { return s.Plug(router, "wan0", opts...) })
}

func (l *Lab) site(name string, o config, attach func(*Host) *Port) *Site {
	s := &Site{LAN: l.LAN(name), lab: l, router: l.newHost(name + "-nat")}
	l.build("site "+name, func() (err error) {
		if s.prefix, err = parsePrefix(o.inner); err != nil {
			return err
		}
		s.gateway = s.prefix.Addr().Next()
		s.next = s.gateway.Next()
		return errors.Join(
			s.router.sysctl("net/ipv6/conf/all/disable_ipv6", "1", optional),
			s.router.sysctl("net/ipv4/conf/all/send_redirects", "0", required),
			s.router.sysctl("net/ipv4/ip_forward", "1", required))
	})
	s.uplink = attach(s.router)
	s.Plug(s.router, "lan0", At(s.gateway))
	l.build("NAT of site "+name, func() (err error) {
		s.nat, err = newNATBox(s.router, o.nat, s.uplink.Addr(), o.blocks)
		return err
	})
	return s
}

// Wire makes a wire of the site without addresses (the cluster's), beside its own network.
func (s *Site) Wire(name string) *LAN { return s.lab.LAN(s.Name + "-" + name) }

// Router returns the site's NAT router. Its ports are wan0 and lan0.
func (s *Site) Router() *Host { return s.router }

// Uplink returns the router's port wan0, say, to cut it or to change its Link.
func (s *Site) Uplink() *Port { return s.uplink }

// Public returns the address from which the site's traffic comes.
func (s *Site) Public() netip.Addr { return s.uplink.Addr() }

// ForgetMappings makes the NAT forget all its mappings, as a restarted one does:
// running flows get new ports.
func (s *Site) ForgetMappings() error {
	if err := s.router.alive(); err != nil {
		return err
	}
	return s.nat.forget()
}
