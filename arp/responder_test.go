package arp

import (
	"bytes"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/frame"
)

var (
	prefix  = netip.MustParsePrefix("10.9.0.0/16")
	service = netip.MustParseAddr("10.9.0.1")
	gateway = frame.MAC{0x02, 1, 2, 3, 4, 5}
	hostMAC = frame.MAC{0x52, 0x54, 0, 0, 0, 1}
	here    = netip.MustParseAddr("10.9.1.1")
	away    = netip.MustParseAddr("10.9.2.2")
	free    = netip.MustParseAddr("10.9.3.3")
	strange = netip.MustParseAddr("10.9.4.4") // not in the directory
	zero    = netip.IPv4Unspecified()
	start   = time.Unix(1_700_000_000, 0)
)

type table map[netip.Addr]Result

func (t table) Lookup(a netip.Addr) Result { return t[a] }

// Whoever sweeps with made-up MACs leaves something to hosts with leases.
func TestASweepOfManyMACsLeavesLookupsToHostsWithLeases(t *testing.T) {
	r := NewResponder(Config{
		Prefix: prefix, ServiceAddr: service, GatewayMAC: gateway, Directory: table{},
		Leased: func(mac frame.MAC, sender netip.Addr) bool { return mac == hostMAC && sender == here },
	})
	now, reason := start, ReasonUnknown
	for i := range 3 * 4096 {
		mac := frame.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}
		target := netip.AddrFrom4([4]byte{10, 9, 100 + byte(i>>8), byte(i)})
		reason = r.Answer(packet(frame.ARPRequest, mac, zero, target), now).Reason
		r.Resolved(target, Absent, nil)
		now = now.Add(500 * time.Microsecond)
	}
	if reason != ReasonLimited {
		t.Fatalf("a sweep of %d addresses ends with %v", 3*4096, reason)
	}
	if d := r.Answer(packet(frame.ARPRequest, hostMAC, away, free), now); d.Reason != ReasonLimited {
		t.Errorf("who only uses a leased host's MAC: %v", d.Reason)
	}
	for i := range 200 {
		target := netip.AddrFrom4([4]byte{10, 9, 90, byte(i)})
		if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, target), now); d.Action != Resolve {
			t.Fatalf("lookup %d of a host with a lease: %v", i, d.Reason)
		}
		now = now.Add(time.Millisecond)
	}
}

func newTestResponder(l Limits) *Responder {
	return NewResponder(Config{
		Prefix: prefix, ServiceAddr: service, GatewayMAC: gateway, Limits: l,
		Directory: table{here: Local, away: Remote, free: Absent},
	})
}

func packet(op uint16, mac frame.MAC, sender, target netip.Addr) frame.ARP {
	b := frame.AppendARP(nil, frame.Broadcast(), mac, frame.ARPFields{Op: op, SenderMAC: mac, SenderIP: sender, TargetIP: target})
	return frame.ARP(b[frame.EthernetHeaderLen:])
}

func TestAnswer(t *testing.T) {
	const req, rep = frame.ARPRequest, frame.ARPReply
	addr := netip.MustParseAddr
	for _, c := range []struct {
		name     string
		packet   frame.ARP
		action   Action
		reason   Reason
		observed bool
	}{
		{"a remote host", packet(req, hostMAC, here, away), Reply, ReasonRemote, true},
		{"the service address", packet(req, hostMAC, here, service), Reply, ReasonService, true},
		{"a local host", packet(req, hostMAC, away, here), Silent, ReasonLocal, true},
		{"a free address", packet(req, hostMAC, here, free), Silent, ReasonAbsent, true},
		{"an unknown address", packet(req, hostMAC, here, strange), Resolve, ReasonUnknown, true},
		{"probe of a free address", packet(req, hostMAC, zero, free), Silent, ReasonAbsent, false},
		{"probe of a local host's address", packet(req, hostMAC, zero, here), Silent, ReasonLocal, false},
		{"probe of a remote host's address: defended", packet(req, hostMAC, zero, away), Reply, ReasonRemote, false},
		{"probe of the service address: defended", packet(req, hostMAC, zero, service), Reply, ReasonService, false},
		{"outside the prefix", packet(req, hostMAC, here, addr("10.10.0.1")), Silent, ReasonForeign, true},
		{"the network's address", packet(req, hostMAC, here, addr("10.9.0.0")), Silent, ReasonForeign, true},
		{"the broadcast address", packet(req, hostMAC, here, addr("10.9.255.255")), Silent, ReasonForeign, true},
		{"from a stranger", packet(req, hostMAC, addr("192.168.1.7"), away), Silent, ReasonForeign, false},
		{"from the service address", packet(req, hostMAC, service, away), Silent, ReasonForeign, false},
		{"announcement", packet(req, hostMAC, here, here), Silent, ReasonAnnouncement, true},
		{"announcement as a reply", packet(rep, hostMAC, here, here), Silent, ReasonAnnouncement, true},
		{"announcement of the service address", packet(req, hostMAC, service, service), Silent, ReasonAnnouncement, false},
		{"reply to somebody", packet(rep, hostMAC, here, away), Silent, ReasonNoRequest, true},
		{"RARP", packet(3, hostMAC, here, away), Silent, ReasonNoRequest, true},
		{"from a group MAC", packet(req, frame.Broadcast(), here, away), Silent, ReasonSender, false},
		{"from MAC zero", packet(req, frame.MAC{}, here, away), Silent, ReasonSender, false},
		{"our own, come back", packet(req, gateway, here, away), Silent, ReasonSender, false},
	} {
		d := newTestResponder(Limits{}).Answer(c.packet, start)
		if d.Action != c.action || d.Reason != c.reason || d.Observed != c.observed {
			t.Errorf("%s: %+v", c.name, d)
		}
		if d.Action != Silent && d.Target != c.packet.TargetIP() {
			t.Errorf("%s: target %v", c.name, d.Target)
		}
	}
}

