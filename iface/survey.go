package iface

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/sorting"
)

// PortInfo is a network port of this host, as an operator would name it.
type PortInfo struct {
	Name string
	MAC  net.HardwareAddr
	Up   bool // set up, and with a carrier
}

// Ports lists the Ethernet ports of this host by name, without those that Landbridge has
// made and without bridges.
func Ports() ([]PortInfo, error) {
	links, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	var all []PortInfo
	for _, l := range links {
		if a := l.Attrs(); checkKind(l) == nil {
			all = append(all, PortInfo{Name: a.Name, MAC: a.HardwareAddr, Up: a.Flags&net.FlagUp != 0 && a.RawFlags&unix.IFF_LOWER_UP != 0})
		}
	}
	sorting.By(all, func(a, b PortInfo) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// DeviceOf returns the name of the device that has an address of this host; of a link-local
// one the zone says it. It is empty where no device has it.
func DeviceOf(addr netip.Addr) (string, error) {
	if addr.Zone() != "" {
		return addr.Zone(), nil
	}
	links, err := dump(netlink.LinkList)
	if err != nil {
		return "", fmt.Errorf("list devices: %w", err)
	}
	all, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return "", fmt.Errorf("list addresses: %w", err)
	}
	for _, a := range all {
		if have, ok := netip.AddrFromSlice(a.IP); !ok || have.Unmap() != addr.Unmap() {
			continue
		}
		for _, l := range links {
			if l.Attrs().Index == a.LinkIndex {
				return l.Attrs().Name, nil
			}
		}
	}
	return "", nil
}

// HasAddress reports whether a device has an address.
func HasAddress(device string, addr netip.Addr) (bool, error) {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return false, fmt.Errorf("%s: %w", device, err)
	}
	all, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(link, netlink.FAMILY_ALL) })
	if err != nil {
		return false, fmt.Errorf("list the addresses of %s: %w", device, err)
	}
	return slices.ContainsFunc(all, func(a netlink.Addr) bool {
		have, ok := netip.AddrFromSlice(a.IP)
		return ok && have.Unmap() == addr.Unmap()
	}), nil
}

// Check reports whether the bridge stands as it was made: it is up, with the LAN port on
// it, which is up.
func (b *Bridge) Check(lanPort string) error {
	bridge, err := netlink.LinkByName(b.name)
	if err != nil {
		return fmt.Errorf("the bridge %s: %w", b.name, err)
	}
	port, err := netlink.LinkByName(lanPort)
	if err != nil {
		return fmt.Errorf("the LAN port %s: %w", lanPort, err)
	}
	if port.Attrs().MasterIndex != bridge.Attrs().Index {
		return fmt.Errorf("the LAN port %s isn't on the bridge %s any more: something else on this host has taken it off", lanPort, b.name)
	}
	for _, l := range []netlink.Link{bridge, port} {
		if l.Attrs().Flags&net.FlagUp == 0 {
			return fmt.Errorf("%s is down: something else on this host has set it so", l.Attrs().Name)
		}
	}
	return nil
}

// Check reports whether the TAP is there and up.
func (t *TAP) Check() error {
	link, err := netlink.LinkByIndex(t.index)
	if err != nil {
		return fmt.Errorf("the TAP %s: %w", t.name, err)
	}
	if link.Attrs().Flags&net.FlagUp == 0 {
		return fmt.Errorf("the TAP %s is down: something else on this host has set it so", t.name)
	}
	return nil
}

// arpRetry is how long an ARP request waits for its answer before the next one.
const arpRetry = 300 * time.Millisecond

// AskARP asks the segment of a device who has an address, as a host does that has none
// itself (RFC 5227 section 2.1.1), until the station at mac answers. It fails with
// os.ErrDeadlineExceeded if that hasn't before the deadline, whoever else has.
func AskARP(device string, addr netip.Addr, mac frame.MAC, deadline time.Time) error {
	link, err := netlink.LinkByName(device)
	if err != nil {
		return fmt.Errorf("ask the segment of %s: %w", device, err)
	}
	own, ok := frame.MACFrom(link.Attrs().HardwareAddr)
	if !ok {
		return fmt.Errorf("ask the segment of %s: it has no Ethernet address", device)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("ask the segment of %s: %w", device, os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	const arpInNetworkOrder = unix.ETH_P_ARP>>8 | unix.ETH_P_ARP&0xff<<8
	if err := unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: arpInNetworkOrder, Ifindex: link.Attrs().Index}); err != nil {
		return fmt.Errorf("ask the segment of %s: %w", device, os.NewSyscallError("bind", err))
	}
	request := frame.AppendARP(nil, frame.Broadcast(), own, frame.ARPFields{Op: frame.ARPRequest, SenderMAC: own, TargetIP: addr})
	for time.Now().Before(deadline) {
		if _, err := unix.Write(fd, request); err != nil {
			return fmt.Errorf("ask the segment of %s: %w", device, os.NewSyscallError("write", err))
		}
		err := awaitARP(fd, addr, mac, earlier(deadline, time.Now().Add(arpRetry)))
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return err
		}
	}
	return fmt.Errorf("%v doesn't answer ARP for %v on %s: %w", mac, addr, device, os.ErrDeadlineExceeded)
}

// awaitARP waits for an ARP reply from addr at mac.
func awaitARP(fd int, addr netip.Addr, mac frame.MAC, deadline time.Time) error {
	buf := make([]byte, 128)
	for {
		left := time.Until(deadline)
		if left <= 0 {
			return os.ErrDeadlineExceeded
		}
		timeout := unix.NsecToTimeval(max(left, time.Millisecond).Nanoseconds())
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout); err != nil {
			return os.NewSyscallError("setsockopt SO_RCVTIMEO", err)
		}
		n, err := unix.Read(fd, buf)
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return os.NewSyscallError("read", err)
		}
		const header = 14
		if n < header {
			continue
		}
		if packet, err := frame.ParseARP(buf[header:n]); err == nil && packet.Op() == frame.ARPReply && packet.SenderIP() == addr && packet.SenderMAC() == mac {
			return nil
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}
