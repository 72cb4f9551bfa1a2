package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// hybrid adds a host of a LAN that has an address and a default route there, and runs in hybrid
// mode on that port.
func (s *scene) hybrid(lan *netlab.LAN, name string) *machine {
	s.t.Helper()
	m := newMachine(s.t, lan.Host(name), "--mode", "hybrid", "--lan-port", "eth0")
	s.join(m)
	return m
}

// network returns addresses, routes and filters of a machine, without what changes by
// itself and without the devices of a Landbridge.
func (m *machine) network() string {
	m.t.Helper()
	r := m.exec("sh", "-c", `ip -4 -j addr; ip -4 -j route show table all; ip -j rule; ip -o link show eth0; grep . /proc/sys/net/ipv4/conf/*/rp_filter`)
	if r.code != 0 {
		m.t.Fatal(r.stderr)
	}
	var out []string
	decoder := json.NewDecoder(strings.NewReader(r.stdout))
	for range 3 {
		var items []map[string]any
		if err := decoder.Decode(&items); err != nil {
			m.t.Fatal(err)
		}
		for _, item := range items {
			delete(item, "valid_life_time")
			delete(item, "preferred_life_time")
			text, err := json.Marshal(item)
			if err != nil {
				m.t.Fatal(err)
			}
			out = append(out, string(text))
		}
	}
	out = append(out, strings.Split(r.stdout[decoder.InputOffset():], "\n")...)
	return strings.Join(slices.DeleteFunc(out, func(s string) bool { return strings.Contains(s, "/lb") }), "\n")
}

// way returns the device by which a host sends to an address.
func way(t *testing.T, from *netlab.Host, to netip.Addr) string {
	t.Helper()
	device, err := wayOf(t.Context(), from, to)
	if err != nil {
		t.Fatal(err)
	}
	return device
}

func wayOf(ctx context.Context, from *netlab.Host, to netip.Addr) (device string, err error) {
	out, err := from.Run(ctx, "ip", "-o", "route", "get", to.String())
	_, rest, _ := strings.Cut(out, " dev ")
	device, _, _ = strings.Cut(rest, " ")
	return device, err
}

// wantWithdrawn is how long what a host is told may go by a LAN that the other one has left.
const wantWithdrawn = 2 * time.Second

// happens waits until something does and says how long after began, which is judged without what this process
// stood still. It is so where what shows it was begun then, however long that took.
func (s *stalls) happens(t *testing.T, what string, began time.Time, has func() (bool, error)) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var looked time.Time
	err := netlab.WaitFor(ctx, what, func() (bool, error) { looked = time.Now(); return has() })
	took := looked.Sub(began)
	t.Logf("%s: after %v", what, took)
	if stood := s.within(span{began, looked}); err != nil || took-stood > wantWithdrawn {
		t.Errorf("%s: after %v, of which this process stood still for %v (%v)", what, took, stood, err)
	}
}

// withdrawn has the machines stop going by a device to what each of them has spoken to by it.
func (s *stalls) withdrawn(t *testing.T, device string, began time.Time, by map[*machine]netip.Addr) {
	t.Helper()
	var all sync.WaitGroup
	for m, other := range by {
		all.Go(func() {
			s.happens(t, m.Name+" withdraws its route", began, func() (bool, error) {
				now, err := wayOf(t.Context(), m.Host, other)
				return err == nil && now != device, err
			})
		})
	}
	all.Wait()
}

// goesBy speaks from a host to an address until that goes by the device.
func goesBy(t *testing.T, from *netlab.Host, to netip.Addr, device string) time.Duration {
	t.Helper()
	began := time.Now()
	waitFor(t, fmt.Sprintf("%s speaks to %v by %s", from.Name, to, device), func() (bool, error) {
		_, _ = from.Run(t.Context(), "ping", "-q", "-c1", "-W1", to.String())
		by := way(t, from, to)
		return by == device, fmt.Errorf("it goes by %s", by)
	})
	return time.Since(began)
}

// carried returns how many packets of its hosts a machine has sent to other members and got
// of them.
func (m *machine) carried() (n uint64) {
	m.t.Helper()
	for _, name := range []string{"out_packets", "in_packets"} {
		n += m.counter("router", name)
	}
	return n
}

