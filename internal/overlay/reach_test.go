package overlay

import (
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
)

// natted makes a triangle: a and b can't reach each other at all, relay reaches both.
func natted(t *testing.T) (a, b, relay *testNode) {
	t.Helper()
	relay = start(t, 0, nil)
	wa, wb := newWire(t, 0), newWire(t, 0)
	wa.cut(wb)
	a = startOn(t, 1, wa, bootstrap(relay))
	b = startOn(t, 2, wb, bootstrap(relay))
	for _, n := range []*testNode{a, b} {
		n.Handle(echoProtocol, echo)
		eventually(t, "connected to the relay", func() bool { return n.directTo(relay.Self()) })
	}
	return a, b, relay
}

func TestMembersThatCantReachEachOtherTalkThroughAThird(t *testing.T) {
	t.Parallel()
	a, b, _ := natted(t)
	ctx := within(t, 30*time.Second)
	begun := time.Now()
	reply, err := a.Call(ctx, b.Self(), echoProtocol, []byte("over")) // knows only the ID
	if err != nil || string(reply) != a.Self().Short()+":over" {
		t.Fatalf("got %q, %v", reply, err)
	}
	t.Logf("first call through the relay: %v", time.Since(begun).Round(time.Millisecond))
	if !a.connectedTo(b.Self()) || a.directTo(b.Self()) {
		t.Error("the connection isn't one through a relay")
	}
	if _, err := b.Call(ctx, a.Self(), echoProtocol, []byte("back")); err != nil {
		t.Fatal(err)
	}
}

func TestRelayedMembersGoDirectWhenTheyCan(t *testing.T) {
	t.Parallel()
	a, b, relay := natted(t)
	for _, n := range []*testNode{a, b, relay} {
		n.SetMembers([]group.MemberID{a.Self(), b.Self(), relay.Self()})
	}
	eventually(t, "connected through the relay", func() bool { return a.connectedTo(b.Self()) })
	a.wire.mend()
	b.wire.mend()
	eventually(t, "direct", func() bool { return a.directTo(b.Self()) && b.directTo(a.Self()) })
	eventually(t, "the circuit is closed", func() bool { return len(a.node.swarm.ConnsToPeer(b.node.ID())) == 1 })
}

func TestRelayServesOnlyItsOwnMembers(t *testing.T) {
	t.Parallel()
	a, b, relay := natted(t)
	relay.SetMembers([]group.MemberID{idOf(7)})
	if _, err := a.Call(within(t, 2*time.Second), b.Self(), echoProtocol, nil); err == nil {
		t.Fatal("strangers were relayed")
	}
	relay.SetMembers([]group.MemberID{b.Self()}) // a is a newcomer who wants to join
	eventually(t, "relayed to a member", func() bool {
		_, err := a.Call(within(t, 2*time.Second), b.Self(), echoProtocol, nil)
		return err == nil
	})
}

func TestMemberKnownOnlyByItsIDIsFoundByRouting(t *testing.T) {
	t.Parallel()
	// a - c1 - c2 - b: a knows c1, b knows c2, and nobody that a is connected to is
	// connected to b. Cutting a from c2 keeps it so while Kademlia looks around.
	c2 := start(t, 12, nil)
	c1 := start(t, 11, bootstrap(c2))
	b := start(t, 2, bootstrap(c2))
	b.Handle(echoProtocol, echo)
	eventually(t, "the middle is connected", func() bool { return c1.connectedTo(c2.Self()) && b.connectedTo(c2.Self()) })
	for _, p := range c1.Peers() { // c1 must not have met b by chance
		if p.Member == b.Self() && p.Connected {
			t.Skip("Kademlia has connected the two already")
		}
	}
	a := start(t, 1, bootstrap(c1))
	eventually(t, "a is in", func() bool { return a.connectedTo(c1.Self()) })
	eventually(t, "found", func() bool {
		_, err := a.Call(within(t, 30*time.Second), b.Self(), echoProtocol, nil)
		return err == nil
	})
}

