package dhcp

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"net/netip"
	"testing"
	"time"

	"github.com/google/gopacket/layers"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"landbridge/internal/frame"
)

// hostOptions are what settings can tell hosts.
func hostOptions() Options {
	return Options{
		LeaseTime: 10 * time.Minute, Renew: 4 * time.Minute, Rebind: 8 * time.Minute, Domain: "office.example", Search: []string{"a.example", "b.example."},
		DNS: []netip.Addr{netip.MustParseAddr("192.0.2.53")}, NTP: []netip.Addr{netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")},
		Routes: []Route{
			{netip.MustParsePrefix("192.168.7.0/24"), netip.MustParseAddr("10.9.0.77")}, {netip.MustParsePrefix("10.20.0.0/13"), netip.MustParseAddr("10.9.0.78")},
			{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParseAddr("10.9.0.77")},
		},
		Near: func(a netip.Addr) bool { return a != netip.MustParseAddr("10.9.0.78") },
	}
}

func TestAClientIsToldOtherOptionsFromItsNextAckOn(t *testing.T) {
	b := newBench()
	list := with(dhcpv4.OptionParameterRequestList, 6, 15, 42, 119, 121)
	renew := func() answer {
		t.Helper()
		return b.send(t, build(dhcpv4.MessageTypeRequest, list, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = netip.MustParseAddr("10.9.1.1").AsSlice() }))
	}
	check := func(a answer, want map[layers.DHCPOpt]string) {
		t.Helper()
		for code, value := range want {
			if got := hex.EncodeToString(a.options[code]); got != value {
				t.Errorf("option %d is %s, want %s", code, got, value)
			}
		}
	}
	b.send(t, build(dhcpv4.MessageTypeDiscover, list))
	check(renew(), map[layers.DHCPOpt]string{51: "00000e10", 58: "00000708", 59: "00000c4e", 6: "0a090001", 42: "", 121: "", 15: hex.EncodeToString([]byte("demo.example"))})
	b.SetOptions(hostOptions())
	check(renew(), map[layers.DHCPOpt]string{
		51: "00000258", 58: "000000f0", 59: "000001e0", 6: "0a090001c0000235", 15: hex.EncodeToString([]byte("office.example")), 42: "c0000201c0000202",
		119: "0161076578616d706c65000162076578616d706c6500",
		121: "18c0a8070a09004d" + "000a09004d", // the gateway of the second is elsewhere
	})
	for _, of := range []dhcpv4.MessageType{dhcpv4.MessageTypeRequest, dhcpv4.MessageTypeInform} { // what leads by the client itself it knows
		o := hostOptions()
		o.Routes[0].Via = netip.MustParseAddr("10.9.1.1")
		b.SetOptions(o)
		a := b.send(t, build(of, list, func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = netip.MustParseAddr("10.9.1.1").AsSlice() }))
		check(a, map[layers.DHCPOpt]string{121: "000a09004d"})
	}
	b.SetOptions(Options{LeaseTime: time.Minute, Domain: "demo.example"})
	check(renew(), map[layers.DHCPOpt]string{51: "0000003c", 58: "0000001e", 59: "00000034", 42: "", 121: ""})
}

func TestT1AndT2OfAShorterLeaseAreInProportion(t *testing.T) {
	b := newBench()
	b.SetOptions(hostOptions())
	b.leaser.end = func() time.Time { return began.Add(5 * time.Minute) }
	a := b.send(t, build(dhcpv4.MessageTypeDiscover))
	for code, want := range map[layers.DHCPOpt]uint32{51: 300, 58: 120, 59: 240} {
		if got := binary.BigEndian.Uint32(a.options[code]); got != want {
			t.Errorf("option %d is %d, want %d", code, got, want)
		}
	}
}

func TestADeniedHostGetsNoAnswerEvenWhereItIsRegistered(t *testing.T) {
	denied := false
	b := newPoliced(Policy{Registered: registered(clientMAC), Denied: func(mac frame.MAC) bool { return denied && mac == clientMAC }})
	b.send(t, build(dhcpv4.MessageTypeDiscover))
	denied = true
	renew := func(m *dhcpv4.DHCPv4) { m.ClientIPAddr = netip.MustParseAddr("10.9.1.1").AsSlice() }
	for _, message := range [][]byte{build(dhcpv4.MessageTypeDiscover), build(dhcpv4.MessageTypeRequest, renew), build(dhcpv4.MessageTypeInform, renew)} {
		if err := b.refuse(t, message); !errors.Is(err, ErrDenied) {
			t.Errorf("%v", err)
		}
	}
	if n := b.Counters()["silent_denied"]; n != 3 {
		t.Errorf("%d counted", n)
	}
	if err := b.refuse(t, build(dhcpv4.MessageTypeRelease, renew)); errors.Is(err, ErrDenied) {
		t.Error("it can't give its address back")
	}
}

func TestOnlyListedHostsAreServedWhereTheGroupSaysSo(t *testing.T) {
	only := true
	b := newPoliced(Policy{Registered: registered(otherHost), OnlyListed: func() bool { return only }})
	if err := b.refuse(t, build(dhcpv4.MessageTypeDiscover)); !errors.Is(err, ErrNotRegistered) {
		t.Errorf("%v", err)
	}
	only = false
	b.send(t, build(dhcpv4.MessageTypeDiscover))
}
