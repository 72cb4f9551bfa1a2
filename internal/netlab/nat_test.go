package netlab

import (
	"fmt"
	"net"
	"net/netip"
	"testing"
	"time"
)

// prober finds out, by UDP sockets alone, what kind of NAT is between a host and
// two public ones, as RFC 5780 does it.
type prober struct {
	t       *testing.T
	servers [2][2]*net.UDPConn // [host][port]
	inner   *net.UDPConn
	first   netip.AddrPort // the inner socket as the first server's first port sees it
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
	server.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, from, err := server.ReadFromUDPAddrPort(buf[:])
	if err != nil {
		p.t.Fatalf("server %d.%d heard nothing: %v", host, port, err)
	}
	return from
}

// reaches reports whether a datagram from a server to addr arrives at the inner
// socket. What arrives, arrives at once: some round trips with a server that the NAT lets in
// follow it as a fence.
func (p *prober) reaches(host, port int, addr netip.AddrPort) bool {
	p.t.Helper()
	want := fmt.Sprintf("from %d.%d", host, port)
	if _, err := p.servers[host][port].WriteToUDPAddrPort([]byte(want), addr); err != nil {
		p.t.Fatal(err)
	}
	for i := range 5 {
		fence := fmt.Sprintf("fence %d", i)
		if _, err := p.servers[0][0].WriteToUDPAddrPort([]byte(fence), p.first); err != nil {
			p.t.Fatal(err)
		}
		if p.hears(want, fence) {
			return true
		}
	}
	return false
}

// hears reads until one of two texts has arrived, and whether it is the first.
func (p *prober) hears(want, fence string) bool {
	p.t.Helper()
	var buf [64]byte
	p.inner.SetReadDeadline(time.Now().Add(10 * time.Second))
	for {
		n, _, err := p.inner.ReadFromUDPAddrPort(buf[:])
		switch text := string(buf[:n]); {
		case err != nil:
			p.t.Fatalf("the fence did not arrive: %v", err)
		case text == want:
			return true
		case text == fence:
			return false
		}
	}
}

// behaviour is what RFC 4787 sections 4.1 and 5 ask about.
type behaviour struct {
	sameMapping bool // one outer port for all destinations
	otherPort   bool // lets in another port of an address that was spoken to
	otherAddr   bool // lets in an address that was never spoken to
	answer      bool // lets in what was spoken to
}

// measure speaks to the first server's first port, tries who may answer, and only
// then speaks to the others.
func (p *prober) measure() behaviour {
	p.t.Helper()
	p.first = p.reflexive(0, 0)
	return behaviour{
		answer:      p.reaches(0, 0, p.first),
		otherPort:   p.reaches(0, 1, p.first),
		otherAddr:   p.reaches(1, 0, p.first),
		sameMapping: p.reflexive(0, 1) == p.first && p.reflexive(1, 0) == p.first,
	}
}

// behaves returns how a kind of NAT must behave.
func behaves(kind NAT) behaviour {
	return map[NAT]behaviour{
		FullCone:       {sameMapping: true, otherPort: true, otherAddr: true, answer: true},
		Restricted:     {sameMapping: true, otherPort: true, answer: true},
		PortRestricted: {sameMapping: true, answer: true},
		Symmetric:      {answer: true},
	}[kind]
}

func TestEachKindOfNATMapsAndFiltersAsItsNameSays(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x, y := wan.Host("x"), wan.Host("y")
	for _, kind := range []NAT{FullCone, Restricted, PortRestricted, Symmetric} {
		h := wan.Site(kind.String(), Behind(kind)).Host("inside")
		for range 5 { // a mapping of a socket of its own each time
			if got := newProber(t, h, x, y).measure(); got != behaves(kind) {
				t.Errorf("%v NAT behaves %+v, want %+v", kind, got, behaves(kind))
			}
		}
	}
}

func TestTwoNATsBehaveAsTheStricterOne(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x, y := wan.Host("x"), wan.Host("y")
	for _, c := range []struct{ outer, inner, as NAT }{
		{FullCone, FullCone, FullCone},
		{FullCone, PortRestricted, PortRestricted},
		{Symmetric, FullCone, Symmetric},
		{PortRestricted, Symmetric, Symmetric},
	} {
		carrier := wan.Site(fmt.Sprintf("%v and %v", c.outer, c.inner), Behind(c.outer), Inner("100.64.0.0/24"))
		// Two homes of one carrier, with equal prefixes inside.
		for range 2 {
			h := carrier.Site("home", Behind(c.inner), Inner("192.168.1.0/24")).Host("inside")
			if got := newProber(t, h, x, y).measure(); got != behaves(c.as) {
				t.Errorf("%v behind %v behaves %+v, want %+v", c.inner, c.outer, got, behaves(c.as))
			}
		}
	}
}

