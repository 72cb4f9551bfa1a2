package peers

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"landbridge/bench/underlay"
	"landbridge/internal/netlab"
)

func TestPeersAreChosenByNameInTheOrderOfTheReport(t *testing.T) {
	got, err := Choose([]string{"veth", "landbridge"})
	if err != nil || len(got) != 2 || got[0].Name != "landbridge" || got[1].Name != "veth" {
		t.Errorf("got %+v (%v)", got, err)
	}
	if all, err := Choose(nil); err != nil || len(all) != len(All()) {
		t.Errorf("of no names: %d (%v)", len(all), err)
	}
	if _, err := Choose([]string{"ipsec"}); err == nil || !strings.Contains(err.Error(), "openvpn") {
		t.Errorf("one that isn't there: %v", err)
	}
}

// The kernel's own need no programs. The others are tried by make bench alone.
func TestAPeerCarriesPacketsBetweenItsEnds(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("namespaces need root")
	}
	for _, err := range netlab.Missing("ip", "ping", "ethtool") {
		t.Skip(err)
	}
	kinds, err := Choose([]string{"veth", "vxlan"})
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range kinds {
		t.Run(k.Name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			pair, err := underlay.Open(ctx, underlay.NIC)
			if err != nil {
				t.Fatal(err)
			}
			defer pair.Close()
			p := k.New(Programs{})
			if err := p.Setup(ctx, pair); err != nil {
				t.Fatal(err)
			}
			for _, s := range pair.Sides() {
				if err := p.Start(ctx, s); err != nil {
					t.Fatal(err)
				}
			}
			ends := p.Ends()
			if out, err := ends[0].Host.Run(ctx, "ping", "-c", "1", "-w", "20", ends[1].Addr.String()); err != nil {
				t.Errorf("%v: %s", err, out)
			}
			if v, err := p.Version(ctx); err != nil || !strings.HasPrefix(v, "kernel ") {
				t.Errorf("version %q (%v)", v, err)
			}
		})
	}
}