func TestWhatAnotherRouterOfTheSegmentAnswersIsLeftToIt(t *testing.T) {
	cfg := Config{Prefix: prefix, ServiceAddr: service, GatewayMAC: gateway, Directory: table{here: Local, away: Remote, free: Absent}}
	cfg.Ours = func(mac frame.MAC, sender, target netip.Addr) bool {
		if mac != hostMAC || sender != here && sender != zero {
			t.Errorf("asked about %v, %v", mac, sender)
		}
		return false
	}
	for _, sender := range []netip.Addr{here, zero} {
		for target, want := range map[netip.Addr]Reason{away: ReasonShared, service: ReasonShared, strange: ReasonShared, here: ReasonLocal, free: ReasonAbsent} {
			if sender == target {
				continue // an announcement
			}
			d := NewResponder(cfg).Answer(packet(frame.ARPRequest, hostMAC, sender, target), start)
			if d.Action != Silent || d.Reason != want {
				t.Errorf("%v asks for %v: %+v, want %v", sender, target, d, want)
			}
		}
	}
}

func TestReplyBytes(t *testing.T) {
	got := newTestResponder(Limits{}).AppendReply(nil, packet(frame.ARPRequest, hostMAC, here, away))
	want := []byte{
		0x52, 0x54, 0, 0, 0, 1, 0x02, 1, 2, 3, 4, 5, 0x08, 0x06,
		0, 1, 8, 0, 6, 4, 0, 2,
		0x02, 1, 2, 3, 4, 5, 10, 9, 2, 2,
		0x52, 0x54, 0, 0, 0, 1, 10, 9, 1, 1,
	}
	if !bytes.Equal(got, want) {
		t.Fatalf("%x, want\n%x", got, want)
	}
}

func TestAnnounceBytes(t *testing.T) {
	e, err := frame.ParseEthernet(Announce(away, gateway))
	if err != nil {
		t.Fatal(err)
	}
	a, err := frame.ParseARP(e.Payload())
	if err != nil || e.Dst() != frame.Broadcast() || e.Src() != gateway || e.EtherType() != frame.EtherTypeARP ||
		!a.IsAnnouncement() || a.SenderMAC() != gateway || a.SenderIP() != away {
		t.Fatalf("%x: %v", []byte(e), err)
	}
}

// replies resolves addr and returns the target MACs and addresses that were answered.
func replies(t *testing.T, r *Responder, addr netip.Addr, found Result) []requester {
	t.Helper()
	var out []requester
	r.Resolved(addr, found, func(b []byte) {
		a, err := frame.ParseARP(frame.Ethernet(b).Payload())
		if err != nil || a.Op() != frame.ARPReply || a.SenderMAC() != gateway || a.SenderIP() != addr || frame.Ethernet(b).Dst() != a.TargetMAC() {
			t.Fatalf("reply %x: %v", b, err)
		}
		out = append(out, requester{a.TargetMAC(), a.TargetIP()})
	})
	return out
}

