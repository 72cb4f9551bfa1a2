package tunnel

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// fillRuns puts datagrams of these sizes into a batch, each filled with its number.
func fillRuns(t *testing.T, b *batch, to netip.AddrPort, sizes []int) {
	t.Helper()
	for i, size := range sizes {
		slot := b.slot(size)
		if slot == nil {
			t.Fatalf("no room for datagram %d", i)
		}
		for k := range slot {
			slot[k] = byte(i)
		}
		b.add(to, size)
	}
}

// expectRuns reads the datagrams that fillRuns made.
func expectRuns(t *testing.T, r net.PacketConn, sizes []int) {
	t.Helper()
	buf := make([]byte, 1<<16)
	for i, size := range sizes {
		r.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := r.ReadFrom(buf)
		if err != nil || !bytes.Equal(buf[:n], bytes.Repeat([]byte{byte(i)}, size)) {
			t.Fatalf("datagram %d of %d bytes came as %d bytes, %v", i, size, n, err)
		}
	}
}

// mixedSizes has long and short runs, and datagrams that belong to none.
func mixedSizes() []int {
	var sizes []int
	for range 70 { // more than a run holds
		sizes = append(sizes, 100)
	}
	sizes = append(sizes, 99, 100, 10, 10, 11, 1, 1, 1)
	for range 48 { // more bytes than a run holds
		sizes = append(sizes, 1400)
	}
	return sizes
}

func TestRunsArriveAsDatagrams(t *testing.T) {
	for name, singly := range map[string]bool{"joined": false, "a kernel that doesn't join": true} {
		t.Run(name, func(t *testing.T) {
			s := openSocket(t, "127.0.0.1:0")
			if singly {
				s.singly.Store(int64(never))
			}
			r, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b := s.newBatch()
			fillRuns(t, b, r.LocalAddr().(*net.UDPAddr).AddrPort(), mixedSizes())
			if b.n > 10 {
				t.Errorf("%d runs", b.n)
			}
			s.write(b)
			expectRuns(t, r, mixedSizes())
			if c := moved(s.Counters()); len(c) > 0 {
				t.Errorf("counters %v", c)
			}
		})
	}
}

// ownLoopback gives the test's thread a network of its own, and returns its loopback.
func ownLoopback(t *testing.T) netlink.Link {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root, for a network namespace")
	}
	runtime.LockOSThread() // never unlocked: the thread ends with the test
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		t.Skip("no network namespace: ", err)
	}
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		t.Fatal(err)
	}
	if err := netlink.LinkSetUp(lo); err != nil {
		t.Fatal(err)
	}
	return lo
}

// A path that takes less than a datagram: the kernel refuses runs and fragments single
// datagrams.
func TestARunThatTheKernelRefusesGoesAsSingleDatagrams(t *testing.T) {
	if err := netlink.LinkSetMTU(ownLoopback(t), 1280); err != nil {
		t.Fatal(err)
	}
	s := openSocket(t, "127.0.0.1:0")
	r, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	sizes := []int{1400, 1400, 1400, 700, 100, 100}
	b := s.newBatch()
	fillRuns(t, b, r.LocalAddr().(*net.UDPAddr).AddrPort(), sizes)
	s.write(b)
	expectRuns(t, r, sizes)
	if c := moved(s.Counters()); c["send_unjoined"] != 1 || len(c) != 1 {
		t.Errorf("counters %v", c)
	}
	if !s.joins() {
		t.Error("one path that takes less ends joining for all")
	}
}

// A link that is much slower than we are must not hold up the loop, which has other
// things to do than to wait for it.
func TestASlowLinkIsNotWaitedFor(t *testing.T) {
	slowLoopback(t, 1e6)
	s := openSocket(t, "127.0.0.1:0")
	b := s.newBatch()
	writes := func() time.Duration {
		start := time.Now()
		for range 200 { // 12 MB; each waited for, it would be more than a second
			for b.slot(1400) != nil && b.used < 60_000 {
				b.add(netip.MustParseAddrPort("127.0.0.1:9"), 1400)
			}
			s.write(b)
		}
		return time.Since(start)
	}
	took := min(writes(), writes(), writes()) // of a busy machine the least counts
	if full := s.Counters()["send_full"]; full < 1000 {
		t.Errorf("%d datagrams were dropped: the link isn't slow", full)
	}
	if took > 500*time.Millisecond {
		t.Errorf("200 writes took %v", took)
	}
}

