package e2e

import (
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// While a machine is a router it renews its own lease, so that it has its address again
// afterwards, however long that was.
func TestAMachineKeepsItsLeaseWhileItIsARouter(t *testing.T) {
	t.Parallel()
	const leaseTime = 10 * time.Second // the least that a group takes
	s := newScene(t, "--lease-time", leaseTime.String())
	m := &site{net: s.wan.Site("site-m")}
	m.machine = newMachine(t, m.net.Host("m"))
	m.wire = m.net.Wire("wire")
	m.wire.Plug(m.Host, "lan0")
	s.join(m.machine)
	own := m.address()
	m.must(setMode("router", "--yes")...)
	switched := time.Now()
	newClient(t, m.wire, "h").lease(netlab.Udhcpc)
	waitFor(t, "a lease time and a half", func() (bool, error) {
		if !m.serves(own) {
			t.Fatalf("the lease of %v ended after %v", own, time.Since(switched))
		}
		return time.Since(switched) > leaseTime*3/2, nil
	})
	m.must(setMode("interface", "--yes")...)
	m.isIn("interface")
	if now := m.address(); now != own {
		t.Errorf("this host had %v and has %v", own, now)
	}
	reaches(t, s.d.Host, own)
}
