package dhcp

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

var (
	siteServer = netip.MustParseAddr("192.168.7.1")
	siteMAC    = frame.MAC{0x52, 0x54, 0, 0, 7, 1}
	otherHost  = frame.MAC{0x52, 0x54, 0, 0, 0, 9}
	gateway    = frame.MAC{0x02, 0xaa, 0, 0, 0, 1}
	sibling    = frame.MAC{0x02, 0xaa, 0, 0, 0, 2} // another router of the group
)

// policed is a server with a policy, a clock, and a segment on which other servers were
// looked for.
type policed struct {
	*bench
	others *Others
	now    time.Time
}

func newPoliced(p Policy) *policed {
	b := &policed{bench: newBench(), now: began}
	b.others = NewOthers(func(mac frame.MAC) bool { return mac == gateway || mac == sibling })
	b.others.Settle()
	c := b.config
	c.Policy, c.ProbeClass = p, ProbeClass([]byte("group"))
	c.Policy.Others = b.others
	c.Now = func() time.Time { return b.now }
	b.Server = NewServer(c)
	return b
}

func registered(macs ...frame.MAC) func(frame.MAC) bool {
	return func(mac frame.MAC) bool {
		for _, m := range macs {
			if m == mac {
				return true
			}
		}
		return false
	}
}

// siteOffers lets the other server answer our probe, which tells of no host.
func (b *policed) siteOffers() { b.others.Observe(toClient(gateway), siteMAC, b.now, nil) }

// toClient is dnsmasq's OFFER, to another client.
func toClient(mac frame.MAC) []byte {
	m, err := parseReply(offerOfSite())
	if err != nil {
		panic(err)
	}
	m.ClientHWAddr = mac.HardwareAddr()
	return m.ToBytes()
}

func offerOfSite() []byte {
	return (&dhcpv4.DHCPv4{
		OpCode: dhcpv4.OpcodeBootReply, HWType: 1, ClientHWAddr: clientMAC.HardwareAddr(), YourIPAddr: []byte{192, 168, 7, 85},
		Options: dhcpv4.OptionsFromList(dhcpv4.OptMessageType(dhcpv4.MessageTypeOffer), dhcpv4.OptServerIdentifier(siteServer.AsSlice()),
			dhcpv4.OptGeneric(dhcpv4.OptionSubnetMask, []byte{255, 255, 255, 0}), dhcpv4.OptIPAddressLeaseTime(12*time.Hour)),
	}).ToBytes()
}

func (b *policed) expect(t *testing.T, what string, message []byte, want error) {
	t.Helper()
	_, ok, err := b.Handle(t.Context(), message, clientMAC)
	if !errors.Is(err, want) || ok != (want == nil) {
		t.Errorf("%s: reply %t, %v; want %v", what, ok, err, want)
	}
}

func TestWhoIsServedByEachPolicy(t *testing.T) {
	const dhclient, udhcpc, dhcpcd = "dhclient-discover", "udhcpc-discover", "dhcpcd-discover"
	for _, c := range []struct {
		name   string
		policy Policy
		want   map[string]error
	}{
		{"open", Policy{}, map[string]error{dhclient: nil, udhcpc: nil, dhcpcd: nil}},
		{"registered, and it is", Policy{Rule: Rule{Serve: ServeRegistered}, Registered: registered(otherHost, clientMAC)}, map[string]error{dhclient: nil, udhcpc: nil}},
		{"registered, and it isn't", Policy{Rule: Rule{Serve: ServeRegistered}, Registered: registered(otherHost)}, map[string]error{dhclient: ErrNotRegistered, udhcpc: ErrNotRegistered}},
		{"registered, and nobody is", Policy{Rule: Rule{Serve: ServeRegistered}}, map[string]error{dhcpcd: ErrNotRegistered}},
		{"vendor class", Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"PXEClient", "udhcp 1."}}}, map[string]error{dhclient: ErrVendorClass, udhcpc: nil, dhcpcd: ErrVendorClass}},
		{"vendor class of the whole text", Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"udhcp 1.35.0"}}}, map[string]error{udhcpc: nil}},
		{"vendor class that goes on", Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"udhcp 1.35.0-x"}}}, map[string]error{udhcpc: ErrVendorClass}},
		{"vendor class in its midst", Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"1.35.0"}}}, map[string]error{udhcpc: ErrVendorClass}},
		{"vendor class, or registered", Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"dhcpcd-"}}, Registered: registered(clientMAC)}, map[string]error{dhclient: nil, udhcpc: nil, dhcpcd: nil}},
	} {
		for message, want := range c.want {
			b := newPoliced(c.policy)
			b.expect(t, c.name+": "+message, captured(t, message), want)
			if want != nil && len(b.leaser.calls) != 0 {
				t.Errorf("%s: %s: %v", c.name, message, b.leaser.calls)
			}
			if want != nil && !errors.Is(want, ErrNotServed) {
				t.Errorf("%v is no ErrNotServed", want)
			}
		}
	}
}