// A super-frame of TCP crosses in segments and comes out whole, over a relay too.
func TestALargePacketArrivesWhole(t *testing.T) {
	for name, relayed := range map[string]bool{"directly": false, "by a relay": true} {
		t.Run(name, func(t *testing.T) {
			var got []frame.Packet
			list := wire(t, 3, func(_ group.MemberID, pkts []frame.Packet) {
				for _, p := range pkts {
					got = append(got, copyOf(p))
				}
			})
			a, b := list[0], list[1]
			if relayed {
				detour(a, b, list[2])
			}
			for _, tun := range list {
				tun.cfg.JoinTCP, tun.cfg.JoinUDP = true, true
			}
			sent := superFrame(40_000, 1000)
			want := bytes.Clone(sent.IP())
			a.Send(b.self, []frame.Packet{sent})
			if len(got) != 1 || got[0].GSO != frame.GSOUDP || got[0].Size != 1000 || !bytes.Equal(got[0].IP()[frame.IPv4HeaderLen:], want[frame.IPv4HeaderLen:]) {
				t.Fatalf("%d packets came", len(got))
			}
			if n := a.peer(b.self).tx.packets.Load(); n != 40 {
				t.Errorf("%d packets counted as sent", n)
			}
			if n := b.peer(a.self).rx.packets.Load(); n != 40 {
				t.Errorf("%d packets counted as received", n)
			}
		})
	}
}

// The most that one packet takes: the longest headers, and segments so short that there
// could hardly be more of them. A guest's virtio header may ask for it; a host whose far
// end has an MSS of 48 comes near.
func TestThePacketOfTheMostAndSmallestPiecesFitsABatch(t *testing.T) {
	for name, relayed := range map[string]bool{"directly": false, "by a relay": true} {
		t.Run(name, func(t *testing.T) {
			payload := 0
			list := wire(t, 3, func(_ group.MemberID, pkts []frame.Packet) {
				for _, p := range pkts {
					payload += len(p.IP()) - 120
				}
			})
			a, b := list[0], list[1]
			if relayed {
				detour(a, b, list[2])
			}
			a.Send(b.self, []frame.Packet{packet("one before it"), smallestPieces()})
			if want := 0xffff - 120 + len("one before it") + frame.IPv4HeaderLen - 120; payload != want {
				t.Errorf("%d bytes of payload came, want %d", payload, want)
			}
		})
	}
}

// smallestPieces is a TCP packet with all options there can be, in segments of 32 bytes.
func smallestPieces() frame.Packet {
	b := make([]byte, 0xffff)
	b[0], b[8], b[9] = 0x4f, 64, frame.ProtocolTCP
	binary.BigEndian.PutUint16(b[2:], 0xffff)
	frame.IPv4(b).SetChecksum()
	b[60+12] = 0xf0
	p := wrap(b)
	p.Offload = frame.Offload{GSO: frame.GSOTCPv4, Size: 32, Trusted: true, Partial: true}
	return p
}

func TestPacketsForSeveralMembersLeaveTogether(t *testing.T) {
	got := map[group.MemberID]int{}
	list := wire(t, 4, func(from group.MemberID, pkts []frame.Packet) { got[from] += len(pkts) })
	from := list[0]
	pkts := packets(3, 100)
	send := func() {
		out := from.Outbox()
		for _, to := range list[1:] {
			out.Add(to.self, pkts)
		}
		out.Send()
	}
	under := from.under.(*pipe)
	before := under.writes
	send()
	if under.writes != before+1 || got[from.self] != 3*len(pkts) {
		t.Errorf("%d writes, %d packets came", under.writes-before, got[from.self])
	}
	if n := testing.AllocsPerRun(100, send); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
