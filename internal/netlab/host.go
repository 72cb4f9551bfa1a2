package netlab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Host is a machine of the lab: a network, mount, UTS and PID namespace, held by a
// sleeping process that is the first of its PID namespace.
type Host struct {
	Name string

	lab   *Lab
	first *exec.Cmd // nil where the lab had failed already
	pidfd *os.File  // of first

	mu    sync.Mutex
	ports []*Port
}

// newHost starts a host without ports. It never returns nil.
func (l *Lab) newHost(name string) *Host {
	h := &Host{Name: name, lab: l}
	l.build("host "+name, func() (err error) {
		if h.first, err = l.spawn.spawn(name); err != nil {
			return err
		}
		l.mu.Lock()
		l.hosts = append(l.hosts, h)
		l.mu.Unlock()
		fd, err := unix.PidfdOpen(h.first.Process.Pid, 0)
		if err != nil {
			return fmt.Errorf("open its process: %w", err)
		}
		h.pidfd = os.NewFile(uintptr(fd), "pidfd of "+name)
		l.log.Debug("lab host is up", "host", name, "pid", h.Pid())
		return h.netlink(func(nl *netlink.Handle) error { return setUp(nl, "lo") })
	})
	return h
}

// Pid returns the number, on this machine, of the host's first process. As root,
// "nsenter -a -t PID" gives a shell on the host.
func (h *Host) Pid() int {
	if h.first == nil {
		return 0
	}
	return h.first.Process.Pid
}

// NetNS returns the path of the host's network namespace.
func (h *Host) NetNS() string { return fmt.Sprintf("/proc/%d/ns/net", h.Pid()) }

// Dir returns the host's scratch directory, as programs on the host see it. It is
// private to the host, lies in memory, and is empty at first.
func (h *Host) Dir() string { return scratch }

// Path returns where this machine finds a file of the host.
func (h *Host) Path(onHost string) string {
	return filepath.Join(fmt.Sprintf("/proc/%d/root", h.Pid()), onHost)
}

// ReadFile reads a file of the host, given by its absolute path there.
func (h *Host) ReadFile(name string) ([]byte, error) {
	if err := h.alive(); err != nil {
		return nil, err
	}
	return os.ReadFile(h.Path(name))
}

// WriteFile writes a file of the host, given by its absolute path there. Only what
// lies under /run, /etc and /var/lib is private to the host; elsewhere it refuses.
func (h *Host) WriteFile(name string, data []byte, perm fs.FileMode) error {
	if err := h.alive(); err != nil {
		return err
	}
	name = filepath.Clean(name)
	for _, private := range []string{"/run/", "/etc/", "/var/lib/"} {
		if strings.HasPrefix(name, private) {
			return os.WriteFile(h.Path(name), data, perm)
		}
	}
	return fmt.Errorf("write %s on %s: the host shares this file with the machine; it owns /run, /etc and /var/lib", name, h.Name)
}

// Do runs fn on a thread in the host's network namespace: sockets, devices and
// netlink handles that fn opens belong to the host and may be used from anywhere
// afterwards. Goroutines that fn starts are not in the namespace, and files are this machine's.
func (h *Host) Do(fn func() error) error {
	if err := h.alive(); err != nil {
		return err
	}
	return onThread(h.pidfd, enterNet, fn)
}

// ListenPacket opens a packet socket of the host; the address must be literal.
func (h *Host) ListenPacket(network, address string) (conn net.PacketConn, err error) {
	err = h.Do(func() error {
		conn, err = net.ListenPacket(network, address)
		return err
	})
	return conn, err
}

// Listen opens a listening socket of the host; the address must be literal.
func (h *Host) Listen(network, address string) (l net.Listener, err error) {
	err = h.Do(func() error {
		l, err = net.Listen(network, address)
		return err
	})
	return l, err
}

