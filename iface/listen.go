package iface

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

// Listen hands over what stations on the segment of a port say to all, frames to broadcast and
// multicast addresses that this host takes, until ctx is done, which is no error. Nothing is sent and nothing about the
// port changed; frames of VLANs that it carries are of other segments. hear must not keep the frame.
// It needs CAP_NET_RAW.
func Listen(ctx context.Context, port string, hear func(f []byte)) error {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return fmt.Errorf("listen on %s: %w", port, err)
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0) // takes nothing until it is bound
	if errors.Is(err, unix.EPERM) {
		return &CapabilityError{Capability: "CAP_NET_RAW", Doing: "listen on " + port}
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", port, os.NewSyscallError("socket", err))
	}
	defer unix.Close(fd)
	err = takeWhatIsForAll(fd)
	if err == nil {
		timeout := unix.NsecToTimeval((100 * time.Millisecond).Nanoseconds()) // between looks at ctx
		err = os.NewSyscallError("setsockopt SO_RCVTIMEO", unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &timeout))
	}
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(unix.ETH_P_ALL), Ifindex: link.Attrs().Index}))
	}
	buf := make([]byte, 2048)
	for err == nil && ctx.Err() == nil {
		var n int
		n, err = unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EINTR), errors.Is(err, unix.ENETDOWN): // it may come up
			err = nil
		case err == nil:
			hear(buf[:n])
		}
	}
	if err != nil {
		return fmt.Errorf("listen on %s: %w", port, err)
	}
	return nil
}

// takeWhatIsForAll drops what this host sends, what is for one station, and what has a VLAN tag with a number.
func takeWhatIsForAll(fd int) error {
	return attachFilter(fd, []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_BROADCAST, SkipTrue: 1},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.PACKET_MULTICAST, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff}, // IEEE 802.1Q: 0 is a priority alone
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
}

// Acquaintance is a station with which this host has spoken on a port.
type Acquaintance struct {
	MAC     frame.MAC
	Address netip.Addr
}

// Acquaintances returns what the kernel knows of the stations on the segment of a port.
func Acquaintances(port string) ([]Acquaintance, error) {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", port, err)
	}
	all, err := dump(func() ([]netlink.Neigh, error) { return netlink.NeighList(link.Attrs().Index, netlink.FAMILY_V4) })
	if err != nil {
		return nil, fmt.Errorf("list the stations known on %s: %w", port, err)
	}
	var known []Acquaintance
	for _, n := range all {
		mac, ok := frame.MACFrom(n.HardwareAddr)
		addr, good := netip.AddrFromSlice(n.IP)
		if ok && good && n.State&(unix.NUD_REACHABLE|unix.NUD_STALE|unix.NUD_DELAY|unix.NUD_PROBE) != 0 {
			known = append(known, Acquaintance{mac, addr.Unmap()})
		}
	}
	return known, nil
}
