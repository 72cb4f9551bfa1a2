package overlay

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"
)

func listenUDP(t *testing.T, network, addr string) *net.UDPConn {
	t.Helper()
	conn, err := new(net.ListenConfig).ListenPacket(t.Context(), network, addr)
	if err != nil {
		t.Skipf("%s %s: %v", network, addr, err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.(*net.UDPConn)
}

func newTestFamilies(t *testing.T, socket net.PacketConn) *families {
	t.Helper()
	f, err := newFamilies(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func TestDualStackSocketServesBothFamilies(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t, "udp", "[::]:0")
	f := newTestFamilies(t, socket)
	port := socket.LocalAddr().(*net.UDPAddr).Port
	for network, from := range map[string]string{"udp4": "127.0.0.1:0", "udp6": "[::1]:0"} {
		v, err := f.listen(network, &net.UDPAddr{Port: port})
		if err != nil {
			t.Fatal(err)
		}
		host, _, _ := strings.Cut(from, ":0")
		sender := listenUDP(t, network, from)
		to, err := net.ResolveUDPAddr(network, fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := sender.WriteTo([]byte(network), to); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 100)
		n, back, err := v.ReadFrom(buf)
		if err != nil || string(buf[:n]) != network || back.String() != sender.LocalAddr().String() {
			t.Fatalf("%s: %q from %v, %v", network, buf[:n], back, err)
		}
		if ip := back.(*net.UDPAddr).IP; network == "udp4" && len(ip) != net.IPv4len {
			t.Errorf("an IPv4 address of %d bytes", len(ip)) // QUIC would take it for IPv6
		}
		if _, err := v.WriteTo([]byte("reply"), back); err != nil {
			t.Fatal(err)
		}
		if n, err := sender.Read(buf); err != nil || string(buf[:n]) != "reply" {
			t.Fatalf("%s: %q %v", network, buf[:n], err)
		}
	}
}

func TestSocketOfOneFamilyRefusesTheOther(t *testing.T) {
	t.Parallel()
	f := newTestFamilies(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	if _, err := f.listen("udp6", nil); err == nil {
		t.Error("IPv6 on an IPv4 socket")
	}
	if _, err := f.PreferredSourceIPForDestination(&net.UDPAddr{IP: net.IPv6loopback}); err == nil {
		t.Error("a way to IPv6")
	}
	if ip, err := f.PreferredSourceIPForDestination(&net.UDPAddr{IP: net.IPv4(192, 0, 2, 1)}); err != nil || !ip.Equal(net.IPv4(127, 0, 0, 1)) {
		t.Errorf("got %v, %v", ip, err)
	}
}

func TestViewHasOneUserAtATimeAndCanBeOpenedAgain(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t, "udp4", "127.0.0.1:0")
	f := newTestFamilies(t, socket)
	// A dial before we listen asks for any port.
	v, err := f.listen("udp4", &net.UDPAddr{IP: net.IPv4zero})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.listen("udp4", nil); err == nil {
		t.Error("a second user")
	}
	if _, err := f.listen("udp4", &net.UDPAddr{Port: 1}); err == nil {
		t.Error("a port that isn't the socket's")
	}
	ended := make(chan error, 1)
	go func() {
		_, _, err := v.ReadFrom(make([]byte, 1))
		ended <- err
	}()
	if err := v.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-ended; !errors.Is(err, net.ErrClosed) {
		t.Errorf("read of a closed view: %v", err)
	}
	if _, err := f.listen("udp4", nil); err != nil {
		t.Errorf("again: %v", err)
	}
	if _, err := socket.WriteTo([]byte("x"), socket.LocalAddr()); err != nil {
		t.Errorf("the socket was closed with its view: %v", err)
	}
}

func TestViewHonoursReadDeadlines(t *testing.T) {
	t.Parallel()
	f := newTestFamilies(t, listenUDP(t, "udp4", "127.0.0.1:0"))
	v, err := f.listen("udp4", nil)
	if err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	for _, after := range []time.Duration{-time.Hour, 20 * time.Millisecond} {
		_ = v.SetReadDeadline(time.Now().Add(after))
		if _, _, err := v.ReadFrom(buf); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("after %v: %v", after, err)
		}
	}
	_ = v.SetReadDeadline(time.Now().Add(time.Hour))
	_ = v.SetReadDeadline(time.Time{})
	if _, err := v.WriteTo([]byte("back"), v.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	if n, _, err := v.ReadFrom(buf); err != nil || string(buf[:n]) != "back" {
		t.Fatalf("without a deadline: %q %v", buf[:n], err)
	}
}

func TestClosedFamiliesLeaveTheSocketToItsOwner(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t, "udp4", "127.0.0.1:0")
	f, err := newFamilies(socket)
	if err != nil {
		t.Fatal(err)
	}
	if err := f.close(); err != nil {
		t.Fatal(err)
	}
	if _, err := socket.WriteTo([]byte("mine"), socket.LocalAddr()); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 10)
	if n, _, err := socket.ReadFrom(buf); err != nil || string(buf[:n]) != "mine" {
		t.Fatalf("%q %v", buf[:n], err)
	}
}

func TestOverlayRunsOnADualStackSocket(t *testing.T) {
	t.Parallel()
	socket := listenUDP(t, "udp", "[::]:0")
	port := socket.LocalAddr().(*net.UDPAddr).Port
	o, err := Open(t.Context(), Config{Key: keyOf(0), Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	defer o.Close()
	o.Handle(echoProtocol, echo)
	for i, at := range []string{"/ip4/127.0.0.1", "/ip6/::1"} {
		network, local := "udp4", "127.0.0.1:0"
		if i == 1 {
			network, local = "udp6", "[::1]:0"
		}
		peer, err := Open(t.Context(), Config{Key: keyOf(1 + i), Socket: listenUDP(t, network, local)})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		peer.Add([]string{fmt.Sprintf("%s/udp/%d/quic-v1/p2p/%s", at, port, o.Self())})
		if _, err := peer.Call(within(t, 30*time.Second), o.Self(), echoProtocol, nil); err != nil {
			t.Errorf("%s: %v", at, err)
		}
	}
}

func TestOpenFailsWhereTheTCPPortIsTaken(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	socket := listenUDP(t, "udp4", "127.0.0.1:0")
	_, err = Open(t.Context(), Config{Key: keyOf(0), Socket: socket, ListenTCP: listener.Addr().(*net.TCPAddr).AddrPort()})
	if err == nil || !strings.Contains(err.Error(), "in use") {
		t.Fatalf("got %v", err)
	}
	// What had been started has been stopped: the socket can be used again.
	o, err := Open(t.Context(), Config{Key: keyOf(0), Socket: socket})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestOpenRefusesWhatItCantUse(t *testing.T) {
	t.Parallel()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Open(ended, Config{Key: keyOf(0)}); !errors.Is(err, context.Canceled) {
		t.Errorf("an ended context: %v", err)
	}
	if _, err := Open(t.Context(), Config{Key: ed25519.PrivateKey("short")}); err == nil {
		t.Error("a short key accepted")
	}
}
