package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"io"
	"math/big"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/quic-go/quic-go"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/loop"
)

func testLoop(t testing.TB) *loop.Loop {
	l, err := loop.Open(false)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func openSocket(t testing.TB, addr string) *Socket {
	s, err := OpenSocket(testLoop(t), netip.MustParseAddrPort(addr), testLog())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// loopbackPair is two tunnels over real sockets.
type loopbackEnd struct {
	*Tunnel
	socket *Socket
	id     group.MemberID
}

func loopbackPair(t testing.TB, listen string, local netip.Addr, deliver ...func(group.MemberID, []frame.Packet)) (a, b loopbackEnd) {
	var mu sync.Mutex
	tunnels := make(map[group.MemberID]*Tunnel)
	var ends []loopbackEnd
	for i := range 2 {
		member := newFakeMember(group.ID{1}, uint64(i))
		socket := openSocket(t, listen)
		tun, err := Open(Config{
			Socket: socket, Membership: member, Deliver: deliver[i], Log: testLog(),
			Interfaces: func() []netip.Addr { return []netip.Addr{local} },
			Signal: callFunc(func(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
				mu.Lock()
				other := tunnels[to]
				mu.Unlock()
				return other.HandleSignal(ctx, member.id, req)
			}),
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { tun.Close() })
		mu.Lock()
		tunnels[member.id] = tun
		mu.Unlock()
		ends = append(ends, loopbackEnd{tun, socket, member.id})
	}
	return ends[0], ends[1]
}

type callFunc func(context.Context, group.MemberID, []byte) ([]byte, error)

func (f callFunc) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	return f(ctx, to, req)
}

func TestPacketsCrossRealSockets(t *testing.T) {
	for _, c := range []struct{ name, listen, local string }{
		{"dual stack, IPv4", "[::]:0", "127.0.0.1"},
		{"dual stack, IPv6", "[::]:0", "::1"},
		{"IPv4 only", "127.0.0.1:0", "127.0.0.1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := make(chan string, 1000)
			nothing := func(group.MemberID, []frame.Packet) {}
			a, b := loopbackPair(t, c.listen, netip.MustParseAddr(c.local), nothing,
				func(_ group.MemberID, pkts []frame.Packet) {
					for _, p := range pkts {
						got <- string(p.IP()[20:])
					}
				})
			var pkts []frame.Packet
			for _, text := range texts(0, 40) {
				pkts = append(pkts, packet(text))
			}
			start := time.Now()
			a.Send(b.id, pkts)
			for _, want := range texts(0, 40) {
				select {
				case text := <-got:
					if text != want {
						t.Fatalf("%q instead of %q", text, want)
					}
				case <-time.After(30 * time.Second):
					t.Fatalf("%q didn't come; %v %v", want, a.socket.Counters(), a.Peers())
				}
			}
			t.Logf("session, path and 40 packets: %v", time.Since(start))
			s := a.Peers()[0]
			if s.Path != PathLAN || s.Addr.Addr() != netip.MustParseAddr(c.local) {
				t.Errorf("status %+v", s)
			}
		})
	}
}

func TestAFloodCrossesInOrder(t *testing.T) {
	const total = 100_000
	done := make(chan int)
	next, count := uint32(0), 0
	nothing := func(group.MemberID, []frame.Packet) {}
	a, b := loopbackPair(t, "[::]:0", netip.MustParseAddr("127.0.0.1"), nothing,
		func(_ group.MemberID, pkts []frame.Packet) {
			for _, p := range pkts {
				b := p.IP()
				n := uint32(b[20])<<16 | uint32(b[21])<<8 | uint32(b[22])
				if n < next {
					t.Errorf("packet %d after %d", n, next)
				}
				next = n + 1
				if count++; n == total-1 {
					done <- count
				}
			}
		})
	body := make([]byte, 1200)
	batch := []frame.Packet{packet(string(body)), packet(string(body)), packet(string(body)), packet(string(body))}
	for n := 0; n < total; n += len(batch) {
		for i, p := range batch {
			b := p.IP()
			b[20], b[21], b[22] = byte((n+i)>>16), byte((n+i)>>8), byte(n+i)
		}
		a.Send(b.id, batch)
	}
	select {
	case n := <-done:
		t.Logf("%d of %d came; %v %v", n, total, a.socket.Counters(), b.Counters())
	case <-time.After(10 * time.Second):
		t.Skip("the last packet was lost; the machine is too busy to tell")
	}
}

func TestTheKernelsErrorsAreCountedAndTheRestStillGoes(t *testing.T) {
	s := openSocket(t, "127.0.0.1:0")
	r, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	to := r.LocalAddr().(*net.UDPAddr).AddrPort()
	b := s.newBatch()
	put := func(addr netip.AddrPort, text string, size int) {
		slot := b.slot(size)
		copy(slot, text)
		b.add(addr, size)
	}
	put(to, "one", 3)
	put(to, "far too large", 66_000)                              // EMSGSIZE
	put(netip.MustParseAddrPort("[::1]:9"), "another family", 14) // EDESTADDRREQ
	put(netip.MustParseAddrPort("127.0.0.1:1"), "nobody listens", 14)
	put(to, "two", 3)
	s.write(b)
	s.write(b) // empty now
	buf := make([]byte, 100)
	for _, want := range []string{"one", "two"} {
		r.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _, err := r.ReadFrom(buf)
		if err != nil || string(buf[:n]) != want {
			t.Fatalf("%q, %v instead of %q", buf[:n], err, want)
		}
	}
	c := s.Counters()
	if c["send_too_big"] != 1 || c["send_unreachable"] != 1 {
		t.Errorf("counters %v", c)
	}
	if b.nfailed != 1 || b.failed[0] != netip.MustParseAddrPort("[::1]:9") {
		t.Errorf("failed %v", b.failed[:b.nfailed])
	}
}

func TestForeignDatagramsAreDroppedInSilence(t *testing.T) {
	s := openSocket(t, "127.0.0.1:0")
	c, err := net.Dial("udp4", s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	sealed := make([]byte, 100)
	putHeader(sealed, typeData, 12345, 1)
	for _, d := range [][]byte{{}, {1}, sealed[:32], sealed, make([]byte, 60_000), {0x3f, 1, 2}} {
		c.Write(d)
	}
	await(t, time.Minute, "all are counted", func() bool {
		n := s.Counters()
		return n["bad_header"] == 5 && n["unknown_index"] == 1
	})
	c.SetReadDeadline(time.Now().Add(50 * time.Millisecond))
	if n, err := c.Read(make([]byte, 100)); err == nil {
		t.Errorf("an answer of %d bytes", n)
	}
}

func TestTheQUICSideIsAPacketConn(t *testing.T) {
	s := openSocket(t, "[::]:0")
	q := s.QUIC()
	if s.QUIC() != q {
		t.Error("a second one while the first is open")
	}
	peer := openSocket(t, "127.0.0.1:0").QUIC()
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: int(s.LocalAddr().Port())}
	if _, err := peer.WriteTo([]byte("\xc0 hello"), to); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, from, err := q.ReadFrom(buf)
	if err != nil || string(buf[:n]) != "\xc0 hello" {
		t.Fatalf("%q, %v", buf[:n], err)
	}
	if from.String() != peer.LocalAddr().String() {
		t.Errorf("from %v instead of %v", from, peer.LocalAddr())
	}
	if _, err := q.WriteTo([]byte("\x40 back"), from); err != nil {
		t.Fatal(err)
	}
	if n, _, err = peer.ReadFrom(buf); err != nil || string(buf[:n]) != "\x40 back" {
		t.Fatalf("%q, %v", buf[:n], err)
	}

	q.SetReadDeadline(time.Now().Add(-time.Second))
	if _, _, err = q.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("past deadline: %v", err)
	}
	var timeout net.Error
	if !errors.As(err, &timeout) || !timeout.Timeout() {
		t.Errorf("not a timeout: %v", err)
	}
	q.SetReadDeadline(time.Now().Add(20 * time.Millisecond))
	if _, _, err = q.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("deadline: %v", err)
	}
	q.SetReadDeadline(time.Time{})
	failed := make(chan error)
	go func() {
		_, _, err := q.ReadFrom(make([]byte, 10))
		failed <- err
	}()
	q.Close()
	if err := <-failed; !errors.Is(err, net.ErrClosed) {
		t.Errorf("after Close: %v", err)
	}
	if _, err := q.WriteTo([]byte("x"), to); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after Close: %v", err)
	}
	again := s.QUIC()
	if again == q {
		t.Fatal("the closed one again")
	}
	peer.WriteTo([]byte("\xc0 again"), to)
	if n, _, err = again.ReadFrom(buf); err != nil || string(buf[:n]) != "\xc0 again" {
		t.Errorf("%q, %v", buf[:n], err)
	}
	s.Close()
	if _, _, err := again.ReadFrom(buf); !errors.Is(err, net.ErrClosed) {
		t.Errorf("after the socket's Close: %v", err)
	}
}

