package overlay

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// keyOf returns the node key number n: the same in each run.
func keyOf(n int) ed25519.PrivateKey {
	seed := sha256.Sum256(fmt.Appendf(nil, "overlay test node %d", n))
	return ed25519.NewKeyFromSeed(seed[:])
}

func idOf(n int) group.MemberID {
	return group.MemberOf(keyOf(n).Public().(ed25519.PublicKey))
}

// wire is a data socket on loopback that can be cut off from others, as by a NAT or a
// dead link: what it sends to a blocked port is lost.
type wire struct {
	*net.UDPConn
	blocked atomic.Pointer[map[uint16]bool]
	sent    atomic.Pointer[func(netip.AddrPort)]
}

func newWire(t testing.TB, port int) *wire {
	t.Helper()
	conn, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1), Port: port})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &wire{UDPConn: conn}
}

func (w *wire) port() uint16 { return uint16(w.LocalAddr().(*net.UDPAddr).Port) }

// WriteTo loses what goes to blocked ports.
func (w *wire) WriteTo(b []byte, to net.Addr) (int, error) {
	at := to.(*net.UDPAddr).AddrPort()
	at = netip.AddrPortFrom(at.Addr().Unmap(), at.Port())
	if seen := w.sent.Load(); seen != nil {
		(*seen)(at)
	}
	if blocked := w.blocked.Load(); blocked != nil && (*blocked)[at.Port()] {
		return len(b), nil
	}
	return w.UDPConn.WriteTo(b, to)
}

// cut loses everything from w to each of the others, in both directions.
func (w *wire) cut(others ...*wire) {
	w.block(others...)
	for _, other := range others {
		other.block(w)
	}
}

func (w *wire) block(others ...*wire) {
	ports := make(map[uint16]bool)
	if old := w.blocked.Load(); old != nil {
		for port := range *old {
			ports[port] = true
		}
	}
	for _, other := range others {
		ports[other.port()] = true
	}
	w.blocked.Store(&ports)
}

func (w *wire) mend() { w.blocked.Store(nil) }

// testNode is an overlay with its socket.
type testNode struct {
	*Overlay
	wire *wire
}

// addr is where the node's QUIC is, with its ID.
func (n *testNode) addr() string {
	return fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1/p2p/%s", n.wire.port(), n.Self())
}

// setup is how a test wants a node.
type setup struct {
	Config
	peers []string // that it is told of once it runs
}

// start opens overlay number n over a new wire. adjust may change its configuration.
func start(t *testing.T, n int, adjust func(*setup)) *testNode {
	t.Helper()
	return startOn(t, n, newWire(t, 0), adjust)
}

func startOn(t *testing.T, n int, w *wire, adjust func(*setup)) *testNode {
	t.Helper()
	cfg := setup{Config: Config{Key: keyOf(n), Socket: w}}
	if adjust != nil {
		adjust(&cfg)
	}
	o, err := Open(t.Context(), cfg.Config)
	if err != nil {
		t.Fatal(err)
	}
	o.Add(cfg.peers)
	t.Cleanup(func() {
		if err := o.Close(); err != nil {
			t.Errorf("close node %d: %v", n, err)
		}
	})
	return &testNode{Overlay: o, wire: w}
}

func bootstrap(peers ...*testNode) func(*setup) {
	return func(cfg *setup) {
		for _, p := range peers {
			cfg.peers = append(cfg.peers, p.addr())
		}
	}
}

// eventually waits until holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	eventuallyIn(t, time.Minute, what, holds)
}

func eventuallyIn(t *testing.T, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	deadline := time.After(limit)
	again := time.NewTicker(2 * time.Millisecond)
	defer again.Stop()
	for !holds() {
		select {
		case <-deadline:
			t.Fatalf("after %v still not: %s", limit, what)
		case <-again.C:
		}
	}
}

func (n *testNode) connectedTo(m group.MemberID) bool {
	return slices.ContainsFunc(n.Peers(), func(p PeerInfo) bool { return p.Member == m && p.Connected })
}

func (n *testNode) directTo(m group.MemberID) bool {
	return slices.ContainsFunc(n.Peers(), func(p PeerInfo) bool { return p.Member == m && p.Direct })
}

func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func openStore(t *testing.T) *store.DB {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	return db
}

// echo is a handler for tests.
func echo(_ context.Context, from group.MemberID, req []byte) ([]byte, error) {
	return append([]byte(from.Short()+":"), req...), nil
}

const echoProtocol = "/landbridge/echo/1"

func mustParse(t *testing.T, addr string) []ma.Multiaddr {
	t.Helper()
	info, err := parseAddr(addr)
	if err != nil {
		t.Fatal(err)
	}
	return info.Addrs
}

// cutCircuit splits the address of a circuit at the relay's end.
func cutCircuit(addr string) (relay, rest string, ok bool) {
	return strings.Cut(addr, "/p2p-circuit")
}
