package tunnel

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/netip"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A network in memory: hosts, some of them behind NATs, and the signal stream
// between their tunnels. It runs on the clock of testing/synctest, so that minutes
// pass in milliseconds and always alike.

const memPort = 7000 // of every host

type memNet struct {
	t       testing.TB
	mu      sync.Mutex
	hosts   map[netip.Addr]*memHost // by inner address
	nats    map[netip.Addr]*memNAT  // by outer address
	members map[group.MemberID]*memNode
	delay   time.Duration
	signal  time.Duration
	jitter  *rand.Rand // of the signal; nil: none
	drop    func(from, to netip.AddrPort, size int) bool
	next    byte
	last    time.Time
	group   group.ID
}

func newMemNet(t testing.TB) *memNet {
	return &memNet{
		t: t, delay: 10 * time.Millisecond, signal: 20 * time.Millisecond,
		hosts: make(map[netip.Addr]*memHost), nats: make(map[netip.Addr]*memNAT),
		members: make(map[group.MemberID]*memNode), group: group.ID{1},
	}
}

type memHost struct {
	net   *memNet
	addr  netip.AddrPort
	nat   *memNAT
	in    chan datagram
	dmx   *demux
	cut   bool
	sent  int
	bytes int

	streams *links
}

// host adds a host: with a public address, or behind a NAT of its own.
func (m *memNet) host(kind natKind) *memHost {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.next++
	inner := netip.AddrFrom4([4]byte{198, 51, m.next, 1})
	var nat *memNAT
	if kind != public {
		nat = &memNAT{kind: kind, outer: inner, nextPort: 20000}
		nat.forget()
		m.nats[nat.outer] = nat
		inner = netip.AddrFrom4([4]byte{192, 168, m.next, 2})
	}
	return m.attach(netip.AddrPortFrom(inner, memPort), nat)
}

// attach adds a host with a given address.
func (m *memNet) attach(addr netip.AddrPort, nat *memNAT) *memHost {
	h := &memHost{net: m, addr: addr, nat: nat, in: make(chan datagram, 4096)}
	h.dmx = newDemux(newBatch(), h.write)
	h.streams = newLinks(func(list []datagram) { h.dmx.receive(list, false) }, &h.dmx.counts)
	m.hosts[addr.Addr()] = h
	return h
}

func (h *memHost) demux() *demux              { return h.dmx }
func (h *memHost) links() *links              { return h.streams }
func (h *memHost) allowFragments()            {}
func (h *memHost) pathMTU(netip.AddrPort) int { return 0 }
func (h *memHost) port() uint16               { return memPort }
func (h *memHost) newBatch() *batch           { return newBatch() }

func (h *memHost) read(done <-chan struct{}) {
	for {
		var batch []datagram
		select {
		case <-done:
			return
		case d := <-h.in:
			batch = append(batch, d)
		}
	drain:
		for len(batch) < batchSize {
			select {
			case d := <-h.in:
				batch = append(batch, d)
			default:
				break drain
			}
		}
		h.dmx.receive(batch, false)
	}
}

func (h *memHost) write(b *batch) {
	h.streams.take(b)
	m := h.net
	m.mu.Lock()
	defer m.mu.Unlock()
	for i := range b.runs[:b.n] {
		r := &b.runs[i]
		for k := range r.n {
			data := b.datagram(r, k)
			h.sent++
			h.bytes += len(data)
			m.send(h, r.addr, bytes.Clone(data))
		}
	}
	b.reset()
}

// send takes a datagram to where it belongs; m.mu is held.
func (m *memNet) send(h *memHost, to netip.AddrPort, data []byte) {
	from := h.addr
	dst := m.hosts[to.Addr()]
	if dst != nil && dst.nat != h.nat {
		dst = nil // a private address on another network
		if m.hosts[to.Addr()].nat == nil {
			dst = m.hosts[to.Addr()]
		}
	}
	if (dst == nil || dst.nat != h.nat) && h.nat != nil {
		from = h.nat.out(h.addr, to)
	}
	if h.cut || m.drop != nil && m.drop(from, to, len(data)) {
		return
	}
	nat := m.nats[to.Addr()]
	at := time.Now().Add(m.delay)
	if !at.After(m.last) {
		at = m.last.Add(1) // timers of one instant fire in any order
	}
	m.last = at
	time.AfterFunc(time.Until(at), func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		end := dst
		if nat != nil {
			inner, ok := nat.in(to.Port(), from)
			if !ok {
				return
			}
			end = m.hosts[inner.Addr()]
		}
		if end == nil || end.cut || end.addr.Port() != to.Port() && nat == nil {
			return
		}
		select {
		case end.in <- datagram{addr: from, data: data}:
		default:
		}
	})
}

