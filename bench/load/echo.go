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
	e := newEchoer(fd, dst)
	for seq := 1; ; seq++ {
		next := time.Now().Add(between)
		if err := e.send(seq); err != nil {
			return err
		}
		for wait := true; wait; wait = time.Now().Before(next) {
			if err := ctx.Err(); err != nil {
				return fmt.Errorf("no echo from %v: %w", dst, err)
			}
			if _, ok, err := e.receive(); ok || err != nil {
				return err
			}
		}
	}
}

// Echoes sends an ICMP echo request every interval until length is over, and returns the round trips of those
// that were answered before the next. Other than ping(8) at short intervals it sleeps
// between them, and so doesn't keep a core from what is measured. It takes the calling thread.
func Echoes(dst netip.Addr, interval, length time.Duration) (times []time.Duration, err error) {
	runtime.LockOSThread()
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_ICMP)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	if err := setReadTimeout(fd, interval); err != nil {
		return nil, err
	}
	e := newEchoer(fd, dst)
	end := time.Now().Add(length)
	for seq := 1; ; seq++ {
		sent := time.Now()
		if sent.After(end) {
			return times, nil
		}
		if err := e.send(seq); err != nil {
			return nil, err
		}
		for time.Since(sent) < interval {
			got, ok, err := e.receive()
			if err != nil {
				return nil, err
			}
			if ok && got == seq&0xffff {
				times = append(times, time.Since(sent))
				break
			}
		}
		rest := unix.NsecToTimespec(max(0, interval-time.Since(sent)).Nanoseconds())
		_ = unix.Nanosleep(&rest, nil) // on this thread, not by the scheduler
	}
}

// echoer sends echo requests and knows the answers.
type echoer struct {
	fd, id int
	dst    netip.Addr
	buf    []byte
}

func newEchoer(fd int, dst netip.Addr) *echoer {
	return &echoer{fd: fd, id: os.Getpid() & 0xffff, dst: dst, buf: make([]byte, largestDatagram)}
}

func (e *echoer) send(seq int) error {
	request := icmp.Message{Type: ipv4.ICMPTypeEcho, Body: &icmp.Echo{ID: e.id, Seq: seq & 0xffff, Data: make([]byte, 56)}}
	packet, err := request.Marshal(nil)
	if err != nil {
		return err
	}
	// Without a route or a neighbour yet the request is as good as lost.
	_ = unix.Sendto(e.fd, packet, 0, inet4(netip.AddrPortFrom(e.dst, 0)))
	return nil
}

// receive waits for a packet, as long as the socket says, and returns which request it answers, if any.
func (e *echoer) receive() (seq int, ok bool, err error) {
	n, _, err := unix.Recvfrom(e.fd, e.buf, 0)
	if err != nil {
		if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR) {
			return 0, false, nil
		}
		return 0, false, os.NewSyscallError("recvfrom", err)
	}
	seq, ok = reply(e.buf[:n], e.id)
	return seq, ok, nil
}

// reply returns which request for id an IPv4 packet answers, if any.
func reply(packet []byte, id int) (seq int, ok bool) {
	header, err := ipv4.ParseHeader(packet)
	if err != nil || header.Len > len(packet) {
		return 0, false
	}
	m, err := icmp.ParseMessage(unix.IPPROTO_ICMP, packet[header.Len:])
	if err != nil || m.Type != ipv4.ICMPTypeEchoReply {
		return 0, false
	}
	echo, ok := m.Body.(*icmp.Echo)
	if !ok || echo.ID != id {
		return 0, false
	}
	return echo.Seq, true
}
