package appliance

import (
	"context"
	"errors"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/arp"
	"landbridge/iface"
	"landbridge/internal/frame"
	"landbridge/internal/modes"
	"landbridge/internal/neighbourhood"
)

// lanOf returns a network with an attachment whose hosts never answer ARP.
func lanOf(t *testing.T) (*network, *attachment) {
	a := &attachment{
		setup: modes.Setup{Mode: modes.Router, LANPort: "lan0"}, neighbours: &neighbours{},
		prober: arp.NewProber(frame.MAC{2}, func([]byte) error { return nil }),
	}
	n := &network{}
	n.attachment.Store(a)
	return n, a
}

// While the port is down everybody seems to have left.
func TestSilenceOnALANPortThatHasNotSettledSaysNothing(t *testing.T) {
	addr := netip.MustParseAddr("10.9.0.9")
	synctest.Test(t, func(t *testing.T) {
		n, a := lanOf(t)
		expect := func(when string, want error) {
			t.Helper()
			if there, err := n.present(t.Context(), addr); there || !errors.Is(err, want) {
				t.Errorf("%s: there %t, %v; want %v", when, there, err, want)
			}
		}
		running := func(r bool) { a.neighbours.carrier.Is(r, time.Now()) }
		expect("before the port was seen", errNotSettled)
		running(true)
		expect("just after it came up", errNotSettled)
		time.Sleep(neighbourhood.Settles)
		running(true) // an address of the port has changed
		expect("after a while", nil)
		running(false)
		expect("while it is down", errNotSettled)
		running(true)
		expect("just after it came back", errNotSettled)
		time.Sleep(neighbourhood.Settles)
		expect("a while after it came back", nil)
		time.AfterFunc(time.Millisecond, func() { running(false) })
		expect("when it goes down meanwhile", errNotSettled)
	})
}

func TestTheLANPortsCarrierIsTakenUp(t *testing.T) {
	s := &neighbours{}
	s.lanWell.Store(true) // as it was: nobody else has to hear of it
	s.portChanged(iface.PortState{Running: true})
	if !s.carrier.Settled(time.Now().Add(neighbourhood.Settles)) || s.carrier.Settled(time.Now()) {
		t.Error("a port that runs isn't settled after a while, or at once")
	}
}

func TestWithoutALANNobodyKnowsWhoIsThere(t *testing.T) {
	n := &network{}
	if _, err := n.present(context.Background(), netip.MustParseAddr("10.9.0.9")); !errors.Is(err, errNoLAN) {
		t.Error(err)
	}
}
