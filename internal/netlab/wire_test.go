package netlab

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// echo answers each datagram to a host's address until the test ends.
func echo(t *testing.T, h *Host) netip.AddrPort {
	t.Helper()
	var done sync.WaitGroup
	t.Cleanup(done.Wait) // after the socket is closed
	conn := udp(t, h, h.Port("eth0").Addr())
	done.Go(func() {
		var buf [2048]byte
		for {
			n, from, err := conn.ReadFromUDPAddrPort(buf[:])
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err == nil {
				_, _ = conn.WriteToUDPAddrPort(buf[:n], from)
			}
		}
	})
	return addrOf(conn)
}

// answered reports whether a datagram to addr is answered within the wait.
func answered(t *testing.T, conn *net.UDPConn, addr netip.AddrPort, wait time.Duration) (time.Duration, bool) {
	t.Helper()
	began := time.Now()
	question := binary.BigEndian.AppendUint64(nil, uint64(began.UnixNano()))
	if _, err := conn.WriteToUDPAddrPort(question, addr); err != nil {
		<-time.After(wait) // a link without carrier says so at once
		return 0, false
	}
	var buf [64]byte
	for {
		conn.SetReadDeadline(began.Add(wait))
		n, _, err := conn.ReadFromUDPAddrPort(buf[:])
		if err != nil {
			return 0, false
		}
		if slices.Equal(buf[:n], question) { // else it answers an earlier one
			return time.Since(began), true
		}
	}
}

func TestRoundTripsTakeTheLinksDelay(t *testing.T) {
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	far := echo(t, wan.Host("far", Link{Delay: 5 * time.Millisecond}))
	for _, c := range []struct {
		name      string
		link      Link
		low, high time.Duration
	}{
		{"plain", Link{}, 10 * time.Millisecond, 12 * time.Millisecond},
		{"short", Link{Delay: 200 * time.Microsecond}, 10400 * time.Microsecond, 12 * time.Millisecond},
		{"long", Link{Delay: 40 * time.Millisecond}, 90 * time.Millisecond, 94 * time.Millisecond},
	} {
		h := wan.Host(c.name, c.link)
		least, ok := leastRTT(t, udp(t, h, h.Port("eth0").Addr()), far, c.high)
		if !ok || least < c.low || least > c.high {
			t.Errorf("%s: least round trip %v (%v), want it between %v and %v", c.name, least, ok, c.low, c.high)
		}
		t.Logf("%s: %v", c.name, least)
	}
}

// leastRTT returns the shortest of 15 round trips, as the others tell how busy this
// machine is, and of more where none is as short as enough: for 10 s.
func leastRTT(t *testing.T, conn *net.UDPConn, far netip.AddrPort, enough time.Duration) (least time.Duration, ok bool) {
	t.Helper()
	least = time.Hour
	for n, end := 0, time.Now().Add(10*time.Second); n < 15 || least > enough && time.Now().Before(end); n++ {
		if rtt, answer := answered(t, conn, far, time.Second); answer {
			least, ok = min(least, rtt), true
		}
	}
	return least, ok
}

func TestALossyLinkLosesItsShareOfRealDatagrams(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := wan.Host("a", Link{Loss: 0.2}), wan.Host("b")
	from, to := udp(t, a, a.Port("eth0").Addr()), udp(t, b, b.Port("eth0").Addr())
	const sent = 2000
	got := 0
	for i := range sent {
		if _, err := from.WriteToUDPAddrPort([]byte{1}, addrOf(to)); err != nil {
			t.Fatal(err)
		}
		if i%50 != 49 { // no more than a socket's buffer holds
			continue
		}
		for end := time.Now().Add(10 * time.Second); time.Now().Before(end); {
			got += drain(to, 20*time.Millisecond)
			if leaving, _ := a.Port("eth0").Stats(); got+int(leaving.Lost) > i { // all have come, or been lost
				break
			}
		}
	}
	got += drain(to, 200*time.Millisecond)
	if share := 1 - float64(got)/sent; share < 0.15 || share > 0.25 {
		t.Errorf("lost %.3f of the datagrams, want 0.2", share)
	}
	if leaving, coming := a.Port("eth0").Stats(); leaving.Lost < 300 || leaving.Frames < 1500 || coming.Lost > 10 {
		t.Errorf("counters: leaving %+v, coming %+v", leaving, coming)
	}
}

