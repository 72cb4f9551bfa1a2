package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/race"
	"landbridge/internal/store"
)

// lab is a group whose members' registries are joined by a network in memory.
type lab struct {
	t      testing.TB
	prefix netip.Prefix
	bits   int
	lease  time.Duration
	hold   time.Duration
	pace   pace
	burst  int // new clients at once: without bound, but in tests of the bound
	dir    string

	mu      sync.Mutex
	entries []rosterEntry
	history map[uint64]*terms
	newest  uint64
	nodes   map[group.MemberID]*node
	order   []*node
	cut     map[[2]group.MemberID]bool // one way
	delay   func() time.Duration
	loss    float64
	calls   int // made so far
	heard   func(from group.MemberID, q request)
}

type node struct {
	lab   *lab
	name  string
	key   ed25519.PrivateKey
	id    group.MemberID
	path  string
	clock *labClock

	mu      sync.Mutex
	reg     *Registry
	db      *store.DB
	version uint64
	life    int
	listen  map[int]func()
	nextID  int
	present func(context.Context, netip.Addr) (bool, error)

	settings *group.Settings
	settled  *terms // the newest, with settings
}

// labClock is the kernel's clock with an offset that a test may change.
type labClock struct {
	mu    sync.Mutex
	start time.Time
	boot  string
	mono  time.Duration
	wall  time.Duration
}

func (c *labClock) Mono() time.Duration { return c.Instant().Mono }

func (c *labClock) Instant() Instant {
	c.mu.Lock()
	defer c.mu.Unlock()
	d := time.Since(c.start)
	return Instant{Boot: c.boot, Mono: d + c.mono, Wall: c.start.Add(d + c.wall)}
}

// pass moves both clocks on; step only the wall clock.
func (c *labClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mono += d
	c.wall += d
}

func (c *labClock) step(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.wall += d
}

func (c *labClock) reboot() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.boot += "'"
	c.mono = -time.Since(c.start)
}

func newLab(t testing.TB, prefix string, bits int) *lab {
	p := defaultPace()
	p.phase, p.silence, p.tick = 200*time.Millisecond, 400*time.Millisecond, 25*time.Millisecond
	if race.Enabled { // it makes answers slow, and a busy machine slower
		p.phase, p.silence = 500*time.Millisecond, time.Second
	}
	p.witness = p.phase
	return &lab{
		t: t, prefix: netip.MustParsePrefix(prefix), bits: bits, lease: time.Hour, hold: 24 * time.Hour, pace: p, burst: 1 << 20,
		dir: t.TempDir(), history: make(map[uint64]*terms), nodes: make(map[group.MemberID]*node),
		cut: make(map[[2]group.MemberID]bool),
	}
}

func labGroup() group.ID { return sha256.Sum256([]byte("lab")) }

// bump publishes a new version with the present entries. Called with mu held.
func (l *lab) bump() {
	l.newest++
	r := newRoster(labGroup(), l.newest, append([]rosterEntry(nil), l.entries...))
	t, err := newTerms(r, l.prefix, l.bits, l.lease, l.hold, binary.BigEndian.AppendUint64(nil, l.newest))
	if err != nil {
		l.t.Fatal(err)
	}
	l.history[l.newest] = t
}

// admit makes a new member, known to itself and to told.
func (l *lab) admit(name string) *node {
	l.t.Helper()
	seed := sha256.Sum256([]byte(name))
	key := ed25519.NewKeyFromSeed(seed[:])
	n := &node{lab: l, name: name, key: key, id: group.MemberOf(key.Public().(ed25519.PublicKey)),
		path: filepath.Join(l.dir, name+".db"), clock: &labClock{start: time.Now(), boot: name}, listen: make(map[int]func())}
	l.mu.Lock()
	l.entries = append(l.entries, rosterEntry{id: n.id, added: l.newest + 1})
	l.bump()
	n.version = l.newest
	l.nodes[n.id] = n
	l.order = append(l.order, n)
	l.mu.Unlock()
	return n
}

// remove takes a member out of the roster, and tells one member.
func (l *lab) remove(n, tell *node) {
	l.mu.Lock()
	for i := range l.entries {
		if l.entries[i].id == n.id && l.entries[i].removed == 0 {
			l.entries[i].removed = l.newest + 1
		}
	}
	l.bump()
	raw := l.history[l.newest].raw
	l.mu.Unlock()
	if err := tell.learn(raw); err != nil {
		l.t.Fatal(err)
	}
}

