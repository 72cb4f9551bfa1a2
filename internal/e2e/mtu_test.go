package e2e

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// lanPair is a group with a host at each of two sites, whose LANs have MTUs of their own.
type lanPair struct {
	*scene
	a, b   *site
	a1, b1 *client
}

func newLANPair(t *testing.T, atA, atB int, flags ...string) *lanPair {
	t.Helper()
	s := &lanPair{scene: newScene(t, "--mtu", fmt.Sprint(defaultMTU))}
	s.a, s.b = s.lan("a", atA, flags), s.lan("b", atB, flags)
	s.a1 = newClient(t, s.a.wire, "a1", netlab.Link{MTU: atA}).lease(netlab.Dhclient)
	s.b1 = newClient(t, s.b.wire, "b1", netlab.Link{MTU: atB}).lease(netlab.Udhcpc)
	reaches(t, s.a1.Host, s.b1.addr)
	return s
}

// lan adds a site in router mode whose LAN has that MTU.
func (s *lanPair) lan(name string, mtu int, flags []string) *site {
	s.t.Helper()
	n := &site{net: s.wan.Site("site-" + name)}
	n.wire = n.net.Wire(name + "-cluster")
	n.machine = newMachine(s.t, n.net.Host(name), append([]string{"--mode", "router", "--lan-port", "lan0"}, flags...)...)
	n.wire.Plug(n.Host, "lan0", netlab.Link{MTU: mtu})
	s.join(n.machine)
	return n
}

func TestALANKeepsItsMTUAndWhatCrossesFits(t *testing.T) {
	for _, c := range []struct {
		a, b     int // MTUs of the LANs
		fromA    int // what a host of A is told to be the path's
		fromB    int
		together int // what fits both ways
	}{
		{1500, 1500, defaultMTU, defaultMTU, defaultMTU},
		{1500, 9000, defaultMTU, defaultMTU, defaultMTU},
		{9000, 1280, 1280, defaultMTU, 1280}, // B's appliance says so, of what comes to it
	} {
		t.Run(fmt.Sprintf("LANs of %d and %d", c.a, c.b), func(t *testing.T) {
			t.Parallel()
			s := newLANPair(t, c.a, c.b)
			for host, mtu := range map[*client]int{s.a1: c.a, s.b1: c.b} {
				if out := host.sh("ip link show dev eth0"); !strings.Contains(out, fmt.Sprintf("mtu %d ", mtu)) {
					t.Errorf("%s of a LAN with an MTU of %d has %s", host.Name, mtu, out)
				}
			}
			t.Run("on the LAN all of it is used", func(t *testing.T) { native(t, s.a, s.a1, c.a) })
			t.Run("neither end is told of segments that don't fit", func(t *testing.T) {
				near, far := connection(t, s.a1, s.b1)
				for _, conn := range []net.Conn{near, far} {
					if mss := segmentSize(t, conn); mss > c.together-40 {
						t.Errorf("segments may have %d bytes", mss)
					}
				}
			})
			exchangeBetween(t, s.a1.Host, s.b1.Host, s.a1.addr, s.b1.addr)
			t.Run("what must not be cut is refused with the MTU", func(t *testing.T) {
				refused(t, s.a1, s.b1, c.a, c.fromA)
				if c.b > c.fromB {
					refused(t, s.b1, s.a1, c.b, c.fromB)
				}
			})
			for _, h := range []*client{s.a1, s.b1} {
				h.sh("sysctl -qw net.ipv4.ip_no_pmtu_disc=1; ip route flush cache") // no DF from here on
			}
			t.Run("what may be cut passes", func(t *testing.T) { fragments(t, s.a1, s.b1, c.a, c.b) })
			exchangeBetween(t, s.a1.Host, s.b1.Host, s.a1.addr, s.b1.addr)
			for _, counter := range []string{"mss_clamped", "out_fragmented", "drop_too_big", "icmp_sent"} {
				if s.a.counter("router", counter) == 0 {
					t.Errorf("a counts no %s", counter)
				}
			}
		})
	}
}

// native checks that another host of the LAN gets its largest packets, and that Landbridge has
// no part in it.
func native(t *testing.T, at *site, from *client, mtu int) {
	to := newClient(t, at.wire, "n1", netlab.Link{MTU: mtu}).lease(netlab.Udhcpc)
	if out, err := from.Run(t.Context(), "ping", "-q", "-c1", "-w5", "-M", "do", "-s", fmt.Sprint(mtu-28), to.addr.String()); err != nil {
		t.Errorf("a packet of %d bytes on the LAN: %s", mtu, out)
	}
	near, _ := connection(t, from, to)
	if mss := segmentSize(t, near); mss <= defaultMTU-40 && mtu > defaultMTU {
		t.Errorf("segments on the LAN have %d bytes at most", mss)
	}
}

