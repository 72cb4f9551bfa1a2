package doctor

import (
	"bytes"
	"context"
	"errors"

	"net/netip"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/tunnel"
	"landbridge/internal/ula"
)

var (
	here, there, far = group.MemberID{1}, group.MemberID{2}, group.MemberID{3}
	errAway          = errors.New("no road")
)

func at(last byte) netip.Addr { return netip.AddrFrom4([4]byte{10, 9, 0, last}) }

// fake is all that a Group asks, of a group with a member for each of here (which is "a"), there
// and far. The host at .10 is here, that at .20 at b, that at .30 at c.
type fake struct {
	hasLAN  bool
	near    group.MemberID
	absent  map[netip.Addr]bool // hosts that don't answer ARP
	err     error               // of what the network is asked
	path    api.PathKind
	pingErr error
	asked   []netip.Addr // of the LAN
	reply   []byte       // to what a member is asked; nil: what the Group itself says
	group   *Group
	held    chan struct{} // Present waits for it
}

func (f *fake) Descriptor() *group.Descriptor {
	return &group.Descriptor{Version: 1, Params: group.Params{Name: "office", Prefix: netip.MustParsePrefix("10.9.0.0/24"), Zone: "lan."}, Members: []group.Entry{
		{ID: here, Name: "a", Added: 1}, {ID: there, Name: "b", Added: 1}, {ID: far, Name: "c", Added: 1},
	}}
}

func (f *fake) Self() group.MemberID { return here }

func (f *fake) place(addr netip.Addr) (registry.Location, bool) {
	switch addr {
	case at(10):
		return registry.Location{Member: here, Local: true}, true
	case at(20):
		return registry.Location{Member: there}, true
	case at(30):
		return registry.Location{Member: far}, true
	}
	return registry.Location{}, false
}

func (f *fake) Lookup(addr netip.Addr) (registry.Location, registry.Status) {
	if l, ok := f.place(addr); ok && addr != at(30) {
		return l, registry.Known
	}
	return registry.Location{}, registry.Unknown
}

func (f *fake) Resolve(_ context.Context, addr netip.Addr) (registry.Location, error) {
	if f.err != nil {
		return registry.Location{}, f.err
	}
	if l, ok := f.place(addr); ok {
		return l, nil
	}
	return registry.Location{}, registry.ErrAbsent
}

func (f *fake) LookupName(_ context.Context, name string) (netip.Addr, error) {
	switch {
	case f.err != nil:
		return netip.Addr{}, f.err
	case name == "printer":
		return at(20), nil
	}
	return netip.Addr{}, registry.ErrAbsent
}

func (f *fake) ReverseName(context.Context, netip.Addr) (string, error) {
	return "", registry.ErrAbsent
}

func (f *fake) HasIPv6(_ context.Context, addr netip.Addr) bool { return addr == at(20) }

func (f *fake) Peer(m group.MemberID) api.Peer {
	e, _ := f.Descriptor().Entry(m)
	p := api.Peer{Name: e.Name, Path: f.path, Session: api.SessionStateEstablished, Connected: true}
	if f.path == api.PathKindRelay {
		p.Via, p.ViaName, p.Why = far.String(), "c", "a symmetric NAT"
	}
	return p
}

func (f *fake) Near(m group.MemberID) bool              { return m == f.near }
func (f *fake) Serving(m group.MemberID) group.MemberID { return m }
func (f *fake) HasLAN() bool                            { return f.hasLAN }
func (f *fake) IsOwn(addr netip.Addr) bool              { return addr == at(5) }
func (f *fake) Ping(context.Context, group.MemberID) (api.PingPacket, error) {
	return api.PingPacket{RttMicroseconds: 1000, Path: f.path}, f.pingErr
}

func (f *fake) Ask(ctx context.Context, _ group.MemberID, req []byte) ([]byte, error) {
	if f.reply != nil {
		return f.reply, nil
	}
	return f.group.Serve(ctx, req)
}