func TestTheRuleIsChangedWhileItServes(t *testing.T) {
	b := newPoliced(Policy{Registered: registered(otherHost)})
	for _, step := range []struct {
		rule Rule
		want map[string]error
	}{
		{Rule{Serve: ServeRegistered}, map[string]error{"udhcpc-discover": ErrNotRegistered, "dhclient-discover": ErrNotRegistered}},
		{Rule{Serve: ServeVendorClass, VendorClasses: []string{"udhcp"}}, map[string]error{"udhcpc-discover": nil, "dhclient-discover": ErrVendorClass}},
		{Rule{}, map[string]error{"udhcpc-discover": nil, "dhclient-discover": nil}},
	} {
		b.SetRule(step.rule)
		for message, want := range step.want {
			b.expect(t, fmt.Sprint(step.rule, message), captured(t, message), want)
		}
	}
}

// Whatever a host says that isn't served: silence, never a NAK; and what it gives back
// is taken.
func TestAHostThatIsNotServedGetsNoNAK(t *testing.T) {
	for _, message := range []string{"dhclient-reboot-elsewhere", "dhclient-reboot", "udhcpc-select", "udhcpc-renew", "dhcpcd-rebind"} {
		b := newPoliced(Policy{Rule: Rule{Serve: ServeRegistered}})
		b.leaser.fail = ErrTaken
		b.expect(t, message, captured(t, message), ErrNotRegistered)
	}
	b := newPoliced(Policy{Rule: Rule{Serve: ServeRegistered}})
	if err := b.refuse(t, captured(t, "udhcpc-release")); err != nil || b.leaser.seen("release 10.9.1.1") != 1 {
		t.Errorf("a release: %v, %v", err, b.leaser.calls)
	}
	if got := b.Counters()["silent_not_registered"]; got != 0 {
		t.Errorf("a release counted as %d hosts that aren't registered", got)
	}
}

func TestAHostOfAnotherGroupIsRefusedWhatWasTakenFromItAndElseGetsSilence(t *testing.T) {
	had := netip.MustParseAddr("10.9.1.1")
	ours := 0
	p := Policy{
		Rule: Rule{Serve: ServeRegistered}, Left: registered(clientMAC), Evicted: func(_ Client, addr netip.Addr) bool { return addr == had },
		Ours: func(context.Context, frame.MAC, dhcpv4.MessageType, netip.Addr) bool { ours++; return false },
	}
	b := newPoliced(p)
	b.leaser.fail = ErrNotOurs
	for _, message := range []string{"udhcpc-discover", "udhcpc-release", "dhclient-reboot-elsewhere"} {
		b.expect(t, message, captured(t, message), ErrOtherGroup)
	}
	if len(b.leaser.calls) != 0 {
		t.Errorf("it was thought of leasing: %v", b.leaser.calls)
	}
	if a := b.send(t, renewal(t, had)); a.kind != layers.DHCPMsgTypeNak {
		t.Errorf("it renews what was taken from it: %v", a.kind)
	}
	b.expect(t, "another address", renewal(t, had.Next()), ErrOtherGroup)
	if got := b.Counters()["silent_other_group"]; got != 4 || ours != 0 {
		t.Errorf("%d times silence, and %d times it was asked whose it is", got, ours)
	}
	p.Left = registered(otherHost)
	b = newPoliced(p)
	b.expect(t, "a host that is the group's", renewal(t, had), ErrOtherRouter)
}

