package router

import (
	"crypto/sha256"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"landbridge/arp"
	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/loop"
)

// The namespace ring: real TAPs, bridges and TCP stacks, joined by two routers whose
// Senders call each other. They need root.

// machine is a thread in a network namespace of its own.
type machine struct {
	t    *testing.T
	work chan func()
	ns   netns.NsHandle
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root for network namespaces")
	}
	m := &machine{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		var err error
		m.ns, err = netns.New()
		made <- err
		for f := range m.work {
			f()
		}
	}()
	if err := <-made; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { close(m.work); _ = m.ns.Close() })
	return m
}

// do runs f in the machine's namespace.
func (m *machine) do(f func() error) {
	m.t.Helper()
	done := make(chan error)
	m.work <- func() { done <- f() }
	if err := <-done; err != nil {
		m.t.Fatal(err)
	}
}

// kernelSite is a router on a TAP of a machine.
type kernelSite struct {
	router *Router
	tap    *iface.TAP
}

func openKernelTAP(m *machine, mac net.HardwareAddr) (tap *iface.TAP) {
	m.t.Helper()
	m.do(func() (err error) {
		tap, err = iface.OpenTAP("", iface.TAPOptions{MAC: mac, MTU: 1376, Owner: "test"})
		return err
	})
	m.t.Cleanup(func() { _ = tap.Close() })
	return tap
}

func (s *kernelSite) run(t *testing.T, cfg Config) {
	t.Helper()
	cfg.Device, cfg.Prefix, cfg.ServiceAddr, cfg.MTU = s.tap, prefix, svcAddr, 1376
	cfg.ARP = arp.NewResponder(arp.Config{
		Prefix: prefix, ServiceAddr: svcAddr, GatewayMAC: cfg.GatewayMAC, Directory: ARPDirectory(cfg.Directory),
	})
	var err error
	if cfg.Hosts, err = NewHosts(prefix); err != nil {
		t.Fatal(err)
	}
	if s.router, err = New(cfg); err != nil {
		t.Fatal(err)
	}
	l, err := loop.Open(false)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(s.tap.FD(), s.router.Poll, func(err error) { t.Error(err) }); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		s.router.Close()
	})
}

// patch is a Sender straight into a router that is known later.
type patch struct {
	from  group.MemberID
	to    *kernelSite
	whole atomic.Int64 // packets yet to be cut into segments
}

func (p *patch) Send(parcels []Parcel) {
	for _, to := range parcels {
		for _, q := range to.Packets {
			if q.GSO != frame.GSONone {
				p.whole.Add(1)
			}
		}
		p.to.router.Deliver(p.from, to.Packets)
	}
}

// fixed is a Directory of two members.
func fixed(self group.MemberID) steady {
	dir := steady{}
	for h, m := range map[host]group.MemberID{hostA: memberA, hostB: memberB} {
		dir[h.ip] = Route{Member: m, Local: m == self}
	}
	return dir
}

// copyTCP sends size bytes from one machine to an address of another and compares hashes.
func copyTCP(t *testing.T, from, to *machine, addr netip.Addr, size int64) {
	t.Helper()
	var listener net.Listener
	to.do(func() (err error) {
		listener, err = net.Listen("tcp4", net.JoinHostPort(addr.String(), "7000"))
		return err
	})
	defer listener.Close()
	received := make(chan [32]byte, 1)
	go func() {
		h := sha256.New()
		if conn, err := listener.Accept(); err == nil {
			_, _ = io.Copy(h, conn)
			_ = conn.Close()
		}
		received <- [32]byte(h.Sum(nil))
	}()
	sent := sha256.New()
	from.do(func() error {
		conn, err := net.DialTimeout("tcp4", net.JoinHostPort(addr.String(), "7000"), 30*time.Second)
		if err != nil {
			return err
		}
		source := rand.NewChaCha8([32]byte{1})
		_, err = io.Copy(io.MultiWriter(conn, sent), io.LimitReader(source, size))
		return errors.Join(err, conn.Close())
	})
	select {
	case got := <-received:
		if got != [32]byte(sent.Sum(nil)) {
			t.Error("what arrived isn't what was sent")
		}
	case <-time.After(time.Minute):
		t.Fatal("the copy doesn't end")
	}
}

func TestTwoKernelsTalkInInterfaceMode(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	var siteA, siteB kernelSite
	siteA.tap = openKernelTAP(a, hostA.mac.HardwareAddr())
	siteB.tap = openKernelTAP(b, hostB.mac.HardwareAddr())
	a.do(func() error { return iface.AssignAddress(siteA.tap, netip.PrefixFrom(hostA.ip, 16)) })
	b.do(func() error { return iface.AssignAddress(siteB.tap, netip.PrefixFrom(hostB.ip, 16)) })
	out, back := &patch{from: memberA, to: &siteB}, &patch{from: memberB, to: &siteA}
	siteB.run(t, Config{GatewayMAC: gwB, Directory: fixed(memberB), Sender: back})
	siteA.run(t, Config{GatewayMAC: gwA, Directory: fixed(memberA), Sender: out})
	copyTCP(t, a, b, hostB.ip, 8<<20)
	if out.whole.Load() == 0 {
		t.Error("everything was cut into segments on the way")
	}
	if n := siteA.router.counters[dropTooBig].Load() + siteB.router.counters[dropTooBig].Load(); n != 0 {
		t.Errorf("%d packets were too large for the tunnel: the MTU or the MSS is wrong", n)
	}
}