// members makes and starts n members, all of whom know the newest version.
func (l *lab) members(n int) []*node {
	l.t.Helper()
	var nodes []*node
	for i := range n {
		nodes = append(nodes, l.admit(fmt.Sprintf("m%d", i)))
	}
	for _, m := range nodes {
		m.version = l.newest
		m.start()
	}
	return nodes
}

func (n *node) start() {
	n.lab.t.Helper()
	if err := n.tryStart(); err != nil {
		n.lab.t.Fatalf("start %s: %v", n.name, err)
	}
	n.lab.t.Cleanup(n.stop)
}

func (n *node) tryStart() error {
	db, err := store.Open(n.path)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.life++
	line := labLine{n, n.life}
	n.mu.Unlock()
	cfg := Config{Store: db, Transport: line, Segment: SegmentID(n.id[:16]), Present: n.answers, Log: labLog()}
	reg, err := open(cfg, n, n.clock, n.lab.pace)
	if err != nil {
		return err
	}
	reg.mu.Lock()
	reg.book.newcomers.burst = n.lab.burst
	reg.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	n.db, n.reg = db, reg
	return nil
}

// answers is what the node's segment says; as a rule every host has left.
func (n *node) answers(ctx context.Context, addr netip.Addr) (bool, error) {
	n.mu.Lock()
	present := n.present
	n.mu.Unlock()
	if present == nil {
		return false, nil
	}
	return present(ctx, addr)
}

func (n *node) whereHostsAre(present func(context.Context, netip.Addr) (bool, error)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.present = present
}

func labLog() *slog.Logger {
	if os.Getenv("REGISTRY_LOG") != "" {
		return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	return slog.New(slog.DiscardHandler)
}

func (n *node) stop() {
	n.mu.Lock()
	reg, db := n.reg, n.db
	n.reg, n.db = nil, nil
	n.mu.Unlock()
	if reg != nil {
		_ = reg.Close()
		_ = db.Close()
	}
}

// kill ends a node as a crash does: from one moment on nothing that it does is
// heard, and the next start finds the file as it was on disk then.
func (n *node) kill() error {
	n.mu.Lock()
	reg, db := n.reg, n.db
	n.reg, n.db = nil, nil
	n.life++
	n.mu.Unlock()
	if reg == nil {
		return nil
	}
	copied := n.path + ".crash"
	out, err := os.Create(copied)
	if err != nil {
		return err
	}
	err = errors.Join(db.Backup(out), out.Close(), reg.Close(), db.Close())
	return errors.Join(err, os.Rename(copied, n.path))
}

func (n *node) registry() *Registry {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.reg
}

var errUnreachable = errors.New("unreachable")

// labLine is the network as one life of a node sees it: after a crash nothing of
// it is heard any more.
type labLine struct {
	*node
	life int
}

func (l labLine) dead() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.node.life != l.life
}

// Call is the network.
func (n labLine) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	l := n.lab
	req = append([]byte(nil), req...)
	type result struct {
		b   []byte
		err error
	}
	ch := make(chan result, 1)
	if n.dead() || !l.pass(n.id, to) {
		<-ctx.Done() // a dead peer says nothing
		return nil, errUnreachable
	}
	go func() {
		l.mu.Lock()
		l.calls++
		peer := l.nodes[to]
		delay, heard := l.delay, l.heard
		l.mu.Unlock()
		if own := n.registry(); heard != nil && own != nil {
			if q, err := own.codec.decodeRequest(req); err == nil {
				heard(n.id, q)
			}
		}
		if delay != nil && !wait(ctx, delay()) {
			return
		}
		reg := peer.registry()
		if reg == nil {
			return
		}
		b, err := reg.Serve(context.Background(), n.id, req)
		if delay != nil && !wait(ctx, delay()) || !l.pass(to, n.id) || peer.registry() != reg {
			return // the answer is lost, also when the peer died before it left
		}
		ch <- result{b, err}
	}()
	select {
	case r := <-ch:
		if n.dead() {
			return nil, errUnreachable
		}
		return r.b, r.err
	case <-ctx.Done():
		return nil, errUnreachable
	}
}

