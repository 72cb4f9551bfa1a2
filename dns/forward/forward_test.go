package forward

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"

	service "landbridge/dns"
)

const patience = 60 * time.Second

// upstream is a DNS server on loopback, by UDP and TCP.
type upstream struct {
	addr   netip.AddrPort
	asked  atomic.Int64
	byTCP  atomic.Int64
	ports  sync.Map // of those who asked
	silent atomic.Bool
}

// newUpstream serves what answer makes of each question; nil is silence.
func newUpstream(t *testing.T, answer func(q *dns.Msg, tcp bool) *dns.Msg) *upstream {
	t.Helper()
	var conn net.PacketConn
	var listener net.Listener
	for range 20 { // one port for both
		var err error
		if conn, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		if listener, err = net.Listen("tcp", conn.LocalAddr().String()); err == nil {
			break
		}
		conn.Close()
	}
	u := &upstream{addr: netip.MustParseAddrPort(conn.LocalAddr().String())}
	handler := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		u.asked.Add(1)
		u.ports.Store(w.RemoteAddr().String(), true)
		_, tcp := w.RemoteAddr().(*net.TCPAddr)
		if tcp {
			u.byTCP.Add(1)
		}
		if m := answer(q, tcp); m != nil && !u.silent.Load() {
			_ = w.WriteMsg(m)
		}
	})
	for _, s := range []*dns.Server{{PacketConn: conn, Handler: handler}, {Listener: listener, Handler: handler}} {
		started := make(chan struct{})
		s.NotifyStartedFunc = func() { close(started) }
		go func() { _ = s.ActivateAndServe() }()
		<-started
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return u
}

// says makes a server's answer out of records as text.
func says(q *dns.Msg, rcode int, records ...string) *dns.Msg {
	m := new(dns.Msg).SetRcode(q, rcode)
	for _, text := range records {
		rr, err := dns.NewRR(text)
		if err != nil {
			panic(err)
		}
		if rr.Header().Rrtype == dns.TypeSOA {
			m.Ns = append(m.Ns, rr)
		} else {
			m.Answer = append(m.Answer, rr)
		}
	}
	return m
}

func newForwarder(t *testing.T, told func(Report), zones ...Zone) *Forwarder {
	t.Helper()
	f := New(nil, told)
	t.Cleanup(f.Close)
	f.Set(zones)
	return f
}

func zoneOf(name string, servers ...*upstream) Zone {
	z := Zone{Name: name}
	for _, u := range servers {
		z.Servers = append(z.Servers, u.addr)
	}
	return z
}

func ask(f *Forwarder, name string, qtype uint16) *dns.Msg {
	return f.Forward(context.Background(), netip.MustParseAddr("10.9.0.7"), dns.Question{Name: name, Qtype: qtype, Qclass: dns.ClassINET}, service.Wish{})
}

func TestANameIsAskedOfTheServersOfItsLongestZone(t *testing.T) {
	t.Parallel()
	server := func(text string) *upstream {
		return newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg {
			return says(q, dns.RcodeSuccess, q.Question[0].Name+" 60 TXT "+text)
		})
	}
	corp, lab, rest := server("corp"), server("lab"), server("rest")
	f := newForwarder(t, nil, zoneOf("corp.example.", corp), zoneOf("lab.corp.example.", lab))
	for name, want := range map[string]string{
		"a.corp.example.": "corp", "corp.example.": "corp", "A.LAB.Corp.Example.": "lab", "xcorp.example.": "", "example.": "", ".": "",
	} {
		m := ask(f, name, dns.TypeTXT)
		got := ""
		if m != nil {
			got = m.Answer[0].(*dns.TXT).Txt[0]
		}
		if got != want {
			t.Errorf("%s: asked of %q, want %q", name, got, want)
		}
	}
	f.Set([]Zone{zoneOf(".", rest), zoneOf("corp.example.", corp)})
	if m := ask(f, "www.example.net.", dns.TypeTXT); m == nil || m.Answer[0].(*dns.TXT).Txt[0] != "rest" {
		t.Errorf("what is nobody's: %v", m)
	}
	for name, want := range map[string]string{"a.corp.example.": "Names of corp.example are forwarded to " + corp.addr.String(), "b.": "All that isn't the group's own"} {
		if !strings.Contains(f.Says(name), want) {
			t.Errorf("%s: %s", name, f.Says(name))
		}
	}
	f.Set(nil)
	if m := ask(f, "a.corp.example.", dns.TypeTXT); m != nil || f.Says("a.corp.example.") != "" {
		t.Errorf("when nothing is forwarded any more: %v", m)
	}
}

