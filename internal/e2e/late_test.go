package e2e

import (
	"fmt"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/netlab"
)

// discover broadcasts a DISCOVER of a host that has had an address (RFC 2131 section 4.4.1), and
// returns its transaction ID.
func (o *offers) discover(t *testing.T, c *client) [4]byte {
	t.Helper()
	hardware, err := c.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	mac, _ := frame.MACFrom(hardware)
	m, err := dhcpv4.NewDiscovery(hardware, dhcpv4.WithBroadcast(true), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(c.addr.AsSlice())))
	if err != nil {
		t.Fatal(err)
	}
	f := frame.AppendEthernet(nil, frame.Broadcast(), mac, frame.EtherTypeIPv4)
	f = frame.AppendUDP(f, netip.AddrPortFrom(netip.IPv4Unspecified(), 68), netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), 67), m.ToBytes())
	if err := unix.Sendto(o.fd, f, 0, &unix.SockaddrLinklayer{Ifindex: o.index}); err != nil {
		t.Fatal(err)
	}
	return m.TransactionID
}

func (o *offers) offered(transaction [4]byte) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.to[transaction]
}

// A router that comes later knows nothing of what the first has leased, and takes its share of the hosts.
func TestALateSecondRouterAnswersNoHostOfTheFirst(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r1 := s.site("r1")
	var hosts []*client
	var heard []*offers
	for n := range 6 {
		h := newClient(t, r1.wire, fmt.Sprint("h", n)).lease(netlab.Udhcpc)
		hosts, heard = append(hosts, h), append(heard, countOffers(t, h.Host, "eth0"))
	}
	l := listen(t, hosts[0].Host, "eth0")
	targets := []netip.Addr{s.d.address(), netip.MustParseAddr(service), hosts[1].addr, hosts[2].addr}

	r2 := s.beside(r1, "r2")
	gateway := r2.status().Attachment.GatewayMAC
	transactions := make(map[[4]byte]int) // to the host
	var sharing time.Time                 // since when the second answers its share
	ask := func() {
		l.mac[5]++ // another host, which may fall to the other router
		for target, by := range l.ask(hosts[0].addr, targets...) {
			if len(by) != 1 {
				t.Errorf("%v is answered by %v", target, by)
			}
			if slices.Contains(by, gateway) && sharing.IsZero() {
				sharing = time.Now()
			}
		}
	}
	for end := time.Now().Add(patience); sharing.IsZero() && time.Now().Before(end); {
		ask()
	}
	if sharing.IsZero() {
		t.Fatal("the second router takes no share")
	}
	for time.Since(sharing) < 3*time.Second { // a client that asks for 5 s counts as neglected by its router
		for i, h := range hosts {
			transactions[heard[i].discover(t, h)] = i
		}
		ask()
	}
	answered := 0
	for transaction, i := range transactions {
		n := heard[i].offered(transaction)
		if answered += n; n > 1 {
			t.Errorf("a DISCOVER of %s was answered %d times", hosts[i].Name, n)
		}
	}
	if answered < len(transactions)*9/10 {
		t.Errorf("%d of %d DISCOVERs were answered", answered, len(transactions))
	}
	t.Logf("%d of %d DISCOVERs answered", answered, len(transactions))
}
