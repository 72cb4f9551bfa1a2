package e2e

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/internal/netlab"
)

// silence is how long nobody may answer. It is longer than the appliance takes to find out
// that an address is leased elsewhere.
const silence = 700 * time.Millisecond

const arpFrame = 42 // bytes: Ethernet header and ARP for IPv4

// listener asks by ARP on a wire and hears every answer.
type listener struct {
	t     *testing.T
	fd    int
	index int
	mac   net.HardwareAddr
}

// listen opens a raw socket on a host's device.
func listen(t *testing.T, h *netlab.Host, device string) *listener {
	t.Helper()
	l := &listener{t: t}
	err := h.Do(func() error {
		dev, err := net.InterfaceByName(device)
		if err != nil {
			return err
		}
		l.index, l.mac = dev.Index, dev.HardwareAddr
		const arp = unix.ETH_P_ARP<<8&0xff00 | unix.ETH_P_ARP>>8 // in network order
		if l.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, arp); err != nil {
			return err
		}
		return unix.Bind(l.fd, &unix.SockaddrLinklayer{Ifindex: l.index, Protocol: arp})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(l.fd) })
	return l
}

// ask broadcasts an ARP request (RFC 826) for each target and returns who has answered
// for it within silence, by hardware address. A probe (RFC 5227) has the sender 0.0.0.0.
func (l *listener) ask(sender netip.Addr, targets ...netip.Addr) map[netip.Addr][]string {
	l.t.Helper()
	return l.expect(0, sender, targets...)
}

// expect is ask where somebody answers for so many of the targets: they may take longer on a busy machine.
func (l *listener) expect(answered int, sender netip.Addr, targets ...netip.Addr) map[netip.Addr][]string {
	l.t.Helper()
	for _, target := range targets {
		frame := make([]byte, arpFrame)
		copy(frame, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff})
		copy(frame[6:], l.mac)
		copy(frame[12:], []byte{0x08, 0x06, 0, 1, 0x08, 0, 6, 4, 0, 1})
		copy(frame[22:], l.mac)
		copy(frame[28:], sender.AsSlice())
		copy(frame[38:], target.AsSlice())
		if err := unix.Sendto(l.fd, frame, 0, &unix.SockaddrLinklayer{Ifindex: l.index}); err != nil {
			l.t.Fatal(err)
		}
	}
	answers := make(map[netip.Addr][]string)
	buf := make([]byte, 2048)
	for began := time.Now(); ; {
		wait := silence
		if len(answers) < answered {
			wait = patience
		}
		left := wait - time.Since(began)
		if left <= 0 {
			return answers
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.fd), Events: unix.POLLIN}}, int(left.Milliseconds())+1)
		if err != nil && err != unix.EINTR {
			l.t.Fatal(err)
		}
		if n <= 0 {
			continue
		}
		if n, err = unix.Read(l.fd, buf); err != nil {
			l.t.Fatal(err)
		}
		isReply := n >= arpFrame && buf[20] == 0 && buf[21] == 2
		if isReply && net.HardwareAddr(buf[32:38]).String() == l.mac.String() {
			of := netip.AddrFrom4([4]byte(buf[28:32]))
			answers[of] = append(answers[of], net.HardwareAddr(buf[22:28]).String())
		}
	}
}
