package forward

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"

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
		for i := range most {
			all.Go(func() {
				other := dns.Question{Name: fmt.Sprintf("n%d.dead.example.", i), Qtype: dns.TypeA, Qclass: dns.ClassINET}
				f.Forward(ctx, netip.MustParseAddr("10.9.0.7"), other, service.Wish{})
			})
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

// forwarderTo makes a forwarder in which a question to any server comes out of asked, and waits until it is
// answered there.
func forwarderTo(t *testing.T, asked chan<- net.Conn, zones ...string) *Forwarder {
	t.Helper()
	f := New(func(ctx context.Context, _, _ string) (net.Conn, error) {
		near, far := net.Pipe()
		select {
		case asked <- far:
			return near, nil
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}, nil)
	t.Cleanup(f.Close)
	f.Set(at("192.0.2.1:53", zones...))
	return f
}

func at(server string, zones ...string) (all []Zone) {
	for _, z := range zones {
		all = append(all, Zone{Name: z, Servers: []netip.AddrPort{netip.MustParseAddrPort(server)}})
	}
	return all
}

// reply answers the question that comes by conn, which a pipe carries as TCP does.
func reply(t *testing.T, conn net.Conn, records ...string) {
	t.Helper()
	defer conn.Close()
	c := &dns.Conn{Conn: conn}
	q, err := c.ReadMsg()
	if err == nil {
		err = c.WriteMsg(says(q, dns.RcodeSuccess, records...))
	}
	if err != nil {
		t.Error(err)
	}
}

// Else whoever has hosts ask the same again and again has as many ports and IDs to guess at
// (RFC 5452 section 5).
func TestEqualQuestionsUnderWayAreAskedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const hosts = 10
		asked := make(chan net.Conn)
		f := forwarderTo(t, asked, ".")
		answers := make(chan *dns.Msg, hosts)
		for i := range hosts {
			go func() {
				q := dns.Question{Name: []string{"a.example.", "A.example."}[i%2], Qtype: dns.TypeA, Qclass: dns.ClassINET}
				m := f.Forward(t.Context(), netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), q, service.Wish{})
				m.SetEdns0(udpSize, false) // each has one of its own
				for _, rr := range m.Answer {
					rr.Header().Ttl--
				}
				answers <- m
			}()
		}
		server := <-asked
		synctest.Wait()
		select {
		case <-asked:
			t.Fatal("asked twice")
		default:
		}
		reply(t, server, "a.example. 60 A 192.0.2.1")
		for range hosts {
			if m := <-answers; m.Rcode != dns.RcodeSuccess || len(m.Answer) != 1 || m.Answer[0].Header().Ttl != 59 || len(m.Extra) != 1 {
				t.Errorf("answered: %v", m)
			}
		}
		if asked, cached, _, _ := f.Counts(); asked != 1 || cached != 0 {
			t.Errorf("%d asked, %d of the cache", asked, cached)
		}
		other := make(chan *dns.Msg)
		go func() { other <- ask(f, "a.example.", dns.TypeAAAA) }()
		reply(t, <-asked, "a.example. 60 AAAA 2001:db8::1")
		if m := <-other; len(m.Answer) != 1 {
			t.Errorf("another question: %v", m)
		}
	})
}

func TestWhoWaitsForAnEqualQuestionLeavesWhenItsTimeIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan net.Conn)
		f := forwarderTo(t, asked, ".")
		first := make(chan *dns.Msg)
		go func() { first <- ask(f, "a.example.", dns.TypeA) }()
		server := <-asked
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan *dns.Msg)
		go func() {
			second <- f.Forward(ctx, netip.MustParseAddr("10.9.0.8"), dns.Question{Name: "a.example.", Qtype: dns.TypeA, Qclass: dns.ClassINET}, service.Wish{})
		}()
		synctest.Wait()
		cancel()
		if m := <-second; m.Rcode != dns.RcodeServerFailure {
			t.Errorf("who has gone: %v", m)
		}
		reply(t, server, "a.example. 60 A 192.0.2.1")
		if m := <-first; len(m.Answer) != 1 {
			t.Errorf("who stayed: %v", m)
		}
	})
}

func TestAnAnswerOfServersThatWereReplacedMeanwhileIsNotRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := make(chan net.Conn)
		f := forwarderTo(t, asked, ".")
		before, after := make(chan *dns.Msg, 1), make(chan *dns.Msg, 1)
		go func() { before <- ask(f, "a.example.", dns.TypeA) }()
		wrong := <-asked
		f.Set(at("192.0.2.2:53", "."))
		go func() { after <- ask(f, "a.example.", dns.TypeA) }()
		right := <-asked // though the same is under way at the other
		reply(t, wrong, "a.example. 3600 A 192.0.2.66")
		if m := <-before; len(m.Answer) != 1 {
			t.Errorf("answered: %v", m)
		}
		if n, _ := f.Cached(); n != 0 {
			t.Errorf("%d are remembered", n)
		}
		reply(t, right, "a.example. 3600 A 192.0.2.1")
		<-after
		if m := ask(f, "a.example.", dns.TypeA); len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != "192.0.2.1" {
			t.Errorf("remembered: %v", m)
		}
	})
}
