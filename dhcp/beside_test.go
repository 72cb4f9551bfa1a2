package dhcp

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"testing"

	"landbridge/internal/frame"
)

func TestWhoIsAdmittedBesideDHCPv4(t *testing.T) {
	t.Parallel()
	host := frame.MAC{0x52, 0x54, 0, 0, 0, 7}
	is := func(mac frame.MAC) bool { return mac == host }
	for name, c := range map[string]struct {
		policy Policy
		held   bool
		want   error
	}{
		"everybody":                        {Policy{}, false, nil},
		"denied, though registered":        {Policy{Denied: is, Registered: is}, true, ErrDenied},
		"another group's":                  {Policy{Left: is, Registered: is}, true, ErrOtherGroup},
		"registered alone":                 {Policy{Rule: Rule{Serve: ServeRegistered}}, true, ErrNotRegistered},
		"registered":                       {Policy{Rule: Rule{Serve: ServeRegistered}, Registered: is}, false, nil},
		"listed alone":                     {Policy{OnlyListed: func() bool { return true }}, true, ErrNotRegistered},
		"by vendor class, without a lease": {Policy{Rule: Rule{Serve: ServeVendorClass}}, false, ErrVendorClass},
		"by vendor class, with one":        {Policy{Rule: Rule{Serve: ServeVendorClass}}, true, nil},
	} {
		b := newPoliced(c.policy)
		if err := b.Server.Admits(t.Context(), host, c.held); !errors.Is(err, c.want) || c.want == nil && err != nil {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	b := newPoliced(Policy{})
	b.others.Observe(offerOfSite(), siteMAC, b.now, func(frame.MAC) bool { return false })
	if err := b.Server.Admits(t.Context(), host, false); !errors.Is(err, ErrServedElsewhere) {
		t.Errorf("a new host beside another server: %v", err)
	}
	if err := b.Server.Admits(t.Context(), host, true); err != nil {
		t.Errorf("one with a lease beside another server: %v", err)
	}
}

func TestAnAddressIsProbedAndLeasedBesideDHCPv4(t *testing.T) {
	t.Parallel()
	b := newBench()
	c := Client{ID: []byte{255, 1, 2}, MAC: net.HardwareAddr{0x52, 0x54, 0, 0, 0, 7}, Name: "h"}
	offer, err := b.Server.Offer(t.Context(), c)
	if err != nil || len(b.prober.probed) != 1 || b.prober.probed[0] != offer.Addr {
		t.Fatalf("%v, %v; probed %v", offer, err, b.prober.probed)
	}
	lease, err := b.Server.Commit(context.Background(), c, offer.Addr)
	if err != nil || lease.Addr != offer.Addr || lease.Name != "h" {
		t.Errorf("%+v, %v", lease, err)
	}
	for _, never := range []string{"10.9.0.1", "10.8.0.1", "10.9.255.255"} {
		if _, err := b.Server.Commit(t.Context(), c, netip.MustParseAddr(never)); !errors.Is(err, ErrNotOurs) {
			t.Errorf("%s is leased: %v", never, err)
		}
	}
	isC := func(mac frame.MAC) bool { return mac == frame.MAC(c.MAC) }
	for _, registered := range []func(frame.MAC) bool{nil, isC} {
		b := newPoliced(Policy{Rule: Rule{Serve: ServeVendorClass}, Registered: registered})
		if _, err := b.Server.Commit(t.Context(), c, offer.Addr); errors.Is(err, ErrVendorClass) != (registered == nil) {
			t.Errorf("by vendor class, registered %t: %v", registered != nil, err)
		}
	}
	if got := Label("My Host.example"); got != "my-host" {
		t.Errorf("label %q", got)
	}
}
