package e2e

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// twoSites is a group of three with hosts at two sites, for what is looked at without
// changing it.
type twoSites struct {
	*scene
	a, b       *site
	a1, a2, b1 *client
}

func TestTheWireAtTwoSites(t *testing.T) {
	t.Parallel()
	s := &twoSites{scene: newScene(t)}
	s.a, s.b = s.site("a"), s.site("b")
	s.a1, s.a2 = newClient(t, s.a.wire, "a1").lease(netlab.Dhclient), newClient(t, s.a.wire, "a2").lease(netlab.Udhcpc)
	s.b1 = newClient(t, s.b.wire, "b1").lease(netlab.Udhcpc)
	reaches(t, s.a1.Host, s.b1.addr)

	t.Run("ARP is answered for live leases elsewhere only", s.arp)
	t.Run("names of the group are answered and others refused at once", s.names)
	t.Run("a packet that is too large is answered, cut or clamped", s.large)
}

func (s *twoSites) arp(t *testing.T) {
	gateway := s.a.status().Attachment.GatewayMAC
	own, err := s.a2.MAC("eth0")
	if err != nil {
		t.Fatal(err)
	}
	l := listen(t, s.a1.Host, "eth0")
	free := s.free(t)
	want := map[netip.Addr][]string{ // all others: silence
		s.b1.addr:                            {gateway},
		s.d.address():                        {gateway},
		netip.MustParseAddr(service):         {gateway},
		s.a2.addr:                            {own.String()},
		free:                                 nil,
		s.a1.addr:                            nil, // its own: an announcement
		netip.MustParseAddr("10.77.255.77"):  nil, // in nobody's block
		netip.MustParseAddr("10.77.0.0"):     nil,
		netip.MustParseAddr("10.77.255.255"): nil,
		netip.MustParseAddr("10.78.0.9"):     nil, // outside of the prefix
		netip.MustParseAddr("169.254.7.7"):   nil,
	}
	targets := slices.Collect(maps.Keys(want))
	for _, c := range []struct {
		what   string
		sender netip.Addr
	}{
		{"a request", s.a1.addr},
		{"a request, answered from memory", s.a1.addr},
		// An address that is leased elsewhere must be defended (RFC 5227 section
		// 2.1.1), or a host would take it.
		{"a probe", netip.IPv4Unspecified()},
	} {
		got := l.expect(4, c.sender, targets...)
		for addr, by := range want {
			if !slices.Equal(got[addr], by) {
				t.Errorf("%s for %v: answered by %v, want %v", c.what, addr, got[addr], by)
			}
		}
	}
}

// free returns an address of A's block that is leased to nobody.
func (s *twoSites) free(t *testing.T) netip.Addr {
	t.Helper()
	var blocks api.BlockList
	if err := s.a.get(&blocks, "blocks"); err != nil {
		t.Fatal(err)
	}
	taken := []netip.Addr{s.a1.addr, s.a2.addr, s.b1.addr, netip.MustParseAddr(service)}
	for _, b := range blocks.Items {
		for addr := b.Prefix.Addr(); b.Prefix.Contains(addr); addr = addr.Next() {
			if !slices.Contains(taken, addr) && b.Used > 0 {
				return addr
			}
		}
	}
	t.Fatal("A holds no block with leases")
	return netip.Addr{}
}

// static is the name of an address by the static rule: C, then three digits for each of
// its last three bytes.
func static(addr netip.Addr) string {
	b := addr.As4()
	return fmt.Sprintf("C%03d%03d%03d", b[1], b[2], b[3])
}

