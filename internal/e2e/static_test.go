package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// addressed is a host on a wire with an address that somebody gave it by hand; it says
// nothing by itself.
func addressed(t *testing.T, wire *netlab.LAN, name string, addr netip.Addr) *client {
	t.Helper()
	c := newClient(t, wire, name)
	c.addr = addr
	c.sh("sysctl -qw net.ipv4.conf.all.arp_notify=0; ip addr add " + addr.String() + "/16 dev eth0")
	return c
}

// spare returns the nth address from the end of a block that the machine holds.
func (m *machine) spare(nth int) (addr netip.Addr) {
	m.t.Helper()
	m.wait("a block", func() (bool, error) {
		var list api.BlockList
		if err := m.get(&list, "blocks"); err != nil || len(list.Items) == 0 {
			return false, err
		}
		addr = list.Items[0].Prefix.Addr()
		for range list.Items[0].Size - 2 - nth {
			addr = addr.Next()
		}
		return true, nil
	})
	return addr
}

// finds waits until the site serves a lease of a host that it has found, and returns how
// long that took.
func (n *site) finds(c *client) time.Duration {
	n.t.Helper()
	began := time.Now()
	n.wait("a lease of "+c.addr.String(), func() (bool, error) {
		for _, l := range n.leases() {
			if l.Address == c.addr {
				return l.MAC == macOf(n.t, c.Host), fmt.Errorf("it is %s's", l.MAC)
			}
		}
		return false, fmt.Errorf("leases %v, health %v", n.leases(), n.status().Health)
	})
	return time.Since(began)
}

func TestAHostWithAStaticAddressIsFoundHoweverItShowsItself(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	d := s.d.address()

	silent := addressed(t, a.wire, "silent", a.spare(3)) // before the first sweep, or in the next
	asks := addressed(t, a.wire, "asks", netip.MustParseAddr("10.77.200.7"))
	asks.sh("ping -c1 -W1 " + d.String() + " || true")
	t.Logf("in a free block, by its ARP request: %v", a.finds(asks))
	speaks := addressed(t, a.wire, "speaks", b.spare(3))
	speaks.sh("ip neigh add "+d.String()+" lladdr $1 dev eth0; ping -c1 -W1 "+d.String()+" || true", a.status().Attachment.GatewayMAC)
	t.Logf("in another member's block, by its traffic: %v", a.finds(speaks))
	announces := addressed(t, a.wire, "announces", netip.MustParseAddr("10.77.201.9"))
	listen(t, announces.Host, "eth0").announce(announces.addr)
	t.Logf("in a free block, by gratuitous ARP: %v", a.finds(announces))
	t.Logf("in a block of the site's, by the sweep: %v", a.finds(silent))

	for _, h := range []*client{asks, speaks, announces, silent} {
		reaches(t, s.d.Host, h.addr)
		reaches(t, h.Host, d)
	}
	a.ails()

	a.end(syscall.SIGKILL)
	a.start()
	for _, h := range []*client{asks, speaks, announces, silent} {
		reaches(t, s.d.Host, h.addr)
	}
	// DHCP goes round it.
	if fresh := newClient(t, a.wire, "fresh").lease(netlab.Udhcpc); fresh.addr == silent.addr {
		t.Error("a client was leased the address of a host that has it by hand")
	}
	// And a machine that is told to use DHCP keeps what it has.
	silent.sh("ip addr flush dev eth0")
	if had := silent.addr; silent.lease(netlab.Udhcpc).addr != had {
		t.Errorf("silent had %v, and got %v by DHCP", had, silent.addr)
	}
}

// announce broadcasts a gratuitous ARP.
func (l *listener) announce(addr netip.Addr) { l.claims(addr, l.mac) }

// claims broadcasts one as if a station had an address.
func (l *listener) claims(addr netip.Addr, mac []byte) {
	l.t.Helper()
	frame := make([]byte, arpFrame)
	copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
	copy(frame[6:], mac)
	copy(frame[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
	copy(frame[22:], mac)
	copy(frame[28:], addr.AsSlice())
	copy(frame[38:], addr.AsSlice())
	if err := unix.Sendto(l.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.index}); err != nil {
		l.t.Fatal(err)
	}
}

func TestAStaticAddressThatIsTakenIsTold(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	a1, gone := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, a.wire, "gone").lease(netlab.Dhclient)
	gone.dhcp.Kill()
	gone.sh("ip link set eth0 down")

	twin := addressed(t, a.wire, "twin", a1.addr)
	listen(t, twin.Host, "eth0").announce(a1.addr)
	heir := addressed(t, a.wire, "heir", gone.addr)
	listen(t, heir.Host, "eth0").announce(gone.addr)
	a.ails(
		"Two hosts of this LAN use the address "+a1.addr.String(),
		"The host "+macOf(t, heir.Host)+" on this LAN uses the address "+gone.addr.String()+", which is leased to "+macOf(t, gone.Host)+" (gone), which doesn't answer",
	)
	twin.sh("ip addr flush dev eth0")
	heir.sh("ip addr flush dev eth0")
	a.ails()
	reaches(t, s.d.Host, a1.addr)
}

