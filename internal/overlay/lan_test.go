package overlay

import (
	"errors"
	"net"
	"testing"
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
	l := &lan{o: o.Overlay}
	defer l.stop()
	if _, err := l.turn(func() ([]net.Interface, error) { return list, nil }); !errors.Is(err, errNoMulticast) {
		t.Errorf("got %v", err)
	}
	if l.server != nil || l.stopLook != nil {
		t.Error("it has begun")
	}
}

// As the mDNS library's does where no interface takes part.
func TestALookThatCannotBeginEnds(t *testing.T) {
	t.Parallel()
	l := &lan{o: start(t, 1, nil).Overlay}
	l.look([]net.Interface{{Index: 1 << 20, Name: "gone"}})
	ended := make(chan struct{})
	go func() { l.endLook(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Second):
		t.Fatal("it doesn't")
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