func TestQUICQueuesABurst(t *testing.T) {
	s := openSocket(t, "127.0.0.1:0")
	q := s.QUIC()
	c, err := net.Dial("udp4", s.LocalAddr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	const burst = 200 // what a socket's buffer takes even where the kernel grants little
	for range burst {
		c.Write([]byte("\xc0 one of many"))
	}
	for i := range burst {
		q.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, _, err := q.ReadFrom(make([]byte, 1500)); err != nil {
			t.Fatalf("datagram %d: %v, %v", i, err, s.Counters())
		}
	}
}

func TestQUICRunsOnTheSharedSocket(t *testing.T) {
	server := &quic.Transport{Conn: openSocket(t, "[::]:0").QUIC()}
	client := &quic.Transport{Conn: openSocket(t, "[::]:0").QUIC()}
	defer server.Close()
	defer client.Close()
	ln, err := server.Listen(testTLS(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	go func() {
		conn, err := ln.Accept(ctx)
		if err != nil {
			return
		}
		stream, err := conn.AcceptStream(ctx)
		if err != nil {
			return
		}
		io.Copy(stream, stream)
		stream.Close()
	}()
	to := &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: server.Conn.LocalAddr().(*net.UDPAddr).Port}
	conn, err := client.Dial(ctx, to, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"echo"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 4<<20)
	rand.Read(sent)
	go func() {
		stream.Write(sent)
		stream.Close()
	}()
	got, err := io.ReadAll(stream)
	if err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
}

func testTLS(t testing.TB) *tls.Config {
	_, key, _ := ed25519.GenerateKey(rand.Reader)
	template := &x509.Certificate{SerialNumber: big.NewInt(1)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{NextProtos: []string{"echo"}, Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}}
}

func TestASecondSocketOnThePortSaysSo(t *testing.T) {
	s := openSocket(t, "[::]:0")
	_, err := OpenSocket(testLoop(t), s.LocalAddr(), nil)
	if err == nil {
		t.Fatal("two sockets on one port")
	}
	t.Log(err)
}

func TestAFloodThatQUICDoesNotReadIsNoWorkForTheCollector(t *testing.T) {
	s := openSocket(t, "127.0.0.1:0")
	q := s.QUIC().(*quicConn)
	dg := datagram{addr: s.LocalAddr(), data: []byte{quicBit, 1, 2, 3}}
	for range quicQueue + 1 {
		q.put(dg, &s.dmx.counts)
	}
	if n := testing.AllocsPerRun(100, func() { q.put(dg, &s.dmx.counts) }); n != 0 {
		t.Errorf("%v allocations a datagram", n)
	}
	if n := s.Counters()["quic_full"]; n < 100 {
		t.Errorf("%d counted as dropped", n)
	}
}
