package portmap

import (
	"encoding/binary"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"
)

// gateway is a router that does what miniupnpd can't be had to do, on an address of the loopback device. It speaks NAT-PMP, and
// PCP unless it is old.
type gateway struct {
	conn *net.UDPConn

	mu       sync.Mutex
	old      bool
	refuses  bool   // maps nothing, nor renews
	port     uint16 // outside
	owner    nonce  // of the mapping; zero: there is none
	heard    [][]byte
	repeated int // so often each answer comes besides
}

var outside = netip.MustParseAddr("198.51.100.7")

func newGateway(t *testing.T, at string) *gateway {
	t.Helper()
	conn, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(at), serverPort)))
	if err != nil {
		t.Fatal(err)
	}
	g := &gateway{conn: conn, port: 4860}
	var serving sync.WaitGroup
	serving.Go(g.serve)
	t.Cleanup(func() {
		_ = conn.Close()
		serving.Wait()
	})
	return g
}

func (g *gateway) serve() {
	var b [1100]byte
	for {
		n, from, err := g.conn.ReadFromUDPAddrPort(b[:])
		if err != nil {
			return
		}
		g.mu.Lock()
		g.heard = append(g.heard, slices.Clone(b[:n]))
		answer, times := g.answer(b[:n]), 1+g.repeated
		g.mu.Unlock()
		for range times {
			_, _ = g.conn.WriteToUDPAddrPort(answer, from)
		}
	}
}

// answer says what RFC 6886 and RFC 6887 have a router say; mu is held.
func (g *gateway) answer(request []byte) []byte {
	if request[0] == pcpVersion && g.old {
		return []byte{0, pmpReply | request[1], 0, oldVersion, 0, 0, 0, 9}
	}
	if request[0] == pcpVersion {
		b := slices.Clone(request)
		b[1] |= pcpReply
		switch asks := nonce(request[pcpHeader:][:12]); { // RFC 6887 section 11.3
		case g.refuses, g.owner != nonce{} && g.owner != asks:
			b[3] = 2
		default:
			g.owner = asks
		}
		binary.BigEndian.PutUint16(b[pcpHeader+18:], g.port)
		as16 := outside.As16()
		copy(b[pcpHeader+20:], as16[:])
		return b
	}
	b := []byte{0, pmpReply | request[1], 0, 0, 0, 0, 0, 9}
	if g.refuses {
		b[3] = 2
	}
	if request[1] == pmpAddress {
		return append(b, outside.AsSlice()...)
	}
	b = append(append(b, request[4:6]...), 0, 0)
	binary.BigEndian.PutUint16(b[10:], g.port)
	return append(b, request[8:12]...)
}

// do changes the gateway, and forgets what it has heard.
func (g *gateway) do(change func()) {
	g.mu.Lock()
	defer g.mu.Unlock()
	change()
	g.heard = nil
}

// ended reports whether it has heard that a mapping is to end.
func (g *gateway) ended(t *testing.T) bool {
	t.Helper()
	for limit := time.Now().Add(10 * time.Second); time.Now().Before(limit); time.Sleep(time.Millisecond) {
		g.mu.Lock()
		heard := slices.ContainsFunc(g.heard, func(b []byte) bool {
			return b[0] == pcpVersion && binary.BigEndian.Uint32(b[4:]) == 0 || b[0] == pmpVersion && b[1] != pmpAddress && binary.BigEndian.Uint32(b[8:]) == 0
		})
		g.mu.Unlock()
		if heard {
			return true
		}
	}
	return false
}

// keeperOf is a keeper whose gateway is at an address; the zero Addr: it has none.
func keeperOf(at *netip.Addr, changed func(Mapped)) *keeper {
	return newKeeper(Config{
		Gateway: func() (netip.Addr, error) { return *at, nil }, UDP: 4860, Secret: []byte("a secret"),
		Changed: changed, Log: slog.New(slog.DiscardHandler),
	})
}

func TestARouterThatSpeaksNATPMPAloneIsAskedByThat(t *testing.T) {
	t.Parallel()
	g, at := newGateway(t, "127.0.51.1"), netip.MustParseAddr("127.0.51.1")
	g.do(func() { g.old, g.repeated = true, 2 })
	k := keeperOf(&at, func(Mapped) {})
	k.step(t.Context())
	if want := netip.AddrPortFrom(outside, 4860); k.mapped.UDP != want || !k.plain {
		t.Fatalf("mapped %v, want %v; NAT-PMP alone %t", k.mapped, want, k.plain)
	}
	g.do(func() { g.port = 4861 })
	k.ask(t.Context())
	if want := netip.AddrPortFrom(outside, 4861); k.mapped.UDP != want {
		t.Errorf("renewed as %v, want %v", k.mapped, want)
	}
	g.mu.Lock()
	if slices.ContainsFunc(g.heard, func(b []byte) bool { return b[0] == pcpVersion }) {
		t.Error("it is asked by PCP each time")
	}
	g.mu.Unlock()
	if k.leave(); !g.ended(t) {
		t.Error("the mapping isn't taken back")
	}
}

