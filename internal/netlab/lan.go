package netlab

import (
	"fmt"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
)

// LAN is an Ethernet wire: a bridge in a namespace where nothing else listens. It
// has addresses only if a Site made it.
type LAN struct {
	Name string

	lab     *Lab
	bridge  string
	prefix  netip.Prefix // invalid: hosts get no address
	gateway netip.Addr

	mu   sync.Mutex
	next netip.Addr
}

// LAN makes a wire without addresses.
func (l *Lab) LAN(name string) *LAN {
	lan := &LAN{Name: name, lab: l, bridge: fmt.Sprintf("br%d", l.number())}
	l.build("LAN "+name, func() error {
		return l.wires.netlink(func(nl *netlink.Handle) error {
			no := false
			br := &netlink.Bridge{
				LinkAttrs:         netlink.LinkAttrs{Name: lan.bridge, TxQLen: 1000},
				MulticastSnooping: &no,
			}
			if err := nl.LinkAdd(br); err != nil {
				return fmt.Errorf("make a bridge: %w", err)
			}
			if err := nl.LinkSetAlias(br, name); err != nil {
				return err
			}
			return nl.LinkSetUp(br)
		})
	})
	return lan
}

// Host puts a new host on the wire, by its port eth0. On a Site's LAN it has the
// next address and a default route; on another none: run a DHCP client.
func (n *LAN) Host(name string, opts ...Option) *Host {
	h := n.lab.newHost(name)
	n.Plug(h, "eth0", opts...)
	return h
}

// Plug gives a host another port on this wire. An address and, where the host
// has none yet, a default route go with it where the LAN has addresses.
func (n *LAN) Plug(h *Host, device string, opts ...Option) *Port {
	var port *Port
	n.lab.build(fmt.Sprintf("plug %s of %s into LAN %s", device, h.Name, n.Name), func() (err error) {
		o := options(opts)
		port, err = n.lab.connect(h, device, n.lab.wires, o.link)
		if err != nil {
			return err
		}
		port.lan = n
		if n.prefix.IsValid() {
			if err := n.address(port, o); err != nil {
				return err
			}
		}
		if err := n.lab.wires.netlink(func(nl *netlink.Handle) error { return n.seat(nl, port) }); err != nil {
			return err
		}
		if err := port.configure(); err != nil {
			return err
		}
		return port.settle()
	})
	if port == nil {
		port = &Port{Host: h, Name: device, at: n.lab.wires, lan: n} // does nothing, as the lab has failed
	}
	return port
}

// address gives a port its static address.
func (n *LAN) address(port *Port, o config) error {
	addr := o.addr
	if !addr.IsValid() {
		n.mu.Lock()
		addr = n.next
		n.next = addr.Next()
		n.mu.Unlock()
	}
	if !n.prefix.Contains(addr) {
		return fmt.Errorf("address %v is not in %v", addr, n.prefix)
	}
	port.addr = netip.PrefixFrom(addr, n.prefix.Bits())
	if addr != n.gateway && !port.Host.hasGateway() {
		port.gateway = n.gateway
	}
	return nil
}

// seat plugs the far end of a port into the bridge.
func (n *LAN) seat(nl *netlink.Handle, port *Port) error {
	far, err := nl.LinkByName(port.farName)
	if err != nil {
		return err
	}
	if err := setMaster(nl, far, n.bridge); err != nil {
		return err
	}
	return nl.LinkSetUp(far)
}

// MoveTo plugs the cable's far end into another LAN, as when a virtual machine
// moves: the host sees neither its carrier nor its address change.
func (p *Port) MoveTo(lan *LAN) error {
	if p.lan == nil {
		return fmt.Errorf("%s %s is in the WAN, and only a port on a LAN can move", p.Host.Name, p.Name)
	}
	err := p.at.netlink(func(nl *netlink.Handle) error { return lan.seat(nl, p) })
	if err == nil {
		p.lan = lan
	}
	return err
}