func (f *fake) Present(ctx context.Context, addr netip.Addr) (bool, error) {
	f.asked = append(f.asked, addr)
	if f.held != nil {
		select {
		case <-f.held:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	return !f.absent[addr], nil
}

func look(f *fake) *Group {
	f.group = NewGroup(Config{Name: "a", Port: 4860, NAT: func() NAT { return NATCone }, Membership: f, Directory: f, Members: f, Segment: f})
	return f.group
}

func TestAPathTellsOfIPv6WhereTheGroupHasIt(t *testing.T) {
	six, err := ula.Parse(netip.MustParsePrefix("fd12:3456:789a::/64"))
	if err != nil {
		t.Fatal(err)
	}
	for target, want := range map[string]string{
		"printer":                "By IPv6 the host is fd12:3456:789a::a09:14",
		"fd12:3456:789a::a09:14": "By IPv6 the host is fd12:3456:789a::a09:14",
		"10.9.0.10":              "hasn't taken its IPv6 address (fd12:3456:789a::a09:a)",
	} {
		g := look(&fake{})
		if r, err := g.Path(t.Context(), "printer"); err != nil || strings.Contains(strings.Join(r.Steps, " "), "IPv6") {
			t.Errorf("without a prefix: %q, %v", r.Steps, err)
		}
		g.IPv6 = func() ula.Net { return six }
		if r, err := g.Path(t.Context(), target); err != nil || !r.Address.Is4() || !strings.Contains(strings.Join(r.Steps, " "), want) {
			t.Errorf("%s: %v, %q, %v; want %q", target, r.Address, r.Steps, err, want)
		}
	}
}

func TestAPathIsToldByWhereTheTargetIs(t *testing.T) {
	for _, c := range []struct {
		target  string
		f       fake
		verdict api.PathVerdict
		hops    string
		step    string // that is among them
	}{
		{"192.0.2.1", fake{}, api.PathVerdictOutside, "a", "no address of the group office"},
		{"10.9.0.1", fake{}, api.PathVerdictService, "a", "service address"},
		{"10.9.0.5", fake{}, api.PathVerdictSelf, "a", "own address"},
		{"a", fake{}, api.PathVerdictSelf, "a", "appliance itself"},
		{"10.9.0.10", fake{}, api.PathVerdictSegment, "a 10.9.0.10", "known from memory"},
		{"10.9.0.20", fake{near: there}, api.PathVerdictNative, "a 10.9.0.20", "proven to be on this LAN"},
		{"10.9.0.20", fake{path: api.PathKindDirect}, api.PathVerdictTunnel, "a b 10.9.0.20", "straight to b"},
		{"printer.lan", fake{path: api.PathKindDirect}, api.PathVerdictTunnel, "a b printer", "b hands the packet"},
		{"10.9.0.30", fake{path: api.PathKindDirect}, api.PathVerdictTunnel, "a c 10.9.0.30", "isn't in memory"},
		{"B", fake{path: api.PathKindRelay}, api.PathVerdictTunnel, "a c b", "can't read it"},
		{"10.9.0.99", fake{}, api.PathVerdictAbsent, "a", "Nobody has 10.9.0.99"},
		{"10.9.0.99", fake{err: errAway}, api.PathVerdictUnknown, "a", "can't be found out: no road"},
	} {
		r, err := look(&c.f).Path(t.Context(), c.target)
		var hops []string
		for _, h := range r.Hops {
			hops = append(hops, h.Name)
		}
		if err != nil || r.Verdict != c.verdict || strings.Join(hops, " ") != c.hops || !strings.Contains(strings.Join(r.Steps, " "), c.step) {
			t.Errorf("%s: %s by %q, %q, %v; want %s by %q, with %q", c.target, r.Verdict, hops, r.Steps, err, c.verdict, c.hops, c.step)
		}
		ill := r.Verdict == api.PathVerdictAbsent || r.Verdict == api.PathVerdictUnknown || c.f.path == api.PathKindRelay
		if (r.Help != "") != ill {
			t.Errorf("%s: %s, with the help %q", c.target, r.Verdict, r.Help)
		}
	}
}

func TestWhatCannotBeMeantIsRefused(t *testing.T) {
	for _, c := range []struct {
		target string
		err    error
		kind   Kind
		text   string
	}{
		{"nobody", nil, NotFound, "landbridge peers lists the members"},
		{"nobody", errAway, Unavailable, "no road"},
		{"192.0.2.1", nil, Invalid, "whose prefix is 10.9.0.0/24"},
		{"10.9.0.99", nil, NotFound, "nobody has the address"},
		{"10.9.0.99", errAway, Unavailable, "no road"},
	} {
		var refused *Error
		_, err := look(&fake{err: c.err}).Ping(t.Context(), api.PingRequest{Target: c.target})
		if !errors.As(err, &refused) || refused.Kind != c.kind || !strings.Contains(err.Error(), c.text) || (refused.Want != "") != (c.kind == Invalid) {
			t.Errorf("%s: %v (%+v), want kind %d and %q", c.target, err, refused, c.kind, c.text)
		}
		if c.err != nil && !errors.Is(err, c.err) {
			t.Errorf("%s: %v isn't %v", c.target, err, c.err)
		}
	}
}

func TestAPingGoesToWhoCanAnswerIt(t *testing.T) {
	silent := map[netip.Addr]bool{at(10): true, at(20): true}
	for _, c := range []struct {
		target   string
		f        fake
		kind     api.PingKind
		answered bool
		why      string
	}{
		{"a", fake{}, api.PingKindSelf, true, ""},
		{"10.9.0.1", fake{}, api.PingKindSelf, true, ""},
		{"10.9.0.10", fake{hasLAN: true}, api.PingKindLAN, true, ""},
		{"10.9.0.10", fake{hasLAN: true, absent: silent}, api.PingKindLAN, false, "doesn't answer ARP"},
		{"10.9.0.20", fake{hasLAN: true, near: there}, api.PingKindLAN, true, ""},
		{"b", fake{path: api.PathKindDirect}, api.PingKindMember, true, ""},
		{"b", fake{path: api.PathKindNone, pingErr: errAway}, api.PingKindMember, false, "there is no path to b yet: one is being looked for"},
		{"b", fake{path: api.PathKindDirect, pingErr: errAway}, api.PingKindMember, false, "no answer in time"},
		{"b", fake{path: api.PathKindDirect, pingErr: tunnel.ErrNoPeer}, api.PingKindMember, false, tunnel.ErrNoPeer.Error()},
		{"10.9.0.20", fake{reply: []byte{1, 0, 0, 2, 0}}, api.PingKindHost, true, ""},
		{"10.9.0.20", fake{reply: []byte{0}}, api.PingKindHost, false, "b answers, and whether the host does"},
		{"10.9.0.20", fake{reply: []byte{1}}, api.PingKindHost, false, "update it"},
	} {
		r, err := look(&c.f).Ping(t.Context(), api.PingRequest{Target: c.target})
		if err != nil || len(r.Packets) != 1 {
			t.Errorf("%s: %+v, %v", c.target, r, err)
			continue
		}
		p := r.Packets[0]
		if r.Kind != c.kind || p.Answered != c.answered || !strings.Contains(p.Why, c.why) || (r.Received == 1) != c.answered {
			t.Errorf("%s: %s, %+v; want %s, answered %t, %q", c.target, r.Kind, p, c.kind, c.answered, c.why)
		}
		if c.kind == api.PingKindHost && c.answered && p.RttMicroseconds != 1000+512 {
			t.Errorf("%s: a round trip of %d µs", c.target, p.RttMicroseconds)
		}
	}
}

func TestATraceMeasuresEachOnTheWay(t *testing.T) {
	silent := map[netip.Addr]bool{at(20): true}
	for _, c := range []struct {
		target  string
		f       fake
		hop     int
		hops    string // that are measured, with the round trip of each
		total   int
		reached bool
		note    string
	}{
		{"10.9.0.20", fake{path: api.PathKindDirect, reply: []byte{1, 0, 0, 2, 0}}, 0, "member b 1000, host 10.9.0.20 1512", 2, true, ""},
		{"printer", fake{path: api.PathKindRelay, reply: []byte{1, 0, 0, 2, 0}}, 0, "relay c 1000, member b 1000, host printer 1512", 3, true, ""},
		{"printer", fake{path: api.PathKindRelay, reply: []byte{1, 0, 0, 2, 0}}, 2, "member b 1000", 3, false, ""},
		{"10.9.0.20", fake{path: api.PathKindDirect, reply: []byte{0}}, 0, "member b 1000, host 10.9.0.20 -", 2, false, ""},
		{"b", fake{path: api.PathKindNone, pingErr: errAway}, 0, "member b -", 1, false, ""},
		{"10.9.0.10", fake{hasLAN: true}, 0, "host 10.9.0.10 ", 1, true, ""},
		{"10.9.0.20", fake{hasLAN: true, near: there, absent: silent}, 0, "host 10.9.0.20 -", 1, false, ""},
		{"a", fake{}, 0, "", 0, true, "the appliance itself"},
		{"10.9.0.99", fake{}, 0, "", 0, false, "Nobody has 10.9.0.99"},
	} {
		r, err := look(&c.f).Trace(t.Context(), api.TraceRequest{Target: c.target, Hop: c.hop, Count: 1, TimeoutMilliseconds: 100})
		var hops []string
		for _, h := range r.Hops {
			trip := "-"
			if h.Packets[0].Answered {
				trip = strconv.FormatInt(h.Packets[0].RttMicroseconds, 10)
			}
			hops = append(hops, string(h.Kind)+" "+h.Name+" "+trip)
		}
		if err != nil || !strings.HasPrefix(strings.Join(hops, ", "), c.hops) || r.Total != c.total || r.Reached != c.reached || !strings.Contains(r.Note, c.note) {
			t.Errorf("%s, hop %d: %q of %d, reached %t, %q, %v; want %q of %d, %t, %q", c.target, c.hop, hops, r.Total, r.Reached, r.Note, err, c.hops, c.total, c.reached, c.note)
		}
	}
	if _, err := look(&fake{}).Trace(t.Context(), api.TraceRequest{Target: "nobody"}); err == nil {
		t.Error("nobody is traced")
	}
}

func TestAsManyPacketsAreSentAsAreWantedAndAsThereIsTimeFor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		for _, c := range []struct {
			count, interval, want int
			took                  time.Duration
		}{{0, 0, 1, 0}, {3, 0, 3, 2 * pingInterval}, {3, 100, 3, 200 * time.Millisecond}, {1000, 0, 40, pingLongest}} {
			r, err := look(&fake{}).Ping(t.Context(), api.PingRequest{Target: "b", Count: c.count, IntervalMilliseconds: c.interval})
			if took := time.Since(begun); err != nil || r.Sent < c.want || r.Sent > c.want+1 || took != c.took || r.Packets[r.Sent-1].Seq != r.Sent {
				t.Errorf("%d each %d ms: %d sent in %v, %v; want %d in %v", c.count, c.interval, r.Sent, took, err, c.want, c.took)
			}
			begun = time.Now()
		}
	})
}