// renewal is udhcpc's, of this address.
func renewal(t *testing.T, addr netip.Addr) []byte {
	t.Helper()
	m, err := parse(captured(t, "udhcpc-renew"))
	if err != nil {
		t.Fatal(err)
	}
	m.ClientIPAddr = addr.AsSlice()
	return m.ToBytes()
}

func TestSilenceIsCountedByReason(t *testing.T) {
	b := newPoliced(Policy{Rule: Rule{Serve: ServeVendorClass, VendorClasses: []string{"udhcp"}}})
	for _, m := range []string{"udhcpc-discover", "udhcpc-select", "dhclient-discover", "dhcpcd-discover"} {
		_, _, _ = b.Handle(t.Context(), captured(t, m), clientMAC)
	}
	_, _, _ = b.Handle(t.Context(), []byte{1}, clientMAC)
	got := b.Counters()
	for name, want := range map[string]uint64{"offers": 1, "acks": 1, "silent_other_vendor_class": 2, "malformed": 1, "silent_yielded": 0} {
		if got[name] != want {
			t.Errorf("%s = %d, want %d", name, got[name], want)
		}
	}
}

func TestAHostOfAnotherServerIsLeftAlone(t *testing.T) {
	for _, c := range []struct {
		name string
		long time.Duration
		hear func(b *policed, t *testing.T)
	}{
		{"OFFER", serverMemory, func(b *policed, t *testing.T) {
			b.others.Observe(captured(t, "dnsmasq-offer"), siteMAC, b.now, nil)
		}},
		{"ACK", serverMemory, func(b *policed, t *testing.T) {
			b.others.Observe(captured(t, "dnsmasq-ack"), siteMAC, b.now, nil)
		}},
		{"REQUEST that names it", maxChosen, func(b *policed, t *testing.T) {
			b.siteOffers() // to somebody
			b.expect(t, "the REQUEST", captured(t, "udhcpc-select-elsewhere"), ErrOtherServer)
		}},
	} {
		b := newPoliced(Policy{Registered: registered(otherHost)})
		c.hear(b, t)
		b.now = b.now.Add(c.long - time.Second)
		for _, m := range []string{"udhcpc-discover", "dhclient-reboot-elsewhere", "dhclient-reboot"} {
			b.expect(t, c.name+", then "+m, captured(t, m), ErrServedElsewhere)
		}
		b.now = b.now.Add(serverMemory) // the other server hasn't been heard for so long
		b.expect(t, c.name+", long ago", captured(t, "udhcpc-discover"), nil)

		b = newPoliced(Policy{Registered: registered(clientMAC)})
		c.hear(b, t)
		b.expect(t, c.name+" to a registered host", captured(t, "udhcpc-discover"), nil)
		if c.name == "REQUEST that names it" && !b.others.Servers(b.now)[0].Contested {
			t.Error("a registered host chose the other server, and it isn't told")
		}
	}
}

// Anybody can say in a host's name that it has chosen a server which nobody hears.
func TestAServerThatWasOnlyNamedGoesFirstAndNoMore(t *testing.T) {
	b := newPoliced(Policy{})
	named := captured(t, "udhcpc-select-elsewhere")
	b.expect(t, "the REQUEST", named, ErrOtherServer)
	b.expect(t, "a DISCOVER", captured(t, "udhcpc-discover"), ErrYielded)
	b.expect(t, "INIT-REBOOT with an address of another network", captured(t, "dhclient-reboot-elsewhere"), ErrServedElsewhere)
	b.expect(t, "INIT-REBOOT with one of ours", captured(t, "dhclient-reboot"), nil)
	b.now = began.Add(yieldTime)
	b.expect(t, "the REQUEST again", named, ErrOtherServer)
	b.expect(t, "a DISCOVER that nobody has answered", captured(t, "udhcpc-discover"), nil)

	b.config.Policy.Known = func(Client) bool { return true }
	b.now = b.now.Add(2 * waitMemory)
	b.expect(t, "a DISCOVER of a host with a lease of ours", captured(t, "udhcpc-discover"), nil)

	b.others.Observe(captured(t, "dnsmasq-offer"), siteMAC, b.now, nil)
	b.others.chose(clientMAC, netip.MustParseAddr("192.168.99.1"), false, b.now)
	b.expect(t, "a DISCOVER of a host that a server has answered which is there", captured(t, "udhcpc-discover"), ErrServedElsewhere)
}

