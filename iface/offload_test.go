package iface

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/loop"
	"landbridge/internal/oldkernel"
)

// far is a thread in a network namespace of its own.
type far struct {
	t    *testing.T
	work chan func()
}

// newFar makes one, whose kernel may lack something.
func newFar(t *testing.T, lacks ...oldkernel.Lack) *far {
	t.Helper()
	f := &far{t: t, work: make(chan func())}
	made := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		ns, err := netns.New()
		made <- errors.Join(err, oldkernel.Enter(lacks...))
		for do := range f.work {
			do()
		}
		_ = ns.Close()
	}()
	must(t, <-made)
	t.Cleanup(func() { close(f.work) })
	return f
}

func (f *far) do(what func() error) {
	f.t.Helper()
	done := make(chan error)
	f.work <- func() { done <- what() }
	must(f.t, <-done)
}

// seen is what has come out of one TAP.
type seen struct {
	mu      sync.Mutex
	gso     map[frame.GSO]int
	partial int
}

func (s *seen) note(pkts []frame.Packet) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range pkts {
		s.gso[p.GSO]++
		if p.Partial {
			s.partial++
		}
	}
}

// cable carries frames from TAP to TAP until the test ends.
func cable(t *testing.T, from, to *TAP) *seen {
	t.Helper()
	s := &seen{gso: make(map[frame.GSO]int)}
	l, err := loop.Open(false)
	must(t, err)
	pkts := make([]frame.Packet, 64)
	_, err = l.Add(from.FD(), func() (int, error) {
		n, err := from.ReadBatch(pkts)
		s.note(pkts[:n])
		return n, errors.Join(err, to.WriteBatch(pkts[:n]))
	}, func(err error) { t.Error(err) })
	must(t, err)
	t.Cleanup(func() { must(t, l.Close()) })
	return s
}

var (
	nearAddrs = []string{"10.9.0.1/16", "fd00::1/64"}
	farAddrs  = []string{"10.9.0.2/16", "fd00::2/64"}
)

// openEnd makes a TAP, with addresses of both families, in the
// namespace of this thread.
func openEnd(mac net.HardwareAddr, log *slog.Logger, addrs []string) (*TAP, error) {
	tap, err := OpenTAP("", TAPOptions{MAC: mac, Owner: "test", Log: log})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile("/proc/sys/net/ipv6/conf/"+tap.Name()+"/disable_ipv6", []byte("0"), 0); err != nil {
		return nil, err
	}
	link, err := netlink.LinkByIndex(tap.Index())
	for _, a := range addrs {
		p := netip.MustParsePrefix(a)
		mask := net.CIDRMask(p.Bits(), p.Addr().BitLen())
		err = errors.Join(err, netlink.AddrAdd(link, &netlink.Addr{
			IPNet: &net.IPNet{IP: p.Addr().AsSlice(), Mask: mask}, Flags: unix.IFA_F_NODAD,
		}))
	}
	return tap, err
}

// transfer sends over TCP from the one listening to the one that dials, and compares hashes.
func transfer(t *testing.T, listen, dial func(func() error), addr string) {
	t.Helper()
	transferWith(t, listen, dial, addr, nil)
}

// transferWith is transfer from a socket with options of its own.
func transferWith(t *testing.T, listen, dial func(func() error), addr string, options func(fd int) error) {
	t.Helper()
	config := net.ListenConfig{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if options == nil {
			return nil
		}
		return errors.Join(c.Control(func(fd uintptr) { err = options(int(fd)) }), err)
	}}
	const size = 4 << 20
	var l net.Listener
	listen(func() (err error) {
		l, err = config.Listen(t.Context(), "tcp", net.JoinHostPort(addr, "7000"))
		return err
	})
	defer l.Close()
	sent := make(chan [32]byte, 1)
	go func() {
		h := sha256.New()
		if conn, err := l.Accept(); err == nil {
			_, _ = io.Copy(io.MultiWriter(conn, h), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
			_ = conn.Close()
		}
		sent <- [32]byte(h.Sum(nil))
	}()
	dial(func() error {
		conn, err := net.DialTimeout("tcp", net.JoinHostPort(addr, "7000"), 30*time.Second)
		if err != nil {
			return err
		}
		defer conn.Close()
		if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
			return err
		}
		h := sha256.New()
		n, err := io.Copy(h, conn)
		if err == nil && (n != size || [32]byte(h.Sum(nil)) != <-sent) {
			err = fmt.Errorf("%d bytes came, or other ones than were sent", n)
		}
		return err
	})
}