func TestAReorderingLinkDeliversAllDatagramsAndSomeOfThemLate(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := wan.Host("a", Link{Reorder: 0.1, Hold: 3 * time.Millisecond}), wan.Host("b")
	from, to := udp(t, a, a.Port("eth0").Addr()), udp(t, b, b.Port("eth0").Addr())
	const sent, burst = 2000, 50 // no more at once than a socket's buffer holds
	got, late, newest := 0, 0, -1
	for first := 0; first < sent; first += burst {
		for i := first; i < first+burst; i++ {
			if _, err := from.WriteToUDPAddrPort(binary.BigEndian.AppendUint32(nil, uint32(i)), addrOf(to)); err != nil {
				t.Fatal(err)
			}
		}
		var buf [4]byte
		for range burst {
			to.SetReadDeadline(time.Now().Add(10 * time.Second))
			if _, _, err := to.ReadFromUDPAddrPort(buf[:]); err != nil {
				t.Fatalf("%d datagrams of %d arrived: %v", got, sent, err)
			}
			got++
			if n := int(binary.BigEndian.Uint32(buf[:])); n < newest {
				late++
			} else {
				newest = n
			}
		}
	}
	leaving, coming := a.Port("eth0").Stats()
	if held := int(leaving.Held); late < sent/20 || late > held || held < sent/15 || held > sent/7 || coming.Held != 0 {
		t.Errorf("%d datagrams of %d were overtaken, %d held back (%d on the way back)", late, sent, held, coming.Held)
	}
}

// drain counts the datagrams that come until there has been none for a while.
func drain(conn *net.UDPConn, while time.Duration) (n int) {
	var buf [64]byte
	for {
		conn.SetReadDeadline(time.Now().Add(while))
		if _, _, err := conn.ReadFromUDPAddrPort(buf[:]); err != nil {
			return n
		}
		n++
	}
}

// copyTime copies size bytes from one host to another by TCP.
func copyTime(t *testing.T, from, to *Host, size int64) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	l, err := to.Listen("tcp4", netip.AddrPortFrom(to.Port("eth0").Addr(), 0).String())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	received := make(chan int64, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			received <- 0
			return
		}
		defer conn.Close()
		n, _ := io.Copy(io.Discard, conn)
		received <- n
	}()
	conn, err := from.Dial(ctx, "tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_ = conn.SetDeadline(began.Add(time.Minute))
	buf := make([]byte, 64<<10)
	for left := size; left > 0; left -= int64(len(buf)) {
		if _, err := conn.Write(buf[:min(left, int64(len(buf)))]); err != nil {
			t.Fatal(err)
		}
	}
	conn.Close()
	if n := <-received; n != size {
		t.Fatalf("%d bytes of %d arrived", n, size)
	}
	return time.Since(began)
}

func TestTCPRunsAtTheLinksRate(t *testing.T) {
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	a, b := wan.Host("a", Link{Rate: 50e6, Delay: time.Millisecond}), wan.Host("b")
	for range 2 { // and the other way
		var best float64 // of three: a busy machine slows one down, and never speeds it up
		for tries := 0; tries < 3 && best < 20; tries++ {
			rate := 8 * 4 * (1 << 20) / copyTime(t, a, b, 4<<20).Seconds() / 1e6
			if best = max(best, rate); rate > 50 {
				t.Errorf("TCP ran at %.1f Mbit/s on a link of 50", rate)
			}
		}
		if best < 20 {
			t.Errorf("TCP ran at %.1f Mbit/s at most on a link of 50", best)
		}
		a, b = b, a
	}
}