// Dial connects from the host; the address must be literal.
func (h *Host) Dial(ctx context.Context, network, address string) (conn net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dial from %s: want a literal address, as names would be asked of this machine: %w", h.Name, err)
	}
	err = h.Do(func() error {
		conn, err = new(net.Dialer).DialContext(ctx, network, address)
		return err
	})
	return conn, err
}

// Port returns the host's port of that name. It is nil if there is none, unless that is
// because the lab has failed.
func (h *Host) Port(name string) *Port {
	if p := h.port(name); p != nil || h.lab.Err() == nil {
		return p
	}
	return &Port{Host: h, Name: name, at: h}
}

func (h *Host) port(name string) *Port {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, p := range h.ports {
		if p.Name == name {
			return p
		}
	}
	return nil
}

// hasGateway reports whether the host was given a default route.
func (h *Host) hasGateway() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.ContainsFunc(h.ports, func(p *Port) bool { return p.gateway.IsValid() })
}

// Addr returns the first IPv4 address of a device of the host, with its prefix
// length, or ErrNoAddress.
func (h *Host) Addr(device string) (addr netip.Prefix, err error) {
	err = h.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(device)
		if err != nil {
			return err
		}
		addrs, err := nl.AddrList(link, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			ip, _ := netip.AddrFromSlice(a.IP.To4())
			ones, _ := a.Mask.Size()
			if ip.IsLinkLocalUnicast() {
				continue
			}
			addr = netip.PrefixFrom(ip, ones)
			return nil
		}
		return ErrNoAddress
	})
	if err != nil {
		err = fmt.Errorf("address of %s on %s: %w", device, h.Name, err)
	}
	return addr, err
}

// ErrNoAddress says that a device has no IPv4 address (link-local ones don't count).
var ErrNoAddress = errors.New("no IPv4 address")

// MAC returns the hardware address of a device of the host.
func (h *Host) MAC(device string) (mac net.HardwareAddr, err error) {
	err = h.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(device)
		if err == nil {
			mac = link.Attrs().HardwareAddr
		}
		return err
	})
	return mac, err
}

// Neighbours returns the IPv4 neighbours that a device of the host has resolved
// (the ARP table).
func (h *Host) Neighbours(device string) (map[netip.Addr]net.HardwareAddr, error) {
	table := make(map[netip.Addr]net.HardwareAddr)
	err := h.netlink(func(nl *netlink.Handle) error {
		link, err := nl.LinkByName(device)
		if err != nil {
			return err
		}
		all, err := nl.NeighList(link.Attrs().Index, netlink.FAMILY_V4)
		for _, n := range all {
			if ip, ok := netip.AddrFromSlice(n.IP.To4()); ok && len(n.HardwareAddr) == 6 {
				table[ip] = n.HardwareAddr
			}
		}
		return err
	})
	return table, err
}

// netlink runs fn with a handle to the host's network namespace.
func (h *Host) netlink(fn func(*netlink.Handle) error) error {
	return h.Do(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink: %w", err)
		}
		defer nl.Close()
		return fn(nl)
	})
}

const (
	required = false
	optional = true // absent on a kernel without the feature, which is fine
)

// sysctl sets net/… in the host's network namespace.
func (h *Host) sysctl(name, value string, mayLack bool) error {
	return h.Do(func() error {
		// /proc/sys/net shows the namespace of the thread that opens it.
		err := os.WriteFile("/proc/sys/"+name, []byte(value), 0)
		if mayLack && errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// alive returns why the host can't be used, or nil.
func (h *Host) alive() error {
	if h.pidfd == nil {
		if err := h.lab.Err(); err != nil {
			return err
		}
		return errGone
	}
	return nil
}

// kill ends every process of the host.
func (h *Host) kill() { _ = h.first.Process.Kill() }

// wait returns when the host's namespaces are gone.
func (h *Host) wait() {
	_ = h.first.Wait() // it says "killed"
	if h.pidfd != nil {
		_ = h.pidfd.Close()
	}
}
