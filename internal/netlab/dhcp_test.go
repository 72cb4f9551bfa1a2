package netlab

import (
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/server4"
)

// dhcpServer leases one address to each MAC, from a socket on a host.
type dhcpServer struct {
	t    *testing.T
	self net.IP

	mu       sync.Mutex
	leases   map[string]net.IP
	released map[string]bool
}

func serveDHCP(t *testing.T, h *Host, device string, self netip.Addr) *dhcpServer {
	t.Helper()
	s := &dhcpServer{t: t, self: self.AsSlice(), leases: map[string]net.IP{}, released: map[string]bool{}}
	var srv *server4.Server
	err := h.Do(func() (err error) {
		srv, err = server4.NewServer(device, nil, s.handle)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var done sync.WaitGroup
	done.Go(func() { srv.Serve() })
	t.Cleanup(func() { srv.Close(); done.Wait() })
	return s
}

func (s *dhcpServer) handle(conn net.PacketConn, peer net.Addr, m *dhcpv4.DHCPv4) {
	s.mu.Lock()
	defer s.mu.Unlock()
	mac := m.ClientHWAddr.String()
	if m.MessageType() == dhcpv4.MessageTypeRelease {
		s.released[mac] = true
		return
	}
	if s.leases[mac] == nil {
		s.leases[mac] = net.IPv4(10, 9, 0, byte(10+len(s.leases)))
	}
	kind := map[dhcpv4.MessageType]dhcpv4.MessageType{
		dhcpv4.MessageTypeDiscover: dhcpv4.MessageTypeOffer,
		dhcpv4.MessageTypeRequest:  dhcpv4.MessageTypeAck,
	}[m.MessageType()]
	reply, err := dhcpv4.NewReplyFromRequest(m, dhcpv4.WithMessageType(kind), dhcpv4.WithYourIP(s.leases[mac]),
		dhcpv4.WithServerIP(s.self), dhcpv4.WithNetmask(net.CIDRMask(16, 32)), dhcpv4.WithLeaseTime(3600),
		dhcpv4.WithDNS(s.self), dhcpv4.WithDomainSearchList("lab.test"),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.self)),
		dhcpv4.WithOption(dhcpv4.OptDomainName("lab.test")),
		dhcpv4.WithGeneric(dhcpv4.OptionInterfaceMTU, []byte{0x05, 0x60})) // 1376
	if err == nil {
		_, err = conn.WriteTo(reply.ToBytes(), &net.UDPAddr{IP: net.IPv4bcast, Port: 68})
	}
	if err != nil {
		s.t.Logf("DHCP server: %v", err)
	}
}

func TestEachDHCPClientConfiguresItsHostAndNothingElse(t *testing.T) {
	t.Parallel()
	for _, err := range Missing("dhclient", "udhcpc", "dhcpcd") {
		t.Fatal(err)
	}
	before, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		t.Fatal(err)
	}
	lab := ForTest(t)
	lan := lab.LAN("cluster")
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	server := lan.Host("server")
	if _, err := server.Run(ctx, "ip", "addr", "add", "10.9.0.1/16", "dev", "eth0"); err != nil {
		t.Fatal(err)
	}
	dhcp := serveDHCP(t, server, "eth0", netip.MustParseAddr("10.9.0.1"))

	var all sync.WaitGroup
	for _, kind := range []DHCPKind{Dhclient, Udhcpc, Dhcpcd} {
		h := lan.Host(string(kind))
		all.Go(func() { checkClient(ctx, t, dhcp, h, kind) })
	}
	all.Wait()
	if after, err := os.ReadFile("/etc/resolv.conf"); err != nil || string(after) != string(before) {
		t.Errorf("this machine's /etc/resolv.conf is now %q (%v)", after, err)
	}
}

func checkClient(ctx context.Context, t *testing.T, dhcp *dhcpServer, h *Host, kind DHCPKind) {
	c, err := h.StartDHCP(ctx, kind, "eth0")
	if err != nil {
		t.Error(err)
		return
	}
	t.Logf("%s: %v after %v", kind, c.Addr, c.Took)
	mac, err := h.MAC("eth0")
	if err != nil {
		t.Error(err)
	}
	dhcp.mu.Lock()
	leased := dhcp.leases[mac.String()]
	dhcp.mu.Unlock()
	if c.Addr.String() != leased.String()+"/16" || !c.Running() {
		t.Errorf("%s has %v, running %v; leased was %v", kind, c.Addr, c.Running(), leased)
	}
	// dhcpcd sets the MTU on its routes, the others on the device.
	showMTU := map[DHCPKind]string{Dhclient: "link", Udhcpc: "link", Dhcpcd: "route"}[kind]
	short, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	if err := WaitFor(short, "resolv.conf and MTU", func() (bool, error) {
		conf, err := h.ReadFile("/etc/resolv.conf")
		link, _ := h.Run(ctx, "ip", showMTU, "show", "dev", "eth0")
		return strings.Contains(string(conf), "nameserver 10.9.0.1") && strings.Contains(string(conf), "lab.test") &&
			strings.Contains(link, "mtu 1376"), err
	}); err != nil {
		conf, _ := h.ReadFile("/etc/resolv.conf")
		link, _ := h.Run(ctx, "ip", showMTU, "show", "dev", "eth0")
		t.Errorf("%s: %v\nresolv.conf: %s\nlink: %s\nlog: %s", kind, err, conf, link, c.Log())
	}
	if err := c.Release(ctx); err != nil {
		t.Errorf("%v\n%s", err, c.Log())
	}
	if err := WaitFor(ctx, "release at the server", func() (bool, error) {
		dhcp.mu.Lock()
		defer dhcp.mu.Unlock()
		return dhcp.released[mac.String()], nil
	}); err != nil {
		t.Errorf("%s: %v\n%s", kind, err, c.Log())
	}
}