func TestALinkChangesWhileItIsInUse(t *testing.T) {
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	far := echo(t, wan.Host("far"))
	h := wan.Host("h", Link{Managed: true})
	conn := udp(t, h, h.Port("eth0").Addr())
	if rtt, ok := leastRTT(t, conn, far, 10*time.Millisecond); !ok || rtt > 10*time.Millisecond {
		t.Errorf("before: %v %v", rtt, ok)
	}
	if err := h.Port("eth0").SetLinks(Link{Delay: 20 * time.Millisecond}, Link{}); err != nil {
		t.Fatal(err)
	}
	if rtt, ok := leastRTT(t, conn, far, 35*time.Millisecond); !ok || rtt < 20*time.Millisecond || rtt > 35*time.Millisecond {
		t.Errorf("with 20 ms one way: %v %v", rtt, ok)
	}
	if err := h.Port("eth0").SetLink(Link{Loss: 2}); err == nil {
		t.Error("a loss of 2 was accepted")
	}
	if err := wan.Host("plain").Port("eth0").SetLink(Link{}); err == nil {
		t.Error("a plain cable took a Link")
	}
}

// TestACableCanBeCutAndUnplugged does so on each kind of cable.
func TestACableCanBeCutAndUnplugged(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	site := wan.Site("site")
	inWAN, inSite := echo(t, wan.Host("w")), echo(t, site.Host("s"))
	for _, c := range []struct {
		name string
		port *Port
		far  netip.AddrPort
	}{
		{"veth in the WAN", wan.Host("a").Port("eth0"), inWAN},
		{"pump in the WAN", wan.Host("b", Link{Managed: true}).Port("eth0"), inWAN},
		{"veth on a LAN", site.Host("c").Port("eth0"), inSite},
		{"pump on a LAN", site.Host("d", Link{Managed: true}).Port("eth0"), inSite},
	} {
		w := &watched{t, c.name, c.port, udp(t, c.port.Host, c.port.Addr()), c.far}
		w.check("at first", true)
		w.step(c.port.Cut())
		w.step(c.port.Cut())
		w.check("cut", false)
		if !w.carrier() {
			t.Errorf("%s: the host sees the cut", c.name)
		}
		w.step(c.port.Mend())
		w.step(c.port.Mend())
		w.check("mended", true)
		w.step(c.port.SetCarrier(false))
		w.check("unplugged", false)
		if w.carrier() {
			t.Errorf("%s: the host doesn't see that it is unplugged", c.name)
		}
		w.step(c.port.SetCarrier(true))
		w.check("plugged in", true)
		_, err := c.port.Host.Run(t.Context(), "ip", "link", "set", "eth0", "down")
		w.step(err)
		w.check("down", false)
		w.step(c.port.Restore())
		w.check("restored", true)
	}
}

// watched is a port whose traffic is watched.
type watched struct {
	t    *testing.T
	name string
	port *Port
	conn *net.UDPConn
	far  netip.AddrPort
}

func (w *watched) step(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Errorf("%s: %v", w.name, err)
	}
}

func (w *watched) check(when string, want bool) {
	w.t.Helper()
	_, ok := answered(w.t, w.conn, w.far, 100*time.Millisecond)
	// The kernel may take a second to use a link that is up again, or to ask by ARP
	// once more.
	for end := time.Now().Add(20 * time.Second); want && !ok && time.Now().Before(end); {
		_, ok = answered(w.t, w.conn, w.far, 100*time.Millisecond)
	}
	if ok != want {
		w.t.Errorf("%s, %s: answered is %v, want %v", w.name, when, ok, want)
	}
}

// carrier reports whether the host thinks that its cable is plugged in.
func (w *watched) carrier() bool {
	w.t.Helper()
	text, err := w.port.Host.Run(w.t.Context(), "cat", "/sys/class/net/eth0/carrier")
	w.step(err)
	return text == "1\n"
}

func TestALinkHasItsMTUAtBothEnds(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	far := wan.Host("far").Port("eth0").Addr().String()
	for _, link := range []Link{{MTU: 1400}, {MTU: 1400, Delay: time.Millisecond}} {
		h := wan.Host("h", link)
		for size, fits := range map[string]bool{"1372": true, "1373": false} { // and 28 bytes of headers
			wait := map[bool]string{true: "-w20", false: "-w2"}[fits]
			if _, err := h.Run(t.Context(), "ping", "-c1", wait, "-M", "do", "-s", size, far); (err == nil) != fits {
				t.Errorf("%+v: a ping of %s bytes: %v", link, size, err)
			}
		}
	}
}