// An answer that came twice isn't taken for the answer to what is asked next.
func TestASpareAnswerIsLeftAlone(t *testing.T) {
	t.Parallel()
	g, at := newGateway(t, "127.0.51.2"), netip.MustParseAddr("127.0.51.2")
	g.do(func() { g.repeated = 3 })
	k := keeperOf(&at, func(Mapped) {})
	defer k.leave()
	for port := range uint16(5) {
		g.do(func() { g.port = 4860 + port })
		k.meet(place{})
		k.step(t.Context())
		g.do(func() { g.port = 4900 + port })
		k.ask(t.Context())
		if want := netip.AddrPortFrom(outside, 4900+port); k.mapped.UDP != want {
			t.Errorf("mapped %v, want %v", k.mapped.UDP, want)
		}
	}
}

func TestAMappingIsGoodUntilItsEndThoughItIsntRenewed(t *testing.T) {
	t.Parallel()
	for name, address := range map[string]string{"by PCP": "127.0.51.3", "by NAT-PMP": "127.0.51.4"} {
		t.Run(name, func(t *testing.T) {
			g, at := newGateway(t, address), netip.MustParseAddr(address)
			g.do(func() { g.old = name == "by NAT-PMP" })
			var said []Mapped
			k := keeperOf(&at, func(m Mapped) { said = append(said, m) })
			k.step(t.Context())
			mapped := Mapped{UDP: netip.AddrPortFrom(outside, 4860)}
			if len(said) != 1 || said[0] != mapped {
				t.Fatalf("told %v", said)
			}
			g.do(func() { g.refuses = true })
			k.held[udp] = holding{mapped.UDP, time.Now().Add(2 * time.Minute)}
			if again := k.ask(t.Context()); again > time.Minute || again < 50*time.Second || k.mapped != mapped {
				t.Errorf("not renewed: %v is mapped, asked again in %v", k.mapped, again)
			}
			k.held[udp] = holding{mapped.UDP, time.Now().Add(notBefore)}
			if again := k.ask(t.Context()); again != notBefore || k.mapped != mapped {
				t.Errorf("near its end: %v is mapped, asked again in %v", k.mapped, again)
			}
			k.leave()
			if !g.ended(t) || len(said) != 2 || said[1] != (Mapped{}) {
				t.Errorf("not taken back: told %v", said)
			}
			k.held[udp] = holding{mapped.UDP, time.Now()}
			if again := k.ask(t.Context()); again != askAgain || k.mapped != (Mapped{}) {
				t.Errorf("over: %v is mapped, asked again in %v", k.mapped, again)
			}
		})
	}
}

// Who was killed has the router renew its mapping, as it is of the same host yet.
func TestWhoWasKilledRenewsItsMapping(t *testing.T) {
	t.Parallel()
	newGateway(t, "127.0.51.7")
	at := netip.MustParseAddr("127.0.51.7")
	for _, life := range []string{"first", "second"} {
		k := keeperOf(&at, func(Mapped) {})
		if k.step(t.Context()); k.mapped.UDP != netip.AddrPortFrom(outside, 4860) {
			t.Errorf("its %s life: mapped %v", life, k.mapped.UDP)
		}
	}
	other := keeperOf(&at, func(Mapped) {})
	other.nonce = nonceOf([]byte("another"))
	if other.step(t.Context()); other.mapped != (Mapped{}) {
		t.Errorf("another host's mapping is taken for its own: %v", other.mapped)
	}
}

func TestAnotherGatewayIsAskedAtOnceAndNoneNever(t *testing.T) {
	t.Parallel()
	first, second := newGateway(t, "127.0.51.5"), newGateway(t, "127.0.51.6")
	at := netip.MustParseAddr("127.0.51.5")
	k := keeperOf(&at, func(Mapped) {})
	defer k.leave()
	k.step(t.Context())
	second.do(func() { second.port = 4862 })
	at = netip.MustParseAddr("127.0.51.6")
	k.step(t.Context())
	if want := netip.AddrPortFrom(outside, 4862); k.mapped.UDP != want || !first.ended(t) {
		t.Errorf("mapped %v, want %v", k.mapped.UDP, want)
	}
	for _, none := range []netip.Addr{{}, netip.MustParseAddr("255.255.255.255")} { // no route, and none that may be dialed
		at = none
		for range 2 {
			if wait := k.step(t.Context()); wait != lookEvery || k.mapped != (Mapped{}) {
				t.Errorf("at %v: looked again in %v, mapped %v", none, wait, k.mapped)
			}
		}
	}
	at = netip.MustParseAddr("127.0.51.5")
	if k.step(t.Context()); k.mapped.UDP.Port() != 4860 {
		t.Errorf("back at the first: %v", k.mapped)
	}
}