// Anybody can say so of a server that is there, too. A host that is served doesn't go on asking.
func TestAChoiceOfAServerThatIsThereHoldsOnlyWhileTheHostIsContent(t *testing.T) {
	b := newPoliced(Policy{})
	b.siteOffers()
	forge := func() { b.expect(t, "a REQUEST", captured(t, "udhcpc-select-elsewhere"), ErrOtherServer) }
	forge()
	for range int(yieldTime / time.Second) {
		b.expect(t, "a DISCOVER", captured(t, "udhcpc-discover"), ErrServedElsewhere)
		forge()
		b.now = b.now.Add(time.Second)
	}
	b.expect(t, "a DISCOVER that nobody has answered", captured(t, "udhcpc-discover"), nil)
	forge()
	b.expect(t, "SELECTING us", captured(t, "udhcpc-select"), nil)
	b.expect(t, "INIT-REBOOT with an address of another network", captured(t, "dhclient-reboot-elsewhere"), ErrServedElsewhere)

	b.others.Observe(captured(t, "dnsmasq-ack"), siteMAC, b.now, nil)
	b.expect(t, "a DISCOVER of a host that the server has answered", captured(t, "udhcpc-discover"), ErrServedElsewhere)
	b.now = b.now.Add(yieldTime)
	forge()
	b.expect(t, "one more", captured(t, "udhcpc-discover"), ErrServedElsewhere)
}

func TestAServerThatIsHeardIsNoticedAmongThoseThatAreNamed(t *testing.T) {
	b := newPoliced(Policy{})
	for i := range byte(2 * maxServers) {
		b.others.chose(otherHost, netip.AddrFrom4([4]byte{192, 168, 99, i}), false, b.now)
	}
	if n := len(b.others.Servers(b.now)); n != maxNamed {
		t.Errorf("%d servers that somebody has named are remembered, want %d", n, maxNamed)
	}
	answer := func(i byte) []byte {
		m, err := parseReply(offerOfSite())
		if err != nil {
			t.Fatal(err)
		}
		m.UpdateOption(dhcpv4.OptServerIdentifier([]byte{192, 168, 7, i}))
		return m.ToBytes()
	}
	for i := range byte(maxServers) {
		b.others.Observe(answer(i+1), siteMAC, b.now, nil)
	}
	all := b.others.Servers(b.now)
	if len(all) != maxServers {
		t.Errorf("%d servers, want %d", len(all), maxServers)
	}
	for _, s := range all {
		if !s.heard() {
			t.Errorf("%v was only named, and keeps its place", s.Addr)
		}
	}
}

// Whoever of several routers answers a host, all of them know whose it is.
func TestWhatIsNotOursToAnswerTellsOfOtherServers(t *testing.T) {
	ours := true
	b := newPoliced(Policy{Ours: func(context.Context, frame.MAC, dhcpv4.MessageType, netip.Addr) bool { return ours }})
	b.siteOffers()
	ours = false
	b.expect(t, "a REQUEST to us", captured(t, "udhcpc-select"), ErrOtherRouter)
	if len(b.leaser.calls) != 0 || b.Counters()["silent_other_router"] != 1 {
		t.Errorf("it wasn't left alone: %v, %v", b.leaser.calls, b.Counters())
	}
	ours = true
	b.expect(t, "a DISCOVER before", captured(t, "udhcpc-discover"), ErrYielded)
	ours = false
	b.expect(t, "a REQUEST to the site's server", captured(t, "udhcpc-select-elsewhere"), ErrOtherServer)
	ours = true
	b.expect(t, "a DISCOVER after", captured(t, "udhcpc-discover"), ErrServedElsewhere)
}

