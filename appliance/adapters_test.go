package appliance

import (
	"errors"
	"fmt"
	"testing"

	"landbridge/dhcp"
	"landbridge/dns"
	"landbridge/internal/registry"
)

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