func (s *twoSites) names(t *testing.T) {
	b := s.b1.addr.As4()
	reverse := fmt.Sprintf("%d.%d.%d.%d.in-addr.arpa.", b[3], b[2], b[1], b[0])
	for _, c := range []struct {
		query  string
		status string
		answer string
	}{
		{"b1." + zone + " A", "NOERROR", s.b1.addr.String()},
		{"B1." + strings.ToUpper(zone) + " A", "NOERROR", s.b1.addr.String()},
		{"a2." + zone + " A", "NOERROR", s.a2.addr.String()},
		{"d." + zone + " A", "NOERROR", s.d.address().String()},
		{static(s.b1.addr) + "." + zone + " A", "NOERROR", s.b1.addr.String()},
		{static(s.b1.addr) + " A", "NOERROR", s.b1.addr.String()},
		{"C005032155 A", "REFUSED", ""},
		{"-x 10.77.255.7", "NOERROR", "C077255007." + zone + "."},
		{"-x " + s.b1.addr.String(), "NOERROR", "b1." + zone + "."},
		{reverse + " PTR", "NOERROR", "b1." + zone + "."},
		{"b1." + zone + " AAAA", "NOERROR", ""},
		{"nobody." + zone + " A", "NXDOMAIN", ""},
		{"example.com A", "REFUSED", ""},
		{"-x 192.0.2.1", "REFUSED", ""},
		{"-x 10.78.0.5", "REFUSED", ""},
		{". NS", "REFUSED", ""},
	} {
		out := s.ask(t, c.query, c.status == "REFUSED")
		if !strings.Contains(out, "status: "+c.status) {
			t.Errorf("%s: want %s: %s", c.query, c.status, out)
		}
		if c.answer != "" && !strings.Contains(out, c.answer) || c.answer == "" && strings.Contains(out, "ANSWER SECTION") {
			t.Errorf("%s: want the answer %q: %s", c.query, c.answer, out)
		}
	}
	// As programs ask: by the resolver that DHCP has set up.
	if out := s.a1.sh("getent ahostsv4 b1"); !strings.Contains(out, s.b1.addr.String()) {
		t.Errorf("getent b1: %s", out)
	}
	if out := s.a1.sh("getent hosts " + s.b1.addr.String()); !strings.Contains(out, "b1."+zone) {
		t.Errorf("getent %v: %s", s.b1.addr, out)
	}
	// The time of a refusal, without dig's own start.
	t.Logf("a refusal takes %v", s.refusal(t))
}

// ask returns what dig says of a query. One that is to be answered at once is so one time of three: a busy machine
// may delay the others.
func (s *twoSites) ask(t *testing.T, query string, atOnce bool) string {
	t.Helper()
	for tries := 1; ; tries++ {
		out := s.a1.sh("dig @" + service + " +tries=3 +time=5 +noall +comments +answer +stats " + query)
		took := queryTime(t, out)
		if !atOnce || took <= 300*time.Millisecond {
			return out
		}
		if tries == 3 {
			t.Errorf("%s: refused after %v", query, took)
			return out
		}
	}
}

// queryTime returns how long dig waited for an answer, without its own start.
func queryTime(t *testing.T, out string) time.Duration {
	t.Helper()
	_, after, found := strings.Cut(out, "Query time: ")
	number, _, _ := strings.Cut(after, " ")
	ms, err := strconv.Atoi(number)
	if !found || err != nil {
		t.Fatalf("dig says no query time: %s", out)
	}
	return time.Duration(ms) * time.Millisecond
}

// refusal returns how long the service address takes to refuse a query: the least of ten, as the others tell how busy
// this machine is.
func (s *twoSites) refusal(t *testing.T) time.Duration {
	least := time.Hour
	for range 10 {
		least = min(least, s.refused(t))
	}
	if least > 50*time.Millisecond {
		t.Errorf("refused after %v", least)
	}
	return least
}

