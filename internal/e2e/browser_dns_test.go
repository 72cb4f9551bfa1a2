package e2e

import (
	"slices"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// What an operator does with names in a browser is what a host is told by dig; and the group's settings are
// those of the page.
func TestAnOperatorNamesThingsInABrowser(t *testing.T) {
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	server := wan.Host("ns")
	at, err := server.Addr("eth0")
	if err != nil {
		t.Fatal(err)
	}
	corp(t, server)
	d := newMachine(t, wan.Host("d"), "--mode", "router", "--lan-port", "lan0")
	d.must("group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d")
	url := d.door("eth0")
	wire := wan.Site("site-d").Wire("d-cluster")
	wire.Plug(d.Host, "lan0")
	d.start()
	h1 := newClient(t, wire, "h1").lease(netlab.Dhclient)
	h1.answered("h1."+zone, "A "+h1.addr.String())
	browse(t, wan.Host("operator"), "dns.mjs", url, at.Addr().String()).serve(map[string]func(string) string{
		"CODE": func(string) string { return d.setupCode() },
		"HOST": func(string) string { return h1.addr.String() },
		"ANSWERED": func(what string) string {
			name, want, _ := strings.Cut(what, " ")
			if !strings.HasSuffix(name, ".") {
				name += "." + zone
			}
			if want == "h1" {
				want = "h1." + zone + ". 30 IN A " + h1.addr.String()
			}
			h1.answered(name, "status: NOERROR", want)
			return "done"
		},
		"SETTINGS": func(excluded string) string {
			var now api.GroupSettings
			if err := d.get(&now, "group", "set"); err != nil || now.InForce.LeaseSeconds != 1200 || !slices.Equal(now.InForce.Search, []string{"office.example", "lab.example"}) || !slices.Equal(now.Excluded, []string{excluded}) {
				t.Errorf("the page set %+v (%v)", now, err)
			}
			return "done"
		},
		"REFUSED": func(name string) string { h1.answered(name, "status: REFUSED"); return "done" },
	})
}