// datagrams sends bursts with UDP_SEGMENT, each when the one before is there.
func datagrams(t *testing.T, listen, dial func(func() error), addr string) {
	t.Helper()
	const size, burst = 1200, 40
	var in net.PacketConn
	listen(func() (err error) { in, err = net.ListenPacket("udp", net.JoinHostPort(addr, "7001")); return err })
	defer in.Close()
	var out net.Conn
	dial(func() (err error) { out, err = net.Dial("udp", net.JoinHostPort(addr, "7001")); return err })
	defer out.Close()
	raw, err := out.(*net.UDPConn).SyscallConn()
	must(t, err)
	must(t, raw.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) }))
	must(t, err)
	must(t, in.SetDeadline(time.Now().Add(time.Minute)))
	want, got := make([]byte, size*(burst-1)+77), make([]byte, 2*size)
	source := rand.NewChaCha8([32]byte{2})
	for range 5 {
		_, _ = source.Read(want)
		_, err := out.Write(want)
		must(t, err)
		for rest := want; len(rest) > 0; {
			n, _, err := in.ReadFrom(got)
			must(t, err)
			if !bytes.Equal(got[:n], rest[:min(size, len(rest))]) {
				t.Fatalf("a datagram of %d bytes isn't the one that was sent", n)
			}
			rest = rest[n:]
		}
	}
}

// oldKernel is a kernel that lacks something.
type oldKernel struct {
	name  string
	lacks []oldkernel.Lack
}

// oldKernels are those that make a TAP have each of allForms in turn.
func oldKernels() []oldKernel {
	const segments = unix.TUN_F_TSO4 | unix.TUN_F_TSO6
	return []oldKernel{
		{"all offload", nil},
		{"no UDP segmentation", []oldkernel.Lack{oldkernel.TAPOffload(offloadUDP)}},
		{"no segmentation with ECN", []oldkernel.Lack{oldkernel.TAPOffload(offloadUDP | unix.TUN_F_TSO_ECN)}},
		{"no segmentation", []oldkernel.Lack{oldkernel.TAPOffload(offloadUDP | unix.TUN_F_TSO_ECN | segments)}},
		{"no offload (TUNSETOFFLOAD)", []oldkernel.Lack{oldkernel.TAPOffload(0)}},
		{"no header (IFF_VNET_HDR)", []oldkernel.Lack{oldkernel.TAPHeader()}},
	}
}

// The far end has each kernel in turn, so that what the near end's kernel leaves undone
// is done by the far end's, or by us.
func TestSuperFramesCrossWhateverTheKernelTakes(t *testing.T) {
	for i, kernel := range oldKernels() {
		t.Run(kernel.name, func(t *testing.T) {
			inNamespace(t)
			f := allForms()[i]
			other := newFar(t, kernel.lacks...)
			here := func(do func() error) { t.Helper(); must(t, do()) }
			var log strings.Builder
			near, err := openEnd(testMAC, nil, nearAddrs)
			must(t, err)
			var end *TAP
			other.do(func() (err error) {
				end, err = openEnd(net.HardwareAddr{2, 0xcc, 0, 0, 0, 1}, slog.New(slog.NewTextHandler(&log, nil)), farAddrs)
				return err
			})
			t.Cleanup(func() { must(t, errors.Join(near.Close(), end.Close())) }) // after the cables
			out, back := cable(t, near, end), cable(t, end, near)

			for _, addr := range []string{"10.9.0.1", "fd00::1"} {
				transfer(t, here, other.do, addr)
				datagrams(t, here, other.do, addr)
			}
			for _, addr := range []string{"10.9.0.2", "fd00::2"} {
				transfer(t, other.do, here, addr)
				datagrams(t, other.do, here, addr)
			}
			out.check(t, allForms()[0])
			back.check(t, f)
			if lines := strings.Count(log.String(), "\n"); lines != map[bool]int{true: 0, false: 1}[f.offload&offloadUDP != 0] {
				t.Errorf("%d lines were logged: %s", lines, log.String())
			}
			if tcp, udp := end.Takes(); tcp != f.header || udp != (f.offload&offloadUDP != 0) {
				t.Errorf("takes TCP: %v, UDP: %v", tcp, udp)
			}
			c := end.Counters()
			if (c["finished_in_software"] > 0) != (f.offload&offloadUDP == 0) || c["lacks_offload"] != uint64(i) {
				t.Errorf("counters %v", c)
			}
		})
	}
}