func TestHybridHostsOfOneLANSpeakNatively(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	office := s.wan.Site("office")
	plain := newMachine(t, office.LAN.Host("plain"))
	before := plain.network()
	h1, h2 := s.hybrid(office.LAN, "h1"), s.hybrid(office.LAN, "h2")
	a1, a2, d := h1.address(), h2.address(), s.d.address()
	reaches(t, h1.Host, a2)
	t.Logf("native after %v, and back after %v", goesBy(t, h1.Host, a2, "eth0"), goesBy(t, h2.Host, a1, "eth0"))

	flow := newStream(t, h1.Host, h2.Host, a2)
	carried := [2]uint64{h1.carried(), h2.carried()}
	if r := h1.exec("ping", "-q", "-c20", "-i0.02", a2.String()); r.code != 0 {
		t.Errorf("ping: %s", r.stdout)
	}
	if err := transfer(t.Context(), h1.Host, h2.Host, a2); err != nil {
		t.Errorf("TCP: %v", err)
	}
	flow.flows()
	if now := [2]uint64{h1.carried(), h2.carried()}; now != carried {
		t.Errorf("the tunnel has carried %v packets, was %v: the hosts speak natively", now, carried)
	}

	if p, err := h1.peer("h2"); err != nil || !p.Native {
		t.Errorf("h1 doesn't say that h2 is on its LAN: %+v, %v", p, err)
	}
	if p, err := h1.peer("d"); err != nil || p.Native {
		t.Errorf("h1 says that d is on its LAN: %+v, %v", p, err)
	}

	// What is remote goes by the tunnel still, and what is the host's own by its port.
	reaches(t, h1.Host, d)
	if by := way(t, h1.Host, d); !strings.HasPrefix(by, "lb") {
		t.Errorf("a remote address is reached by %s", by)
	}
	if got := plain.network(); got != before {
		t.Errorf("a host that doesn't take part had\n%s\nhas\n%s", before, got)
	}
	flow.flows()
}

// pair makes two hybrid hosts of different sites, whose ports eth1 are on one LAN, and waits until
// they speak natively.
func (s *scene) pair(lan *netlab.LAN) (h1, h2 *machine) {
	s.t.Helper()
	h1, h2 = s.plug(lan, "h1"), s.plug(lan, "h2")
	goesBy(s.t, h1.Host, h2.address(), "eth1")
	goesBy(s.t, h2.Host, h1.address(), "eth1")
	return h1, h2
}

// plug makes a hybrid host of a site of its own, whose port eth1 is on a LAN.
func (s *scene) plug(lan *netlab.LAN, name string) *machine {
	s.t.Helper()
	m := newMachine(s.t, s.wan.Site("site-"+name).LAN.Host(name), "--mode", "hybrid", "--lan-port", "eth1")
	lan.Plug(m.Host, "eth1")
	s.join(m)
	return m
}

// A host that has left the LAN is reached by the tunnel within 2 s, and its connections
// live on.
func TestABypassEndsWhenTheHostLeavesTheLAN(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	lan := s.lab.LAN("lan")
	h1, h2 := s.pair(lan)
	a1, a2 := h1.address(), h2.address()
	flow := newStream(t, h1.Host, h2.Host, a2)
	flow.gap()

	elsewhere := s.lab.LAN("elsewhere")
	stood, began := newStalls(t), time.Now()
	if err := h2.Port("eth1").MoveTo(elsewhere); err != nil {
		t.Fatal(err)
	}
	stood.withdrawn(t, "eth1", began, map[*machine]netip.Addr{h1: a2, h2: a1}) // none of them has lost its carrier
	t.Logf("the connection stood still for %v", flow.gap())
	if by := way(t, h1.Host, a2); by == "eth1" {
		t.Error("the route is back, though the host isn't")
	}
	if err := h2.Port("eth1").MoveTo(lan); err != nil {
		t.Fatal(err)
	}
	t.Logf("native again after %v", goesBy(t, h1.Host, a2, "eth1"))
	flow.flows()
}

