package e2e

import (
	"bufio"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"landbridge/console/api"
	"landbridge/internal/netlab"
)

// told collects the kinds of event that a machine streams, until the test ends.
func (m *machine) told() (kinds func() []string) {
	m.t.Helper()
	client, err := api.Dial(m.t.Context(), m.Path(m.state()+"/"+api.SocketName))
	if err != nil {
		m.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(m.t.Context())
	res, err := client.StreamEvents(ctx, &api.StreamEventsParams{Types: "lease"})
	if err != nil {
		m.t.Fatal(err)
	}
	var mu sync.Mutex
	var all []string
	var reading sync.WaitGroup
	reading.Go(func() {
		for lines := bufio.NewScanner(res.Body); lines.Scan(); {
			if kind, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				mu.Lock()
				all = append(all, kind)
				mu.Unlock()
			}
		}
	})
	m.t.Cleanup(func() { cancel(); _ = res.Body.Close(); reading.Wait(); _ = client.Close() })
	return func() []string {
		mu.Lock()
		defer mu.Unlock()
		return slices.Clone(all)
	}
}

// has waits until the client's device has an address, and returns what it was when it had
// not.
func (c *client) has(addr string) {
	c.t.Helper()
	waitFor(c.t, c.Name+" has "+addr, func() (bool, error) {
		p, err := c.Host.Addr("eth0")
		return err == nil && p.Addr().String() == addr, fmt.Errorf("it has %v (%w); it said:\n%s", p, err, c.dhcp.Log())
	})
}

// A host on a LAN, with a DHCP client that knows nothing of any of this, is moved to the
// address that is reserved for it, is evicted and comes back, and is released.
func TestAHostSeesReservationEvictionAndRelease(t *testing.T) {
	t.Parallel()
	s := newScene(t, "--lease-time", "20s")
	a := s.site("a")
	kinds := a.told()
	host := newClient(t, a.wire, "host").lease(netlab.Dhclient)
	mac := macOf(t, host.Host)
	had, wanted := host.addr, a.spare(3)
	if had == wanted {
		wanted = a.spare(4)
	}

	a.must("leases", "reserve", wanted.String(), mac, "--name", "printer", "--note", "second floor")
	if r := a.cli(nil, "leases", "reserve", wanted.String(), "02:00:00:00:00:07"); r.code != 1 || !strings.Contains(r.stderr, wanted.String()+" is reserved for printer") {
		t.Errorf("reserved for another host: exit %d: %s", r.code, r.stderr)
	}
	host.has(wanted.String())
	one := func() (l api.Lease) {
		t.Helper()
		var list api.LeaseList
		if err := a.get(&list, "leases", wanted.String(), "--only", "all"); err != nil || len(list.Items) != 1 {
			t.Fatalf("%v, %v", list.Items, err)
		}
		return list.Items[0]
	}
	if l := one(); l.Name != "printer" || l.HostName != "host" || l.Note != "second floor" || !l.Reserved || l.MAC != mac || l.State != api.LeaseStateLeased {
		t.Errorf("the lease is %+v", l)
	}
	if slices.ContainsFunc(a.leases(), func(l api.Lease) bool { return l.Address == had }) {
		t.Errorf("it has %v still", had)
	}

	naks := strings.Count(host.dhcp.Log(), "DHCPNAK")
	var end api.LeaseEnd
	if err := a.get(&end, "leases", "evict", wanted.String()); err != nil || end.NoticedBy.After(end.Lease.End) {
		t.Fatalf("%+v, %v", end, err)
	}
	if l := one(); l.State != api.LeaseStateReserved {
		t.Errorf("evicted, it is %+v", l)
	}
	waitFor(t, "it is refused its address", func() (bool, error) {
		return strings.Count(host.dhcp.Log(), "DHCPNAK") > naks, fmt.Errorf("it said:\n%s", host.dhcp.Log())
	})
	back := func() (bool, error) {
		l := one()
		return l.State == api.LeaseStateLeased && l.Kind == api.LeaseKindDhcp, fmt.Errorf("it is %+v", l)
	}
	waitFor(t, "it has asked anew", back)
	host.has(wanted.String())

	naks = strings.Count(host.dhcp.Log(), "DHCPNAK")
	a.must("leases", "release", wanted.String())
	waitFor(t, "it has renewed", back)
	if n := strings.Count(host.dhcp.Log(), "DHCPNAK"); n != naks {
		t.Errorf("it was refused when it renewed what was released:\n%s", host.dhcp.Log())
	}
	a.must("leases", "unreserve", wanted.String())

	var history api.LeaseHistory
	if err := a.get(&history, "leases", "history", "--mac", mac); err != nil {
		t.Fatal(err)
	}
	var whats []string
	for _, e := range slices.Backward(history.Items) {
		whats = append(whats, string(e.What))
	}
	got := strings.Join(whats, " ")
	for _, want := range []string{"granted", "reserved", "released granted", "evicted", "unreserved"} {
		if !strings.Contains(got, want) {
			t.Errorf("the history is %q, without %q", got, want)
		}
	}
	for _, want := range []string{"hello", "lease.granted", "lease.reserved", "lease.evicted", "lease.released", "lease.unreserved"} {
		waitFor(t, want+" is told", func() (bool, error) { return slices.Contains(kinds(), want), fmt.Errorf("told were %q", kinds()) })
	}
}
