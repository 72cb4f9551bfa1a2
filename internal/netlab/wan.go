package netlab

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// WAN is the lab's Internet: one router, with a cable to each host and site. As in
// the real one no broadcast crosses it, private addresses lead nowhere, and a
// source address that isn't the sender's is dropped.
type WAN struct {
	lab     *Lab
	prefix  netip.Prefix
	gateway netip.Addr
	router  *Host

	mu    sync.Mutex
	next  netip.Addr
	sites int
}

// WAN makes an Internet with the addresses of prefix, of which its router takes the first.
func (l *Lab) WAN(prefix string) *WAN {
	w := &WAN{lab: l}
	l.build("WAN "+prefix, func() (err error) {
		if w.prefix, err = parsePrefix(prefix); err != nil {
			return err
		}
		w.gateway = w.prefix.Addr().Next()
		w.next = w.gateway.Next()
		return nil
	})
	w.router = l.newHost("wan")
	l.build("WAN "+prefix, func() error {
		return errors.Join(
			w.router.sysctl("net/ipv6/conf/all/disable_ipv6", "1", optional),
			w.router.sysctl("net/ipv4/conf/all/rp_filter", "1", required),
			w.router.sysctl("net/ipv4/conf/all/send_redirects", "0", required),
			w.router.sysctl("net/ipv4/ip_forward", "1", required))
	})
	return w
}

// Router returns the machine in the middle, say, to capture packets on it.
func (w *WAN) Router() *Host { return w.router }

// Host makes a host with a public address on its port eth0.
func (w *WAN) Host(name string, opts ...Option) *Host {
	h := w.lab.newHost(name)
	w.attach(h, "eth0", options(opts))
	return h
}

// attach lays a cable from a host's device to the router.
func (w *WAN) attach(h *Host, device string, o config) *Port {
	var port *Port
	w.lab.build(fmt.Sprintf("connect %s with the WAN", h.Name), func() (err error) {
		addr, err := w.address(o)
		if err != nil {
			return err
		}
		if port, err = w.lab.connect(h, device, w.router, o.link); err != nil {
			return err
		}
		port.addr, port.gateway = single(addr), w.gateway
		if err := port.configure(); err != nil {
			return err
		}
		err = w.router.netlink(func(nl *netlink.Handle) error {
			far, err := nl.LinkByName(port.farName)
			if err != nil {
				return err
			}
			if err := nl.LinkSetUp(far); err != nil {
				return err
			}
			return port.routeBack(nl, far)
		})
		if err != nil {
			return err
		}
		return port.settle()
	})
	if port == nil {
		port = &Port{Host: h, Name: device, at: w.router} // does nothing, as the lab has failed
	}
	return port
}

func (w *WAN) address(o config) (netip.Addr, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	addr := o.addr
	if !addr.IsValid() {
		addr = w.next
		w.next = addr.Next()
	}
	if !w.prefix.Contains(addr) {
		return addr, fmt.Errorf("address %v is not in %v", addr, w.prefix)
	}
	return addr, nil
}

// routeBack sets the WAN router's end of a port up.
func (p *Port) routeBack(nl *netlink.Handle, far netlink.Link) error {
	index := far.Attrs().Index
	if err := nl.AddrReplace(far, &netlink.Addr{IPNet: ipNet(single(p.gateway))}); err != nil {
		return fmt.Errorf("the router's address: %w", err)
	}
	back := &netlink.Route{LinkIndex: index, Dst: ipNet(p.addr), Scope: netlink.SCOPE_LINK}
	if err := nl.RouteReplace(back); err != nil {
		return fmt.Errorf("route to %v: %w", p.addr, err)
	}
	mac, err := p.Host.MAC(p.Name)
	if err != nil {
		return err
	}
	return setNeighbour(nl, far, p.addr.Addr(), mac)
}

// blackhole makes the WAN router drop, silently, what comes from the port and what
// goes to it; or ends that.
func (p *Port) blackhole(on bool) error {
	return p.at.netlink(func(nl *netlink.Handle) error {
		from, to := netlink.NewRule(), netlink.NewRule()
		from.IifName, from.Type = p.farName, unix.RTN_BLACKHOLE
		to.Dst, to.Type = ipNet(p.addr), unix.RTN_BLACKHOLE
		for i, rule := range []*netlink.Rule{from, to} {
			rule.Family, rule.Priority = netlink.FAMILY_V4, 100+i
			var err error
			if on {
				if err = nl.RuleAdd(rule); errors.Is(err, unix.EEXIST) {
					err = nil
				}
			} else if err = nl.RuleDel(rule); errors.Is(err, unix.ENOENT) {
				err = nil
			}
			if err != nil {
				return fmt.Errorf("black hole for %s: %w", p.Host.Name, err)
			}
		}
		return nil
	})
}

func parsePrefix(s string) (netip.Prefix, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, err
	}
	if !p.Addr().Is4() || p.Bits() > 29 || p != p.Masked() {
		return p, fmt.Errorf("prefix %s: want an IPv4 prefix of /29 or shorter without host bits", s)
	}
	return p, nil
}