// Whose turn it is is asked about what real clients say, and about nothing that somebody says in
// another's name.
func TestWhoseTurnItIsIsAskedOfHonestMessages(t *testing.T) {
	type question struct {
		kind  dhcpv4.MessageType
		named bool
	}
	for name, want := range map[string]question{
		"dhclient-discover": {dhcpv4.MessageTypeDiscover, false}, "udhcpc-discover": {dhcpv4.MessageTypeDiscover, false}, "dhcpcd-discover": {dhcpv4.MessageTypeDiscover, false},
		"dhclient-select": {dhcpv4.MessageTypeRequest, true}, "udhcpc-renew": {dhcpv4.MessageTypeRequest, true}, "dhclient-reboot": {dhcpv4.MessageTypeRequest, true},
		"dhcpcd-release": {dhcpv4.MessageTypeRelease, true},
	} {
		var asked []question
		b := newPoliced(Policy{Ours: func(_ context.Context, mac frame.MAC, kind dhcpv4.MessageType, addr netip.Addr) bool {
			asked = append(asked, question{kind, addr.IsValid()})
			return false
		}})
		message := captured(t, name)
		client := frame.MAC(message[28:34])
		if _, ok, err := b.Handle(t.Context(), message, client); ok || !errors.Is(err, ErrOtherRouter) {
			t.Errorf("%s: answered %v, %v", name, ok, err)
		}
		_, _, _ = b.Handle(t.Context(), message, otherHost)
		if len(asked) != 1 || asked[0] != want {
			t.Errorf("%s: asked %+v, want %+v once", name, asked, want)
		}
	}
}

func TestAHostIsForgottenWithTheLeaseThatItHasElsewhere(t *testing.T) {
	b := newPoliced(Policy{})
	b.others.Observe(captured(t, "dnsmasq-ack"), siteMAC, b.now, nil) // of 12 hours
	for range 72 {
		b.now = b.now.Add(serverMemory - time.Second)
		b.siteOffers()
		b.expect(t, "within its lease", captured(t, "udhcpc-discover"), ErrServedElsewhere)
	}
	b.now = b.now.Add(serverMemory - time.Second)
	b.siteOffers()
	b.expect(t, "after 12 hours", captured(t, "udhcpc-discover"), ErrYielded)
}

func TestTheOtherServerGoesFirst(t *testing.T) {
	b := newPoliced(Policy{})
	b.siteOffers()
	for _, after := range []time.Duration{0, time.Second, 3 * time.Second} {
		b.now = began.Add(after)
		b.expect(t, "a DISCOVER of late", captured(t, "udhcpc-discover"), ErrYielded)
	}
	b.expect(t, "INIT-REBOOT with an address of another network", captured(t, "dhclient-reboot-elsewhere"), ErrServedElsewhere)
	b.expect(t, "INIT-REBOOT with one of ours", captured(t, "dhclient-reboot"), nil)
	b.now = began.Add(yieldTime)
	b.expect(t, "a DISCOVER that nobody has answered", captured(t, "udhcpc-discover"), nil)
	b.expect(t, "SELECTING us", captured(t, "udhcpc-select"), nil)

	b.now = b.now.Add(2 * waitMemory) // another day
	b.siteOffers()
	b.expect(t, "a DISCOVER", captured(t, "udhcpc-discover"), ErrYielded)
}

func TestAHostWithALeaseOfOursIsAnsweredAtOnce(t *testing.T) {
	b := newPoliced(Policy{})
	b.config.Policy.Known = func(c Client) bool { return true }
	b.siteOffers()
	b.expect(t, "a DISCOVER", captured(t, "udhcpc-discover"), nil)
	b.expect(t, "a renewal", captured(t, "udhcpc-renew"), nil)
	b.others.Observe(captured(t, "dnsmasq-offer"), siteMAC, b.now, nil)
	b.expect(t, "a DISCOVER that the other server has answered, too", captured(t, "udhcpc-discover"), ErrServedElsewhere)
	b.expect(t, "a renewal then", captured(t, "udhcpc-renew"), nil)
}

