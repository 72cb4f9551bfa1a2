package e2e

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/internal/netlab"
)

// exchange moves TCP both ways, and UDP in bursts and in datagrams that the hosts
// fragment, and compares every byte.
func exchange(t *testing.T, a, b *machine) {
	t.Helper()
	exchangeBetween(t, a.Host, b.Host, a.address(), b.address())
}

// exchangeBetween is exchange for hosts that have these addresses.
func exchangeBetween(t *testing.T, a, b *netlab.Host, addrA, addrB netip.Addr) {
	t.Helper()
	reaches(t, a, addrB)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for _, way := range []struct {
		from, to *netlab.Host
		addr     netip.Addr
	}{{a, b, addrB}, {b, a, addrA}} {
		if err := transfer(ctx, way.from, way.to, way.addr); err != nil {
			t.Fatalf("TCP from %s to %s: %v", way.from.Name, way.to.Name, err)
		}
		if err := datagrams(way.from, way.to, way.addr, 400, 40*400+77); err != nil {
			t.Fatalf("UDP in bursts from %s to %s: %v", way.from.Name, way.to.Name, err)
		}
		if err := datagrams(way.from, way.to, way.addr, 0, 20_000); err != nil {
			t.Fatalf("UDP in fragments from %s to %s: %v", way.from.Name, way.to.Name, err)
		}
	}
}

// transfer sends 4 MiB by TCP and compares hashes.
func transfer(ctx context.Context, from, to *netlab.Host, addr netip.Addr) error {
	near, far, err := connect(ctx, from, to, addr)
	if err != nil {
		return err
	}
	defer far.Close()
	defer near.Close()
	return pour(near, far)
}

// connect makes a TCP connection from a host to an address of another, and returns both its ends.
func connect(ctx context.Context, from, to *netlab.Host, addr netip.Addr) (near, far net.Conn, err error) {
	l, err := to.Listen("tcp", netip.AddrPortFrom(addr, 7000).String())
	if err != nil {
		return nil, nil, err
	}
	var failed error
	var accepting sync.WaitGroup
	accepting.Go(func() { far, failed = l.Accept() })
	near, err = from.Dial(ctx, "tcp", l.Addr().String())
	if err != nil {
		_ = l.Close()
	}
	accepting.Wait()
	_ = l.Close()
	if err = errors.Join(err, failed); err != nil {
		for _, conn := range []net.Conn{near, far} {
			if conn != nil {
				_ = conn.Close()
			}
		}
		return nil, nil, err
	}
	return near, far, nil
}

// pour sends 4 MiB from one end of a connection to the other and compares hashes.
func pour(from, to net.Conn) error {
	const size = 4 << 20
	deadline := time.Now().Add(patience)
	_, _ = from.SetDeadline(deadline), to.SetDeadline(deadline)
	came, sent := sha256.New(), sha256.New()
	var n int64
	var failed error
	var receiver sync.WaitGroup
	receiver.Go(func() { n, failed = io.CopyN(came, to, size) })
	_, err := io.Copy(io.MultiWriter(from, sent), io.LimitReader(rand.NewChaCha8([32]byte{1}), size))
	receiver.Wait()
	if err = errors.Join(err, failed); err == nil && !bytes.Equal(came.Sum(nil), sent.Sum(nil)) {
		err = fmt.Errorf("the %d bytes that came are others than were sent", n)
	}
	return err
}

// datagrams sends 5 bursts of so many bytes, each when the one before is there: cut by the
// kernel to datagrams of one size (UDP_SEGMENT), or with zero in one. What is lost is sent again,
// within bounds: the first on a path that takes less often is.
func datagrams(from, to *netlab.Host, addr netip.Addr, size, burst int) error {
	in, err := to.ListenPacket("udp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := from.Dial(context.Background(), "udp", in.LocalAddr().String())
	if err != nil {
		return err
	}
	defer out.Close()
	if size > 0 {
		raw, err := out.(*net.UDPConn).SyscallConn()
		if err != nil {
			return err
		}
		var refused error
		err = raw.Control(func(fd uintptr) { refused = unix.SetsockoptInt(int(fd), unix.IPPROTO_UDP, unix.UDP_SEGMENT, size) })
		if err = errors.Join(err, refused); err != nil {
			return err
		}
	} else {
		size = burst
	}
	want, got := make([]byte, burst), make([]byte, burst+1)
	source := rand.NewChaCha8([32]byte{2})
	for range 5 {
		_, _ = source.Read(want)
		for tries := 0; ; tries++ {
			_, err := out.Write(want)
			if addr.Is6() && errors.Is(err, unix.EMSGSIZE) && tries < 5 {
				continue // the kernel has learnt the path's MTU by the one before
			}
			if err != nil {
				return err
			}
			err = receive(in, want, got, size)
			if err == nil {
				break
			}
			if !errors.Is(err, errLost) || tries == 5 {
				return err
			}
		}
	}
	return nil
}

var errLost = errors.New("a datagram was lost")

// receive reads the datagrams of a burst; those of a burst before, which was in part
// lost, are the beginning of this one.
func receive(in net.PacketConn, want, got []byte, size int) error {
	for rest := want; len(rest) > 0; {
		_ = in.SetReadDeadline(time.Now().Add(500 * time.Millisecond))
		n, _, err := in.ReadFrom(got)
		switch {
		case err != nil:
			return errLost
		case bytes.Equal(got[:n], rest[:min(size, len(rest))]):
			rest = rest[n:]
		case !bytes.Contains(want, got[:n]):
			return fmt.Errorf("a datagram of %d bytes isn't one that was sent", n)
		}
	}
	return nil
}

// pings checks that the largest packet passes whole, that one byte more is refused by ICMP
// with the MTU in it, and that it passes in fragments if it may.
func pings(t *testing.T, from, to *machine, mtu int) {
	t.Helper()
	addr := to.address()
	ping := func(fragment string, size int, more ...string) result {
		t.Helper()
		args := []string{"ping", "-n", "-i", "0.1", "-M", fragment, "-s", fmt.Sprint(size - 28)}
		return from.exec(append(append(args, more...), addr.String())...)
	}
	const firstReply = "-w5" // with -c1; other tests' load on the machine costs frames
	if r := ping("do", mtu, "-c1", firstReply); r.code != 0 {
		t.Errorf("of %d bytes: %s", mtu, r.stdout+r.stderr)
	}
	tap := from.status().Attachment.Tap
	if r := from.exec("ip", "link", "set", tap, "mtu", fmt.Sprint(mtu+1000)); r.code != 0 {
		t.Fatal(r.stderr)
	}
	if r := ping("do", mtu+1, "-c3", "-W2"); !strings.Contains(r.stdout, fmt.Sprintf("Frag needed and DF set (mtu = %d)", mtu)) {
		t.Errorf("of %d bytes: %s", mtu+1, r.stdout+r.stderr)
	}
	if r := ping("dont", mtu+500, "-c1", firstReply); r.code != 0 {
		t.Errorf("of %d bytes, in fragments: %s", mtu+500, r.stdout+r.stderr)
	}
}
