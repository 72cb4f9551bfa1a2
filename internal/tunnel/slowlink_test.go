package tunnel

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// slowLoopback gives the test's thread a network of its own whose only device sends at a
// rate, in bytes per second, and drops nothing.
func slowLoopback(t *testing.T, rate uint64) {
	t.Helper()
	err := netlink.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: ownLoopback(t).Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       rate, Buffer: 64 << 10, Limit: 64 << 20,
	})
	if err != nil {
		t.Skip("this kernel can't slow a link down: ", err)
	}
}

// listenFor has arrived called for each datagram that comes, and returns where to.
func listenFor(t *testing.T, arrived func(b []byte)) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := c.(*net.UDPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = raw.Control(func(fd uintptr) { // a busy machine reads late
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, 32<<20)
	})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 2000); ; {
			n, _, err := c.ReadFrom(buf)
			if err != nil {
				return
			}
			arrived(buf[:n])
		}
	}()
	t.Cleanup(func() { c.Close(); <-done })
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

// A link of 20 Mbit/s, which a flood for one member fills many times over, must hold up
// neither what goes to another, nor control messages, nor the loop. A busy machine may do that: one of three times it doesn't.
func TestAFloodForOneHoldsNobodyElseUp(t *testing.T) {
	const rate = 2_500_000
	slowLoopback(t, rate)
	var held error
	for range 3 {
		if held = floodFor(t, rate); held == nil {
			return
		}
		t.Log(held)
	}
	t.Error(held)
}

