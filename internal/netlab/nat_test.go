package netlab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"
)

// prober finds out, by UDP sockets alone, what kind of NAT is between a host and
// two public ones, as RFC 5780 does it.
type prober struct {
	t       *testing.T
	servers [2][2]*net.UDPConn // [host][port]
	inner   *net.UDPConn
}

func udp(t *testing.T, h *Host, addr netip.Addr) *net.UDPConn {
	t.Helper()
	conn, err := h.ListenPacket("udp4", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.UDPConn)
}

func newProber(t *testing.T, inner, first, second *Host) *prober {
	p := &prober{t: t, inner: udp(t, inner, inner.Port("eth0").Addr())}
	for i, h := range []*Host{first, second} {
		for j := range p.servers[i] {
			p.servers[i][j] = udp(t, h, h.Port("eth0").Addr())
		}
	}
	return p
}

func addrOf(c *net.UDPConn) netip.AddrPort { return c.LocalAddr().(*net.UDPAddr).AddrPort() }

// reflexive returns the address as which a server sees the inner socket.
func (p *prober) reflexive(host, port int) netip.AddrPort {
	p.t.Helper()
	server := p.servers[host][port]
	if _, err := p.inner.WriteToUDPAddrPort([]byte("hello"), addrOf(server)); err != nil {
		p.t.Fatal(err)
	}
	var buf [64]byte
	server.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, from, err := server.ReadFromUDPAddrPort(buf[:])
	if err != nil {
		p.t.Fatalf("server %d.%d heard nothing: %v", host, port, err)
	}
	return from
}

// reaches reports whether a datagram from a server to addr arrives at the inner
// socket. What arrives, arrives at once: a datagram from server, which is let in by any NAT
// once it was spoken to, follows and serves as the fence.
func (p *prober) reaches(host, port int, addr netip.AddrPort, fence func()) bool {
	p.t.Helper()
	want := fmt.Sprintf("from %d.%d", host, port)
	if _, err := p.servers[host][port].WriteToUDPAddrPort([]byte(want), addr); err != nil {
		p.t.Fatal(err)
	}
	fence()
	var buf [64]byte
	p.inner.SetReadDeadline(time.Now().Add(2 * time.Second))
	arrived := false
	for {
		n, _, err := p.inner.ReadFromUDPAddrPort(buf[:])
		switch {
		case err != nil:
			p.t.Fatalf("the fence did not arrive: %v", err)
		case string(buf[:n]) == "fence":
			return arrived
		case string(buf[:n]) == want:
			arrived = true
		}
	}
}

type behaviour struct {
	sameMapping               bool // one outer port for all destinations
	otherPort, otherAddr      bool // let in though spoken to another port, or address, only
	preserves, answersAreHome bool
}

func (p *prober) measure() behaviour {
	first := p.reflexive(0, 0)
	fence := func() {
		if _, err := p.servers[0][0].WriteToUDPAddrPort([]byte("fence"), first); err != nil {
			p.t.Fatal(err)
		}
	}
	b := behaviour{
		otherPort: p.reaches(0, 1, first, fence),
		otherAddr: p.reaches(1, 0, first, fence),
	}
	b.answersAreHome = p.reaches(0, 0, first, fence)
	b.preserves = first.Port() == addrOf(p.inner).Port()
	b.sameMapping = p.reflexive(0, 1) == first && p.reflexive(1, 0) == first
	return b
}

func TestEachKindOfNATMapsAndFiltersAsItsNameSays(t *testing.T) {
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x, y := wan.Host("x"), wan.Host("y")
	want := map[NAT]behaviour{
		FullCone:       {sameMapping: true, otherPort: true, otherAddr: true, answersAreHome: true},
		Restricted:     {sameMapping: true, otherPort: true, answersAreHome: true},
		PortRestricted: {sameMapping: true, answersAreHome: true},
		Symmetric:      {answersAreHome: true},
	}
	for kind, want := range want {
		t.Run(kind.String(), func(t *testing.T) {
			site := wan.Site(kind.String(), Behind(kind))
			h := site.Host("inside")
			if lab.Err() != nil {
				t.Fatal(lab.Err())
			}
			for range 5 { // mappings of several sockets
				if got := newProber(t, h, x, y).measure(); got != want {
					t.Errorf("%v NAT behaves %+v, want %+v", kind, got, want)
				}
			}
			_ = context.Background
			_ = errors.Is
			_ = os.ErrDeadlineExceeded
		})
	}
}