// A memNode is a member with its tunnel.
type memNode struct {
	*memHost
	net    *memNet
	member *fakeMember
	tunnel *Tunnel
	stop   chan struct{}
	tcp    Streams // nil: none
	reader sync.WaitGroup
	down   bool // the signal doesn't reach it
	seen   func() []netip.AddrPort
	keep   []group.MemberID
	relay  RelayConfig

	mu  sync.Mutex
	got map[group.MemberID][]string
}

// node adds a member on a host of its own and starts it.
func (m *memNet) node(kind natKind, options ...func(*memNode)) *memNode {
	return m.nodeOn(m.host(kind), newFakeMember(m.group, uint64(m.next)), options...)
}

func (m *memNet) nodeOn(h *memHost, member *fakeMember, options ...func(*memNode)) *memNode {
	n := &memNode{memHost: h, net: m, member: member, got: make(map[group.MemberID][]string)}
	for _, o := range options {
		o(n)
	}
	n.start()
	m.t.Cleanup(n.halt)
	return n
}

func keeping(relays ...*memNode) func(*memNode) {
	return func(n *memNode) {
		for _, r := range relays {
			n.keep = append(n.keep, r.member.id)
		}
	}
}

func (n *memNode) start() {
	t, err := open(Config{
		Membership: n.member, Signal: memSignal{n}, Deliver: n.deliver,
		Observed: n.seen, Relay: n.relay, Log: testLog().With("node", n.member.id.Short()),
		Interfaces: func() []netip.Addr {
			n.net.mu.Lock()
			defer n.net.mu.Unlock()
			return []netip.Addr{n.memHost.addr.Addr()}
		},
		Keep:    func() []group.MemberID { return n.keep },
		Streams: n.tcp,
	}, n.memHost)
	if err != nil {
		n.net.t.Fatal(err)
	}
	n.tunnel, n.stop = t, make(chan struct{})
	stop, h := n.stop, n.memHost
	n.reader.Go(func() { h.read(stop) })
	n.net.mu.Lock()
	n.net.members[n.member.id] = n
	n.net.mu.Unlock()
}

// halt stops the node in order.
func (n *memNode) halt() {
	if n.stop == nil {
		return
	}
	n.tunnel.Close()
	close(n.stop)
	n.reader.Wait()
	n.stop = nil
}

// crash loses everything but the member's identity, without a word to anybody.
func (n *memNode) crash() {
	n.net.mu.Lock()
	n.cut, n.down = true, true
	n.net.mu.Unlock()
	n.halt()
}

// revive starts a crashed node again, at the same address.
func (n *memNode) revive() {
	n.net.mu.Lock()
	n.cut, n.down = false, false
	n.dmx = newDemux(newBatch(), n.memHost.write)
	n.in = make(chan datagram, 4096)
	n.net.mu.Unlock()
	n.start()
}

// move gives the node another address, as roaming does; the tunnel isn't told.
func (n *memNode) move(kind natKind) {
	h := n.net.host(kind)
	n.net.mu.Lock()
	defer n.net.mu.Unlock()
	delete(n.net.hosts, n.memHost.addr.Addr())
	delete(n.net.hosts, h.addr.Addr())
	n.memHost.addr, n.memHost.nat = h.addr, h.nat
	n.net.hosts[h.addr.Addr()] = n.memHost
}

func (n *memNode) deliver(from group.MemberID, pkts []frame.Packet) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, p := range pkts {
		n.got[from] = append(n.got[from], string(p.IP()[20:]))
	}
}

func (n *memNode) received(from *memNode) []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.Clone(n.got[from.member.id])
}

func (n *memNode) count(from *memNode) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.got[from.member.id])
}

func (n *memNode) send(to *memNode, text string) {
	n.tunnel.Send(to.member.id, []frame.Packet{packet(text)})
}

