package e2e

import (
	"context"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	"landbridge/console/api"
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

// A copy is restored while the appliance runs; killed at any moment of that, it goes on from the old
// state or the new one.
func TestARestoreEndsInTheOldStateOrTheNew(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	d := s.d
	copied := d.Dir() + "/copy.db"
	const mac = "02:00:00:00:00:77"
	d.must("backup", copied)
	registered := func() bool { return strings.Contains(d.must("hosts"), mac) }
	restored := func() {
		t.Helper()
		if registered() {
			t.Error("the host that was registered after the copy is still there")
		}
	}
	d.must("hosts", "add", mac)
	if r := d.cli(nil, "restore", copied); r.code != 2 || !registered() || !strings.Contains(r.stdout, "Careful") {
		t.Errorf("without a yes: %+v", r)
	}
	d.must("restore", copied, "--yes")
	restored()
	outcomes := map[bool]int{}
	for i := range 6 {
		d.must("hosts", "add", mac)
		ctx, cancel := context.WithCancel(t.Context())
		restore := d.Command(ctx, binary, "--state", d.state(), "restore", copied, "--yes")
		if err := restore.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(i*15) * time.Millisecond) // a moment of it, whichever
		d.end(syscall.SIGKILL)
		cancel()
		_ = restore.Wait()
		d.start()
		outcomes[registered()]++
		d.must("restore", copied, "--yes")
		restored()
	}
	t.Logf("%d times the old state, %d times the new", outcomes[true], outcomes[false])
	d.end(syscall.SIGTERM)
}

// Members see each other's clocks as they say hello.
func TestMembersCompareTheirClocks(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a := newMachine(t, s.wan.Host("a"))
	s.join(a)
	client, err := api.Dial(t.Context(), a.Path(a.state()+"/"+api.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	a.wait("to know the clock of d", func() (bool, error) {
		res, err := client.GetTimeWithResponse(t.Context())
		if err != nil || res.JSON200 == nil {
			return false, fmt.Errorf("%w %s", err, res.Body)
		}
		for _, m := range res.JSON200.Members {
			if m.Name == "d" && math.Abs(m.OffsetSeconds) <= m.WithinSeconds+0.001 { // both are of one machine
				return true, nil
			}
		}
		return false, fmt.Errorf("known are %+v", res.JSON200.Members)
	})
}
