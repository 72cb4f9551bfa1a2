package load

import (
	"context"
	"math"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

func TestPercentilesAreTimesThatWereMeasured(t *testing.T) {
	var times []time.Duration
	for i := 200; i > 0; i-- {
		times = append(times, time.Duration(i))
	}
	got := Summarize(times)
	want := Latency{Count: 200, Mean: 100, P50: 100, P90: 180, P99: 198, Max: 200}
	if got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if got := Summarize([]time.Duration{7}); got.P50 != 7 || got.P99 != 7 {
		t.Errorf("one time: %+v", got)
	}
	if got := Summarize(nil); got != (Latency{}) {
		t.Errorf("no times: %+v", got)
	}
}

// line is a path that carries so many datagrams a second, and a sender that makes so many.
type line struct{ carries, makes float64 }

func (l line) try(rate float64) (Trial, error) {
	if rate == unpaced {
		rate = l.makes
	}
	got := min(rate, l.carries)
	return Trial{Offered: rate, Received: got, Loss: 1 - got/rate}, nil
}

func TestTheSearchFindsWhatAPathCarries(t *testing.T) {
	for _, carries := range []float64{2_000, 54_000, 140_000, 390_000} {
		got, err := search(12, line{carries, 400_000}.try)
		if err != nil {
			t.Fatal(err)
		}
		if got.OK.Received < carries*0.95 || got.OK.Received > carries || got.OK.Loss >= maxLoss {
			t.Errorf("a path of %.0f: found %+v", carries, got.OK)
		}
		if got.Max != carries || got.Flood.Loss == 0 {
			t.Errorf("a path of %.0f: at any loss %.0f, flood %+v", carries, got.Max, got.Flood)
		}
	}
}

func TestTheSearchStopsAtWhatTheSenderMakes(t *testing.T) {
	tries := 0
	got, err := search(12, func(rate float64) (Trial, error) {
		tries++
		return line{1e6, 300_000}.try(rate)
	})
	if err != nil || got.OK.Received != 300_000 {
		t.Errorf("found %+v (%v)", got.OK, err)
	}
	if tries > 4 {
		t.Errorf("it tried %d times", tries)
	}
}

// A tunnel may collapse under a flood, and do well below it.
func TestTheSearchFindsTheRateOfAPathThatAFloodDrowns(t *testing.T) {
	got, err := search(12, func(rate float64) (Trial, error) {
		if rate == unpaced {
			return Trial{Offered: 400_000, Received: 10, Loss: 1}, nil
		}
		return line{40_000, 400_000}.try(rate)
	})
	if err != nil || got.OK.Received < 36_000 {
		t.Errorf("found %+v (%v)", got.OK, err)
	}
}

func TestTheReceivedRateIsThatOfTheReceiversOwnTime(t *testing.T) {
	second := int64(time.Second)
	for _, c := range []struct {
		what    string
		got     count
		offered int64
		want    Trial
	}{
		{"nothing arrived", count{}, 1000, Trial{Offered: 1000, Loss: 1}},
		{"all arrived", count{1000, 5 * second, 6 * second}, 1000, Trial{Offered: 1000, Received: 1000}},
		{"a queue drained for another second", count{1000, 5 * second, 7 * second}, 1000, Trial{Offered: 1000, Received: 500}},
		{"half arrived at once", count{500, 5 * second, 5 * second}, 1000, Trial{Offered: 1000, Received: 500, Loss: 0.5}},
	} {
		if got := judge(c.offered, time.Second, c.got); math.Abs(got.Received-c.want.Received) > 1e-6 || got.Loss != c.want.Loss || got.Offered != c.want.Offered {
			t.Errorf("%s: %+v, want %+v", c.what, got, c.want)
		}
	}
}

func TestASinkDoesNotCountLateDatagrams(t *testing.T) {
	s := &Sink{}
	for _, trial := range []byte{1, 1, 2, 1, 2, 2} {
		s.Note([]byte{trial, 0, 0, 0, 0, 0, 0, 0}, 100)
	}
	s.Note([]byte{2}, 100)
	if n := s.datagrams.Load(); n != 3 || s.trial.Load() != 2 {
		t.Errorf("trial %d has %d datagrams, want 3 of trial 2", s.trial.Load(), n)
	}
}

// loopback returns a free address of this machine.
func loopback(t *testing.T, network string) netip.AddrPort {
	t.Helper()
	if network == "udp" {
		c, err := net.ListenPacket("udp4", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.LocalAddr().(*net.UDPAddr).AddrPort()
	}
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).AddrPort()
}

func TestDatagramsThatArriveAreFoundAndCounted(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("SO_RCVBUFFORCE needs root")
	}
	for _, n := range []int{1, 3, 100} {
		var to []netip.AddrPort
		var sinks []*Sink
		for range n {
			to = append(to, loopback(t, "udp"))
			s, err := OpenSink(to[len(to)-1])
			if err != nil {
				t.Fatal(err)
			}
			sinks = append(sinks, s)
		}
		near, far := net.Pipe()
		counted := make(chan error, 1)
		go func() { counted <- Count(far, sinks...) }()
		rates, err := Search(near, Plan{Size: 64, Flood: 50 * time.Millisecond, Trial: 50 * time.Millisecond, Trials: 2}, to...)
		if err != nil {
			t.Fatal(err)
		}
		if rates.Max < 1000 || rates.Max < rates.OK.Received {
			t.Errorf("to %d sinks on the loopback: %+v", n, rates)
		}
		near.Close()
		if err := <-counted; err != nil {
			t.Errorf("%d sinks: %v", n, err)
		}
		least, most := sinks[0].datagrams.Load(), int64(0)
		for _, s := range sinks {
			least, most = min(least, s.datagrams.Load()), max(most, s.datagrams.Load())
		}
		if least == 0 {
			t.Errorf("of %d sinks one got nothing, one %d", n, most)
		}
	}
}

