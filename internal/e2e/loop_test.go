package e2e

import (
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// A machine with two ports on a LAN that bridges them: frames go round.

func TestALoopOnTheLANIsToldAndItsBroadcastsAreKeptOut(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := s.site("a")
	h := newClient(t, a.wire, "h").lease(netlab.Udhcpc)
	d := s.d.address()
	reaches(t, h.Host, d)
	// A slow link in the loop, or the storm takes the whole machine.
	slow := netlab.Link{Rate: 2e6, Delay: 2 * time.Millisecond}
	joiner := newClient(t, a.wire, "joiner")
	a.wire.Plug(joiner.Host, "eth1", slow)
	joiner.sh("ip link add br0 type bridge stp_state 0 forward_delay 0; ip link set eth1 master br0; ip link set br0 up")
	a.ails()
	began := time.Now()
	joiner.sh("ip link set eth0 master br0")
	a.ails("The LAN of port lan0 has a loop")
	t.Logf("told after %v", time.Since(began))
	// Cut off: what goes round doesn't reach the forwarder any more.
	before, at := a.counter("beacon", "looped"), time.Now()
	waitFor(t, "two seconds", func() (bool, error) { return time.Since(at) > 2*time.Second, nil })
	if n := a.counter("beacon", "looped") - before; n > 200 {
		t.Errorf("%d own beacons came back in 2 s", n)
	}
	joiner.sh("ip link set eth0 nomaster")
	a.ails()
	h.sh("ip neigh flush dev eth0")
	reaches(t, h.Host, d)
}