func (s *twoSites) refused(t *testing.T) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	conn, err := s.a1.Dial(ctx, "udp", service+":53")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	query := []byte("\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x07example\x03com\x00\x00\x01\x00\x01")
	if err := conn.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := conn.Write(query); err != nil {
		t.Fatal(err)
	}
	reply := make([]byte, 512)
	n, err := conn.Read(reply)
	took := time.Since(began)
	const refused = 5 // RFC 1035 section 4.1.1
	if err != nil || n < 12 || reply[3]&0xf != refused {
		t.Errorf("a query for example.com: %x, %v", reply[:n], err)
	}
	if n > len(query) {
		t.Errorf("a query of %d bytes is refused in %d bytes", len(query), n)
	}
	return took
}

func (s *twoSites) large(t *testing.T) {
	mtu := s.a.status().Attachment.MTU
	for _, c := range []*client{s.a1, s.b1} {
		c.sh("ip link set eth0 mtu 1500; ip route flush cache") // DHCP's option 26 ignored
	}
	out, err := s.a1.Run(t.Context(), "ping", "-c1", "-W20", "-M", "do", "-s", "1472", s.b1.addr.String())
	want := fmt.Sprintf("From %s icmp_seq=1 Frag needed and DF set (mtu = %d)", service, mtu)
	if err == nil || !strings.Contains(out, want) {
		t.Errorf("1500 bytes that must not be cut: want %q: %s", want, out)
	}
	if out = s.a1.sh("ip route get " + s.b1.addr.String()); !strings.Contains(out, fmt.Sprintf("mtu %d", mtu)) {
		t.Errorf("the host hasn't learnt the MTU: %s", out)
	}
	s.a1.sh("ip route flush cache")
	fits := fmt.Sprint(mtu - 28)
	if out, err = s.a1.Run(t.Context(), "ping", "-c1", "-W20", "-M", "do", "-s", fits, s.b1.addr.String()); err != nil {
		t.Errorf("%d bytes that must not be cut: %s", mtu, out)
	}
	for _, size := range []string{"1472", "4000", "20000"} { // the first is cut by the appliance, the others by the host too
		if out, err = s.a1.Run(t.Context(), "ping", "-c1", "-W20", "-M", "dont", "-s", size, s.b1.addr.String()); err != nil {
			t.Errorf("a ping of %s bytes that may be cut: %s", size, out)
		}
	}
	s.clamp(t, mtu)
}

// clamp connects hosts with an MTU of 1500: neither may be told of segments that don't
// fit, so that none is lost on the way, even where ICMP is.
func (s *twoSites) clamp(t *testing.T, mtu int) {
	for _, c := range []*client{s.a1, s.b1} {
		c.sh("ip route flush cache; nft 'table ip e2e { chain in { type filter hook input priority 0; icmp type destination-unreachable drop; }; }'")
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	l, err := s.b1.Listen("tcp4", s.b1.addr.String()+":7000")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const size = 1 << 20
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			_ = conn.SetDeadline(time.Now().Add(patience))
			if mss := segmentSize(t, conn); mss > mtu-40 {
				t.Errorf("b1 may send segments of %d bytes", mss)
			}
			_, err = conn.Write(make([]byte, size))
		}
		accepted <- err
	}()
	conn, err := s.a1.Dial(ctx, "tcp4", s.b1.addr.String()+":7000")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if mss := segmentSize(t, conn); mss > mtu-40 {
		t.Errorf("a1 may send segments of %d bytes", mss)
	}
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	got, buf := 0, make([]byte, 1<<16)
	for {
		n, err := conn.Read(buf)
		if got += n; err != nil {
			break
		}
	}
	if err := <-accepted; err != nil || got != size {
		t.Errorf("%d of %d bytes arrived: %v", got, size, err)
	}
}

// segmentSize returns the largest segment that a connection sends.
func segmentSize(t *testing.T, conn net.Conn) (mss int) {
	raw, err := conn.(syscall.Conn).SyscallConn()
	if err == nil {
		err = raw.Control(func(fd uintptr) {
			mss, err = unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_MAXSEG)
		})
	}
	if err != nil {
		t.Error(err)
	}
	return mss
}
