package portmap

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"os/exec"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// home is a host behind a symmetric NAT, and another host outside.
type home struct {
	t      *testing.T
	site   *netlab.Site
	inside *netlab.Host
	other  *netlab.Host
}

func newHome(t *testing.T) *home {
	t.Helper()
	wan := netlab.ForTest(t).WAN("192.0.9.0/24") // see MapPorts
	site := wan.Site("home", netlab.Behind(netlab.Symmetric))
	return &home{t: t, site: site, inside: site.Host("inside"), other: wan.Host("other")}
}

func (h *home) mapsPorts() {
	h.t.Helper()
	switch err := h.site.MapPorts(h.t.Context(), netlab.ByPCP); {
	case errors.Is(err, exec.ErrNotFound):
		h.t.Skip(err, "(make deps)")
	case err != nil:
		h.t.Fatal(err)
	}
}

func (h *home) gateway() netip.Addr {
	h.t.Helper()
	addr, err := h.site.Router().Addr("lan0")
	if err != nil {
		h.t.Fatal(err)
	}
	return addr.Addr()
}

// keeper is one of the host inside, which must call this, where its gateway is.
func (h *home) keeper(t *testing.T, secret string, changed func(Mapped)) *keeper {
	t.Helper()
	k := newKeeper(Config{
		Gateway: func() (netip.Addr, error) { return h.gateway(), nil }, UDP: 4860, TCP: 4860, Secret: []byte(secret),
		Changed: changed, Log: slog.New(slog.DiscardHandler),
	})
	at, err := k.look()
	if err != nil {
		t.Fatal(err)
	}
	k.meet(at)
	return k
}

// answers reports whether a datagram from outside reaches the host and its answer comes back.
func (h *home) answers(at netip.AddrPort) bool {
	h.t.Helper()
	conn, err := h.other.Dial(h.t.Context(), "udp4", at.String())
	if err != nil {
		h.t.Fatal(err)
	}
	defer conn.Close()
	for range 5 {
		_, _ = conn.Write([]byte("hello")) // a refusal may be the answer to the one before
		_ = conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		var b [16]byte
		if n, err := conn.Read(b[:]); err == nil && string(b[:n]) == "hello" {
			return true
		}
	}
	return false
}

func TestARouterMapsOurPorts(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.mapsPorts()
	echo, err := h.inside.ListenPacket("udp4", ":4860")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		var b [64]byte
		for {
			n, from, err := echo.ReadFrom(b[:])
			if err != nil {
				return
			}
			_, _ = echo.WriteTo(b[:n], from)
		}
	}()
	at := netip.AddrPortFrom(h.site.Public(), 4860)
	if h.answers(at) {
		t.Fatal("the port is open already")
	}
	ctx, cancel := context.WithCancel(t.Context())
	changes, ended := make(chan Mapped, 4), make(chan error, 1)
	go func() {
		ended <- h.inside.Do(func() error {
			Keep(ctx, Config{
				Gateway: func() (netip.Addr, error) { return h.gateway(), nil }, UDP: 4860, TCP: 4860, Secret: []byte("a secret"),
				Changed: func(m Mapped) { changes <- m }, Log: slog.New(slog.DiscardHandler),
			})
			return nil
		})
	}()
	select {
	case m := <-changes:
		if want := (Mapped{UDP: at, TCP: at}); m != want {
			t.Errorf("mapped %v, want %v", m, want)
		}
	case <-time.After(30 * time.Second):
		t.Fatal("nothing was mapped")
	}
	for end := time.Now().Add(20 * time.Second); !h.answers(at); {
		if time.Now().After(end) {
			t.Fatal("what is mapped isn't reached")
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Fatal(err)
	}
	if m := <-changes; m != (Mapped{}) {
		t.Errorf("at the end %v is mapped", m)
	}
	limited, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := netlab.WaitFor(limited, "the end of the mappings", func() (bool, error) {
		out, err := h.site.Mapped(t.Context())
		return !strings.Contains(out, "4860"), err
	}); err != nil {
		t.Error(err)
	}
}