func TestRoutingFindsWhereAMemberIs(t *testing.T) {
	t.Parallel()
	middle := start(t, 11, nil)
	b := start(t, 2, bootstrap(middle))
	w := newWire(t, 0)
	w.cut(b.wire) // so that Kademlia's own looking around doesn't connect the two
	a := startOn(t, 1, w, bootstrap(middle))
	eventually(t, "all in the DHT", func() bool { return middle.dht.RoutingTable().Size() == 2 && a.dht.RoutingTable().Size() > 0 })
	a.wire.mend()
	b.wire.mend()
	eventually(t, "found", func() bool {
		a.node.Peerstore().ClearAddrs(b.node.ID())
		return a.dialRouted(within(t, 30*time.Second), b.node.ID()) == nil && a.directTo(b.Self())
	})
}

func TestManyCallersShareOneDial(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, echo)
	b := start(t, 2, nil)
	b.memory.give(a.node.ID(), mustParse(t, a.addr())...) // known, but not yet dialled
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			if _, err := b.Call(within(t, 30*time.Second), a.Self(), echoProtocol, nil); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(b.node.swarm.ConnsToPeer(a.node.ID())); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestSmallGroupIsFullyConnected(t *testing.T) {
	t.Parallel()
	const n = 6
	nodes := []*testNode{start(t, 0, nil)}
	for i := 1; i < n; i++ {
		nodes = append(nodes, start(t, i, bootstrap(nodes[0])))
	}
	var members []group.MemberID
	for _, node := range nodes {
		members = append(members, node.Self())
	}
	for _, node := range nodes {
		node.SetMembers(members)
	}
	for _, node := range nodes {
		for _, m := range members {
			if m != node.Self() {
				eventually(t, "each has a direct connection to each", func() bool { return node.directTo(m) })
			}
		}
	}
}

// promptly is more than a busy machine needs for what takes milliseconds, and less
// than what happens when a dead connection or address is waited for (5 s and more).
const promptly = 4 * time.Second

func TestRestartedMemberIsBackAtOnce(t *testing.T) {
	t.Parallel()
	known := start(t, 0, nil)
	known.Handle(echoProtocol, echo)
	db := openStore(t)
	remembering := func(cfg *setup) { cfg.Store = db }
	first := start(t, 1, func(cfg *setup) { remembering(cfg); bootstrap(known)(cfg) })
	first.Handle(echoProtocol, echo)
	eventually(t, "remembered", func() bool {
		return len(first.memory.recent(9)) > 0 && first.connectedTo(known.Self()) && known.connectedTo(first.Self())
	})
	// It dies without a word, as by kill -9: nothing that it sends arrives any more.
	w, port := first.wire, int(first.wire.port())
	w.block(known.wire)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if !known.connectedTo(first.Self()) {
		t.Fatal("the other side has noticed: the test shows nothing")
	}

	begun := time.Now()
	second := startOn(t, 1, newWire(t, port), remembering) // no bootstrap
	second.Handle(echoProtocol, echo)
	opened := time.Since(begun)
	if _, err := second.Call(within(t, promptly), known.Self(), echoProtocol, nil); err != nil {
		t.Fatal(err)
	}
	t.Logf("open after %v, in contact after %v", opened.Round(time.Millisecond), time.Since(begun).Round(time.Millisecond))
	// The other side must not use the dead connection.
	if _, err := known.Call(within(t, promptly), second.Self(), echoProtocol, nil); err != nil {
		t.Fatalf("the other way: %v", err)
	}
	eventually(t, "the dead connection is closed", func() bool { return len(known.node.swarm.ConnsToPeer(second.node.ID())) == 1 })
}

