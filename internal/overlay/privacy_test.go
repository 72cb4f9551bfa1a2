package overlay

import (
	"net/netip"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The modules that would let a node look for public helpers, or that only
// browsers need, are not in the program.
func TestNothingOfLibp2psPublicSideIsLinked(t *testing.T) {
	t.Parallel()
	info, ok := debug.ReadBuildInfo()
	if !ok || len(info.Deps) == 0 {
		t.Skip("this binary doesn't say what it is made of")
	}
	for _, dep := range info.Deps {
		for _, unwanted := range []string{"pion/", "webtransport-go", "gorilla/websocket", "go.uber.org/fx", "go.uber.org/dig"} {
			if strings.Contains(dep.Path, unwanted) {
				t.Errorf("%s is linked", dep.Path)
			}
		}
	}
}

func TestNodeServesNoneOfLibp2psReachabilityProtocols(t *testing.T) {
	t.Parallel()
	a := start(t, 0, nil)
	var served []string
	for _, p := range a.node.Mux().Protocols() {
		served = append(served, string(p))
	}
	slices.Sort(served)
	want := []string{
		"/ipfs/id/1.0.0", "/ipfs/id/push/1.0.0", "/landbridge", "/landbridge/kad/1.0.0",
		"/libp2p/circuit/relay/0.2.0/hop", "/libp2p/circuit/relay/0.2.0/stop",
	}
	if !slices.Equal(served, want) {
		t.Errorf("served\n%v\nwant\n%v", served, want)
	}
}

// contacts records every address that a node's data socket sends to.
type contacts struct {
	mu   sync.Mutex
	seen map[netip.AddrPort]bool
}

func recordContacts(w *wire) *contacts {
	c := &contacts{seen: make(map[netip.AddrPort]bool)}
	f := func(to netip.AddrPort) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.seen[to] = true
	}
	w.sent.Store(&f)
	return c
}

func (c *contacts) list() []netip.AddrPort {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []netip.AddrPort
	for to := range c.seen {
		list = append(list, to)
	}
	return list
}

func TestNodeContactsOnlyThoseItWasToldOf(t *testing.T) {
	t.Parallel()
	lonelyWire := newWire(t, 0)
	lonely := recordContacts(lonelyWire)
	startOn(t, 9, lonelyWire, nil)

	a := start(t, 0, nil)
	w := newWire(t, 0)
	told := recordContacts(w)
	b := startOn(t, 1, w, bootstrap(a))
	eventually(t, "connected", func() bool { return b.connectedTo(a.Self()) })
	_, _ = b.Call(within(t, time.Second), idOf(5), echoProtocol, nil) // looks for a stranger everywhere
	if _, err := b.GetDescriptor(within(t, time.Second), groupID()); err == nil {
		t.Error("found a descriptor that nobody has")
	}
	want := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), a.wire.port())
	if got := told.list(); !slices.Equal(got, []netip.AddrPort{want}) {
		t.Errorf("sent to %v, want %v only", got, want)
	}
	if got := lonely.list(); len(got) != 0 {
		t.Errorf("a node that knows nobody sent to %v", got)
	}
}