func TestAResolvedTargetIsAnsweredOnceToEachWhoWaits(t *testing.T) {
	r := newTestResponder(Limits{})
	other := frame.MAC{0x52, 0x54, 0, 0, 0, 2}
	if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start); d.Action != Resolve {
		t.Fatalf("%+v", d)
	}
	for _, mac := range []frame.MAC{hostMAC, other, other} {
		if d := r.Answer(packet(frame.ARPRequest, mac, here, strange), start.Add(time.Second)); d.Action != Silent || d.Reason != ReasonWaiting {
			t.Fatalf("%v: %+v", mac, d)
		}
	}
	got := replies(t, r, strange, Remote)
	if len(got) != 2 || got[0] != (requester{hostMAC, here}) || got[1] != (requester{other, here}) {
		t.Fatalf("answered %v", got)
	}
	if got := replies(t, r, strange, Remote); got != nil {
		t.Fatalf("answered again: %v", got)
	}
}

func TestATargetThatIsNotRemoteStaysUnanswered(t *testing.T) {
	for _, found := range []Result{Unknown, Absent, Local} {
		r := newTestResponder(Limits{})
		r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start)
		if got := replies(t, r, strange, found); got != nil {
			t.Errorf("found %d: answered %v", found, got)
		}
		if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start); d.Action != Resolve {
			t.Errorf("found %d: the next request got %+v", found, d)
		}
	}
}

func TestALostLookupIsStartedAgain(t *testing.T) {
	r := newTestResponder(Limits{Expiry: time.Second})
	r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start)
	if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start.Add(999*time.Millisecond)); d.Reason != ReasonWaiting {
		t.Fatalf("before expiry: %+v", d)
	}
	if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), start.Add(time.Second)); d.Action != Resolve {
		t.Fatalf("after expiry: %+v", d)
	}
}

// nth returns the nth unknown address of the prefix.
func nth(n int) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, byte(100 + n>>8), byte(n)}) }

// sweep asks for n addresses and counts the lookups started.
func sweep(r *Responder, mac frame.MAC, n int, now time.Time, done bool) (started int) {
	for i := range n {
		if d := r.Answer(packet(frame.ARPRequest, mac, here, nth(i)), now); d.Action == Resolve {
			started++
			if done {
				r.Resolved(d.Target, Absent, func([]byte) {})
			}
		}
	}
	return started
}

func TestASweepStartsItsBurstThenItsRate(t *testing.T) {
	r := newTestResponder(Limits{Burst: 100, Rate: 10})
	if n := sweep(r, hostMAC, 5000, start, true); n != 100 {
		t.Fatalf("burst: %d lookups", n)
	}
	if n := sweep(r, hostMAC, 5000, start.Add(time.Second), true); n != 10 {
		t.Fatalf("a second later: %d lookups", n)
	}
	if n := sweep(r, hostMAC, 5000, start.Add(-time.Hour), true); n != 0 {
		t.Fatalf("clock stepped back: %d lookups", n)
	}
	if n := sweep(r, frame.MAC{2, 0, 0, 0, 0, 9}, 5000, start.Add(time.Second), true); n != 100 {
		t.Fatalf("another host: %d lookups", n)
	}
}

func TestTargetsAreBounded(t *testing.T) {
	r := newTestResponder(Limits{Targets: 50, Burst: 1000})
	if n := sweep(r, hostMAC, 5000, start, false); n != open(50, false) {
		t.Fatalf("%d lookups at a time", n)
	}
	if n := sweep(r, hostMAC, 5000, start.Add(time.Minute), false); n != open(50, false) {
		t.Fatalf("after they expired: %d lookups", n)
	}
	if len(r.pending.targets) != open(50, false) {
		t.Fatalf("%d targets kept", len(r.pending.targets))
	}
}

func TestMadeUpSendersAreBounded(t *testing.T) {
	r := newTestResponder(Limits{Hosts: 20, Targets: 100_000, Burst: 2, Rate: 1})
	started := 0
	for i := range 1000 {
		started += sweep(r, frame.MAC{2, 0, 0, 0, byte(i >> 8), byte(i)}, 1, start, true)
	}
	if want := open(20, false); started != want || len(r.pending.budgets) != want {
		t.Fatalf("%d lookups, %d budgets", started, len(r.pending.budgets))
	}
	if n := sweep(r, hostMAC, 1, start.Add(time.Minute), true); n != 1 {
		t.Fatal("hosts that asked long ago are not forgotten")
	}
}

func TestWaitersAreBounded(t *testing.T) {
	r := newTestResponder(Limits{Waiters: 3})
	for i := range 100 {
		r.Answer(packet(frame.ARPRequest, frame.MAC{2, 0, 0, 0, 0, byte(i)}, here, strange), start)
	}
	if got := replies(t, r, strange, Remote); len(got) != 3 {
		t.Fatalf("%d answered", len(got))
	}
}