// check compares what came out of a TAP with what its form allows.
func (s *seen) check(t *testing.T, f form) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, flag := range map[frame.GSO]int{
		frame.GSOTCPv4: unix.TUN_F_TSO4, frame.GSOTCPv6: unix.TUN_F_TSO6, frame.GSOUDP: unix.TUN_F_USO4,
	} {
		if (s.gso[kind] > 0) != (f.offload&flag != 0) {
			t.Errorf("%d frames with GSO %v", s.gso[kind], kind)
		}
	}
	if (s.partial > 0) != (f.offload&unix.TUN_F_CSUM != 0) {
		t.Errorf("%d frames with a partial checksum", s.partial)
	}
}

func TestAFrameWhoseVirtioHeaderLiesIsDroppedAndCounted(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	tap := &TAP{file: loop.NewFile(fds[0]), form: allForms()[0], arena: make([]byte, arenaBytes)}
	defer func() { must(t, errors.Join(tap.Close(), unix.Close(fds[1]))) }()
	good := packetOf(testFrame(gatewayMAC, 1)).Buf
	lying := bytes.Clone(good)
	lying[1] = unix.VIRTIO_NET_HDR_GSO_TCPV4
	for _, f := range [][]byte{lying, good, lying[:23], good} {
		_, err := unix.Write(fds[1], f)
		must(t, err)
	}
	pkts := make([]frame.Packet, 8)
	n, err := tap.ReadBatch(pkts)
	if err != nil || n != 2 || !bytes.Equal(pkts[1].Buf, good) {
		t.Errorf("%d frames, %v", n, err)
	}
	if c := tap.Counters()["dropped_bad_offload"]; c != 2 {
		t.Errorf("%d frames were counted, want 2", c)
	}
}

func TestABatchOfTheLongestFramesEndsWithTheArena(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 8<<20))
	tap := &TAP{file: loop.NewFile(fds[0]), form: allForms()[0], arena: make([]byte, arenaBytes)}
	defer func() { must(t, errors.Join(tap.Close(), unix.Close(fds[1]))) }()
	const frames = 20
	for i := range frames {
		long := bytes.Repeat([]byte{byte(i)}, longestFrame)
		clear(long[:frame.VirtioHeaderLen])
		_, err := unix.Write(fds[1], long)
		must(t, err)
	}
	pkts := make([]frame.Packet, 64)
	tap.Rest()
	for came := 0; came < frames; {
		n, err := tap.ReadBatch(pkts)
		if err != nil || n == 0 {
			t.Fatalf("%d frames, %v, after %d", n, err, came)
		}
		for _, p := range pkts[:n] {
			if len(p.Buf) != longestFrame || cap(p.Buf) != longestFrame+frame.Tailroom || p.Buf[longestFrame-1] != byte(came) || p.Buf[frame.VirtioHeaderLen] != byte(came) {
				t.Fatalf("frame %d: %d bytes, room for %d", came, len(p.Buf), cap(p.Buf))
			}
			_ = append(p.Buf, make([]byte, frame.Tailroom)...) // the tailroom is nobody else's
			came++
		}
		if tap.Rest(); bytes.Count(tap.arena, []byte{0}) < arenaBytes-8<<10 {
			t.Fatal("memory is kept that nobody uses")
		}
	}
	if len(tap.arena) != arenaBytes {
		t.Errorf("the arena has grown to %d bytes for frames of which no more are read at a time", len(tap.arena))
	}
}

