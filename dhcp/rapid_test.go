package dhcp

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

const optRapid layers.DHCPOpt = 80

func rapid(m *dhcpv4.DHCPv4) { m.Options[dhcpv4.OptionRapidCommit.Code()] = nil }

// What dhcpcd sends with Debian's configuration.
func TestARapidDiscoverOfARealClientIsAckedOnceItsAddressIsProbedAndLeased(t *testing.T) {
	b := newBench()
	b.prober.used[first] = true
	a := b.send(t, captured(t, "dhcpcd-rapid-discover"))
	if a.kind != layers.DHCPMsgTypeAck || addrOf(a.YourClientIP).String() != "10.9.1.2" || !addrOf(a.ClientIP).IsUnspecified() {
		t.Fatalf("%v of %v, ciaddr %v", a.kind, a.YourClientIP, a.ClientIP)
	}
	if value, ok := a.options[optRapid]; !ok || len(value) != 0 || a.options[51] == nil || a.options[1] == nil {
		t.Errorf("options %v", a.codes)
	}
	if len(b.prober.probed) != 2 || b.leaser.leased[addrOf(a.YourClientIP)] == "" || b.leaser.names[addrOf(a.YourClientIP)] != "beta" {
		t.Errorf("probes %v, leased %v, names %v", b.prober.probed, b.leaser.leased, b.leaser.names)
	}
	// The ACK was lost: the client asks again, and has the same.
	again := b.send(t, captured(t, "dhcpcd-rapid-discover"))
	if again.kind != layers.DHCPMsgTypeAck || addrOf(again.YourClientIP) != addrOf(a.YourClientIP) || len(b.prober.probed) != 2 {
		t.Errorf("asked again: %v of %v, probes %v", again.kind, again.YourClientIP, b.prober.probed)
	}
}

func TestAClientThatAsksForNoRapidCommitGetsAnOffer(t *testing.T) {
	b := newBench()
	a := b.send(t, build(dhcpv4.MessageTypeDiscover))
	if _, told := a.options[optRapid]; a.kind != layers.DHCPMsgTypeOffer || told || b.leaser.seen("commit") != 0 {
		t.Errorf("%v, options %v, calls %v", a.kind, a.codes, b.leaser.calls)
	}
	// In a REQUEST the option means nothing.
	a = b.send(t, build(dhcpv4.MessageTypeRequest, rapid, wants("10.9.1.1"), chooses("10.9.0.1")))
	if _, told := a.options[optRapid]; told {
		t.Error("option 80 in the answer to a REQUEST")
	}
}

// Another server may be chosen: nothing is leased for nothing.
func TestWhereThereIsAnotherServerARapidDiscoverGetsAnOffer(t *testing.T) {
	for name, p := range map[string]Policy{
		"to whoever is known":      {Known: func(Client) bool { return true }},
		"to whoever is registered": {Registered: registered(clientMAC)},
	} {
		b := newPoliced(p)
		b.siteOffers()
		a := b.send(t, build(dhcpv4.MessageTypeDiscover, rapid))
		if _, told := a.options[optRapid]; a.kind != layers.DHCPMsgTypeOffer || told || b.leaser.seen("commit") != 0 {
			t.Errorf("%s: %v, options %v, calls %v", name, a.kind, a.codes, b.leaser.calls)
		}
	}
}

// Before anybody has looked for other servers it isn't known that there is none.
func TestARapidDiscoverBeforeServersWereLookedForGetsAnOffer(t *testing.T) {
	b := newPoliced(Policy{Registered: registered(clientMAC)})
	unsettled := NewOthers(func(frame.MAC) bool { return false })
	b.Server.config.Policy.Others = unsettled
	if a := b.send(t, build(dhcpv4.MessageTypeDiscover, rapid)); a.kind != layers.DHCPMsgTypeOffer || b.leaser.seen("commit") != 0 {
		t.Errorf("%v, calls %v", a.kind, b.leaser.calls)
	}
	unsettled.Settle()
	if a := b.send(t, build(dhcpv4.MessageTypeDiscover, rapid)); a.kind != layers.DHCPMsgTypeAck || b.leaser.seen("commit") != 1 {
		t.Errorf("afterwards: %v, calls %v", a.kind, b.leaser.calls)
	}
}

// wandering refuses the first address, as it has learnt that the client has another.
type wandering struct {
	*fakeLeaser
	has netip.Addr
}

func (w wandering) Commit(ctx context.Context, c Client, addr netip.Addr) (Lease, error) {
	if addr != w.has {
		w.fakeLeaser.by[string(c.ID)] = w.has
		return Lease{}, ErrNotOurs
	}
	return w.fakeLeaser.Commit(ctx, c, addr)
}

func TestAClientThatHasAnAddressElsewhereKeepsItByARapidCommit(t *testing.T) {
	b := newBench()
	has := netip.MustParseAddr("10.9.7.7")
	b.config.Leaser = wandering{b.leaser, has}
	if a := b.send(t, build(dhcpv4.MessageTypeDiscover, rapid)); a.kind != layers.DHCPMsgTypeAck || addrOf(a.YourClientIP) != has {
		t.Errorf("%v of %v", a.kind, a.YourClientIP)
	}
}

// unsure can't lease anything now.
type unsure struct {
	*fakeLeaser
	err error
}

func (u unsure) Commit(context.Context, Client, netip.Addr) (Lease, error) { return Lease{}, u.err }

func TestWhatCantBeLeasedNowIsOffered(t *testing.T) {
	for _, err := range []error{ErrUnsure, ErrTaken, errors.New("the disk is full")} {
		b := newBench()
		b.config.Leaser = unsure{b.leaser, err}
		a := b.send(t, build(dhcpv4.MessageTypeDiscover, rapid))
		if _, told := a.options[optRapid]; a.kind != layers.DHCPMsgTypeOffer || told || addrOf(a.YourClientIP) != first {
			t.Errorf("%v: %v of %v", err, a.kind, a.YourClientIP)
		}
	}
}

// A client of Debian's dhcpcd is bound by two messages.
func TestDhcpcdIsBoundByRapidCommit(t *testing.T) {
	if !inOwnNamespaces(t, "dhcpcd") {
		return
	}
	w := newWire(t, "dhcpcd-rapid", time.Hour)
	_, out := w.dhcpcd("option rapid_commit\n")
	w.expectFile(out, "BOUND 10.9.1.1 255.255.0.0 10.9.0.1 demo.example demo.example 1376")
	w.mu.Lock()
	defer w.mu.Unlock()
	if slices.ContainsFunc(w.messages, func(m message) bool { return m.kind != dhcpv4.MessageTypeDiscover || !acked(m) }) {
		t.Errorf("it took %v", w.messages)
	}
}
