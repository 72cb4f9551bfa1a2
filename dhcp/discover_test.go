package dhcp

import (
	"context"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

func TestAnAddressInUseIsDeclinedAndAnotherOffered(t *testing.T) {
	b := newBench()
	b.prober.used[first] = true
	b.prober.used[first.Next()] = true
	a := b.send(t, build(dhcpv4.MessageTypeDiscover))
	if got := addrOf(a.YourClientIP).String(); got != "10.9.1.3" || b.leaser.seen("decline 10.9.1.1") != 1 || b.leaser.seen("decline 10.9.1.2") != 1 {
		t.Fatalf("offered %s, calls %v", got, b.leaser.calls)
	}
}

func TestWhatTheLeaserLearnsDuringTheProbeIsOffered(t *testing.T) {
	b := newBench()
	elsewhere := netip.MustParseAddr("10.9.7.7")
	b.prober.hook = func(context.Context) error { // the client has an address at another site
		for id := range b.leaser.by {
			b.leaser.by[id] = elsewhere
		}
		return nil
	}
	a := b.send(t, build(dhcpv4.MessageTypeDiscover))
	if got := addrOf(a.YourClientIP); got != elsewhere || len(b.prober.probed) != 2 {
		t.Fatalf("offered %v, probes %v", got, b.prober.probed)
	}
}

func TestTriesAreBounded(t *testing.T) {
	b := newBench()
	for a, n := first, 0; n < 100; a, n = a.Next(), n+1 {
		b.prober.used[a] = true
	}
	if err := b.refuse(t, build(dhcpv4.MessageTypeDiscover)); !errors.Is(err, ErrConflict) || len(b.prober.probed) != maxTries {
		t.Fatalf("%v after %d probes", err, len(b.prober.probed))
	}
}

func TestAClientThatHoldsItsAddressIsNotProbed(t *testing.T) {
	b := newBench()
	b.send(t, build(dhcpv4.MessageTypeRequest, wants("10.9.1.1")))
	a := b.send(t, build(dhcpv4.MessageTypeDiscover))
	if addrOf(a.YourClientIP) != first || len(b.prober.probed) != 0 {
		t.Fatalf("offered %v, probes %v", a.YourClientIP, b.prober.probed)
	}
}

func TestAnOfferThatWasLostIsNotProbedAgain(t *testing.T) {
	b := newBench()
	now := began
	b.config.Now = func() time.Time { return now }
	for _, after := range []time.Duration{0, probeValid - 1} {
		now = began.Add(after)
		b.send(t, build(dhcpv4.MessageTypeDiscover))
	}
	if len(b.prober.probed) != 1 {
		t.Fatalf("probes %v", b.prober.probed)
	}
	now = began.Add(probeValid)
	b.send(t, build(dhcpv4.MessageTypeDiscover))
	if len(b.prober.probed) != 2 {
		t.Fatalf("an old probe still counts")
	}
	b.refuse(t, build(dhcpv4.MessageTypeDecline, wants("10.9.1.1")))
	delete(b.leaser.declined, first)
	b.leaser.next = first
	b.send(t, build(dhcpv4.MessageTypeDiscover))
	if len(b.prober.probed) != 3 {
		t.Fatalf("a probe counts after DECLINE")
	}
}

func TestAProbeForOneClientIsNoneForAnother(t *testing.T) {
	b := newBench()
	b.send(t, build(dhcpv4.MessageTypeDiscover))
	clear(b.leaser.by) // the offer has run out, and the next client gets the address
	b.leaser.next = first
	other := frame.MAC{0x52, 0x54, 0, 0, 0, 2}
	reply, ok, err := b.Handle(t.Context(), from(other), other)
	if !ok || addrOf(read(t, reply).YourClientIP) != first || len(b.prober.probed) != 2 {
		t.Fatalf("%v, probes %v", err, b.prober.probed)
	}
}

func TestWhatTheClientWouldLike(t *testing.T) {
	for want, got := range map[string]string{
		"10.9.7.7": "10.9.7.7", "192.168.1.1": "10.9.1.1", "10.9.0.1": "10.9.1.1", "10.9.0.0": "10.9.1.1", "10.9.255.255": "10.9.1.1",
	} {
		if a := newBench().send(t, build(dhcpv4.MessageTypeDiscover, wants(want))); addrOf(a.YourClientIP).String() != got {
			t.Errorf("wants %s: offered %v, want %s", want, a.YourClientIP, got)
		}
	}
	if a := newBench().send(t, build(dhcpv4.MessageTypeDiscover, with(dhcpv4.OptionRequestedIPAddress))); addrOf(a.YourClientIP) != first {
		t.Errorf("option 50 without a value: offered %v", a.YourClientIP)
	}
}

// A client that asks again while its address is probed gets one answer, to what it
// asked last.
func TestARetransmissionStartsNoSecondProbe(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.prober.hook = func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil }
		xid := func(last byte) func(*dhcpv4.DHCPv4) {
			return func(m *dhcpv4.DHCPv4) { m.TransactionID = dhcpv4.TransactionID{0, 0, 0, last} }
		}
		var done sync.WaitGroup
		done.Go(func() {
			reply, ok, err := b.Handle(t.Context(), build(dhcpv4.MessageTypeDiscover, xid(1)), clientMAC)
			if !ok {
				t.Error(err)
				return
			}
			if got := binary.BigEndian.Uint32(reply.Payload[4:]); got != 3 || reply.Dst != all {
				t.Errorf("reply to xid %d, to %v", got, reply.Dst)
			}
		})
		for n := byte(2); n <= 3; n++ {
			synctest.Wait()
			if err := b.refuse(t, build(dhcpv4.MessageTypeDiscover, xid(n), broadcasts)); !errors.Is(err, ErrBusy) {
				t.Errorf("retransmission %d: %v", n, err)
			}
		}
		done.Wait()
		if len(b.prober.probed) != 1 || b.leaser.seen("offer") != 2 { // before the probe and after it
			t.Errorf("probes %v, calls %v", b.prober.probed, b.leaser.calls)
		}
		if len(b.offers.running) != 0 {
			t.Error("the client still counts as being answered")
		}
	})
}

func TestClientsAreProbedForTogetherAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench()
		b.prober.hook = func(context.Context) error { time.Sleep(300 * time.Millisecond); return nil }
		started := time.Now()
		var done sync.WaitGroup
		var mu sync.Mutex
		given := make(map[netip.Addr]bool)
		for i := range maxOffers {
			mac := frame.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}
			done.Go(func() {
				reply, ok, err := b.Handle(t.Context(), from(mac), mac)
				if !ok {
					t.Error(err)
					return
				}
				mu.Lock()
				defer mu.Unlock()
				given[fieldAddr(reply.Payload[16:20])] = true
			})
		}
		synctest.Wait()
		if err := b.refuse(t, build(dhcpv4.MessageTypeDiscover)); !errors.Is(err, ErrBusy) {
			t.Errorf("one too many: %v", err)
		}
		done.Wait()
		if len(given) != maxOffers || time.Since(started) != 300*time.Millisecond {
			t.Errorf("%d addresses in %v", len(given), time.Since(started))
		}
		if len(b.offers.probes) > maxOffers {
			t.Errorf("%d probes remembered", len(b.offers.probes))
		}
	})
}

func from(mac frame.MAC) []byte {
	return build(dhcpv4.MessageTypeDiscover, func(m *dhcpv4.DHCPv4) { m.ClientHWAddr = mac.HardwareAddr() })
}

func TestFaultsOfTheLeaserAndTheProberMeanSilence(t *testing.T) {
	b := newBench()
	b.leaser.fail = ErrNoAddress
	if err := b.refuse(t, build(dhcpv4.MessageTypeDiscover)); !errors.Is(err, ErrNoAddress) {
		t.Errorf("leaser: %v", err)
	}
	b = newBench()
	b.prober.hook = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, ok, err := b.Handle(ctx, build(dhcpv4.MessageTypeDiscover), clientMAC); ok || !errors.Is(err, context.Canceled) {
		t.Errorf("prober: %v, %v", ok, err)
	}
	b.prober.hook = nil
	if a := b.send(t, build(dhcpv4.MessageTypeDiscover)); a.kind != layers.DHCPMsgTypeOffer {
		t.Error("no offer after a fault")
	}
}

func TestWithoutAProberOffersAreMadeAtOnce(t *testing.T) {
	b := newBench()
	b.config.Prober = nil
	if a := b.send(t, build(dhcpv4.MessageTypeDiscover)); addrOf(a.YourClientIP) != first {
		t.Fatalf("offered %v", a.YourClientIP)
	}
}
