package e2e

import (
	"bytes"
	bigendian "encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/internal/netlab"
)

// forger is a station of a LAN that hears what routers say to all, and says the like in their names.
type forger struct {
	t     *testing.T
	fd    int
	index int
}

func newForger(t *testing.T, h *netlab.Host) *forger {
	t.Helper()
	f := &forger{t: t}
	err := h.Do(func() error {
		dev, err := net.InterfaceByName("eth0")
		if err != nil {
			return err
		}
		f.index = dev.Index
		const beacons = 0xb588 // 0x88b5 in network order
		if f.fd, err = unix.Socket(unix.AF_PACKET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, beacons); err != nil {
			return err
		}
		tick := unix.Timeval{Usec: 100_000}
		if err := unix.SetsockoptTimeval(f.fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &tick); err != nil {
			return err
		}
		return unix.Bind(f.fd, &unix.SockaddrLinklayer{Ifindex: dev.Index, Protocol: beacons})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(f.fd) })
	return f
}

// hear returns a beacon that a router has broadcast.
func (f *forger) hear(gatewayMAC string) (frame []byte) {
	f.t.Helper()
	want, err := net.ParseMAC(gatewayMAC)
	if err != nil {
		f.t.Fatal(err)
	}
	buf := make([]byte, 2048)
	waitFor(f.t, "a beacon of "+gatewayMAC, func() (bool, error) {
		n, err := unix.Read(f.fd, buf)
		if err != nil || n < 14 || buf[0] != 0xff || !bytes.Equal(buf[6:12], want) {
			return false, nil
		}
		frame = bytes.Clone(buf[:n])
		return true, nil
	})
	return frame
}

// forge sends frames like these, each newer than the one before, 500 a second of each, until it is
// stopped. The switch takes the forger for the routers meanwhile.
func (f *forger) forge(frames ...[]byte) (stop func()) {
	done := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for n := uint64(1 << 62); ; n++ {
			select {
			case <-done:
				return
			case <-tick.C:
			}
			for _, b := range frames {
				bigendian.BigEndian.PutUint64(b[90:], n) // the sequence
				_ = unix.Sendto(f.fd, b, 0, &unix.SockaddrLinklayer{Ifindex: f.index})
			}
		}
	})
	return sync.OnceFunc(func() { close(done); running.Wait() })
}

// Whoever forges beacons, or takes a router's MAC on the switch, can keep the routers from hearing
// each other on the LAN. They ask each other over the overlay then.
func TestForgedBeaconsNeverMakeTwoRoutersAnswer(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	r1 := s.site("r1")
	r2 := s.beside(r1, "r2")
	settle(t, r1, r2)
	remote, serviceAddr := s.d.address(), netip.MustParseAddr(service)
	f := newForger(t, newClient(t, r1.wire, "forger").Host)
	b1, b2 := f.hear(r1.status().Attachment.GatewayMAC), f.hear(r2.status().Attachment.GatewayMAC)
	asker := newClient(t, r1.wire, "asker").lease(netlab.Udhcpc)
	l := listen(t, asker.Host, "eth0")
	for what, frames := range map[string][][]byte{"in the name of one": {b1}, "in the names of both": {b1, b2}} {
		before := r2.counter("beacon", "limited")
		stop := f.forge(frames...)
		answered := 0
		for range 10 {
			for addr, by := range l.ask(asker.addr, remote, serviceAddr) {
				by = slices.Compact(slices.Sorted(slices.Values(by))) // on a busy machine, also what is late of the request before
				if answered++; len(by) > 1 {
					t.Errorf("forgeries %s: %v is answered by %v", what, addr, by)
				}
			}
		}
		if answered < 10 {
			t.Errorf("forgeries %s: %d of 20 requests are answered", what, answered)
		}
		waitFor(t, "forgeries are dropped", func() (bool, error) {
			n := r2.counter("beacon", "limited") - before
			return n > 100, fmt.Errorf("%d are", n)
		})
		stop()
	}
}
