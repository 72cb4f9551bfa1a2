package iface

import (
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/oldkernel"
)

// ipv6Options has a socket send each packet with destination options, eight bytes of them.
func ipv6Options(fd int) error {
	return unix.SetsockoptString(fd, unix.IPPROTO_IPV6, unix.IPV6_DSTOPTS, "\x00\x00\x01\x04\x00\x00\x00\x00")
}

// The far end takes such frames whole, or has us cut them.
func TestSuperFramesWithIPv6OptionsCross(t *testing.T) {
	for _, kernel := range []oldKernel{{"whole", nil}, {"cut", []oldkernel.Lack{oldkernel.TAPHeader()}}} {
		t.Run(kernel.name, func(t *testing.T) {
			inNamespace(t)
			other := newFar(t, kernel.lacks...)
			here := func(do func() error) { t.Helper(); must(t, do()) }
			near, err := openEnd(testMAC, nil, nearAddrs)
			must(t, err)
			var end *TAP
			other.do(func() (err error) {
				end, err = openEnd(net.HardwareAddr{2, 0xcc, 0, 0, 0, 1}, nil, farAddrs)
				return err
			})
			t.Cleanup(func() { must(t, errors.Join(near.Close(), end.Close())) }) // after the cables
			out := cable(t, near, end)
			cable(t, end, near)
			transferWith(t, here, other.do, "fd00::1", ipv6Options)
			out.mu.Lock()
			defer out.mu.Unlock()
			if out.gso[frame.GSOTCPv6] == 0 {
				t.Errorf("no super frame came: %v", out.gso)
			}
			for name, n := range near.Counters() {
				if n > 0 {
					t.Errorf("%s: %d", name, n)
				}
			}
		})
	}
}

// A VLAN of the host on our device is nobody's business of ours: small frames are the router's to
// ignore, large ones can't be taken in.
func TestALargeFrameWithAVLANTagIsCountedAsSuch(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	if _, udp := tap.Takes(); !udp {
		t.Skip("needs a kernel that knows large UDP frames (USO), as Linux does since 6.2: an older one refuses the test's own")
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	defer unix.Close(fd)
	must(t, unix.SetsockoptInt(fd, unix.SOL_PACKET, unix.PACKET_VNET_HDR, 1))
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Ifindex: tap.Index()}))

	udp := frame.AppendUDP(nil, netip.MustParseAddrPort("10.9.0.1:1"), netip.MustParseAddrPort("10.9.0.2:2"), make([]byte, 5000))
	send := func(tag []byte) {
		t.Helper()
		f := frame.AppendEthernet(make([]byte, frame.VirtioHeaderLen), frame.MAC{2, 1}, frame.MAC(testMAC), frame.EtherTypeIPv4)
		f = append(f[:frame.VirtioHeaderLen+12], append(tag, f[frame.VirtioHeaderLen+12:]...)...)
		f[0], f[1] = unix.VIRTIO_NET_HDR_F_NEEDS_CSUM, unix.VIRTIO_NET_HDR_GSO_UDP_L4
		header := len(f) - frame.VirtioHeaderLen + frame.IPv4HeaderLen
		for i, v := range []int{header + frame.UDPHeaderLen, 1000, header, 6} {
			binary.NativeEndian.PutUint16(f[2+2*i:], uint16(v))
		}
		_, err := unix.Write(fd, append(f, udp...))
		must(t, err)
	}
	send([]byte{0x81, 0, 0, 5})
	send(nil)
	pkts := make([]frame.Packet, 16)
	for whole := false; !whole; {
		if !awaitFrames(t, tap, 30*time.Second) {
			t.Fatal("the frame without a tag didn't come")
		}
		n, err := tap.ReadBatch(pkts)
		must(t, err)
		for _, p := range pkts[:n] {
			if e := frame.Ethernet(p.Ethernet()); e.EtherType() == frame.EtherTypeVLAN {
				t.Fatal("the frame with a tag came")
			}
			whole = whole || p.GSO == frame.GSOUDP
		}
	}
	if c := tap.Counters(); c["dropped_foreign_offload"] != 1 || c["dropped_bad_offload"] != 0 {
		t.Errorf("counters %v", c)
	}
}

func TestAnMTUThatTheKernelRefusesIsToldAndCounted(t *testing.T) {
	inNamespace(t)
	var log strings.Builder
	logger := slog.New(slog.NewTextHandler(&log, nil))
	tap, err := OpenTAP("", TAPOptions{MAC: testMAC, Owner: "test", MTU: 70_000, Log: logger})
	must(t, err)
	defer func() { must(t, tap.Close()) }()
	check := func(refused uint64, mtu int) {
		t.Helper()
		if got := linkNamed(t, tap.Name()).Attrs().MTU; got != mtu || tap.MTU() != mtu {
			t.Errorf("MTU %d, and says %d, want %d", got, tap.MTU(), mtu)
		}
		if n := uint64(strings.Count(log.String(), "the kernel refuses this MTU")); n != refused || tap.Counters()["refused_mtu"] != refused {
			t.Errorf("%d counted, %d told: %s", tap.Counters()["refused_mtu"], n, &log)
		}
	}
	check(1, 1500)

	host := addLAN(t, "lan0")
	for _, l := range []netlink.Link{host, linkNamed(t, "lan0")} {
		must(t, netlink.LinkSetMTU(l, 65535)) // a TAP can have 14 less
	}
	config := bridgeConfig(tap, "lan0")
	config.Log = logger
	b, err := CreateBridge(config)
	must(t, err)
	defer func() { must(t, b.Close()) }()
	check(2, 1500)
	if b.MTU() != 1500 {
		t.Errorf("the bridge says %d", b.MTU())
	}
}
