package e2e

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// Two routers of the group on one LAN.

// beside adds a second router to a site's wire.
func (s *scene) beside(at *site, name string) *site {
	s.t.Helper()
	n := &site{net: at.net, wire: at.wire}
	n.machine = newMachine(s.t, at.net.Host(name), "--mode", "router", "--lan-port", "lan0")
	n.wire.Plug(n.Host, "lan0")
	s.join(n.machine)
	return n
}

// offers counts what DHCP servers say to a host, by the MAC that says it.
type offers struct {
	fd    int
	index int
	done  sync.WaitGroup
	mu    sync.Mutex
	by    map[string]int  // OFFERs, by the server's MAC
	to    map[[4]byte]int // OFFERs, by transaction ID
}

// countOffers listens at a host's device until the test ends.
func countOffers(t *testing.T, h *netlab.Host, device string) *offers {
	t.Helper()
	o := &offers{by: make(map[string]int), to: make(map[[4]byte]int)}
	err := h.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		o.index = dev.Index
		const ip = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network order
		if o.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, ip); err != nil {
			return err
		}
		tick := unix.Timeval{Usec: 100_000}
		if err := unix.SetsockoptTimeval(o.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
			return err
		}
		return unix.Bind(o.fd, &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: ip})
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	o.done.Go(func() { o.listen(stop) })
	t.Cleanup(func() { close(stop); o.done.Wait(); _ = unix.Close(o.fd) })
	return o
}

func (o *offers) listen(stop chan struct{}) {
	buf := make([]byte, 2048)
	for {
		select {
		case <-stop:
			return
		default:
		}
		n, err := unix.Read(o.fd, buf)
		// From port 67; the first option is the message type: 2 is OFFER.
		if err != nil || n < 290 || buf[23] != unix.IPPROTO_UDP || buf[34] != 0 || buf[35] != 67 || !slices.Equal(buf[282:285], []byte{53, 1, 2}) {
			continue
		}
		o.mu.Lock()
		o.by[net.HardwareAddr(buf[6:12]).String()]++
		o.to[[4]byte(buf[46:50])]++
		o.mu.Unlock()
	}
}

func (o *offers) servers() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.by)
}

// settle waits until the routers of a LAN share: the second takes part after it has been
// well for 10 s.
func settle(t *testing.T, routers ...*site) {
	t.Helper()
	newProbe(t, routers[0].wire).settle(len(routers), patience)
}

// newProbe is a station of a LAN that asks routers.
func newProbe(t *testing.T, wire *netlab.LAN) *listener {
	t.Helper()
	return listen(t, wire.Host(fmt.Sprintf("probe%d", time.Now().UnixNano()%1e6)), "eth0")
}

// settle waits until so many routers share.
func (l *listener) settle(routers int, within time.Duration) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), within)
	defer cancel()
	err := netlab.WaitFor(ctx, "all routers answer", func() (bool, error) {
		by := make(map[string]bool)
		for i := range 8 { // other MACs, for which others answer
			l.mac[4], l.mac[5] = byte(time.Now().UnixNano()), byte(i)
			for _, mac := range l.ask(netip.IPv4Unspecified(), netip.MustParseAddr(service))[netip.MustParseAddr(service)] {
				by[mac] = true
			}
			if len(by) == routers {
				break
			}
		}
		return len(by) == routers, fmt.Errorf("answered by %v", by)
	})
	if err != nil {
		l.t.Fatal(err)
	}
}

func TestTwoRoutersOnOneLANLeaveItsHostsToThemselvesAndAnswerOnce(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r1 := s.site("r1")
	r2 := s.beside(r1, "r2")
	d := s.d.address()
	settle(t, r1, r2)

	var of1, of2 []*client // hosts by the router that serves them
	for _, name := range []string{"h1", "h2", "h3", "h4", "h5", "h6", "h7", "h8"} {
		h := newClient(t, r1.wire, name)
		heard := countOffers(t, h.Host, "eth0")
		h.lease(netlab.Udhcpc)
		if n := heard.servers(); n != 1 {
			t.Errorf("%s was offered addresses by %d routers: %v", name, n, heard.by)
		}
		switch at1, at2 := r1.serves(h.addr), r2.serves(h.addr); {
		case at1 && !at2:
			of1 = append(of1, h)
		case at2 && !at1:
			of2 = append(of2, h)
		default:
			t.Fatalf("%s, %v: leased at r1 %v, at r2 %v", name, h.addr, at1, at2)
		}
	}
	if len(of1) == 0 || len(of2) == 0 {
		t.Fatalf("%d clients fell to r1, %d to r2", len(of1), len(of2))
	}

	x, y := of1[0], of2[0]
	for _, h := range []*client{x, y} {
		reaches(t, h.Host, d)
	}
	out1, out2 := r1.counter("router", "out_packets"), r2.counter("router", "out_packets")
	reaches(t, x.Host, y.addr)
	y.sh("ping -q -c20 -i0.02 -w5 " + x.addr.String())
	if n1, n2 := r1.counter("router", "out_packets"), r2.counter("router", "out_packets"); n1 != out1 || n2 != out2 {
		t.Errorf("hosts of one LAN talk by tunnel: %d and %d packets", n1-out1, n2-out2)
	}

	own := func(h *client) string {
		mac, err := h.MAC("eth0")
		if err != nil {
			t.Fatal(err)
		}
		return mac.String()
	}
	gateways := []string{r1.status().Attachment.GatewayMAC, r2.status().Attachment.GatewayMAC}
	for _, h := range []*client{x, y} {
		other := y
		if h == y {
			other = x
		}
		l := listen(t, h.Host, "eth0")
		for _, sender := range []netip.Addr{h.addr, h.addr, netip.IPv4Unspecified()} {
			got := l.expect(3, sender, d, netip.MustParseAddr(service), other.addr)
			for _, remote := range []netip.Addr{d, netip.MustParseAddr(service)} {
				if by := got[remote]; len(by) != 1 || !slices.Contains(gateways, by[0]) {
					t.Errorf("%s asks for %v as %v: answered by %v, want one of %v, once", h.Name, remote, sender, by, gateways)
				}
			}
			if by := got[other.addr]; !slices.Equal(by, []string{own(other)}) {
				t.Errorf("%s asks for %s as %v: answered by %v, want the host alone", h.Name, other.Name, sender, by)
			}
		}
	}
	if n := r1.counter("beacon", "forged") + r1.counter("beacon", "looped"); n != 0 {
		t.Errorf("%d beacons were forged or looped", n)
	}
}

// Interface-mode members of one LAN reach each other by it, though both are behind the
// same NAT: never by a relay, and not by the NAT's outside.
func TestInterfaceModeMembersOnOneLANUseItsPath(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	home := s.wan.Site("home")
	a, b := newMachine(t, home.Host("a")), newMachine(t, home.Host("b"))
	s.join(a)
	s.join(b)
	reaches(t, a.Host, b.address())
	reaches(t, b.Host, a.address())
	inside, err := b.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	for _, at := range []struct{ m, of *machine }{{a, b}, {b, a}} {
		at.m.wait("the LAN's path", func() (bool, error) {
			p, err := at.m.peer(at.of.Name)
			return err == nil && p.Path == api.PathKindLAN, err
		})
	}
	if p, err := a.peer("b"); err != nil || p.Address.Addr() != inside.Addr() {
		t.Errorf("a sends to %v (%v), and b is at %v", p.Address, err, inside)
	}
}
