package tunnel

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/loop"
	"landbridge/internal/oldkernel"
)

// aLog keeps what is logged.
type aLog struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *aLog) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *aLog) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// lines counts the lines with this text.
func (l *aLog) lines(text string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for line := range strings.Lines(l.text.String()) {
		if strings.Contains(line, text) {
			n++
		}
	}
	return n
}

// socketOf opens a socket on a thread whose kernel lacks something.
func socketOf(t *testing.T, listen string, log *slog.Logger, lacks ...oldkernel.Lack) *Socket {
	t.Helper()
	l := testLoop(t)
	var s *Socket
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		err := oldkernel.Enter(lacks...)
		if err == nil {
			s, err = OpenSocket(l, netip.MustParseAddrPort(listen), log)
		}
		done <- err
	}()
	err := <-done
	if errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
		t.Skip("needs root, for a filter of system calls: ", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func TestASocketGetsOnWithWhatAnOlderKernelHas(t *testing.T) {
	for _, c := range []struct {
		name, counter string
		lack          oldkernel.Lack
	}{
		{"before Linux 4.18", "lacks_udp_segment", oldkernel.UDPSegment()},
		{"before Linux 5.0", "lacks_udp_gro", oldkernel.UDPGRO()},
		{"one family a socket", "lacks_ipv6", oldkernel.DualStack()},
	} {
		t.Run(c.name, func(t *testing.T) {
			var log aLog
			s := socketOf(t, "[::]:0", log.logger(), c.lack)
			r, err := net.ListenPacket("udp4", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			b := s.newBatch()
			fillRuns(t, b, r.LocalAddr().(*net.UDPAddr).AddrPort(), mixedSizes())
			s.write(b)
			expectRuns(t, r, mixedSizes())
			if counts := moved(s.Counters()); counts[c.counter] != 1 || len(counts) != 1 {
				t.Errorf("counters %v", counts)
			}
			if n := log.lines("this kernel lacks something"); n != 1 {
				t.Errorf("%d lines: %s", n, &log.text)
			}
		})
	}
}

// Such a device hasn't always EIO for us; that the real program gets on with one that has is
// tested in internal/e2e.
func TestJoinedDatagramsAreTriedAgainAfterADeviceRefusedThem(t *testing.T) {
	var log aLog
	s, err := OpenSocket(testLoop(t), netip.MustParseAddrPort("127.0.0.1:0"), log.logger())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := s.newBatch()
	for range 3 {
		s.unjoin(b.sys, unix.EIO)
		if s.joins() || !b.sys.singly {
			t.Error("joined again at once")
		}
		s.singly.Add(-int64(joinAgain)) // a minute later
		if !s.joins() {
			t.Error("not joined again")
		}
	}
	if n := log.lines("takes no joined datagrams"); n != 1 || s.Counters()["send_unjoined"] != 3 {
		t.Errorf("%d lines, counters %v", n, s.Counters())
	}
}

// The kernel says what a path takes, and a session's status and one line of the log say what that means.
func TestAPathThatFragmentsIsToldWithTheMTUThatFits(t *testing.T) {
	if err := netlink.LinkSetMTU(ownLoopback(t), 1280); err != nil {
		t.Fatal(err)
	}
	var log aLog
	var mu sync.Mutex
	tunnels := make(map[group.MemberID]*Tunnel)
	got := make(chan struct{}, 10)
	l, err := loop.Open(false)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var ids []group.MemberID
	for i := range 2 {
		member := newFakeMember(group.ID{1}, uint64(i))
		socket, err := OpenSocket(l, netip.MustParseAddrPort("127.0.0.1:0"), testLog())
		if err != nil {
			t.Fatal(err)
		}
		defer socket.Close()
		// What looks at the path must run in this network.
		tun, err := open(Config{
			Membership: member, Log: log.logger(), MTU: 9000,
			Deliver:    func(group.MemberID, []frame.Packet) { got <- struct{}{} },
			Interfaces: func() []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} },
			Signal: callFunc(func(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
				mu.Lock()
				other := tunnels[to]
				mu.Unlock()
				return other.HandleSignal(ctx, member.id, req)
			}),
		}, fixedMTU{socket, socket.pathMTU(netip.MustParseAddrPort("127.0.0.1:9"))})
		if err != nil {
			t.Fatal(err)
		}
		defer tun.Close()
		mu.Lock()
		tunnels[member.id] = tun
		mu.Unlock()
		ids = append(ids, member.id)
	}
	tunnels[ids[0]].Send(ids[1], []frame.Packet{packet("hello")})
	select {
	case <-got:
	case <-time.After(30 * time.Second):
		t.Fatal("nothing came")
	}
	s := tunnels[ids[0]].Peers()[0]
	if want := "an MTU of 1219 for the group would fit"; s.Path == PathNone || !strings.Contains(s.Why, want) {
		t.Errorf("path %v, %q", s.Path, s.Why)
	}
	lines, counted := log.lines("fitting_mtu=1219"), uint64(0)
	for _, id := range ids { // the other end may not have found its path yet
		counted += tunnels[id].Counters()["path_fragmented"]
	}
	if tunnels[ids[0]].Counters()["path_fragmented"] != 1 || lines < 1 || uint64(lines) > counted {
		t.Errorf("%d counted, %d lines: %s", counted, lines, &log.text)
	}
}

// fixedMTU is a socket that knows the MTU of all paths.
type fixedMTU struct {
	*Socket
	mtu int
}

func (f fixedMTU) pathMTU(netip.AddrPort) int { return f.mtu }