func (n *memNode) status(to *memNode) PeerStatus {
	for _, s := range n.tunnel.Peers() {
		if s.Member == to.member.id {
			return s
		}
	}
	return PeerStatus{State: StateIdle}
}

// packet is an IPv4 packet, as far as the tunnel cares, with a text in it.
type memSignal struct{ from *memNode }

func (s memSignal) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	m := s.from.net
	reach := func() (*Tunnel, error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		n := m.members[to]
		if n == nil || n.down || s.from.down {
			return nil, errors.New("the member can't be reached")
		}
		return n.tunnel, nil
	}
	if err := sleep(ctx, m.signalTime()); err != nil {
		return nil, err
	}
	tunnel, err := reach()
	if err != nil {
		return nil, err
	}
	reply, err := tunnel.HandleSignal(ctx, s.from.member.id, req)
	if err != nil {
		return nil, err
	}
	if err := sleep(ctx, m.signalTime()); err != nil {
		return nil, err
	}
	_, err = reach()
	return reply, err
}

// signalTime is how long a message by the signal stream takes.
func (m *memNet) signalTime() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.jitter == nil {
		return m.signal
	}
	return time.Duration(m.jitter.Int64N(int64(2 * m.signal)))
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// fakeMember has the signatures of a member without the certificates.
type fakeMember struct {
	id    group.MemberID
	key   ed25519.PrivateKey
	group group.ID

	mu  sync.Mutex
	bad map[group.MemberID]error
}

func newFakeMember(g group.ID, seed uint64) *fakeMember {
	raw := sha256.Sum256(binary.BigEndian.AppendUint64(g[:], seed))
	key := ed25519.NewKeyFromSeed(raw[:])
	return &fakeMember{id: group.MemberOf(key.Public().(ed25519.PublicKey)), key: key, group: g, bad: make(map[group.MemberID]error)}
}

func (f *fakeMember) Self() group.MemberID { return f.id }
func (f *fakeMember) Group() group.ID      { return f.group }
func (f *fakeMember) Certificate() []byte  { return append([]byte("certificate of "), f.id[:]...) }

func (f *fakeMember) CheckCertificate(from group.MemberID, der []byte, _ time.Time) error {
	if !bytes.Equal(der, append([]byte("certificate of "), from[:]...)) {
		return errors.New("not the member's certificate")
	}
	return nil
}

func (f *fakeMember) Authorized(from group.MemberID, _ time.Time) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bad[from]
}

func (f *fakeMember) revoke(id group.MemberID) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bad[id] = errors.New("the member was removed from the group")
}

func (f *fakeMember) Sign(domain string, msg []byte) group.Signature {
	return ed25519.Sign(f.key, append([]byte(domain), msg...))
}

func (f *fakeMember) Verify(domain string, from group.MemberID, msg []byte, sig group.Signature) error {
	if !ed25519.Verify(from.Key(), append([]byte(domain), msg...), sig) {
		return errors.New("bad signature")
	}
	return nil
}

// testLog is silent unless one wants to watch.
func testLog() *slog.Logger {
	if os.Getenv("TUNNEL_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// await waits for a condition and returns how long that took.
func await(t testing.TB, within time.Duration, what string, cond func() bool) time.Duration {
	t.Helper()
	start := time.Now()
	for !cond() {
		if time.Since(start) > within {
			t.Fatalf("after %v still not: %s", within, what)
		}
		time.Sleep(time.Millisecond)
	}
	return time.Since(start)
}

// lossy drops a share of all datagrams.
func lossy(share float64) func(_, _ netip.AddrPort, _ int) bool {
	random := rand.New(rand.NewPCG(1, 2))
	return func(_, _ netip.AddrPort, _ int) bool { return random.Float64() < share }
}

func texts(from, to int) []string {
	var list []string
	for i := from; i < to; i++ {
		list = append(list, fmt.Sprint("packet ", i))
	}
	return list
}

// neighbour is an address on a host's LAN.
func neighbour(n *memNode) netip.AddrPort {
	ip := n.memHost.addr.Addr().As4()
	ip[3]++
	return netip.AddrPortFrom(netip.AddrFrom4(ip), memPort)
}

// indexes is how many receiver indexes are in use at a node.
func (h *memHost) indexes() int {
	h.dmx.table.mu.Lock()
	defer h.dmx.table.mu.Unlock()
	return len(h.dmx.table.reserved)
}