func TestInnerHostsThatUseOnePortGetMappingsOfTheirOwn(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x, y := wan.Host("x"), wan.Host("y")
	for _, kind := range []NAT{FullCone, Restricted, PortRestricted} {
		site := wan.Site(kind.String(), Behind(kind))
		var seen []netip.AddrPort
		for _, name := range []string{"a", "b"} {
			h := site.Host(name)
			conn, err := h.ListenPacket("udp4", ":7777")
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { conn.Close() })
			p := newProber(t, h, x, y)
			p.inner = conn.(*net.UDPConn)
			if got := p.measure(); got != behaves(kind) {
				t.Errorf("%v NAT behaves %+v to %s, want %+v", kind, got, name, behaves(kind))
			}
			seen = append(seen, p.first)
		}
		if seen[0] == seen[1] {
			t.Errorf("%v NAT: both hosts are %v", kind, seen[0])
		}
	}
}

// TestHolePunching has two hosts behind NATs send to each other's reflexive
// address: it must work just where RFC 5128 section 3.3 says that it does.
func TestHolePunching(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	server := wan.Host("server")
	kinds := []NAT{FullCone, Restricted, PortRestricted, Symmetric}
	byPort := map[NAT]bool{PortRestricted: true, Symmetric: true} // filter by port
	hosts := map[NAT][2]*Host{}
	for _, k := range kinds {
		hosts[k] = [2]*Host{wan.Site("a-"+k.String(), Behind(k)).Host("a"), wan.Site("b-"+k.String(), Behind(k)).Host("b")}
	}
	for _, ka := range kinds {
		for _, kb := range kinds {
			a := newProber(t, hosts[ka][0], server, server)
			b := newProber(t, hosts[kb][1], server, server)
			want := !(ka == Symmetric && byPort[kb] || kb == Symmetric && byPort[ka])
			if got := punch(t, a, b); got != want {
				t.Errorf("%v with %v: punched is %v, want %v", ka, kb, got, want)
			}
		}
	}
}

// punch makes both sides send to each other until both are reached, as the first datagrams
// open the way for later ones, and reports whether they were. Three times are enough where the machine isn't busy.
func punch(t *testing.T, a, b *prober) bool {
	t.Helper()
	toA, toB := a.reflexive(0, 0), b.reflexive(0, 0)
	var heardA, heardB bool
	for range 20 {
		for _, s := range []struct {
			from, to *net.UDPConn
			addr     *netip.AddrPort
			back     *netip.AddrPort
			heard    *bool
		}{{a.inner, b.inner, &toB, &toA, &heardB}, {b.inner, a.inner, &toA, &toB, &heardA}} {
			if _, err := s.from.WriteToUDPAddrPort([]byte("punch"), *s.addr); err != nil {
				t.Fatal(err)
			}
			var buf [64]byte
			s.to.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
			if _, from, err := s.to.ReadFromUDPAddrPort(buf[:]); err == nil {
				*s.heard = true
				*s.back = from // a symmetric NAT's new port: answer there
			}
		}
		if heardA && heardB {
			return true
		}
	}
	return false
}

func TestANATThatForgetsGivesNewPorts(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x, y := wan.Host("x"), wan.Host("y")
	for _, kind := range []NAT{FullCone, PortRestricted, Symmetric} {
		site := wan.Site(kind.String(), Behind(kind))
		p := newProber(t, site.Host("h"), x, y)
		before := p.reflexive(0, 0)
		if again := p.reflexive(0, 0); again != before {
			t.Errorf("%v: a running flow moved from %v to %v", kind, before, again)
		}
		if err := site.ForgetMappings(); err != nil {
			t.Fatal(err)
		}
		p.first = p.reflexive(0, 0)
		if p.first == before {
			t.Errorf("%v: the mapping is still %v", kind, before)
		}
		if p.reaches(0, 0, before) {
			t.Errorf("%v: the old mapping lets in", kind)
		}
	}
}

func TestASiteMayBlockUDP(t *testing.T) {
	t.Parallel()
	lab := ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	x := wan.Host("x")
	h := wan.Site("closed", BlockUDP()).Host("h")
	if _, ok := answered(t, udp(t, h, h.Port("eth0").Addr()), echo(t, x), 100*time.Millisecond); ok {
		t.Error("UDP crosses")
	}
	copyTime(t, h, x, 1000) // TCP does
}
