package e2e

import (
	"strings"
	"testing"
	"time"
)

// A copy of a machine is started at another site, with the same MAC and the same address: the
// first keeps the address, and the operator hears of it.
func TestACopyOfAHostAtAnotherSiteGetsNothingAndIsReported(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	vm := newRoamer(t, a, "vm")
	toD := newStream(t, vm.Host, s.d.Host, s.d.address())
	toD.flows()

	clone := &roamer{client: newClient(t, b.wire, "clone")}
	clone.addr = vm.addr
	clone.sh("ip link set eth0 down; ip link set eth0 address " + vm.raw.mac.String() + "; ip link set eth0 up; ip addr add " + vm.addr.String() + "/16 dev eth0")
	clone.raw = listen(t, clone.Host, "eth0")
	toD.gap()
	began := time.Now()
	for _, announce := range []func(){clone.gratuitousARP, clone.rarp} {
		announce()
	}
	clone.sh("ping -c3 -i0.3 -W1 " + s.d.address().String() + " || true")
	b.wait("a report of the conflict", func() (bool, error) {
		clone.gratuitousARP()
		for _, item := range b.status().Health {
			if strings.Contains(item.Text, vm.addr.String()) && strings.Contains(item.Text, clone.raw.mac.String()) {
				t.Logf("after %v: %s", time.Since(began), item.Text)
				return true, nil
			}
		}
		return false, nil
	})
	t.Logf("the stream of the first goes on; it stood still for %v at most", toD.gap())
	if !a.serves(vm.addr) || b.serves(vm.addr) {
		t.Errorf("served by a: %t, by b: %t", a.serves(vm.addr), b.serves(vm.addr))
	}
	// The first leaves: the copy is then the only one.
	began = time.Now()
	if err := vm.Port("eth0").MoveTo(s.lab.LAN("nowhere")); err != nil {
		t.Fatal(err)
	}
	b.wait("the copy takes over", func() (bool, error) {
		clone.gratuitousARP()
		return b.serves(vm.addr), nil
	})
	t.Logf("the copy is served %v after the first has left, in %v", time.Since(began), reaches(t, s.d.Host, vm.addr))
}