// The lease of a static host is renewed while it answers, and ends when it doesn't.
func TestTheLeaseOfAStaticHostLastsAsLongAsItAnswers(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", shortLease.String())
	a := s.site("a")
	h := addressed(t, a.wire, "h", netip.MustParseAddr("10.77.200.7"))
	listen(t, h.Host, "eth0").announce(h.addr)
	a.finds(h)
	first := a.endOf(h.addr)
	ctx, cancel := context.WithTimeout(t.Context(), 4*shortLease)
	defer cancel()
	if err := netlab.WaitFor(ctx, "a lease that outlives two lease times without a word of the host", func() (bool, error) {
		e := a.endOf(h.addr)
		if e.IsZero() {
			return false, errors.New("it has ended")
		}
		return e.Sub(first) > 2*shortLease, nil
	}); err != nil || a.endOf(h.addr).IsZero() {
		t.Fatal(err)
	}
	reaches(t, s.d.Host, h.addr)
	h.sh("ip link set eth0 down")
	went := time.Now()
	ctx, cancel = context.WithTimeout(t.Context(), 2*shortLease)
	defer cancel()
	if err := netlab.WaitFor(ctx, "the end of its lease", func() (bool, error) { return !a.serves(h.addr), nil }); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(went); took < shortLease/2 {
		t.Errorf("its lease ended %v after it had gone", took)
	}
	a.ails()
}

// A virtual machine with a static address moves; nobody there asks for anything.
func TestAStaticHostThatMovesTakesItsLeaseAlong(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", shortLease.String())
	a, b := s.site("a"), s.site("b")
	h := addressed(t, a.wire, "h", netip.MustParseAddr("10.77.200.7"))
	l := listen(t, h.Host, "eth0")
	l.announce(h.addr)
	a.finds(h)
	reaches(t, s.d.Host, h.addr)
	for _, to := range []*site{b, a} {
		if err := h.Port("eth0").MoveTo(to.wire); err != nil {
			t.Fatal(err)
		}
		l.announce(h.addr)
		t.Logf("served at %s after %v", to.Name, to.finds(h))
		reaches(t, s.d.Host, h.addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 4*shortLease)
	defer cancel()
	first := a.endOf(h.addr)
	if err := netlab.WaitFor(ctx, "a lease that outlives the lease time", func() (bool, error) {
		return a.endOf(h.addr).Sub(first) > shortLease, nil
	}); err != nil {
		t.Error(err)
	}
	a.ails()
	b.ails()
}

// endOf returns when the lease of an address ends; zero where the site serves none.
func (n *site) endOf(addr netip.Addr) (end time.Time) {
	for _, l := range n.leases() {
		if l.Address == addr {
			end = l.End
		}
	}
	return end
}

// Somebody claims thousands of addresses, with a MAC for each, and answers for none.
func TestAFloodOfStaticAddressesLeasesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	villain := newClient(t, a.wire, "villain")
	l := listen(t, villain.Host, "eth0")
	before := len(a.leases())
	for i := range 5000 {
		l.claims(netip.AddrFrom4([4]byte{10, 77, byte(100 + i>>8), byte(i)}), []byte{2, 0x66, 0, 0, byte(i >> 8), byte(i)})
	}
	c := newClient(t, a.wire, "honest").lease(netlab.Dhclient)
	reaches(t, s.d.Host, c.addr)
	if leases := a.leases(); len(leases) != before+1 {
		t.Errorf("%d leases, want %d", len(leases), before+1)
	}
	if n := a.counter("statics", "not_looked_into"); n == 0 {
		t.Error("none of 5,000 was turned away")
	}
	// The same with one MAC that answers for all of them.
	villain.sh("sysctl -qw net.ipv4.conf.all.arp_notify=0; for i in $(seq 1 40); do ip addr add 10.77.90.$i/16 dev eth0; done")
	for i := range 40 {
		l.announce(netip.AddrFrom4([4]byte{10, 77, 90, byte(i + 1)}))
	}
	a.ails("The station " + macOf(t, villain.Host) + " on this LAN uses more than 8 addresses")
	if leases := a.leases(); len(leases) > before+1+8 {
		t.Errorf("%d leases", len(leases))
	}
	var held []string
	var blocks api.BlockList
	if err := a.get(&blocks, "blocks"); err != nil {
		t.Fatal(err)
	}
	for _, b := range blocks.Items {
		held = append(held, b.Prefix.String())
	}
	t.Log("blocks held: " + strings.Join(held, " "))
}
