package iface

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/loop"
)

// Wire sends and takes Ethernet frames of one EtherType on a port that the host uses for
// itself (packet(7)): nothing else passes it, and the host's own traffic doesn't notice. Its
// methods are safe for concurrent use.
type Wire struct {
	port    string
	mac     frame.MAC
	file    *loop.File
	refused atomic.Uint64
}

// OpenWire opens the port for an EtherType. Of frames in a VLAN it takes none: they are of
// another segment. It needs CAP_NET_RAW.
func OpenWire(port string, etherType uint16) (*Wire, error) {
	link, err := netlink.LinkByName(port)
	if err != nil {
		return nil, fmt.Errorf("LAN port %s: %w", port, err)
	}
	mac, ok := frame.MACFrom(link.Attrs().HardwareAddr)
	if !ok {
		return nil, refuse(port, ErrNotEthernet, "LAN port %s has no Ethernet address", port)
	}
	// With protocol 0 it takes nothing until it is bound, so that none passes the filter by.
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if errors.Is(err, unix.EPERM) {
		return nil, &CapabilityError{Capability: "CAP_NET_RAW", Doing: "speak with appliances on the wire of " + port}
	}
	if err != nil {
		return nil, fmt.Errorf("open the wire of %s: %w", port, os.NewSyscallError("socket", err))
	}
	w := &Wire{port: port, mac: mac, file: loop.NewFile(fd)}
	err = takeOwnSegment(fd)
	if err == nil {
		err = os.NewSyscallError("bind", unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: bigEndian(etherType), Ifindex: link.Attrs().Index}))
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open the wire of %s: %w", port, err), w.Close())
	}
	return w, nil
}

// takeOwnSegment drops frames for others, and those that have, or had, a VLAN tag with a number. A card
// or the kernel takes that off, and what is left is handed out as if it belonged to this
// segment, but as a frame for others (__netif_receive_skb_core, net/core/dev.c).
func takeOwnSegment(fd int) error {
	return attachFilter(fd, []bpf.Instruction{
		bpf.LoadExtension{Num: bpf.ExtType},
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: unix.PACKET_OTHERHOST, SkipTrue: 4},
		bpf.LoadExtension{Num: bpf.ExtVLANTag},
		bpf.ALUOpConstant{Op: bpf.ALUOpAnd, Val: 0x0fff}, // IEEE 802.1Q: 0 is a priority alone
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
		bpf.RetConstant{Val: 0xffff},
		bpf.RetConstant{Val: 0},
	})
}

// attachFilter has the kernel pass a socket only what a program takes.
func attachFilter(fd int, instructions []bpf.Instruction) error {
	program, err := bpf.Assemble(instructions)
	if err != nil {
		return err
	}
	code := make([]unix.SockFilter, len(program))
	for i, p := range program {
		code[i] = unix.SockFilter{Code: p.Op, Jt: p.Jt, Jf: p.Jf, K: p.K}
	}
	return os.NewSyscallError("setsockopt SO_ATTACH_FILTER",
		unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &unix.SockFprog{Len: uint16(len(code)), Filter: &code[0]}))
}

// MAC returns the port's hardware address.
func (w *Wire) MAC() frame.MAC { return w.mac }

// FD is the descriptor to wait on; it can be read when there are frames.
func (w *Wire) FD() int { return w.file.FD() }

// Read takes a frame, without waiting; 0 is none. What is longer than buf is cut off. A port
// that is down or gone gives none. It fails with os.ErrClosed after Close.
func (w *Wire) Read(buf []byte) (n int, err error) {
	fd, ok := w.file.Use()
	if !ok {
		return 0, os.ErrClosed
	}
	defer w.file.Done()
	for {
		n, err = unix.Read(fd, buf)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENETDOWN):
			return 0, nil
		case err != nil:
			return 0, fmt.Errorf("read from the wire of %s: %w", w.port, err)
		default:
			return n, nil
		}
	}
}

// Write sends a whole Ethernet frame, of any EtherType; the kernel doesn't keep it. What the port
// can't take at the moment, or while it is down, is lost as on a wire, and counted; see Refused.
func (w *Wire) Write(f []byte) error {
	fd, ok := w.file.Use()
	if !ok {
		return os.ErrClosed
	}
	defer w.file.Done()
	for {
		_, err := unix.Write(fd, f)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.ENOBUFS), errors.Is(err, unix.ENETDOWN), errors.Is(err, unix.ENXIO):
			w.refused.Add(1)
			return nil
		default:
			return fmt.Errorf("write to the wire of %s: %w", w.port, err)
		}
	}
}

// Refused is how many frames the port didn't take.
func (w *Wire) Refused() uint64 { return w.refused.Load() }

// Close ends it. It may be called more than once.
func (w *Wire) Close() error { return w.file.Close() }

// bigEndian is a number as sockaddr_ll wants it: in network byte order.
func bigEndian(v uint16) uint16 { return v<<8 | v>>8 }
