package e2e

import (
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// An appliance that is asked to restart does, in its own process: the network is put back and taken
// up, a host's packets go on, and it is stopped as any other.
func TestARestartOnRequestIsAShortGap(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a", netlab.Link{}), s.site("b", netlab.Link{})
	a1, b1 := newClient(t, a.wire, "a1").lease(netlab.Udhcpc), newClient(t, b.wire, "b1").lease(netlab.Udhcpc)
	reaches(t, a1.Host, b1.addr)
	for range 2 {
		before := a.status()
		began := time.Now()
		a.must("restart")
		answers := time.Since(began)
		reaches(t, a1.Host, b1.addr)
		t.Logf("the API answers after %v, a host's ping after %v", answers, time.Since(began))
		after := a.status()
		if !after.StartedAt.After(before.StartedAt) || after.MemberID != before.MemberID {
			t.Errorf("before: %v %v; after: %v %v", before.StartedAt, before.MemberID, after.StartedAt, after.MemberID)
		}
		if got := a.leases(); len(got) == 0 || !strings.Contains(a.must("leases"), a1.addr.String()) {
			t.Errorf("the lease of %v is gone: %v", a1.addr, got)
		}
	}
	a.end(syscall.SIGTERM)
}