func TestAnAnswerIsRememberedForAsLongAsItSays(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg {
		switch strings.ToLower(q.Question[0].Name) {
		case "a.example.":
			return says(q, dns.RcodeSuccess, "a.example. 60 A 192.0.2.1", "a.example. 90 A 192.0.2.2")
		case "gone.example.":
			return says(q, dns.RcodeNameError, "example. 600 SOA ns.example. h.example. 1 2 3 4 30")
		case "fails.example.":
			return says(q, dns.RcodeServerFailure)
		}
		return says(q, dns.RcodeSuccess, "zero.example. 0 A 192.0.2.1")
	})
	f := newForwarder(t, nil, zoneOf("example.", u))
	now := time.Now()
	f.now = func() time.Time { return now }
	counted := func(name string) int64 {
		before := u.asked.Load()
		if m := ask(f, name, dns.TypeA); m == nil {
			t.Fatalf("%s: not forwarded", name)
		}
		return u.asked.Load() - before
	}
	if counted("a.example.") != 1 || counted("A.example.") != 0 {
		t.Error("an answer isn't remembered, whatever its case")
	}
	now = now.Add(59 * time.Second)
	if m := ask(f, "a.example.", dns.TypeA); m.Answer[0].Header().Ttl != 1 || m.Answer[1].Header().Ttl != 31 {
		t.Errorf("what is left of it: %v", m)
	}
	now = now.Add(time.Second)
	if counted("a.example.") != 1 {
		t.Error("an answer is remembered beyond its time")
	}
	if counted("gone.example.") != 1 || counted("gone.example.") != 0 {
		t.Error("that there is no such name isn't remembered")
	}
	now = now.Add(30 * time.Second)
	if counted("gone.example.") != 1 {
		t.Error("that there is no such name is remembered for longer than the SOA says")
	}
	for _, name := range []string{"zero.example.", "fails.example."} {
		counted(name)
		if counted(name) == 0 {
			t.Errorf("%s is remembered", name)
		}
	}
	f.Set([]Zone{zoneOf("example.", u)})
	if counted("a.example.") != 1 {
		t.Error("what was asked of other servers is remembered")
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	var c cache
	now := time.Now()
	long := strings.Repeat("x", 250)
	for i := range 5000 {
		name := fmt.Sprintf("n%d.example.", i)
		q := new(dns.Msg).SetQuestion(name, dns.TypeTXT)
		c.put(key{name: name}, says(q, dns.RcodeSuccess, name+" 60 TXT "+long+" "+long), now)
		if n, bytes := c.size(); n > cacheEntries || bytes > cacheBytes {
			t.Fatalf("after %d answers: %d in %d bytes", i+1, n, bytes)
		}
	}
	if c.get(key{name: "n4999.example."}, now) == nil {
		t.Error("the newest isn't there")
	}
	sum := 0
	for _, e := range c.all {
		sum += len(e.packed)
	}
	if sum != c.bytes {
		t.Errorf("%d bytes are counted of %d", c.bytes, sum)
	}
}

func TestACutAnswerIsFetchedByTCP(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if !tcp {
			m := says(q, dns.RcodeSuccess)
			m.Truncated = true
			return m
		}
		m := says(q, dns.RcodeSuccess)
		for i := range 200 {
			m.Answer = append(m.Answer, &dns.A{Hdr: dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 60}, A: net.IPv4(192, 0, 2, byte(i))})
		}
		return m
	})
	f := newForwarder(t, nil, zoneOf("example.", u))
	if m := ask(f, "big.example.", dns.TypeA); m == nil || len(m.Answer) != 200 || u.byTCP.Load() != 1 {
		t.Errorf("%v", m)
	}
}

// What isn't the answer to the question asked is left unread, and the answer still taken.
func TestOnlyTheAnswerToTheQuestionIsTaken(t *testing.T) {
	t.Parallel()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	stranger, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	go func() {
		buf := make([]byte, 2048)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			q := new(dns.Msg)
			if q.Unpack(buf[:n]) != nil {
				continue
			}
			send := func(c net.PacketConn, change func(*dns.Msg)) {
				m := says(q, dns.RcodeSuccess, q.Question[0].Name+" 60 A 192.0.2.66")
				change(m)
				if b, err := m.Pack(); err == nil {
					_, _ = c.WriteTo(b, from)
				}
			}
			send(stranger, func(*dns.Msg) {})
			send(conn, func(m *dns.Msg) { m.Id++ })
			send(conn, func(m *dns.Msg) { m.Question[0].Name = "other.example." })
			send(conn, func(m *dns.Msg) { m.Question[0].Qtype = dns.TypeMX })
			send(conn, func(m *dns.Msg) { m.Response = false })
			send(conn, func(m *dns.Msg) { m.Question = nil })
			_, _ = conn.WriteTo([]byte("rubbish"), from)
			send(conn, func(m *dns.Msg) { m.Answer[0].(*dns.A).A = net.IPv4(192, 0, 2, 1) })
		}
	}()
	f := newForwarder(t, nil, Zone{Name: ".", Servers: []netip.AddrPort{netip.MustParseAddrPort(conn.LocalAddr().String())}})
	if m := ask(f, "a.example.", dns.TypeA); m == nil || len(m.Answer) != 1 || m.Answer[0].(*dns.A).A.String() != "192.0.2.1" {
		t.Errorf("taken: %v", m)
	}
}

