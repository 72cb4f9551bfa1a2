package image

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sys/unix"

	"landbridge/internal/frame"
	"landbridge/internal/netlab"
)

// hosts are many hosts on a machine's LAN port, as far as DHCP is concerned: each frame is from the
// hardware address that its message is about.
type hosts struct {
	fd    int
	index int

	mu      sync.Mutex
	server  net.IP // that has acknowledged a lease
	waiting map[dhcpv4.TransactionID]chan *dhcpv4.DHCPv4
}

// hostMAC is the hardware address of the n-th host, of QEMU's.
func hostMAC(n int) (m frame.MAC) {
	copy(m[:], []byte{0x52, 0x54, 0})
	m[3], m[4], m[5] = 0x10, byte(n>>8), byte(n)
	return m
}

// newHosts are on the device of a host that is a machine's LAN port. The device is there while the
// machine is: each start of it needs hosts anew.
func newHosts(t *testing.T, h *netlab.Host, device string) *hosts {
	t.Helper()
	s := &hosts{waiting: map[dhcpv4.TransactionID]chan *dhcpv4.DHCPv4{}}
	if _, err := h.Run(t.Context(), "ip", "link", "set", device, "up"); err != nil {
		t.Fatal(err)
	}
	err := h.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		s.index = dev.Index
		const ip = unix.ETH_P_IP<<8&0xff00 | unix.ETH_P_IP>>8 // in network order
		if s.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, ip); err != nil {
			return err
		}
		tick := unix.Timeval{Usec: 100_000}
		return errors.Join(unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick),
			unix.Bind(s.fd, &unix.SockaddrLinklayer{Ifindex: s.index, Protocol: ip}))
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var hearing sync.WaitGroup
	hearing.Go(func() { s.hear(ctx) })
	t.Cleanup(func() { cancel(); hearing.Wait(); _ = unix.Close(s.fd) })
	return s
}

// hear hands on what servers answer, until ctx is done.
func (s *hosts) hear(ctx context.Context) {
	buf := make([]byte, 2048)
	for ctx.Err() == nil {
		n, err := unix.Read(s.fd, buf)
		if err != nil {
			continue // nothing came, or the machine is gone
		}
		m := message(buf[:n])
		if m == nil {
			continue
		}
		s.mu.Lock()
		if c := s.waiting[m.TransactionID]; c != nil {
			select {
			case c <- m:
			default: // it has one
			}
		}
		s.mu.Unlock()
	}
}

// message returns the DHCP message for a client that a frame has, or nil.
func message(b []byte) *dhcpv4.DHCPv4 {
	e, err := frame.ParseEthernet(b)
	if err != nil {
		return nil
	}
	p, err := frame.ParseIPv4(e.Payload())
	if err != nil || p.Protocol() != frame.ProtocolUDP {
		return nil
	}
	u, err := frame.ParseUDP(p.Payload())
	if err != nil || u.DstPort() != dhcpv4.ClientPort {
		return nil
	}
	m, err := dhcpv4.FromBytes(append([]byte(nil), u.Payload()...))
	if err != nil {
		return nil
	}
	return m
}

// send sends a client's message to all.
func (s *hosts) send(mac frame.MAC, m *dhcpv4.DHCPv4) error {
	b := frame.AppendEthernet(nil, frame.Broadcast(), mac, unix.ETH_P_IP)
	b = frame.AppendUDP(b, netip.AddrPortFrom(netip.IPv4Unspecified(), dhcpv4.ClientPort),
		netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcpv4.ServerPort), m.ToBytes())
	return unix.Sendto(s.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: s.index})
}

// ask sends a message, again each second (RFC 2131 has clients wait for longer), until it is answered.
func (s *hosts) ask(ctx context.Context, mac frame.MAC, with ...dhcpv4.Modifier) (*dhcpv4.DHCPv4, error) {
	m, err := dhcpv4.New(append([]dhcpv4.Modifier{dhcpv4.WithHwAddr(mac[:])}, with...)...)
	if err != nil {
		return nil, err
	}
	answer := make(chan *dhcpv4.DHCPv4, 1)
	s.mu.Lock()
	s.waiting[m.TransactionID] = answer
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		delete(s.waiting, m.TransactionID)
		s.mu.Unlock()
	}()
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		if err := s.send(mac, m); err != nil {
			return nil, err
		}
		select {
		case a := <-answer:
			return a, nil
		case <-ctx.Done():
			return nil, fmt.Errorf("%v of %v isn't answered: %w", m.MessageType(), mac, context.Cause(ctx))
		case <-again.C:
		}
	}
}

// granted returns the address of an ACK.
func granted(m *dhcpv4.DHCPv4) (netip.Addr, error) {
	addr, _ := netip.AddrFromSlice(m.YourIPAddr.To4())
	if m.MessageType() != dhcpv4.MessageTypeAck || !addr.IsValid() {
		return netip.Addr{}, fmt.Errorf("%v: %s", m.MessageType(), m.Options.Get(dhcpv4.OptionMessage))
	}
	return addr, nil
}

// lease has a host get an address: DISCOVER, OFFER, REQUEST, ACK.
func (s *hosts) lease(ctx context.Context, mac frame.MAC) (netip.Addr, error) {
	offer, err := s.ask(ctx, mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeDiscover))
	if err != nil {
		return netip.Addr{}, err
	}
	ack, err := s.ask(ctx, mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest),
		dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(offer.YourIPAddr)), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(offer.ServerIdentifier())))
	if err != nil {
		return netip.Addr{}, err
	}
	s.mu.Lock()
	s.server = ack.ServerIdentifier()
	s.mu.Unlock()
	return granted(ack)
}

// again has a host that knows its address ask whether that holds, as after a restart (INIT-REBOOT).
func (s *hosts) again(ctx context.Context, mac frame.MAC, addr netip.Addr) error {
	a, err := s.ask(ctx, mac, dhcpv4.WithMessageType(dhcpv4.MessageTypeRequest), dhcpv4.WithOption(dhcpv4.OptRequestedIPAddress(addr.AsSlice())))
	if err != nil {
		return err
	}
	if got, err := granted(a); err != nil || got != addr {
		return fmt.Errorf("%v asks for its %v, and gets %v (%w)", mac, addr, got, err)
	}
	return nil
}

// release has a host give its address back. There is no answer.
func (s *hosts) release(mac frame.MAC, addr netip.Addr) error {
	s.mu.Lock()
	server := s.server
	s.mu.Unlock()
	m, err := dhcpv4.New(dhcpv4.WithHwAddr(mac[:]), dhcpv4.WithMessageType(dhcpv4.MessageTypeRelease),
		dhcpv4.WithClientIP(addr.AsSlice()), dhcpv4.WithOption(dhcpv4.OptServerIdentifier(server)))
	if err != nil {
		return err
	}
	return s.send(mac, m)
}