func TestAHostWaitsUntilOtherServersWereLookedFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newPoliced(Policy{})
		o := NewOthers(func(frame.MAC) bool { return false })
		b.config.Policy.Others = o
		answered := make(chan time.Time, 1)
		asked := time.Now()
		go func() {
			b.send(t, captured(t, "udhcpc-discover"))
			answered <- time.Now()
		}()
		time.Sleep(300 * time.Millisecond)
		o.Settle()
		if took := (<-answered).Sub(asked); took != 300*time.Millisecond {
			t.Errorf("answered after %v", took)
		}
	})
}

func TestLandbridgesOfOneGroupAreNoOtherServers(t *testing.T) {
	b := newPoliced(Policy{})
	b.others.Observe(captured(t, "dnsmasq-offer"), sibling, b.now, nil)
	b.others.Observe(captured(t, "dnsmasq-offer"), gateway, b.now, nil)
	b.others.Observe(captured(t, "dnsmasq-offer"), frame.Broadcast(), b.now, nil)
	if s := b.others.Servers(b.now); len(s) != 0 {
		t.Errorf("servers: %v", s)
	}
	probe := Discover(clientMAC, b.config.ProbeClass, [4]byte{1, 2, 3, 4})
	b.expect(t, "a probe of the group", probe, ErrOurProbe)
	b.expect(t, "a probe of another group", Discover(clientMAC, ProbeClass([]byte("another")), [4]byte{1, 2, 3, 4}), nil)
	if got := read(t, Reply{Payload: b.send(t, Discover(clientMAC, "x", [4]byte{1, 2, 3, 4})).Payload}); got.kind != layers.DHCPMsgTypeOffer || got.Flags != 0x8000 {
		t.Errorf("the probe was answered by %v", got.kind)
	}
}

func TestAServerThatTurnsOutToBeOursIsNoOther(t *testing.T) {
	b := newPoliced(Policy{})
	proven := false
	b.others.isOurs = func(frame.MAC) bool { return proven }
	b.others.Observe(captured(t, "dnsmasq-offer"), sibling, b.now, nil)
	b.expect(t, "before it is proven", captured(t, "udhcpc-discover"), ErrServedElsewhere)
	proven = true
	b.expect(t, "afterwards", captured(t, "udhcpc-discover"), nil)
}

func TestWhatIsSeenOfAnotherServer(t *testing.T) {
	b := newPoliced(Policy{})
	b.others.Observe(captured(t, "dnsmasq-offer"), siteMAC, b.now, registered(clientMAC))
	got := b.others.Servers(b.now)
	want := OtherServer{Addr: siteServer, MAC: siteMAC, Offers: netip.MustParsePrefix("192.168.7.0/24"), First: b.now, Last: b.now, Contested: true}
	if len(got) != 1 || got[0] != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}

// Hosts and servers that somebody makes up are remembered to a bound only.
func TestWhatASegmentMakesUsRememberIsBounded(t *testing.T) {
	o := NewOthers(func(frame.MAC) bool { return false })
	for i := range 3 * maxServed {
		mac := frame.MAC{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
		o.chose(mac, netip.AddrFrom4([4]byte{192, 168, byte(i % 64), 1}), false, began.Add(time.Duration(i)*time.Microsecond))
		o.waited(mac, began.Add(time.Duration(i)*time.Microsecond))
	}
	if len(o.servers) > maxServers || len(o.hosts) > maxServed || len(o.waiting) > maxWaiting {
		t.Errorf("%d servers, %d hosts, %d that wait", len(o.servers), len(o.hosts), len(o.waiting))
	}
	if o.Present(began) {
		t.Error("a server that nobody has heard counts as there")
	}
}

func FuzzOthers(f *testing.F) {
	for _, name := range []string{"dnsmasq-offer", "dnsmasq-ack", "udhcpc-discover"} {
		f.Add(captured(f, name))
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		o := NewOthers(func(frame.MAC) bool { return false })
		o.Observe(message, siteMAC, began, nil)
		for _, s := range o.Servers(began) {
			if !s.Addr.Is4() || s.MAC != siteMAC || s.Offers.IsValid() && !s.Offers.Addr().Is4() {
				t.Fatalf("%x: %+v", message, s)
			}
		}
	})
}