func TestWhatManySinksCountIsAddedUp(t *testing.T) {
	got := count{}.add(count{3, 20, 30}).add(count{}).add(count{4, 10, 25})
	if want := (count{7, 10, 30}); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestRequestsAreAnsweredOnOneConnectionAndOnMany(t *testing.T) {
	addr := loopback(t, "tcp")
	l, err := Listen(addr)
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- l.Serve() }()
	for what, measure := range map[string]func(netip.AddrPort, time.Duration) ([]time.Duration, error){
		"round trips": RoundTrips, "connections": Connects,
	} {
		times, err := measure(addr, 30*time.Millisecond)
		if err != nil || len(times) < 10 {
			t.Errorf("%s: %d (%v)", what, len(times), err)
		}
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := <-served; err != nil {
		t.Error(err)
	}
	if _, err := RoundTrips(addr, time.Millisecond); err == nil {
		t.Error("round trips with nobody")
	}
}

func TestOnlyItsOwnEchoReplyIsAnAnswer(t *testing.T) {
	packet := func(kind icmp.Type, id int) []byte {
		m := icmp.Message{Type: kind, Body: &icmp.Echo{ID: id, Seq: 1}}
		body, err := m.Marshal(nil)
		if err != nil {
			t.Fatal(err)
		}
		header := ipv4.Header{Version: 4, Len: 20, TotalLen: 20 + len(body), TTL: 64, Protocol: unix.IPPROTO_ICMP, Src: net.IPv4(10, 0, 0, 1), Dst: net.IPv4(10, 0, 0, 2)}
		b, err := header.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		return append(b, body...)
	}
	if _, ok := reply(packet(ipv4.ICMPTypeEchoReply, 5), 5); !ok {
		t.Error("its reply isn't seen")
	}
	for what, p := range map[string][]byte{
		"another's reply": packet(ipv4.ICMPTypeEchoReply, 6),
		"a request":       packet(ipv4.ICMPTypeEcho, 5),
		"half a header":   packet(ipv4.ICMPTypeEchoReply, 5)[:10],
		"nothing":         nil,
	} {
		if _, ok := reply(p, 5); ok {
			t.Errorf("%s is taken for its reply", what)
		}
	}
}

func TestTheLoopbackAnswersTheFirstEcho(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("raw sockets need root")
	}
	fd, err := EchoSocket()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := FirstEcho(ctx, fd, netip.MustParseAddr("127.0.0.1")); err != nil {
		t.Error(err)
	}
}