func TestEachQuestionComesFromAPortOfItsOwn(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg { return says(q, dns.RcodeSuccess) })
	f := newForwarder(t, nil, zoneOf(".", u))
	for i := range 30 {
		ask(f, fmt.Sprintf("n%d.", i), dns.TypeA)
	}
	ports := 0
	u.ports.Range(func(any, any) bool { ports++; return true })
	if ports < 25 {
		t.Errorf("30 questions came from %d ports", ports)
	}
}

func TestAServerThatIsSilentIsPassedOverAndToldWhenNoneIsLeft(t *testing.T) {
	t.Parallel()
	answer := func(q *dns.Msg, _ bool) *dns.Msg {
		return says(q, dns.RcodeSuccess, q.Question[0].Name+" 0 A 192.0.2.1")
	}
	a, b := newUpstream(t, answer), newUpstream(t, answer)
	told := make(chan Report, 10)
	f := newForwarder(t, func(r Report) { told <- r }, zoneOf("example.", a, b))
	a.silent.Store(true)
	for i := range 4 {
		if m := ask(f, fmt.Sprintf("n%d.example.", i), dns.TypeA); m == nil || m.Rcode != dns.RcodeSuccess {
			t.Fatalf("question %d: %v", i, m)
		}
	}
	if n := a.asked.Load(); n != 1 { // then the other one is asked first
		t.Errorf("the silent one was asked %d times", n)
	}
	b.silent.Store(true)
	for range 4 {
		if m := ask(f, "x.example.", dns.TypeA); m == nil || m.Rcode != dns.RcodeServerFailure {
			t.Fatalf("with all silent: %v", m)
		}
	}
	select {
	case r := <-told:
		if !r.Failing || len(r.States) != 2 || !r.States[0].Failing || r.States[0].Why == "" {
			t.Errorf("told: %+v", r)
		}
	case <-time.After(patience):
		t.Fatal("nobody was told")
	}
	b.silent.Store(false)
	f.probeAll() // as the clock does
	select {
	case r := <-told:
		if r.Failing || r.States[1].Failing {
			t.Errorf("told: %+v", r)
		}
	case <-time.After(patience):
		t.Fatal("nobody was told that it is back")
	}
}

func TestWhatAServerRefusesAnotherIsAsked(t *testing.T) {
	t.Parallel()
	refuses := newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg { return says(q, dns.RcodeRefused) })
	knows := newUpstream(t, func(q *dns.Msg, _ bool) *dns.Msg { return says(q, dns.RcodeNameError) })
	f := newForwarder(t, nil, zoneOf("example.", refuses, knows))
	if m := ask(f, "a.example.", dns.TypeA); m == nil || m.Rcode != dns.RcodeNameError {
		t.Errorf("%v", m)
	}
	f.Set([]Zone{zoneOf("example.", refuses)})
	if m := ask(f, "a.example.", dns.TypeA); m == nil || m.Rcode != dns.RcodeRefused {
		t.Errorf("by the only one: %v", m)
	}
}

func TestAServerWithoutEDNSIsAskedWithoutIt(t *testing.T) {
	t.Parallel()
	u := newUpstream(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if q.IsEdns0() != nil {
			return new(dns.Msg).SetRcode(q, dns.RcodeFormatError)
		}
		m := says(q, dns.RcodeSuccess, q.Question[0].Name+" 60 A 192.0.2.1")
		m.Truncated = q.Question[0].Name == "big." && !tcp
		return m
	})
	f := newForwarder(t, nil, zoneOf(".", u))
	for _, name := range []string{"a.", "big."} {
		if m := ask(f, name, dns.TypeA); m == nil || len(m.Answer) != 1 || m.Truncated {
			t.Errorf("%s: %v", name, m)
		}
	}
}