func TestABurstOfFullSizeFramesIsReadAtATime(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	must(t, err)
	must(t, unix.SetsockoptInt(fds[1], unix.SOL_SOCKET, unix.SO_SNDBUFFORCE, 32<<20))
	tap := &TAP{file: loop.NewFile(fds[0]), form: allForms()[0], arena: make([]byte, arenaBytes)}
	defer func() { must(t, errors.Join(tap.Close(), unix.Close(fds[1]))) }()
	full := make([]byte, frame.Headroom+1500)
	pkts := make([]frame.Packet, maxBatch)
	burst := func() (reads []int) {
		for range maxBatch {
			_, err := unix.Write(fds[1], full)
			must(t, err)
		}
		for came := 0; came < maxBatch; {
			n, err := tap.ReadBatch(pkts)
			if err != nil || n == 0 {
				t.Fatalf("%d frames, %v, after %d", n, err, came)
			}
			came += n
			reads = append(reads, n)
		}
		return reads
	}
	burst()                               // makes room
	if reads := burst(); len(reads) > 2 { // the first after a lull comes alone
		t.Errorf("%d frames of %d bytes were read as %v: want one, and the rest at a time", maxBatch, len(full), reads)
	}
}

func TestFinishingInSoftwareAllocatesNothing(t *testing.T) {
	var tap *TAP
	newFar(t, oldkernel.TAPHeader()).do(func() (err error) {
		tap, err = OpenTAP("", TAPOptions{Owner: "test"})
		return err
	})
	defer tap.Close()
	p := packetOf(append(frame.AppendEthernet(nil, frame.MAC(testMAC), frame.MAC{2, 1}, frame.EtherTypeIPv4), frame.AppendUDP(nil,
		netip.MustParseAddrPort("10.9.0.1:1"), netip.MustParseAddrPort("10.9.0.2:2"), make([]byte, 60_000))...))
	p.Offload = frame.Offload{GSO: frame.GSOUDP, Size: 1200, Partial: true, Trusted: true}
	batch := []frame.Packet{p}
	if allocs := testing.AllocsPerRun(100, func() { must(t, tap.WriteBatch(batch)) }); allocs > 0 {
		t.Errorf("%v allocations a frame", allocs)
	}
}

func TestJumboFramesCrossTheBridge(t *testing.T) {
	inNamespace(t)
	host := addLAN(t, "lan0")
	must(t, netlink.LinkSetMTU(host, 9000))
	must(t, netlink.LinkSetMTU(linkNamed(t, "lan0"), 9000))
	tap := openTAP(t)
	b, err := CreateBridge(bridgeConfig(tap, "lan0"))
	must(t, err)
	defer func() { must(t, b.Close()) }()
	awaitForwarding(t, tap, host)
	fd := rawSocket(t, host.Attrs().Index)
	jumbo := append(testFrame(gatewayMAC, 5), make([]byte, 9014-74)...)
	must(t, unix.Send(fd, jumbo, 0))
	if got := readFrames(t, tap, 1); !bytes.Equal(got[0], jumbo) {
		t.Fatalf("%d bytes came", len(got[0]))
	}
	copy(jumbo, frame.Ethernet(jumbo).Src().HardwareAddr()) // back to whence it came
	copy(jumbo[6:], gatewayMAC)
	must(t, tap.WriteBatch([]frame.Packet{packetOf(jumbo)}))
	buf := make([]byte, 10_000)
	for {
		n, from, err := unix.Recvfrom(fd, buf, 0)
		must(t, err)
		if from.(*unix.SockaddrLinklayer).Pkttype != unix.PACKET_OUTGOING && n > 1000 {
			if !bytes.Equal(buf[:n], jumbo) {
				t.Errorf("%d bytes came back", n)
			}
			return
		}
	}
}

func TestATAPHalfMadeByAKilledRunIsRemoved(t *testing.T) {
	inNamespace(t)
	live := openTAP(t)
	left, err := makeDevice(DefaultTAPName, "test")
	must(t, err)
	must(t, Recover("somebody-else", quiet()))
	if !exists(left) {
		t.Fatal("another owner's TAP was removed, or it didn't outlast its holder")
	}
	must(t, Recover("test", quiet()))
	if exists(left) {
		t.Error("the TAP is still there")
	}
	if !exists(live.Name()) {
		t.Error("a TAP that is held was removed")
	}
}
