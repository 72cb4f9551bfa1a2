package iface

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
)

// rawSocket sends and receives whole frames on a device, as a host's driver would.
func rawSocket(t *testing.T, index int) int {
	t.Helper()
	proto := uint16(unix.ETH_P_ALL<<8 | unix.ETH_P_ALL>>8)
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, int(proto))
	must(t, err)
	t.Cleanup(func() { _ = unix.Close(fd) })
	must(t, unix.Bind(fd, &unix.SockaddrLinklayer{Protocol: proto, Ifindex: index}))
	must(t, unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 5}))
	return fd
}

// testFrame is an Ethernet frame of an unassigned type (IEEE 802 local experimental).
func testFrame(dst net.HardwareAddr, tag byte) []byte {
	f := append(append(append([]byte{}, dst...), 0x02, 0xcc, 0, 0, 0, 3), 0x88, 0xb5)
	return append(f, bytes.Repeat([]byte{tag}, 60)...)
}

// packetOf puts a frame into a buffer with the room that a packet has.
func packetOf(f []byte) frame.Packet {
	buf := make([]byte, frame.VirtioHeaderLen+len(f), frame.VirtioHeaderLen+len(f)+frame.Tailroom)
	copy(buf[frame.VirtioHeaderLen:], f)
	return frame.Packet{Buf: buf}
}

// awaitFrames waits for frames that can be read.
func awaitFrames(t *testing.T, tap *TAP, patience time.Duration) bool {
	t.Helper()
	n, err := unix.Poll([]unix.PollFd{{Fd: int32(tap.FD()), Events: unix.POLLIN}}, int(patience.Milliseconds()))
	if err != nil && err != unix.EINTR {
		t.Fatal(err)
	}
	return n > 0
}

// readFrames collects n frames of testFrame's type.
func readFrames(t *testing.T, tap *TAP, n int) [][]byte {
	t.Helper()
	pkts := make([]frame.Packet, 16)
	var got [][]byte
	for len(got) < n {
		if !awaitFrames(t, tap, 30*time.Second) {
			t.Fatalf("%d of %d frames came", len(got), n)
		}
		k, err := tap.ReadBatch(pkts)
		if err != nil {
			t.Fatalf("after %d of %d frames: %v", len(got), n, err)
		}
		for _, p := range pkts[:k] {
			if f := p.Ethernet(); len(f) > 14 && f[12] == 0x88 && f[13] == 0xb5 {
				got = append(got, bytes.Clone(f))
			}
		}
	}
	return got
}

func TestTAPIsMadeAsAskedAndGoesWithClose(t *testing.T) {
	inNamespace(t)
	tap, err := OpenTAP("", TAPOptions{MAC: testMAC, MTU: 1376, Owner: "test"})
	must(t, err)
	a := linkNamed(t, "lb0").Attrs()
	if a.Index != tap.Index() || tap.Name() != "lb0" || !bytes.Equal(a.HardwareAddr, testMAC) ||
		!bytes.Equal(tap.MAC(), testMAC) || a.MTU != 1376 || a.TxQLen != queueFrames || a.Alias != "landbridge:test" || a.Flags&net.FlagUp == 0 {
		t.Errorf("got %+v", a)
	}
	if b, err := os.ReadFile("/proc/sys/net/ipv6/conf/lb0/disable_ipv6"); err == nil && string(b) != "1\n" {
		t.Errorf("IPv6 is on: %q", b)
	}
	if flags, err := unix.FcntlInt(uintptr(tap.FD()), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("a child process would inherit the TAP: flags %#x, %v", flags, err)
	}
	if taps, err := TAPs(); err != nil || !slices.Equal(taps, []int{tap.Index()}) {
		t.Errorf("the TAPs are %v, %v", taps, err)
	}
	second := openTAP(t)
	if second.Name() != "lb1" {
		t.Errorf("second TAP is %s", second.Name())
	}
	if _, err := OpenTAP("lb1", TAPOptions{Owner: "test"}); !errors.Is(err, ErrNameTaken) {
		t.Errorf("taken name: %v", err)
	}
	must(t, tap.Close())
	must(t, tap.Close())
	if exists("lb0") {
		t.Error("TAP outlived Close")
	}
}

func TestTAPCarriesBatchesBothWays(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	fd := rawSocket(t, tap.Index())
	for i := range 40 {
		must(t, unix.Send(fd, testFrame(gatewayMAC, byte(i)), 0))
	}
	for i, f := range readFrames(t, tap, 40) {
		if !bytes.Equal(f, testFrame(gatewayMAC, byte(i))) {
			t.Fatalf("frame %d came as % x", i, f)
		}
	}
	batch := []frame.Packet{packetOf(testFrame(testMAC, 1)), packetOf(testFrame(testMAC, 2)), packetOf(testFrame(testMAC, 3))}
	must(t, tap.WriteBatch(batch))
	buf := make([]byte, 2048)
	for seen := 0; seen < len(batch); {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		must(t, err)
		if ll := from.(*unix.SockaddrLinklayer); ll.Pkttype == unix.PACKET_OUTGOING {
			continue // our own sends, looped back
		}
		if !bytes.Equal(buf[:n], batch[seen].Ethernet()) {
			t.Fatalf("frame %d arrived as % x", seen, buf[:n])
		}
		seen++
	}
}