func TestCallToARestartedMemberFindsOutByItself(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	b := start(t, 1, bootstrap(a))
	b.Handle(echoProtocol, echo)
	a.Add([]string{b.addr()})
	eventually(t, "connected", func() bool { return a.connectedTo(b.Self()) })
	w, port := b.wire, int(b.wire.port())
	w.block(a.wire)
	_ = b.Close()
	_ = w.Close()
	b = startOn(t, 1, newWire(t, port), nil) // it doesn't know a any more
	b.Handle(echoProtocol, echo)
	if _, err := a.Call(within(t, promptly), b.Self(), echoProtocol, nil); err != nil {
		t.Fatal(err)
	}
}

func TestOverlayHealsWhenALinkComesBack(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	b := start(t, 1, bootstrap(a))
	b.Handle(echoProtocol, echo)
	eventually(t, "connected", func() bool { return a.connectedTo(b.Self()) })
	a.wire.cut(b.wire)
	if _, err := a.Call(within(t, 100*time.Millisecond), b.Self(), echoProtocol, nil); err == nil {
		t.Fatal("the cut link carried a call")
	}
	eventually(t, "the dead connection is noticed", func() bool { return !a.connectedTo(b.Self()) })
	a.wire.mend()
	b.wire.mend()
	eventually(t, "connected again", func() bool { return b.connectedTo(a.Self()) })
}

func TestSubscribersHearWhoComesAndGoes(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	type change struct {
		member    group.MemberID
		connected bool
	}
	heard := make(chan change, 16)
	cancel := a.OnConnect(func(m group.MemberID, connected bool) { heard <- change{m, connected} })
	b := start(t, 1, bootstrap(a))
	if got := <-heard; got != (change{b.Self(), true}) {
		t.Fatalf("heard %v", got)
	}
	_ = b.Close()
	if got := <-heard; got != (change{b.Self(), false}) {
		t.Fatalf("heard %v", got)
	}
	cancel()
	start(t, 2, bootstrap(a))
	eventually(t, "connected", func() bool { return a.connectedTo(idOf(2)) })
	select {
	case got := <-heard:
		t.Fatalf("heard %v after cancel", got)
	default:
	}
}

func TestObservedIsTheDataSocketAsOthersSeeIt(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	b := start(t, 1, bootstrap(a))
	want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), b.wire.port())
	eventually(t, "observed", func() bool {
		got := b.Observed()
		return len(got) == 1 && got[0] == want
	})
	_ = a.Close()
	eventually(t, "forgotten with the observer", func() bool { return len(b.Observed()) == 0 })
}

func TestExcludedAddressesAreNeitherUsedNorAnnounced(t *testing.T) {
	t.Parallel()
	excluded := func(ip netip.Addr) bool { return ip.IsLoopback() }
	a := start(t, 0, nil)
	b := start(t, 1, func(cfg *setup) { bootstrap(a)(cfg); cfg.Exclude = excluded })
	if _, err := b.Call(within(t, time.Second), a.Self(), echoProtocol, nil); err == nil {
		t.Error("called over an excluded address")
	}
	if got := b.Addrs(); len(got) != 0 {
		t.Errorf("announces %v", got)
	}
	a.Add([]string{b.addr()})
	if _, err := a.Call(within(t, time.Second), b.Self(), echoProtocol, nil); err == nil {
		t.Error("accepted from an excluded address")
	}
}

