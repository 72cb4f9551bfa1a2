package iface

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// AssignIPv6 gives the TAP an IPv6 address and no other, as when a member has one itself; the zero Prefix
// takes it away, and turns IPv6 off on the device as it was. The kernel makes no addresses of its own there, takes
// none from router advertisements, and doesn't look for duplicates: the address is leased.
func AssignIPv6(t *TAP, addr netip.Prefix) error {
	if !addr.IsValid() {
		err := setIPv6(t.name, "disable_ipv6", "1")
		if errors.Is(err, unix.EROFS) { // in a container: it couldn't be turned on either, and so there is no address of ours
			err = nil
		}
		return err
	}
	for _, s := range [][2]string{{"accept_ra", "0"}, {"autoconf", "0"}, {"addr_gen_mode", "1"}, {"disable_ipv6", "0"}} {
		if err := setIPv6(t.name, s[0], s[1]); err != nil {
			return fmt.Errorf("turn IPv6 on for %s: %w", t.name, err)
		}
	}
	link, err := netlink.LinkByIndex(t.index)
	if err != nil {
		return fmt.Errorf("TAP %s: %w", t.name, err)
	}
	want := &net.IPNet{IP: addr.Addr().AsSlice(), Mask: net.CIDRMask(addr.Bits(), addr.Addr().BitLen())}
	if err := netlink.AddrReplace(link, &netlink.Addr{IPNet: want, Flags: unix.IFA_F_NODAD}); err != nil {
		return explain(fmt.Sprintf("give %s the address %v", t.name, addr), err)
	}
	return dropAddrs(t, link, want, netlink.FAMILY_V6)
}

func setIPv6(dev, key, value string) error {
	return os.WriteFile("/proc/sys/net/ipv6/conf/"+dev+"/"+key, []byte(value), 0)
}
