package e2e

import (
	"fmt"
	"strings"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// What an operator does with leases in a browser is what hosts see, whose DHCP clients know
// nothing of any of this: h1 gets the address that is reserved for it, has it again when it was
// released, and is refused it (NAK) when it is evicted.
func TestAnOperatorWorksWithLeasesInABrowser(t *testing.T) {
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	d := newMachine(t, wan.Host("d"), "--mode", "router", "--lan-port", "lan0")
	d.must("group", "create", "--name", "e2e", "--prefix", groupPrefix, "--zone", zone, "--member-name", "d", "--lease-time", "12s")
	url := d.door("eth0")
	wire := wan.Site("site-d").Wire("d-cluster")
	wire.Plug(d.Host, "lan0")
	d.start()
	h1 := newClient(t, wire, "h1").lease(netlab.Dhclient)
	h2 := newClient(t, wire, "h2").lease(netlab.Dhclient)
	wanted := d.spare(3)
	for wanted == h1.addr || wanted == h2.addr {
		wanted = wanted.Next()
	}

	lease := func(addr string) (l api.Lease) {
		for _, l := range d.leases() {
			if l.Address.String() == addr {
				return l
			}
		}
		return l
	}
	var naks, renewals int
	done := func(string) string { return "done" }
	refusals := func() int { return strings.Count(h1.dhcp.Log(), "DHCPNAK") }
	browse(t, wan.Host("operator"), "leases.mjs", url).serve(map[string]func(string) string{
		"CODE":      func(string) string { return d.setupCode() },
		"ADDRESSES": func(string) string { return wanted.String() + " " + h2.addr.String() },
		"RENAME":    func(addr string) string { d.must("leases", "rename", addr, "till"); return "done" },
		"MAC":       func(string) string { return macOf(t, h1.Host) },
		"HAS":       func(addr string) string { h1.has(addr); return "done" },
		"RELEASING": func(s string) string {
			naks, renewals = refusals(), strings.Count(h1.dhcp.Log(), "DHCPACK")
			return done(s)
		},
		"RENEWED": func(addr string) string {
			waitFor(t, "h1 has renewed what was released", func() (bool, error) {
				return lease(addr).State == api.LeaseStateLeased && strings.Count(h1.dhcp.Log(), "DHCPACK") > renewals, fmt.Errorf("it is %+v; h1 said:\n%s", lease(addr), h1.dhcp.Log())
			})
			if refusals() != naks {
				t.Errorf("h1 was refused what was released:\n%s", h1.dhcp.Log())
			}
			return "done"
		},
		"EVICTING": func(s string) string { naks = refusals(); return done(s) },
		"REFUSED": func(addr string) string {
			waitFor(t, "h1 is refused its address", func() (bool, error) {
				return refusals() > naks, fmt.Errorf("it said:\n%s", h1.dhcp.Log())
			})
			h1.has(addr) // it is reserved for it
			waitFor(t, "both have asked anew", func() (bool, error) {
				return lease(addr).State == api.LeaseStateLeased && lease(h2.addr.String()).State == api.LeaseStateLeased, fmt.Errorf("leased are %+v", d.leases())
			})
			return "done"
		},
	})
}
