package iface

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// routeProtocol marks the routes of a Presence (rtm_protocol; ip route shows "proto 76").
// iproute2's list of protocols gives the number to nobody.
const routeProtocol = 76

// PresenceConfig says where this host is to be present, and as whom.
type PresenceConfig struct {
	Port string       // the LAN port; see CheckPresence
	Addr netip.Addr   // this host's virtual address, IPv4
	TAP  *TAP         // has the address already
	Log  *slog.Logger // nil: discard
}

// Presence is this host's virtual address on the wire of a LAN port that the host uses for
// itself (hybrid mode): the kernel answers ARP for it with the port's own MAC, and
// reaches by the port those addresses for which there is a route. The port's own addresses,
// routes, MTU and queues are left alone. Its methods are safe for concurrent use.
type Presence struct {
	cfg  PresenceConfig
	link netlink.Link
	h    *netlink.Handle

	mu     sync.Mutex
	filter string // the value that rp_filter had; "" if it was left alone

	once   sync.Once
	closed error
}

// EnterPresence gives the port the virtual address, marked. A host is reached by the port
// or by the tunnel, and what comes from it may come by the other of the two for a moment; so
// a port and a TAP that drop what they wouldn't answer (rp_filter 1) are made to take it
// (rp_filter 2, RFC 3704 section 2.4). If a step fails everything is put back.
//
// The TAP must have the address before: by that Recover, of whatever owner, knows that
// somebody lives here.
func EnterPresence(cfg PresenceConfig) (*Presence, error) {
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	if !cfg.Addr.Is4() {
		return nil, fmt.Errorf("presence of %v: want an IPv4 address", cfg.Addr)
	}
	h, err := netlink.NewHandle(unix.NETLINK_ROUTE)
	if err != nil {
		return nil, fmt.Errorf("open netlink: %w", err)
	}
	link, err := checkPresence(h, cfg.Port, "")
	if err != nil {
		h.Close()
		return nil, err
	}
	p := &Presence{cfg: cfg, link: link, h: h}
	if _, err := p.Keep(); err != nil {
		return nil, errors.Join(err, p.Close())
	}
	if _, strict, err := strictFilter(cfg.TAP.name); err == nil && strict {
		p.loosen(cfg.TAP.name) // it goes with the TAP
	}
	return p, nil
}

// Index returns the kernel's number of the port.
func (p *Presence) Index() int { return p.link.Attrs().Index }

// Keep gives the port the address again if something has taken it away, as a DHCP client
// does that clears its port, and reports whether that was so: the kernel may have dropped the
// routes, too. Where nothing is missing, it changes nothing.
func (p *Presence) Keep() (missed bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	marked, err := markedAddrs(p.h, p.link.Attrs().Index)
	if err != nil {
		return false, err
	}
	for _, m := range marked {
		if m.addr == p.cfg.Addr {
			return false, nil
		}
		p.filter = m.filter // another group's presence has changed it already
	}
	name := p.cfg.Port
	own, strict, err := strictFilter(name)
	if err != nil {
		return false, fmt.Errorf("LAN port %s: %w", name, err)
	}
	if strict {
		p.filter = own
	}
	address := netlink.Addr{
		IPNet: hostNet(p.cfg.Addr),
		Scope: unix.RT_SCOPE_LINK, // so that the kernel never chooses it as the source for what leaves by this port
		Label: presenceLabel(name, p.filter),
	}
	if err := p.h.AddrAdd(p.link, &address); err != nil {
		return false, explain(fmt.Sprintf("give the LAN port %s the address %v", name, p.cfg.Addr), err)
	}
	if strict {
		p.loosen(name) // the label has the former value, for Recover
	}
	return true, nil
}

func (p *Presence) loosen(device string) {
	if err := setFilter(device, filterLoose); err != nil {
		p.cfg.Log.Warn("the kernel drops packets of hosts that change between LAN and tunnel, for some seconds or for good; set net.ipv4.conf."+device+".rp_filter=2",
			"device", device, "err", err)
	}
}

// AddRoute has the host reach addr by the port, with the virtual address as its source.
func (p *Presence) AddRoute(addr netip.Addr) error {
	if err := p.h.RouteReplace(p.route(addr)); err != nil {
		return explain(fmt.Sprintf("make the route to %v by %s", addr, p.cfg.Port), err)
	}
	return nil
}

// RemoveRoute undoes AddRoute. A route that isn't there, as after the port was down, is
// no error.
func (p *Presence) RemoveRoute(addr netip.Addr) error {
	err := p.h.RouteDel(p.route(addr))
	if err == nil || errors.Is(err, unix.ESRCH) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return explain(fmt.Sprintf("remove the route to %v by %s", addr, p.cfg.Port), err)
}

func (p *Presence) route(addr netip.Addr) *netlink.Route {
	return &netlink.Route{
		LinkIndex: p.link.Attrs().Index, Dst: hostNet(addr), Src: p.cfg.Addr.AsSlice(),
		Scope: netlink.SCOPE_LINK, Protocol: routeProtocol, Table: unix.RT_TABLE_MAIN,
	}
}

// Close takes routes and address away and puts the port back as it was. It may be called
// more than once. A port that has gone has taken all of it along.
func (p *Presence) Close() error {
	p.once.Do(func() {
		defer p.h.Close()
		err := removeRoutes(p.h, func(src netip.Addr) bool { return src == p.cfg.Addr })
		if e := removePresence(p.h, p.link, p.cfg.Addr); e != nil {
			err = errors.Join(err, e)
		}
		if err != nil {
			p.closed = fmt.Errorf("leave the LAN port %s: %w", p.cfg.Port, err)
		}
	})
	return p.closed
}

func hostNet(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}