// attachLAN makes a LAN port in m and the machine at the other end of its cable, with
// an address and nothing installed.
func attachLAN(t *testing.T, m *machine, h host) *machine {
	t.Helper()
	far := newMachine(t)
	m.do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "lan0"
		err := netlink.LinkAdd(&netlink.Veth{
			LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(far.ns), PeerHardwareAddr: h.mac.HardwareAddr(),
		})
		if err != nil {
			return err
		}
		return setUp("lan0")
	})
	far.do(func() error {
		link, err := netlink.LinkByName("eth0")
		if err != nil {
			return err
		}
		addr := &netlink.Addr{IPNet: &net.IPNet{IP: h.ip.AsSlice(), Mask: net.CIDRMask(16, 32)}}
		return errors.Join(netlink.AddrAdd(link, addr), setUp("eth0"))
	})
	return far
}

func setUp(name string) error {
	link, err := netlink.LinkByName(name)
	if err != nil {
		return err
	}
	return netlink.LinkSetUp(link)
}

// The LAN's host has an MTU of 1500 and doesn't know the group's; its packets are
// kept small by the MSS alone, its MAC is learnt by ARP, its segments are offloaded by its kernel.
func TestAHostBehindABridgeTalksToAnInterfaceModeHost(t *testing.T) {
	a, b := newMachine(t), newMachine(t)
	var siteA, siteB kernelSite
	siteA.tap = openKernelTAP(a, net.HardwareAddr{2, 0xee, 0, 0, 0, 1})
	siteB.tap = openKernelTAP(b, hostB.mac.HardwareAddr())
	lan := attachLAN(t, a, hostA)
	var bridge *iface.Bridge
	a.do(func() (err error) {
		bridge, err = iface.CreateBridge(iface.BridgeConfig{
			LANPort: "lan0", TAP: siteA.tap, GatewayMAC: gwA.HardwareAddr(), Owner: "test",
		})
		return err
	})
	defer func() { a.do(bridge.Close) }()
	b.do(func() error { return iface.AssignAddress(siteB.tap, netip.PrefixFrom(hostB.ip, 16)) })
	out, back := &patch{from: memberA, to: &siteB}, &patch{from: memberB, to: &siteA}
	siteB.run(t, Config{GatewayMAC: gwB, Directory: fixed(memberB), Sender: back})
	siteA.run(t, Config{GatewayMAC: gwA, LinkMTU: bridge.MTU(), Directory: fixed(memberA), Sender: out})

	copyTCP(t, lan, b, hostB.ip, 8<<20)
	copyTCP(t, b, lan, hostA.ip, 8<<20)
	if out.whole.Load() == 0 || back.whole.Load() == 0 {
		t.Error("everything was cut into segments on the way")
	}
	lan.do(func() error { return expectNeighbour(hostB.ip, gwA.HardwareAddr()) })
	if n := siteA.router.counters[dropTooBig].Load(); n != 0 {
		t.Errorf("%d segments were too large: the MSS wasn't clamped", n)
	}
	lan.do(func() error { return expectPathMTU(hostB.ip, 1376) })
}

func expectNeighbour(addr netip.Addr, mac net.HardwareAddr) error {
	neighbours, err := netlink.NeighList(0, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for _, n := range neighbours {
		if n.IP.Equal(addr.AsSlice()) && n.HardwareAddr.String() == mac.String() {
			return nil
		}
	}
	return errors.New("the remote host isn't at the gateway MAC")
}

// expectPathMTU sends datagrams larger than the tunnel takes, until the kernel has learnt
// the path MTU from our ICMP errors.
func expectPathMTU(addr netip.Addr, want int) error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.SetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER, unix.IP_PMTUDISC_DO); err != nil {
		return err
	}
	if err := unix.Connect(fd, &unix.SockaddrInet4{Port: 7001, Addr: addr.As4()}); err != nil {
		return err
	}
	got := 0
	for end := time.Now().Add(5 * time.Second); got != want && time.Now().Before(end); {
		_, _ = unix.Write(fd, make([]byte, 1472)) // fails with EMSGSIZE once it is known
		if got, err = unix.GetsockoptInt(fd, unix.IPPROTO_IP, unix.IP_MTU); err != nil {
			return err
		}
		runtime.Gosched()
	}
	if got != want {
		return errors.New("the kernel didn't learn the path MTU from ICMP fragmentation needed")
	}
	return nil
}