func (l *lab) pass(from, to group.MemberID) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.cut[[2]group.MemberID{from, to}] && (l.loss == 0 || rand.Float64() >= l.loss)
}

// overhear calls f with every request from now on, before it is delivered.
func (l *lab) overhear(f func(from group.MemberID, q request)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.heard = f
}

// isolate cuts a node off from all others, or joins it again.
func (l *lab) isolate(n *node, off bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, o := range l.order {
		l.cut[[2]group.MemberID{n.id, o.id}], l.cut[[2]group.MemberID{o.id, n.id}] = off, off
	}
}

// The node's standing.

func (n *node) self() group.MemberID { return n.id }

func (n *node) terms() (*terms, error) {
	n.mu.Lock()
	v := n.version
	n.mu.Unlock()
	n.lab.mu.Lock()
	t := n.lab.history[v]
	n.lab.mu.Unlock()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.settings == nil {
		return t, nil
	}
	if n.settled == nil || n.settled.version != t.version || n.settled.settings != n.settings {
		n.settled = t.under(n.settings)
	}
	return n.settled, nil
}

// configure gives members other settings of the group.
func configure(s group.Settings, ns ...*node) {
	s = s.Normal()
	for _, n := range ns {
		n.mu.Lock()
		n.settings = &s
		n.mu.Unlock()
	}
}

func (n *node) learn(raw []byte) error {
	if len(raw) != 8 {
		return errors.New("bad descriptor")
	}
	v := binary.BigEndian.Uint64(raw)
	n.mu.Lock()
	changed := v > n.version
	n.version = max(n.version, v)
	var fs []func()
	for _, f := range n.listen {
		fs = append(fs, f)
	}
	n.mu.Unlock()
	for _, f := range fs {
		if changed {
			f()
		}
	}
	return nil
}

func (n *node) onChange(f func()) func() {
	n.mu.Lock()
	defer n.mu.Unlock()
	id := n.nextID
	n.nextID++
	n.listen[id] = f
	return func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.listen, id)
	}
}

func (n *node) certificate() []byte { return n.id[:] }

func (n *node) nameOf(m group.MemberID) string { return "site-" + m.Short() }

func (n *node) checkCertificate(of group.MemberID, der []byte, _ time.Time) error {
	if string(der) != string(of[:]) {
		return group.ErrCertificate
	}
	return n.authorized(of, time.Time{})
}

func (n *node) authorized(from group.MemberID, _ time.Time) error {
	if t, _ := n.terms(); !t.has(from) {
		return group.ErrNotMember
	}
	return nil
}

func (n *node) sign(domain string, msg []byte) []byte {
	return ed25519.Sign(n.key, append([]byte(domain), msg...))
}

func (n *node) verify(domain string, from group.MemberID, msg, sig []byte) error {
	if !ed25519.Verify(from.Key(), append([]byte(domain), msg...), sig) {
		return group.ErrSignature
	}
	return nil
}

// Helpers of tests.

func client(i int) Client {
	mac := net.HardwareAddr{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
	return Client{ID: append([]byte{1}, mac...), MAC: mac, Name: fmt.Sprintf("host%d", i)}
}

func short(t testing.TB, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), d)
	t.Cleanup(cancel)
	return ctx
}

// get leases an address for a client, as DISCOVER and REQUEST do. It asks again while a
// busy machine keeps the members from answering one another in time, as clients do.
func get(t testing.TB, r *Registry, c Client) Lease {
	t.Helper()
	ctx := short(t, 30*time.Second)
	o, err := r.Offer(ctx, c, netip.Addr{})
	for (errors.Is(err, ErrNoQuorum) || errors.Is(err, context.DeadlineExceeded)) && ctx.Err() == nil {
		time.Sleep(50 * time.Millisecond)
		o, err = r.Offer(ctx, c, netip.Addr{})
	}
	if err != nil {
		t.Fatalf("offer: %v", err)
	}
	l, err := r.Commit(ctx, c, o.Addr)
	if err != nil {
		t.Fatalf("commit %v: %v", o.Addr, err)
	}
	return l
}

// eventually waits for a condition.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within two minutes: %s", what)
		}
	}
}