func TestMembersHaveOnlyHostsServedHereAskedFor(t *testing.T) {
	ask := func(addr netip.Addr) []byte {
		b := addr.As4()
		return append([]byte{askForHost}, b[:]...)
	}
	f := &fake{absent: map[netip.Addr]bool{}}
	g := look(f)
	if reply, err := g.Serve(t.Context(), ask(at(10))); err != nil || len(reply) != 5 || reply[0] != 1 {
		t.Errorf("a host that is here: %v, %v", reply, err)
	}
	if reply, err := g.Serve(t.Context(), ask(at(5))); err != nil || reply[0] != 1 || len(f.asked) != 1 {
		t.Errorf("this host itself: %v, %v; the LAN was asked for %v", reply, err, f.asked)
	}
	f.absent[at(10)] = true
	if reply, err := g.Serve(t.Context(), ask(at(10))); err != nil || !bytes.Equal(reply, []byte{0}) {
		t.Errorf("a host that has gone: %v, %v", reply, err)
	}
	for name, req := range map[string][]byte{"another's host": ask(at(20)), "nobody's address": ask(at(99)), "nothing": nil, "short": {askForHost, 10}, "unknown": {9, 10, 9, 0, 10}} {
		if reply, err := g.Serve(t.Context(), req); err == nil {
			t.Errorf("%s: %v", name, reply)
		}
	}
	if len(f.asked) != 2 {
		t.Errorf("the LAN was asked for %v", f.asked)
	}
}

func TestOnlySoManyMembersHaveHostsAskedForAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fake{held: make(chan struct{})}
		g := look(f)
		req := []byte{askForHost, 10, 9, 0, 10}
		for range maxChecking {
			go g.Serve(t.Context(), req) // it waits, and its time runs out
			synctest.Wait()
		}
		if reply, err := g.Serve(t.Context(), req); err == nil || !strings.Contains(err.Error(), "too many") {
			t.Errorf("one too many got %v, %v", reply, err)
		}
		time.Sleep(2 * checkTimeout)
		synctest.Wait()
		close(f.held)
		if _, err := g.Serve(t.Context(), req); err != nil {
			t.Errorf("once the others are done: %v", err)
		}
	})
}