// refused checks that a packet of the LAN's MTU isn't carried where it must not be cut, that the
// host learns what is, and that this is carried.
func refused(t *testing.T, from, to *client, mtu, want int) {
	t.Helper()
	from.sh("ip route flush cache")
	ping := func(size int) (string, error) {
		return from.Run(t.Context(), "ping", "-c3", "-i0.2", "-W2", "-M", "do", "-s", fmt.Sprint(size-28), to.addr.String())
	}
	told := fmt.Sprintf("From %s icmp_seq=1 Frag needed and DF set (mtu = %d)", service, want)
	if want < defaultMTU { // the first is the sender's own appliance's
		_, _ = ping(mtu)
		told = fmt.Sprintf("(mtu = %d)", want)
		mtu = defaultMTU
	}
	if out, err := ping(mtu); err == nil || !strings.Contains(strings.ReplaceAll(out, "mtu=", "mtu = "), told) {
		t.Errorf("%d bytes from %s: want %q: %s", mtu, from.Name, told, out)
	}
	if out, err := ping(want); err != nil {
		t.Errorf("%d bytes from %s: %s", want, from.Name, out)
	}
}

// fragments checks that packets of any size pass, of hosts that don't ask not to be cut: what the
// host sends whole the appliance cuts, segments of UDP that a host's kernel leaves to be cut among it.
func fragments(t *testing.T, a, b *client, mtus ...int) {
	t.Helper()
	for i, way := range [][2]*client{{a, b}, {b, a}} {
		from, to := way[0], way[1]
		for _, size := range []int{1472, 4000, 8972, 20000} {
			if out, err := from.Run(t.Context(), "ping", "-q", "-c1", "-i0.2", "-w5", "-M", "dont", "-s", fmt.Sprint(size), to.addr.String()); err != nil {
				t.Errorf("a ping of %d bytes from %s: %s", size, from.Name, out)
			}
		}
		segment := min(mtus[i], 1500) - 28
		if err := datagrams(from.Host, to.Host, to.addr, segment, 20*segment); err != nil {
			t.Errorf("segments of %d bytes from %s: %v", segment, from.Name, err)
		}
	}
}

// connection connects two hosts by TCP, until the test ends.
func connection(t *testing.T, from, to *client) (near, far net.Conn) {
	t.Helper()
	near, far, err := connect(t.Context(), from.Host, to.Host, to.addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = near.Close(), far.Close() })
	return near, far
}

// A connection that two hosts of one LAN have made has segments as large as the LAN takes. Then
// one of them moves to another site, and they are too large for the tunnel.
func TestAConnectionMadeOnALANGoesOnThroughTheTunnel(t *testing.T) {
	for _, c := range []struct {
		name    string
		mtu     int
		prepare string // on both hosts
		counter string // that the appliances' dealing with it moves
	}{
		{"told by ICMP", 1500, "true", "drop_too_big"},
		{"told by ICMP, of jumbo frames", 9000, "true", "drop_too_big"},
		{"cut, of hosts that allow it", 1500, "sysctl -qw net.ipv4.ip_no_pmtu_disc=1", "out_fragmented"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newLANPair(t, c.mtu, c.mtu)
			vm := newClient(t, s.a.wire, "vm", netlab.Link{MTU: c.mtu}).lease(netlab.Udhcpc)
			for _, h := range []*client{s.a1, vm} {
				h.sh(c.prepare)
			}
			near, far := connection(t, s.a1, vm)
			for _, way := range [][2]net.Conn{{near, far}, {far, near}} {
				if mss := segmentSize(t, way[0]); mss < c.mtu-60 {
					t.Errorf("segments on a LAN of %d have %d bytes at most", c.mtu, mss)
				}
				if err := pour(way[0], way[1]); err != nil {
					t.Fatal(err)
				}
			}
			if err := vm.Port("eth0").MoveTo(s.b.wire); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			t.Logf("%s: reached after %v", c.name, reaches(t, vm.Host, s.a1.addr))
			for _, way := range [][2]net.Conn{{far, near}, {near, far}} {
				if err := pour(way[0], way[1]); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%s: 8 MiB after %v", c.name, time.Since(began))
			if a, b := s.a.counter("router", c.counter), s.b.counter("router", c.counter); a == 0 || b == 0 {
				t.Errorf("%s: %d at a, %d at b", c.counter, a, b)
			}
		})
	}
}

func TestHostsAreToldTheGroupsMTUWhereThatIsWished(t *testing.T) {
	t.Parallel()
	s := newLANPair(t, 1500, 1280, "--dhcp-mtu", "group")
	for host, mtu := range map[*client]int{s.a1: defaultMTU, s.b1: 1280} {
		if out := host.sh("ip link show dev eth0"); !strings.Contains(out, fmt.Sprintf("mtu %d ", mtu)) {
			t.Errorf("%s has %s", host.Name, out)
		}
	}
}