func TestAServerThatKnowsAnotherEDNSIsAskedWithoutItAndThenAnother(t *testing.T) {
	t.Parallel()
	bad := func(q *dns.Msg, _ bool) *dns.Msg {
		m := new(dns.Msg).SetRcode(q, dns.RcodeBadVers)
		m.SetEdns0(udpSize, false)
		return m
	}
	newer := newUpstream(t, func(q *dns.Msg, tcp bool) *dns.Msg {
		if q.IsEdns0() != nil {
			return bad(q, tcp)
		}
		return says(q, dns.RcodeSuccess, q.Question[0].Name+" 60 A 192.0.2.1")
	})
	stubborn := newUpstream(t, bad)
	f := newForwarder(t, nil, zoneOf("a.example.", newer), zoneOf("b.example.", stubborn), zoneOf("c.example.", stubborn, newer))
	for name, want := range map[string]int{"a.example.": dns.RcodeSuccess, "b.example.": dns.RcodeBadVers, "c.example.": dns.RcodeSuccess} {
		if m := ask(f, name, dns.TypeA); m == nil || m.Rcode != want || len(m.Answer) == 0 && want == dns.RcodeSuccess {
			t.Errorf("%s: %v", name, m)
		}
	}
}

func TestHostsThatAskTooMuchAreRefusedAndOthersGoOn(t *testing.T) {
	var l limiter
	now := time.Now()
	a, b := netip.MustParseAddr("10.9.0.7"), netip.MustParseAddr("10.9.0.8")
	allowed := 0
	for range 1000 {
		if l.allow(a, now) {
			allowed++
		}
	}
	if allowed != hostBurst || !l.allow(b, now) {
		t.Errorf("%d at once, and then another host", allowed)
	}
	now = now.Add(time.Second)
	for allowed = 0; l.allow(a, now); {
		allowed++
	}
	if allowed != hostRate {
		t.Errorf("%d a second later", allowed)
	}
	for i := range 5000 {
		l.allow(netip.AddrFrom4([4]byte{10, 9, byte(i >> 8), byte(i)}), now)
		if len(l.hosts) > hostsKnown {
			t.Fatal("hosts are remembered without bound")
		}
	}
}

func TestQuestionsUnderWayAreBounded(t *testing.T) {
	t.Parallel()
	dialled := make(chan struct{}, 1000)
	f := New(func(ctx context.Context, _, _ string) (net.Conn, error) {
		dialled <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	}, nil)
	t.Cleanup(f.Close)
	server := []netip.AddrPort{netip.MustParseAddrPort("192.0.2.1:53")}
	f.Set([]Zone{{Name: ".", Servers: server}, {Name: "a.", Servers: server}, {Name: "b.", Servers: server}, {Name: "c.", Servers: server}})
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for i := range underWay {
		all.Go(func() {
			f.Forward(ctx, netip.AddrFrom4([4]byte{10, 9, 0, byte(i)}), dns.Question{Name: fmt.Sprintf("n%d.%s", i, []string{"a.", "b.", "c."}[i%3]), Qtype: dns.TypeA, Qclass: dns.ClassINET}, service.Wish{})
		})
	}
	for range underWay {
		<-dialled
	}
	if m := ask(f, "d.", dns.TypeA); m == nil || m.Rcode != dns.RcodeServerFailure {
		t.Errorf("one more: %v", m)
	}
	cancel()
	all.Wait()
}

func TestAZoneIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]string{
		"corp.example=10.0.0.53":                          "corp.example=10.0.0.53",
		"Corp.Example.=10.0.0.53, 10.0.0.54:5353":         "corp.example=10.0.0.53,10.0.0.54:5353",
		".=2001:db8::53,[2001:db8::54]:5353,2001:db8::53": ".=2001:db8::53,[2001:db8::54]:5353",
		"_tcp.corp=::ffff:10.0.0.53":                      "_tcp.corp=10.0.0.53",
	} {
		z, err := Parse(text)
		if err != nil || z.String() != want {
			t.Errorf("%q: %v, %v; want %s", text, z, err, want)
		}
	}
	for text, field := range map[string]string{
		"corp.example": "", "=10.0.0.53": "zone", "a..b=10.0.0.53": "zone", "a b=10.0.0.53": "zone", strings.Repeat("a", 64) + "=10.0.0.53": "zone",
		"corp=": "servers", "corp=x": "servers", "corp=0.0.0.0": "servers", "corp=224.0.0.1": "servers", "corp=255.255.255.255": "servers",
		"corp=10.0.0.53:0": "servers", "corp=1.1.1.1,1.1.1.2,1.1.1.3,1.1.1.4,1.1.1.5": "servers",
	} {
		_, err := Parse(text)
		wrong := new(FieldError)
		if err == nil || errors.As(err, &wrong) != (field != "") || wrong.Field != field {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("corp.example=10.0.0.53,10.0.0.54:5353")
	f.Add(".=2001:db8::53")
	f.Fuzz(func(t *testing.T, text string) {
		z, err := Parse(text)
		if err != nil {
			return
		}
		again, err := Parse(z.String())
		if err != nil || again.String() != z.String() {
			t.Fatalf("%q: %v, %v", text, again, err)
		}
	})
}