func TestReadsDoNotWaitAndEndWithClose(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	pkts := make([]frame.Packet, 1)
	drain(t, tap)
	if n, err := tap.ReadBatch(pkts); n != 0 || err != nil {
		t.Errorf("nothing to read gave %d frames, %v", n, err)
	}
	must(t, tap.Close())
	if n, err := tap.ReadBatch(pkts); n != 0 || !errors.Is(err, os.ErrClosed) {
		t.Errorf("read after Close gave %d frames, %v", n, err)
	}
	if err := tap.WriteBatch([]frame.Packet{packetOf(testFrame(testMAC, 1))}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("write after Close gave %v", err)
	}
}

func TestOneRefusedFrameDoesNotHoldUpTheRest(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	fd := rawSocket(t, tap.Index())
	err := tap.WriteBatch([]frame.Packet{packetOf([]byte{1, 2, 3}), packetOf(testFrame(testMAC, 7))})
	var refused *WriteError
	if !errors.As(err, &refused) || refused.Failed != 1 {
		t.Errorf("got %v", err)
	}
	buf := make([]byte, 2048)
	n, _, err := unix.Recvfrom(fd, buf, 0)
	must(t, err)
	if !bytes.Equal(buf[:n], testFrame(testMAC, 7)) {
		t.Errorf("arrived: % x", buf[:n])
	}
}

func TestBatchIOAllocatesNothing(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	fd := rawSocket(t, tap.Index())
	frames := []frame.Packet{packetOf(testFrame(testMAC, 1)), packetOf(testFrame(testMAC, 2))}
	pkts := make([]frame.Packet, 4)
	request := testFrame(gatewayMAC, 1)
	allocs := testing.AllocsPerRun(200, func() {
		if err := tap.WriteBatch(frames); err != nil {
			t.Error(err)
		}
		if err := unix.Send(fd, request, 0); err != nil {
			t.Error(err)
		}
		if _, err := tap.ReadBatch(pkts); err != nil {
			t.Error(err)
		}
	})
	if allocs > 0 {
		t.Errorf("%v allocations a round", allocs)
	}
}

func TestAssignAddressReplacesTheFormerOne(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	must(t, AssignAddress(tap, netip.MustParsePrefix("10.9.3.7/16")))
	must(t, AssignAddress(tap, netip.MustParsePrefix("10.9.3.8/16")))
	must(t, AssignAddress(tap, netip.MustParsePrefix("10.9.3.8/16")))
	addrs, err := netlink.AddrList(linkNamed(t, tap.Name()), netlink.FAMILY_ALL)
	must(t, err)
	if len(addrs) != 1 || addrs[0].IPNet.String() != "10.9.3.8/16" {
		t.Errorf("addresses: %v", addrs)
	}
	routes, err := netlink.RouteList(linkNamed(t, tap.Name()), netlink.FAMILY_V4)
	must(t, err)
	if len(routes) != 1 || routes[0].Dst.String() != "10.9.0.0/16" {
		t.Errorf("routes: %v", routes)
	}
}

func TestAssignIPv6GivesOneAddressAndTakesItAway(t *testing.T) {
	inNamespace(t)
	tap := openTAP(t)
	must(t, AssignAddress(tap, netip.MustParsePrefix("10.9.3.7/16")))
	for _, last := range []string{"7", "8", "8"} {
		must(t, AssignIPv6(tap, netip.MustParsePrefix("fd12:3456:789a::"+last+"/64")))
	}
	addrs, err := netlink.AddrList(linkNamed(t, tap.Name()), netlink.FAMILY_ALL)
	must(t, err)
	if len(addrs) != 2 || addrs[0].IPNet.String() != "10.9.3.7/16" || addrs[1].IPNet.String() != "fd12:3456:789a::8/64" || addrs[1].Flags&unix.IFA_F_TENTATIVE != 0 {
		t.Errorf("addresses: %v", addrs)
	}
	must(t, AssignIPv6(tap, netip.Prefix{}))
	if addrs, err = netlink.AddrList(linkNamed(t, tap.Name()), netlink.FAMILY_ALL); err != nil || len(addrs) != 1 {
		t.Errorf("without a prefix: %v, %v", addrs, err)
	}
}

func TestMissingPrivilegeNamesTheCapability(t *testing.T) {
	err := explain("bridge eth1", unix.EPERM)
	var missing *CapabilityError
	if !errors.As(err, &missing) || missing.Capability != "CAP_NET_ADMIN" {
		t.Errorf("EPERM became %v", err)
	}
}

func TestOpenTAPWithoutTheCapabilitySaysSo(t *testing.T) {
	inNamespace(t)
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	must(t, unix.Capget(&hdr, &caps[0]))
	full := caps
	caps[0].Effective &^= 1 << unix.CAP_NET_ADMIN
	must(t, unix.Capset(&hdr, &caps[0]))
	_, err := OpenTAP("", TAPOptions{Owner: "test"})
	must(t, unix.Capset(&hdr, &full[0]))
	var missing *CapabilityError
	if !errors.As(err, &missing) || missing.Capability != "CAP_NET_ADMIN" {
		t.Errorf("got %v", err)
	}
	if exists("lb0") {
		t.Error("a TAP was made")
	}
}
