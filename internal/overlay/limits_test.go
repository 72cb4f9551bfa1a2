package overlay

import (
	"fmt"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
)

func TestManyAppliancesBehindOneAddressAreLetIn(t *testing.T) {
	t.Parallel()
	limits, err := newResourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	const appliances = 200 // that all come back at once after a power cut
	open := func(from string, i int) error {
		addr := ma.StringCast(fmt.Sprintf("/ip4/%s/udp/%d/quic-v1", from, 10_000+i))
		scope, err := limits.OpenConnection(network.DirInbound, false, addr)
		if err != nil {
			return err
		}
		if err := scope.SetPeer(idOf(i).Peer()); err != nil {
			return err
		}
		for range 4 {
			if _, err := limits.OpenStream(idOf(i).Peer(), network.DirInbound); err != nil {
				return err
			}
		}
		return nil
	}
	for i := range appliances {
		if err := open("203.0.113.5", i); err != nil {
			t.Fatalf("number %d: %v", i, err)
		}
	}
	refused := 0
	for i := appliances; i < 2*maxConnsPerAddress; i++ {
		if open("203.0.113.5", i) != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("one address may have connections without bound")
	}
	if err := open("203.0.113.6", 5000); err != nil {
		t.Errorf("another address suffers: %v", err)
	}
}

func TestOnePeerHasABoundedShare(t *testing.T) {
	t.Parallel()
	limits, err := newResourceManager()
	if err != nil {
		t.Fatal(err)
	}
	defer limits.Close()
	greedy := idOf(1).Peer()
	streams := 0
	for ; streams < 10*maxPeerStreams; streams++ {
		if _, err := limits.OpenStream(greedy, network.DirInbound); err != nil {
			break
		}
	}
	if streams != maxPeerStreams {
		t.Errorf("%d streams", streams)
	}
	if _, err := limits.OpenStream(idOf(2).Peer(), network.DirInbound); err != nil {
		t.Errorf("another peer suffers: %v", err)
	}
}