func TestAnswerAllocatesNothing(t *testing.T) {
	r := newTestResponder(Limits{})
	remote, local := packet(frame.ARPRequest, hostMAC, here, away), packet(frame.ARPRequest, hostMAC, here, here)
	probe := packet(frame.ARPRequest, hostMAC, zero, free)
	p := NewProber(gateway, func([]byte) error { return nil })
	out := make([]byte, 0, 64)
	if n := testing.AllocsPerRun(200, func() {
		for _, req := range []frame.ARP{remote, local, probe} {
			p.Observe(req)
			if d := r.Answer(req, start); d.Action == Reply {
				out = r.AppendReply(out[:0], req)
			}
		}
	}); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

func BenchmarkAnswer(b *testing.B) {
	r := newTestResponder(Limits{})
	req, out := packet(frame.ARPRequest, hostMAC, here, away), make([]byte, 0, 64)
	b.ReportAllocs()
	for b.Loop() {
		if d := r.Answer(req, start); d.Action == Reply {
			out = r.AppendReply(out[:0], req)
		}
	}
}

// FuzzAnswer holds the responder to its table: a reply only for the service address
// or a remote one, only to a station, and always a sound frame.
func FuzzAnswer(f *testing.F) {
	for _, p := range []frame.ARP{
		packet(frame.ARPRequest, hostMAC, here, away), packet(frame.ARPRequest, hostMAC, zero, strange),
		packet(frame.ARPReply, hostMAC, here, here), packet(frame.ARPRequest, gateway, here, service),
	} {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, err := frame.ParseARP(b)
		if err != nil {
			return
		}
		r := newTestResponder(Limits{})
		NewProber(gateway, nil).Observe(req)
		d := r.Answer(req, start)
		if d.Observed && !prefix.Contains(req.SenderIP()) {
			t.Fatalf("observed %v", req.SenderIP())
		}
		switch d.Action {
		case Reply:
			target := req.TargetIP()
			if (target != service && target != away) || !req.SenderMAC().IsUnicast() || req.Op() != frame.ARPRequest {
				t.Fatalf("replied to %x", b)
			}
			if a, err := frame.ParseARP(r.AppendReply(nil, req)[frame.EthernetHeaderLen:]); err != nil || a.SenderMAC() != gateway || a.SenderIP() != target {
				t.Fatalf("reply to %x: %x", b, []byte(a))
			}
		case Resolve:
			replies(t, r, d.Target, Remote)
		}
	})
}

// What a sweep costs the other members: a /16 at 10,000 requests a second, twice within 10 s.
func TestASweepHasNoAddressLookedUpTwiceWithinTenSeconds(t *testing.T) {
	for name, macs := range map[string]int{"of one host": 1, "of many MACs": 5000} {
		t.Run(name, func(t *testing.T) {
			r := newTestResponder(Limits{})
			looked, now := make(map[netip.Addr]time.Time), start
			lookups := 0
			for n := range 4 * 1 << 16 {
				now = now.Add(100 * time.Microsecond)
				target := netip.AddrFrom4([4]byte{10, 9, byte(n >> 8), byte(n)})
				mac := frame.MAC{0x52, 0x54, 1, 0, byte(n % macs >> 8), byte(n % macs)}
				if r.Answer(packet(frame.ARPRequest, mac, here, target), now).Action != Resolve {
					continue
				}
				lookups++
				if at, again := looked[target]; again && now.Sub(at) < 10*time.Second {
					t.Fatalf("%v was looked up twice within %v", target, now.Sub(at))
				}
				looked[target] = now
				r.Resolved(target, Absent, nil)
			}
			t.Logf("%d lookups of %d addresses in %v", lookups, len(looked), now.Sub(start))
			if most := 3 * 4096; lookups < 256 || lookups > most {
				t.Errorf("%d lookups, want at most %d", lookups, most)
			}
		})
	}
}

// A host that waits for another to come up asks again each second, and isn't kept waiting.
func TestAHostThatAsksForFewAddressesMayAskAgain(t *testing.T) {
	r := newTestResponder(Limits{})
	for second := range 20 {
		now := start.Add(time.Duration(second) * time.Second)
		if d := r.Answer(packet(frame.ARPRequest, hostMAC, here, strange), now); d.Action != Resolve {
			t.Fatalf("after %d s: %v", second, d.Reason)
		}
		r.Resolved(strange, Absent, nil)
	}
}