// A switch may let beacons pass and not ARP (dynamic ARP inspection): then there is a proof, and no way.
func TestAHostThatTheLANHidesIsReachedByTheTunnel(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	lan := s.lab.LAN("lan")
	h1, h2 := s.plug(lan, "h1"), s.plug(lan, "h2")
	a2 := h2.address()
	h1.address()
	for _, m := range []*machine{h1, h2} {
		if r := m.exec("sh", "-c", "echo 8 > /proc/sys/net/ipv4/conf/eth1/arp_ignore"); r.code != 0 {
			t.Fatal(r.stderr)
		}
	}
	h1.wait("the proof", func() (bool, error) { p, err := h1.peer("h2"); return p.Native, err })
	goesBy(t, h1.Host, a2, "eth1")
	began := time.Now()
	waitFor(t, "h1 goes by the tunnel", func() (bool, error) {
		_, _ = h1.Run(t.Context(), "ping", "-q", "-c1", "-W1", a2.String())
		return way(t, h1.Host, a2) != "eth1", nil
	})
	t.Logf("h1 goes by the tunnel after %v", time.Since(began))
	newStream(t, h1.Host, h2.Host, a2).flows()
	if n := h1.counter("bypass", "unanswered"); n == 0 {
		t.Error("it isn't counted")
	}
}

func TestAHybridHostAndARoutersLANSpeakNatively(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	x := newClient(t, a.wire, "x").lease(netlab.Udhcpc)
	// The wire is the LAN of hosts that have addresses of their own there, besides.
	h := newMachine(t, a.net.LAN.Host("h"), "--mode", "hybrid", "--lan-port", "eth1")
	a.wire.Plug(h.Host, "eth1")
	if r := h.exec("ip", "addr", "add", "172.31.7.2/24", "dev", "eth1"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	s.join(h)
	own := h.address()
	reaches(t, x.Host, own)
	goesBy(t, h.Host, x.addr, "eth1")

	mac, err := h.MAC("eth1")
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "x has the MAC of h", func() (bool, error) {
		_, _ = x.Run(t.Context(), "ping", "-q", "-c1", "-W1", own.String())
		table, err := x.Neighbours("eth0")
		return table[own].String() == mac.String(), fmt.Errorf("it has %v (%v)", table[own], err)
	})
	toHost, toX := newStream(t, x.Host, h.Host, own), newStream(t, h.Host, x.Host, x.addr)
	carried := [2]uint64{h.carried(), a.carried()}
	if out, err := x.Run(t.Context(), "ping", "-q", "-c20", "-i0.02", own.String()); err != nil {
		t.Errorf("ping from x: %s", out)
	}
	if r := h.exec("ping", "-q", "-c20", "-i0.02", x.addr.String()); r.code != 0 {
		t.Errorf("ping from h: %s", r.stdout)
	}
	toHost.flows()
	toX.flows()
	if now := [2]uint64{h.carried(), a.carried()}; now != carried {
		t.Errorf("the tunnel has carried %v packets, was %v: the hosts speak natively", now, carried)
	}
	reaches(t, x.Host, s.d.address())

	// When h leaves, hosts with nothing installed reach it by their router, as soon as that knows.
	toHost.gap()
	toX.gap()
	elsewhere := s.lab.LAN("elsewhere")
	stood, began := newStalls(t), time.Now()
	if err := h.Port("eth1").MoveTo(elsewhere); err != nil {
		t.Fatal(err)
	}
	stood.happens(t, "x has the MAC of its router", began, func() (bool, error) {
		table, err := x.Neighbours("eth0")
		return err == nil && table[own].String() != mac.String(), err
	})
	t.Logf("the connections stood still for %v and %v as h left", toHost.gap(), toX.gap())
	if err := h.Port("eth1").MoveTo(a.wire); err != nil {
		t.Fatal(err)
	}
	goesBy(t, h.Host, x.addr, "eth1")
	waitFor(t, "x has the MAC of h again", func() (bool, error) {
		table, err := x.Neighbours("eth0")
		return table[own].String() == mac.String(), err
	})
	toHost.flows()
	toX.flows()
}

