package overlay

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestNodesOnOneLANFindEachOther(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for multicast")
	}
	if !multicast(t) {
		t.Skip("no interface with multicast and an address")
	}
	onLAN := func(n int) *Overlay {
		o, err := Open(t.Context(), Config{Key: keyOf(1000 + n), Socket: listenUDP(t, "udp4", "0.0.0.0:0"), LAN: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = o.Close() })
		return o
	}
	a, b := onLAN(1), onLAN(2)
	eventually(t, "found on the LAN", func() bool {
		for _, p := range a.Peers() {
			if p.Member == b.Self() && p.Direct {
				return true
			}
		}
		return false
	})
}

func TestLANDiscoveryDoesNotStartWhereNoInterfaceHasMulticast(t *testing.T) {
	t.Parallel()
	o := start(t, 1, nil)
	list := []net.Interface{
		{Name: "lo", Flags: net.FlagUp | net.FlagLoopback},
		{Name: "unplugged", Flags: net.FlagMulticast},
	}
	service, err := o.startLAN(func() ([]net.Interface, error) { return list, nil })
	if !errors.Is(err, errNoMulticast) {
		t.Errorf("got %v", err)
	}
	if service != nil {
		_ = service.Close()
	}
}

func multicast(t *testing.T) bool {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, i := range interfaces {
		addrs, err := i.Addrs()
		if err == nil && len(addrs) > 0 && i.Flags&(net.FlagUp|net.FlagMulticast|net.FlagLoopback) == net.FlagUp|net.FlagMulticast {
			return true
		}
	}
	return false
}

// As the mDNS library's does where no interface has IPv6.
func TestALANServiceThatNeverEndsIsNotWaitedForWithoutEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ends := make(chan struct{})
		began := time.Now()
		closeLAN(closerFunc(func() error { <-ends; return nil }))
		if took := time.Since(began); took != lanEnd {
			t.Errorf("waited %v", took)
		}
		close(ends)
	})
}

type closerFunc func() error

func (f closerFunc) Close() error { return f() }
