package appliance

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"landbridge/dhcp"
	"landbridge/dns"
	"landbridge/internal/registry"
)

// What hosts are told of their full names is what the registry has them as.
func TestALeaseThatIsMadeHasTheNameOfTheRegistry(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	r, err := registry.Open(registry.Config{
		Membership: m.membership, Store: m.node.state.db, Transport: transport{m.network, registry.Protocol}, Log: m.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	l, c := &leaser{registry: r}, dhcp.Client{ID: []byte{9, 9}, Name: "alpha"} // without a MAC nothing is learnt of the segment
	offer, err := l.Offer(t.Context(), c, netip.Addr{})
	if err != nil {
		t.Fatal(err)
	}
	if made, err := l.Commit(t.Context(), c, offer.Addr); err != nil || made.Name != "alpha" {
		t.Errorf("%+v, %v", made, err)
	}
}

// What the registry isn't sure of must reach no host as a refusal.
func TestUncertaintyIsNoRefusal(t *testing.T) {
	err := refused(fmt.Errorf("ask member x: %w", registry.ErrUnsure))
	if !errors.Is(err, dhcp.ErrUnsure) || errors.Is(err, dhcp.ErrNotOurs) || errors.Is(err, dhcp.ErrTaken) {
		t.Errorf("an unsure registry, to dhcp: %v", err)
	}
	if err := refused(registry.ErrNotOurs); !errors.Is(err, dhcp.ErrNotOurs) || errors.Is(err, dhcp.ErrUnsure) {
		t.Errorf("a refusal, to dhcp: %v", err)
	}
	if err := translate(registry.ErrNoQuorum, registry.ErrAbsent, dns.ErrAbsent); errors.Is(err, dns.ErrAbsent) {
		t.Errorf("too few answers, to dns: %v", err)
	}
}