func TestWhatIsAnnouncedCanBeDialled(t *testing.T) {
	t.Parallel()
	a := start(t, 0, func(cfg *setup) {
		cfg.ListenTCP = netip.MustParseAddrPort("127.0.0.1:0")
		cfg.Announce = []string{"/dns4/gate.example/udp/4242/quic-v1"}
	})
	a.Handle(echoProtocol, echo)
	addrs := a.Addrs()
	if len(addrs) != 3 {
		t.Fatalf("announces %v", addrs)
	}
	for i, addr := range addrs {
		if info, err := parseAddr(addr); err != nil || info.ID != a.node.ID() {
			t.Errorf("%s: %v %v", addr, info, err)
		}
		if addr == "/dns4/gate.example/udp/4242/quic-v1/p2p/"+a.Self().String() {
			continue
		}
		b := start(t, 10+i, func(cfg *setup) { cfg.peers = []string{addr} })
		if _, err := b.Call(within(t, 30*time.Second), a.Self(), echoProtocol, nil); err != nil {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

func TestOverlayWithoutDataSocketWorksOverTCP(t *testing.T) {
	t.Parallel()
	a := start(t, 0, func(cfg *setup) { cfg.ListenTCP = netip.MustParseAddrPort("127.0.0.1:0") })
	a.Handle(echoProtocol, echo)
	b, err := Open(t.Context(), Config{Key: keyOf(1)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	b.Add(a.Addrs())
	if _, err := b.Call(within(t, 30*time.Second), a.Self(), echoProtocol, nil); err != nil {
		t.Fatal(err)
	}
}

func TestOpenSaysAllThatIsWrongWithAddresses(t *testing.T) {
	t.Parallel()
	_, err := Open(t.Context(), Config{Key: keyOf(1), Announce: []string{"192.0.2.1:4242", "nonsense"}})
	if err == nil {
		t.Fatal("opened")
	}
	for _, part := range []string{"192.0.2.1:4242", "nonsense", "write it like"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q doesn't mention %q", err, part)
		}
	}
}

func TestCallersAreServedByThePeersOwnDial(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	nowhere := newWire(t, 0) // a has an address of b where nobody answers
	a.memory.give(idOf(1).Peer(), quicMultiaddr(netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), nowhere.port())))
	got := make(chan error, 1)
	go func() {
		_, err := a.Call(within(t, 30*time.Second), idOf(1), echoProtocol, nil)
		got <- err
	}()
	eventually(t, "a is dialling", func() bool {
		a.dialer.mu.Lock()
		defer a.dialer.mu.Unlock()
		return len(a.dialer.active) > 0
	})
	<-time.After(2 * dialHedge) // and has begun to ask around, in vain
	b := start(t, 1, bootstrap(a))
	b.Handle(echoProtocol, echo)
	begun := time.Now()
	if err := <-got; err != nil || time.Since(begun) > promptly {
		t.Fatalf("after %v: %v", time.Since(begun), err)
	}
}

func TestConnectionOfAPeerThatHasMovedIsClosed(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	b := start(t, 1, bootstrap(a))
	eventually(t, "connected", func() bool { return a.connectedTo(b.Self()) })
	b.wire.block(a.wire)
	_ = b.Close()
	_ = b.wire.Close() // and nobody there can tell a that the connection is gone
	b = start(t, 1, bootstrap(a))
	b.Handle(echoProtocol, echo)
	eventually(t, "back", func() bool { return b.connectedTo(a.Self()) })
	if _, err := a.Call(within(t, promptly), b.Self(), echoProtocol, nil); err != nil {
		t.Fatal(err)
	}
	eventuallyIn(t, quicIdle/2, "the dead connection is closed", func() bool { return len(a.node.swarm.ConnsToPeer(b.node.ID())) == 1 })
}

func TestOfTwoConnectionsOneIsClosed(t *testing.T) {
	t.Parallel()
	a, b := start(t, 0, nil), start(t, 1, nil)
	count := func(from, to *testNode) int { return len(from.node.swarm.ConnsToPeer(to.node.ID())) }
	for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
		pair[0].memory.give(pair[1].node.ID(), mustParse(t, pair[1].addr())...)
		pair[0].memory.feed(pair[1].node.ID())
	}
	for tries := 0; count(a, b) < 2 || count(b, a) < 2; tries++ {
		if tries == 100 {
			t.Skip("one was always first")
		}
		_, _ = a.node.swarm.ClosePeer(b.node.ID()), b.node.swarm.ClosePeer(a.node.ID())
		var wg sync.WaitGroup
		for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
			wg.Go(func() { _ = pair[0].dialDirect(within(t, promptly), pair[1].node.ID()) })
		}
		wg.Wait()
	}
	eventually(t, "one connection", func() bool { return count(a, b) == 1 && count(b, a) == 1 })
}
