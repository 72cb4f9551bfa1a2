package forward

import (
	"context"
	"net"
	"net/netip"
	"sync"
	"testing"

	"github.com/miekg/dns"

	service "landbridge/dns"
)

// held makes a forwarder of a zone whose server is silent until the question ends, and of a live one.
func held(t *testing.T, live *upstream) (f *Forwarder, dialled chan struct{}) {
	t.Helper()
	dead := netip.MustParseAddrPort("192.0.2.1:53")
	dialled = make(chan struct{}, 1000)
	f = New(func(ctx context.Context, network, address string) (net.Conn, error) {
		if address != dead.String() {
			return new(net.Dialer).DialContext(ctx, network, address)
		}
		dialled <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}, nil)
	t.Cleanup(f.Close)
	f.Set([]Zone{{Name: "dead.example.", Servers: []netip.AddrPort{dead}}, zoneOf(".", live)})
	return f, dialled
}

func TestAZoneWhoseServersAreSilentLeavesRoomToOthers(t *testing.T) {
	t.Parallel()
	live := newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg { return says(q, dns.RcodeSuccess) })
	for name, failing := range map[string]bool{"it is known to fail": true, "it isn't known yet": false} {
		f, dialled := held(t, live)
		most := zoneUnderWay
		if failing {
			f.note(f.zones["dead.example."], f.zones["dead.example."].servers[0], context.DeadlineExceeded)
			f.note(f.zones["dead.example."], f.zones["dead.example."].servers[0], context.DeadlineExceeded)
			most = 1
		}
		ctx, cancel := context.WithCancel(t.Context())
		question := dns.Question{Name: "x.dead.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}
		var all sync.WaitGroup
		for range most {
			all.Go(func() { f.Forward(ctx, netip.MustParseAddr("10.9.0.7"), question, service.Wish{}) })
		}
		for range most {
			<-dialled
		}
		for range underWay { // none waits for the dead server: all are answered at once
			if m := f.Forward(ctx, netip.MustParseAddr("10.9.0.7"), question, service.Wish{}); m == nil || m.Rcode != dns.RcodeServerFailure {
				t.Errorf("%s: one more: %v", name, m)
			}
		}
		if asked, _, refused, _ := f.Counts(); asked != uint64(most) || refused != underWay {
			t.Errorf("%s: %d asked, %d refused", name, asked, refused)
		}
		if m := ask(f, "www.example.net.", dns.TypeA); m == nil || m.Rcode != dns.RcodeSuccess {
			t.Errorf("%s: another zone: %v", name, m)
		}
		cancel()
		all.Wait()
	}
}