func TestARouterMapsOurPortsByNATPMP(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.mapsPorts()
	if err := h.inside.Do(func() error {
		k := h.keeper(t, "a secret", func(Mapped) {})
		defer k.leave()
		k.plain = true
		again := k.ask(t.Context())
		at := netip.AddrPortFrom(h.site.Public(), 4860)
		if want := (Mapped{UDP: at, TCP: at}); k.mapped != want || again > lifetime/2 || again < shortest/2 {
			t.Errorf("mapped %v, again in %v", k.mapped, again)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// With another address of the host the mappings are made anew, though the gateway is the same.
func TestAnotherAddressOfTheHostIsMapped(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.mapsPorts()
	ip := func(words ...string) {
		t.Helper()
		if out, err := h.inside.Run(t.Context(), "ip", words...); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if err := h.inside.Do(func() error {
		k := h.keeper(t, "a secret", func(Mapped) {})
		defer k.leave()
		k.step(t.Context())
		former := k.at.own
		next := former.Next().Next()
		gateway := h.gateway().String()
		ip("address", "flush", "dev", "eth0", "scope", "global")
		k.step(t.Context())
		if k.mapped != (Mapped{}) {
			t.Errorf("without an address %v is mapped", k.mapped)
		}
		ip("address", "add", next.String()+"/24", "dev", "eth0")
		ip("route", "replace", "default", "via", gateway)
		k.step(t.Context())
		if at := netip.AddrPortFrom(h.site.Public(), 4860); k.at.own != next || k.mapped.UDP != at && k.mapped.UDP.Port() == 0 {
			t.Errorf("from %v %v is mapped, want %v from %v", k.at.own, k.mapped, at, next)
		}
		if out, err := h.site.Mapped(t.Context()); err != nil || !strings.Contains(out, next.String()) {
			t.Errorf("the router maps %s, %v: nothing to %v", out, err, next)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

func TestARouterThatMapsNothingIsLeftAlone(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	if err := h.inside.Do(func() error {
		k := h.keeper(t, "a secret", func(m Mapped) { t.Errorf("mapped %v", m) })
		defer k.leave()
		if again := k.ask(t.Context()); again != askAgain {
			t.Errorf("asked again in %v", again)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// What a gateway says that can't be true is no address of ours.
func TestNonsenseOfAGatewayIsRefused(t *testing.T) {
	k := &keeper{at: place{netip.MustParseAddr("192.168.1.1"), netip.MustParseAddr("192.168.1.2")}}
	for _, s := range []string{"0.0.0.0:4860", "192.168.1.2:4860", "127.0.0.1:4860", "224.0.0.1:4860", "255.255.255.255:4860", "169.254.0.1:4860", "192.168.1.1:4860", "198.51.100.1:0"} {
		if k.check(mapping{netip.MustParseAddrPort(s), time.Hour}) == nil {
			t.Errorf("%s is believed", s)
		}
	}
	good := netip.MustParseAddrPort("198.51.100.1:4860")
	if err := k.check(mapping{good, time.Hour}); err != nil {
		t.Error(err)
	}
	if k.check(mapping{good, time.Second}) == nil {
		t.Error("a mapping for a second is believed")
	}
}

func FuzzReplies(f *testing.F) {
	n := nonce{1, 2, 3}
	pcp := pcpRequest(n, netip.MustParseAddr("192.168.1.2"), udp, 4860, time.Hour)
	pcp[1] |= pcpReply
	pcp[3] = 0
	f.Add(pcp)
	f.Add([]byte{0, 0x80 | pmpUDP, 0, 0, 0, 0, 0, 1, 0x12, 0xfc, 0x12, 0xfc, 0, 0, 4, 0xb0})
	f.Add([]byte{0, 0x80, 0, 0, 0, 0, 0, 1, 198, 51, 100, 1})
	f.Add([]byte{0, 0x81, 0, 1, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		if m, err := parsePCP(b, n, udp, 4860); err == nil && (m.lifetime < 0 || len(b) < pcpMapSize) {
			t.Errorf("%x is %v", b, m)
		}
		if m, err := parsePMP(b, udp, 4860); err == nil && (m.lifetime < 0 || m.external.Addr().IsValid()) {
			t.Errorf("%x is %v", b, m)
		}
		if a, err := parsePMPAddress(b); err == nil && !a.Is4() {
			t.Errorf("%x is %v", b, a)
		}
		var refused *refusedError
		if _, err := parsePCP(b, n, udp, 4860); errors.As(err, &refused) && refused.Error() == "" {
			t.Error("a refusal without words")
		}
	})
}
