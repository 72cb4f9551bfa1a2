package e2e

import (
	"os"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// A daemon whose state knows its members has a host's packets at a remote host within
// three seconds of its start: where LANDBRIDGE_SPEED=1 has the time judged, with nothing beside it.
func TestTheFirstReplyComesSoonAfterTheStart(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	link := netlab.Link{Delay: 5 * time.Millisecond}
	a, b := s.site("a", link), s.site("b", link)
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	reaches(t, a1.Host, b1.addr)
	target := 15 * time.Second // beside other tests, on a busy machine
	if os.Getenv("LANDBRIDGE_SPEED") != "" {
		target = 3 * time.Second
	}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		a.end(signal)
		began := time.Now()
		a.start()
		started := time.Since(began)
		reaches(t, a1.Host, b1.addr)
		took := time.Since(began)
		t.Logf("after %v: API after %v, first reply after %v", signal, started, took)
		if took > target {
			t.Errorf("after %v: the first reply came %v after the start, want %v", signal, took, target)
		}
	}
	// A member in interface mode, from its own address.
	s.d.end(syscall.SIGKILL)
	began := time.Now()
	s.d.start()
	reaches(t, s.d.Host, b1.addr)
	if took := time.Since(began); took > target {
		t.Errorf("d: the first reply came %v after the start, want %v", took, target)
	} else {
		t.Logf("d: first reply after %v", took)
	}
}