// Entering and leaving hybrid mode, in order or by a kill, doesn't touch what the host does by its
// port.
func TestHybridModeLeavesTheHostsPortAlone(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	office := s.wan.Site("office")
	h := newMachine(t, office.LAN.Host("h"), "--mode", "hybrid", "--lan-port", "eth0")
	if r := h.exec("sh", "-c", "echo 1 > /proc/sys/net/ipv4/conf/all/rp_filter; echo 1 > /proc/sys/net/ipv4/conf/eth0/rp_filter"); r.code != 0 {
		t.Fatal(r.stderr)
	}
	other := s.hybrid(office.LAN, "other")
	before := h.network()
	physical, err := h.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	ssh := newStream(t, s.d.Host, s.d.Host, netip.MustParseAddr("127.0.0.1")) // how long this machine stands still by itself
	in, out := newStream(t, other.Host, h.Host, physical.Addr()), newStream(t, h.Host, s.d.Host, s.d.Port("eth0").Addr())

	s.join(h)
	goesBy(t, h.Host, other.address(), "eth0")
	h.end(syscall.SIGTERM)
	if got := h.network(); got != before {
		t.Errorf("after SIGTERM the host has\n%s\nhad\n%s", got, before)
	}
	for range 3 {
		h.start()
		goesBy(t, h.Host, other.address(), "eth0")
		h.end(syscall.SIGKILL)
		in.flows()
		out.flows()
	}
	if got := h.network(); got == before {
		t.Error("a killed run has left nothing: this test is in vain")
	}
	h.must("recover")
	if got := h.network(); got != before {
		t.Errorf("after SIGKILL, and landbridge recover, the host has\n%s\nhad\n%s", got, before)
	}
	h.start()
	goesBy(t, h.Host, other.address(), "eth0")
	h.end(syscall.SIGKILL)
	h.flags = nil // interface mode puts right what the one before left
	h.start()
	reaches(t, h.Host, other.address())
	h.end(syscall.SIGTERM)
	if got := h.network(); got != before {
		t.Errorf("after SIGKILL, and a start, the host has\n%s\nhad\n%s", got, before)
	}
	t.Logf("the connections by the port stood still for %v and %v, the machine for %v", in.gap(), out.gap(), ssh.gap())
}

// A port that loses its carrier, or vanishes, leaves the appliance running: all goes by the
// tunnel, as far as there is a way, until the port is back.
func TestAHybridHostOutlivesItsPort(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	h1, h2 := s.pair(s.lab.LAN("lan"))
	a1, a2 := h1.address(), h2.address()
	flow := newStream(t, h1.Host, h2.Host, a2)

	flow.gap()
	stood, began := newStalls(t), time.Now()
	if err := h1.Port("eth1").SetCarrier(false); err != nil {
		t.Fatal(err)
	}
	stood.withdrawn(t, "eth1", began, map[*machine]netip.Addr{h1: a2, h2: a1})
	t.Logf("the connection stood still for %v", flow.gap())
	h1.wait("what is wrong is said", func() (bool, error) {
		health := h1.status().Health
		return len(health) == 1 && strings.Contains(health[0].Text, "eth1") && strings.Contains(health[0].Text, "carrier"), fmt.Errorf("%v", health)
	})
	if err := h1.Port("eth1").SetCarrier(true); err != nil {
		t.Fatal(err)
	}
	goesBy(t, h1.Host, a2, "eth1")
	goesBy(t, h2.Host, a1, "eth1")

	flow.gap()
	if err := h1.Port("eth1").Vanish(); err != nil {
		t.Fatal(err)
	}
	h1.wait("what is wrong is said", func() (bool, error) {
		health := h1.status().Health
		return len(health) == 1 && strings.Contains(health[0].Text, "eth1 has gone"), fmt.Errorf("%v", health)
	})
	flow.flows()
	t.Logf("the connection stood still for %v", flow.gap())
	if err := h1.Port("eth1").Return(); err != nil {
		t.Fatal(err)
	}
	goesBy(t, h1.Host, a2, "eth1")
	h1.wait("all is well", func() (bool, error) { health := h1.status().Health; return len(health) == 0, fmt.Errorf("%v", health) })
	flow.flows()
}
