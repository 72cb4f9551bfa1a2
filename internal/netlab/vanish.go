package netlab

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
)

var errFixed = errors.New("only a plain cable to a LAN can be taken away and put back")

// Vanish takes the port's device away from its host, as when a USB adapter is pulled out:
// addresses and routes go with it. Return puts it back.
func (p *Port) Vanish() error {
	if p.pump != nil || p.lan == nil {
		return fmt.Errorf("%s of %s: %w", p.Name, p.Host.Name, errFixed)
	}
	return p.Host.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(p.Name)
		if err != nil {
			return err
		}
		return nl.LinkDel(link)
	})
}

// Return undoes Vanish. The device has the same name, its static address if it had one, and
// another number and hardware address.
func (p *Port) Return() error {
	if p.pump != nil || p.lan == nil {
		return fmt.Errorf("%s of %s: %w", p.Name, p.Host.Name, errFixed)
	}
	if err := p.layVeth(p.Host.lab.mac(p.Host.Name, p.Name), p.gwMAC); err != nil {
		return err
	}
	if err := p.at.netlink(func(nl *netlink.Handle) error { return p.lan.seat(nl, p) }); err != nil {
		return err
	}
	if err := p.configure(); err != nil {
		return err
	}
	return p.settle()
}