// floodFor fills the link for 2 s and returns who was held up by that.
func floodFor(t *testing.T, rate int64) (held error) {
	t.Helper()
	start := time.Now()
	var delays [2][]time.Duration // to the other member; of control messages to the flooded one
	var count [2]atomic.Int64
	var flooded atomic.Int64
	timed := func(which int) func([]byte) {
		return func(b []byte) {
			delays[which] = append(delays[which], time.Since(start)-time.Duration(binary.BigEndian.Uint64(b)))
			count[which].Add(1)
		}
	}
	other := listenFor(t, timed(0))
	control := timed(1)
	flood := listenFor(t, func(b []byte) {
		if len(b) == 60 {
			control(b)
		} else {
			flooded.Add(int64(len(b)))
		}
	})
	l := testLoop(t)
	s, err := OpenSocket(l, netip.MustParseAddrPort("127.0.0.1:0"), testLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	b := s.newBatch()
	put := func(to netip.AddrPort, size int) {
		slot := b.slot(size)
		binary.BigEndian.PutUint64(slot, uint64(time.Since(start)))
		b.add(to, size)
	}
	var writes, slow int // on the loop's thread; a busy machine may take the core away in a few
	var sent int
	var next time.Duration
	pipe := make([]int, 2)
	if err := unix.Pipe2(pipe, unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(pipe[0]); unix.Close(pipe[1]) })
	busy, err := l.Add(pipe[0], func() (int, error) { // as the TAP's handler would
		for range 20 {
			put(flood, 1400)
		}
		write := func() {
			began := time.Now()
			s.write(b)
			writes++
			if time.Since(began) > time.Millisecond {
				slow++
			}
		}
		write()
		if now := time.Since(start); now >= next { // each 10 ms
			next = now + 10*time.Millisecond
			sent++
			put(other, 100)
			write()
			b.class = classUrgent
			put(flood, 60)
			write()
		}
		return 1, nil
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	await(t, time.Minute, "the flood has crossed for 2 s", func() bool { return flooded.Load() > 2*rate })
	busy.Remove()
	await(t, time.Minute, "all of the others' has come", func() bool { return count[0].Load() == int64(sent) && count[1].Load() == int64(sent) })
	for i, what := range []string{"to the other member", "of control messages"} {
		list := delays[i][len(delays[i])/2:] // the first ones waited in a buffer that was too long yet
		slices.Sort(list)
		t.Logf("delay %s: p50 %v, p99 %v, of %d", what, list[len(list)/2], list[len(list)*99/100], len(list))
		if list[len(list)/2] > 50*time.Millisecond {
			held = errors.Join(held, fmt.Errorf("delay %s: %v", what, list[len(list)/2]))
		}
	}
	c := s.Counters()
	fd, _ := s.file.Use()
	defer s.file.Done()
	buffer, _ := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_SNDBUF)
	t.Logf("%d of %d writes took more than a millisecond; send buffer %d bytes; %v", slow, writes, buffer/2, c)
	if c["send_full"]+c["send_old"] < 1000 {
		t.Error("the link isn't slow")
	}
	if buffer/2 > 64<<10 {
		t.Errorf("the send buffer holds %d bytes of a link of 20 Mbit/s", buffer/2)
	}
	if slow > writes/20 {
		held = errors.Join(held, fmt.Errorf("%d of %d writes took more than a millisecond", slow, writes))
	}
	return held
}

// All that a slow link takes at its own pace comes in order, and once nobody sends any more
// nothing is left behind.
func TestWhatWaitsForASlowLinkComesInOrder(t *testing.T) {
	slowLoopback(t, 5_000_000)
	var got []uint64
	var count atomic.Int64
	to := listenFor(t, func(b []byte) {
		got = append(got, binary.BigEndian.Uint64(b))
		count.Add(1)
	})
	s := openSocket(t, "127.0.0.1:0")
	const total = 2000
	b := s.newBatch()
	pace := time.NewTicker(3 * time.Millisecond) // for 20 of them, which take the link 5 ms
	defer pace.Stop()
	for n := range total {
		slot := b.slot(1200)
		binary.BigEndian.PutUint64(slot, uint64(n))
		b.add(to, 1200)
		if n%20 == 19 {
			<-pace.C
			s.write(b)
		}
	}
	await(t, time.Minute, "nothing waits", func() bool { return !s.out.waiting.Load() })
	c := s.Counters()
	await(t, time.Minute, "all that wasn't dropped has come", func() bool {
		return count.Load() == total-int64(c["send_old"]+c["send_full"])
	})
	if !slices.IsSorted(got) {
		t.Error("in another order")
	}
	if c["send_waited"] == 0 {
		t.Errorf("nothing waited: %v", c)
	}
}

func TestQUICWaitsForASlowLinkToo(t *testing.T) {
	slowLoopback(t, 1_000_000)
	var floods, quic atomic.Int64
	to := listenFor(t, func(b []byte) {
		if b[0] == quicBit {
			quic.Add(1)
		} else {
			floods.Add(1)
		}
	})
	s := openSocket(t, "127.0.0.1:0")
	b := s.newBatch()
	for range 600 {
		b.slot(1400)
		b.add(to, 1400)
		if b.n > 0 && b.used > 50_000 {
			s.write(b)
		}
	}
	q := s.QUIC()
	for range 5 {
		if _, err := q.WriteTo([]byte{quicBit, 1, 2}, net.UDPAddrFromAddrPort(to)); err != nil {
			t.Fatal(err)
		}
	}
	if quic.Load() > 0 {
		t.Skip("the link isn't slow")
	}
	await(t, time.Minute, "QUIC's datagrams come", func() bool { return quic.Load() == 5 })
	if n := floods.Load(); n > 500 {
		t.Errorf("they came behind the flood: after %d datagrams", n)
	}
}

// A tunnel that ends says so to its peers, and the socket is closed right after it.
func TestASocketIsClosedWhenWhatIsUrgentHasLeft(t *testing.T) {
	slowLoopback(t, 5_000_000)
	var urgent atomic.Int64
	to := listenFor(t, func(b []byte) {
		if len(b) == 60 {
			urgent.Add(1)
		}
	})
	s := openSocket(t, "127.0.0.1:0")
	b := s.newBatch()
	for n := 0; n < 5000 && s.Counters()["send_waited"] < 100; n += 20 {
		for range 20 {
			b.slot(1400)
			b.add(to, 1400)
		}
		s.write(b)
	}
	b.class = classUrgent
	b.slot(60)
	b.add(to, 60)
	s.write(b)
	if !s.out.waiting.Load() {
		t.Skip("the link isn't slow")
	}
	began := time.Now()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 10*farewellTime { // a busy machine may take the core away
		t.Errorf("closing took %v", took)
	}
	await(t, time.Minute, "what is urgent comes", func() bool { return urgent.Load() == 1 })
	b.slot(1400)
	b.add(to, 1400)
	b.sys.rewind()
	if !s.keep(b, true) || s.out.queue.used != 0 || s.out.lull != nil { // by who has just found the kernel full
		t.Errorf("a closed socket keeps what comes: %d blocks, timer %v", s.out.queue.used, s.out.lull)
	}
}
