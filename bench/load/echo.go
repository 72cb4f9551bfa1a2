package load

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"runtime"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/sys/unix"
)

// between is the time between two echo requests of FirstEcho.
const between = 5 * time.Millisecond

// EchoSocket opens the socket for FirstEcho in the network namespace of the calling thread.
func EchoSocket() (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return -1, os.NewSyscallError("socket", err)
	}
	return fd, setReadTimeout(fd, between)
}

// FirstEcho sends an ICMP echo request every 5 ms until the first is answered, and
// closes the socket. It takes the calling thread.
func FirstEcho(ctx context.Context, fd int, dst netip.Addr) error {
	runtime.LockOSThread()
	defer unix.Close(fd)
	id := os.Getpid() & 0xffff
	buf := make([]byte, largestDatagram)
	for seq := 1; ; seq++ {
		request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: id, Seq: seq & 0xffff, Data: make([]byte, 56)}}
		packet, err := request.Marshal(nil)
		if err != nil {
			return err
		}
		next := time.Now().Add(between)
		// Without a route or a neighbour yet the request is as good as lost.
		_ = unix.Sendto(fd, packet, 0, inet4(netip.AddrPortFrom(dst, 0)))
		for wait := true; wait; wait = time.Now().Before(next) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("no echo from %v: %w", dst, err)
			}
			n, _, err := unix.Recvfrom(fd, buf, 0)
			if err == nil && isReply(buf[:n], id) {
				return nil
			}
			if err != nil && !errors.Is(err, unix.EAGAIN) && !errors.Is(err, unix.EINTR) {
				return os.NewSyscallError("recvfrom", err)
			}
		}
	}
}

// isReply reports whether an IPv4 packet is an echo reply for id.
func isReply(packet []byte, id int) bool {
	header, err := ipv4.ParseHeader(packet)
	if err != nil || header.Len > len(packet) {
		return false
	}
	m, err := icmp.ParseMessage(unix.IPPROTO_ICMP, packet[header.Len:])
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
		return false
	}
	echo, ok := m.Body.(*icmp.Echo)
	return ok && echo.ID == id
}
