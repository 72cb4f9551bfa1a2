package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Port is a network device of a host and the cable in it, whose far end sits in a
// LAN's bridge or in the WAN. The methods of one port are for one goroutine at a time.
type Port struct {
	Host *Host
	Name string // of the device, on its host

	addr    netip.Prefix // invalid: none, or by DHCP
	gateway netip.Addr   // invalid: none
	gwMAC   net.HardwareAddr
	mtu     int

	at      *Host  // where the far end is: the wires, or the WAN's router
	farName string // the far end's device
	lan     *LAN   // nil in the WAN
	pump    *pump  // nil: a veth pair
}

// connect lays a cable between device name on host h and a new device at the far
// end. Both devices are down.
func (l *Lab) connect(h *Host, name string, at *Host, link Link) (*Port, error) {
	if err := link.validate(); err != nil {
		return nil, err
	}
	if h.port(name) != nil {
		return nil, fmt.Errorf("%s has a port %s already", h.Name, name)
	}
	p := &Port{Host: h, Name: name, mtu: link.mtu(), at: at, farName: fmt.Sprintf("p%d", l.number())}
	mac, farMAC := l.mac(h.Name, name), l.mac(at.Name, p.farName)
	var err error
	if link.plain() {
		err = p.layVeth(mac, farMAC)
	} else {
		err = p.layPump(mac, farMAC, link)
	}
	if err != nil {
		return nil, err
	}
	p.gwMAC = farMAC
	h.mu.Lock()
	h.ports = append(h.ports, p)
	h.mu.Unlock()
	return p, at.netlink(func(nl *netlink.Handle) error {
		far, err := nl.LinkByName(p.farName)
		if err != nil {
			return err
		}
		return nl.LinkSetAlias(far, h.Name+" "+name) // for whoever looks around
	})
}

// layVeth makes a pair whose ends are born in their namespaces.
func (p *Port) layVeth(mac, farMAC net.HardwareAddr) error {
	return p.at.netlink(func(nl *netlink.Handle) error {
		veth := netlink.NewVeth(netlink.LinkAttrs{Name: p.farName, MTU: p.mtu, HardwareAddr: farMAC, TxQLen: 1000})
		veth.PeerName = p.Name
		veth.PeerHardwareAddr = mac
		veth.PeerNamespace = netlink.NsPid(p.Host.Pid())
		veth.PeerMTU = uint32(p.mtu)
		if err := nl.LinkAdd(veth); err != nil {
			return fmt.Errorf("make a veth pair: %w", err)
		}
		return nil
	})
}

// layPump makes two TAPs with a pump between them.
func (p *Port) layPump(mac, farMAC net.HardwareAddr, link Link) error {
	near, err := p.Host.makeTAP(p.Name, mac, p.mtu)
	if err != nil {
		return err
	}
	far, err := p.at.makeTAP(p.farName, farMAC, p.mtu)
	if err != nil {
		_ = unix.Close(near)
		return err
	}
	lab := p.Host.lab
	if p.pump, err = newPump(near, far, link, uint64(lab.number())); err != nil {
		_, _ = unix.Close(near), unix.Close(far)
		return err
	}
	lab.mu.Lock()
	lab.pumps = append(lab.pumps, p.pump)
	lab.mu.Unlock()
	return nil
}

func (h *Host) makeTAP(name string, mac net.HardwareAddr, mtu int) (fd int, err error) {
	fd = -1
	err = h.Do(func() error {
		fd, err = openTAP(name)
		return err
	})
	if err != nil {
		return -1, err
	}
	err = h.netlink(func(nl *netlink.Handle) error {
		tap, err := nl.LinkByName(name)
		if err != nil {
			return err
		}
		return errors.Join(nl.LinkSetHardwareAddr(tap, mac), nl.LinkSetMTU(tap, mtu))
	})
	if err != nil {
		_ = unix.Close(fd)
		return -1, fmt.Errorf("set up TAP %s: %w", name, err)
	}
	return fd, nil
}

// configure brings the host's end up, with its static address and default route if
// it has them. It may be repeated.
func (p *Port) configure() error {
	return p.Host.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(p.Name)
		if err != nil {
			return err
		}
		if err := nl.LinkSetUp(link); err != nil || !p.addr.IsValid() {
			return err
		}
		if err := nl.AddrReplace(link, &netlink.Addr{IPNet: ipNet(p.addr)}); err != nil {
			return fmt.Errorf("address %v: %w", p.addr, err)
		}
		if !p.gateway.IsValid() {
			return nil
		}
		if !p.addr.Masked().Contains(p.gateway) { // the WAN's router, on no subnet of ours
			via := &netlink.Route{LinkIndex: link.Attrs().Index, Dst: ipNet(single(p.gateway)), Scope: netlink.SCOPE_LINK}
			if err := nl.RouteReplace(via); err != nil {
				return fmt.Errorf("route to %v: %w", p.gateway, err)
			}
			if err := setNeighbour(nl, link, p.gateway, p.gwMAC); err != nil {
				return err
			}
		}
		def := &netlink.Route{LinkIndex: link.Attrs().Index, Gw: p.gateway.AsSlice()}
		if err := nl.RouteReplace(def); err != nil {
			return fmt.Errorf("default route by %v: %w", p.gateway, err)
		}
		return nil
	})
}

// settle waits until both ends carry frames, which the kernel sees to some time after they
// were set up: a DHCP client's first DISCOVER would be lost.
func (p *Port) settle() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	for host, device := range map[*Host]string{p.Host: p.Name, p.at: p.farName} {
		err := host.netlink(func(nl *netlink.Handle) error {
			return WaitFor(ctx, device+" on "+host.Name, func() (bool, error) {
				link, err := nl.LinkByName(device)
				if err != nil {
					return false, err
				}
				state := link.Attrs().OperState
				return state == netlink.OperUp || state == netlink.OperUnknown, nil // TAPs don't know
			})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// Far returns the device at the cable's far end and the machine that has it, say, to
// change what the wire does with large frames.
func (p *Port) Far() (at *Host, device string) { return p.at, p.farName }

// Addr returns the static address of the port; it is invalid where there is none.
func (p *Port) Addr() netip.Addr { return p.addr.Addr() }

// SetLink changes what happens to frames, in both directions. The port must have
// been made with a Link that isn't the zero value (Link{Managed: true} will do).
func (p *Port) SetLink(link Link) error { return p.SetLinks(link, link) }

// SetLinks is SetLink with frames that leave the host and frames that come to it apart.
func (p *Port) SetLinks(leaving, coming Link) error {
	if err := p.Host.alive(); err != nil {
		return err
	}
	if p.pump == nil {
		return fmt.Errorf("%s %s is a plain cable: make it with Link{Managed: true} to change it later", p.Host.Name, p.Name)
	}
	links := [2]Link{leaving, coming}
	for i := range links {
		if err := links[i].validate(); err != nil {
			return err
		}
		links[i].MTU = p.mtu
	}
	return p.pump.setLinks(links)
}

// Cut makes the cable a black hole: frames vanish in both directions, while both
// ends think that the link is up. Mend ends it.
func (p *Port) Cut() error { return p.setCut(true) }

// Mend undoes Cut.
func (p *Port) Mend() error { return p.setCut(false) }

func (p *Port) setCut(cut bool) error {
	if err := p.Host.alive(); err != nil {
		return err
	}
	switch {
	case p.pump != nil:
		for _, w := range p.pump.ways {
			w.cut.Store(cut)
		}
		return nil
	case p.lan != nil:
		return p.at.netlink(func(nl *netlink.Handle) error {
			far, err := nl.LinkByName(p.farName)
			if err != nil {
				return err
			}
			if cut {
				return nl.LinkSetNoMaster(far)
			}
			return setMaster(nl, far, p.lan.bridge)
		})
	}
	return p.blackhole(cut)
}

// SetCarrier unplugs the cable at its far end (false) or plugs it in again: unlike
// Cut, the host sees that its link is down.
func (p *Port) SetCarrier(on bool) error {
	if p.pump != nil {
		return p.pump.setCarrier(on)
	}
	return p.at.netlink(func(nl *netlink.Handle) error {
		far, err := nl.LinkByName(p.farName)
		if err != nil {
			return err
		}
		if !on {
			return nl.LinkSetDown(far)
		}
		if err := nl.LinkSetUp(far); err != nil || p.lan != nil {
			return err
		}
		return p.routeBack(nl, far) // the kernel took the routes down with the link
	})
}

// Restore sets the port up again as it was made, after something on the host took
// it down or changed its address and routes.
func (p *Port) Restore() error { return p.configure() }

// Stats counts one direction of a managed cable.
type Stats struct {
	Frames, Bytes uint64 // arrived
	Held          uint64 // frames, held back by Link.Reorder
	Lost          uint64 // frames, by Link.Loss or Cut
	Dropped       uint64 // frames, as the queue was full or the receiver down
}

// Stats returns what a managed cable has carried; nothing for a plain one.
func (p *Port) Stats() (leaving, coming Stats) {
	if p.pump == nil {
		return
	}
	count := func(w *way) Stats {
		return Stats{Frames: w.frames.Load(), Bytes: w.bytes.Load(), Held: w.held.Load(), Lost: w.lost.Load(), Dropped: w.dropped.Load()}
	}
	return count(p.pump.ways[0]), count(p.pump.ways[1])
}

func setUp(nl *netlink.Handle, name string) error {
	link, err := nl.LinkByName(name)
	if err == nil {
		err = nl.LinkSetUp(link)
	}
	if err != nil {
		return fmt.Errorf("set %s up: %w", name, err)
	}
	return nil
}

func setMaster(nl *netlink.Handle, link netlink.Link, bridge string) error {
	br, err := nl.LinkByName(bridge)
	if err == nil {
		err = nl.LinkSetMaster(link, br)
	}
	if err != nil {
		return fmt.Errorf("plug %s into %s: %w", link.Attrs().Name, bridge, err)
	}
	return nil
}

// setNeighbour fixes a neighbour's hardware address, so that no ARP crosses a link
// that delays or loses frames.
func setNeighbour(nl *netlink.Handle, link netlink.Link, addr netip.Addr, mac net.HardwareAddr) error {
	err := nl.NeighSet(&netlink.Neigh{
		LinkIndex: link.Attrs().Index, IP: addr.AsSlice(), HardwareAddr: mac,
		State: netlink.NUD_PERMANENT, Family: netlink.FAMILY_V4,
	})
	if err != nil {
		return fmt.Errorf("neighbour %v: %w", addr, err)
	}
	return nil
}

func single(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
