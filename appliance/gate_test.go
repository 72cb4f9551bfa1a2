package appliance

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/modes"
	"landbridge/internal/overlay"
	"landbridge/internal/store"
)

const protocolEcho = "/landbridge/test-echo/1"

// member is a node with an overlay and a gate, and with no other rooms.
type member struct {
	*network
	gate *gate
}

// newMember opens a node on loopback. m makes its membership.
func newMember(t *testing.T, join func(*store.DB, ed25519.PrivateKey) *group.Membership) *member {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), databaseFile))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	key, err := nodeKey(db)
	if err != nil {
		t.Fatal(err)
	}
	o, err := overlay.Open(t.Context(), overlay.Config{Key: key, ListenTCP: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	log := slog.New(slog.DiscardHandler)
	roll, err := openRoll(db, nil)
	if err != nil {
		t.Fatal(err)
	}
	nd := &node{overlay: o, log: log, state: &state{db: db, key: key}, roll: roll, base: t.Context()}
	nd.modes = nd.newModes(modes.Record{})
	n := &network{node: nd, log: log, run: 1, ready: make(chan struct{}), met: make(map[group.MemberID]greeting)}
	n.membership = join(db, key)
	n.id = n.membership.Group()
	close(n.ready)
	m := &member{network: n, gate: newGate(o, func(id group.ID) (*network, bool) { return n, id == n.id }, log)}
	nd.gate, n.node = m.gate, nd
	m.gate.handle(protocolEcho, func(_ context.Context, _ *network, from group.MemberID, req []byte) ([]byte, error) {
		return append([]byte(from.String()), req...), nil
	})
	return m
}

// testGroup is a group with its authority, for members to join.
// What it certifies is an hour old.
type testGroup struct {
	t         *testing.T
	authority *group.Authority
}

func (g *testGroup) create(db *store.DB, key ed25519.PrivateKey) *group.Membership {
	p := group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults()
	a, m, err := group.CreateGroup(db, key, "founder", p, anHourAgo())
	if err != nil {
		g.t.Fatal(err)
	}
	g.authority = a
	g.t.Cleanup(a.Subscribe(func(d group.SignedDescriptor) {
		if _, err := m.Update(d); err != nil {
			g.t.Error(err)
		}
	}))
	return m
}

func (g *testGroup) join(db *store.DB, key ed25519.PrivateKey) *group.Membership {
	token, err := g.authority.Invite(2*time.Hour, nil, anHourAgo())
	if err != nil {
		g.t.Fatal(err)
	}
	inv, err := group.ParseInvitation(token)
	if err != nil {
		g.t.Fatal(err)
	}
	self := group.MemberOf(key.Public().(ed25519.PublicKey))
	reply, err := g.authority.Admit(self, group.NewJoinRequest(inv, "newcomer"), anHourAgo())
	if err != nil {
		g.t.Fatal(err)
	}
	m, err := group.SaveJoin(db, key, inv, reply, time.Now())
	if err != nil {
		g.t.Fatal(err)
	}
	return m
}

func anHourAgo() time.Time { return time.Now().Add(-time.Hour) }

// call asks to, of which it knows the addresses, by way of from's gate.
func (m *member) call(t *testing.T, to *member) (string, error) {
	t.Helper()
	m.node.overlay.Add(to.node.overlay.Addrs())
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	reply, err := m.gate.call(ctx, m.network, to.membership.Self(), protocolEcho, []byte(" hello"))
	return string(reply), err
}

func TestMembersAreIntroducedByTheirFirstCall(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	third := newMember(t, g.join)

	// The second has never heard of the third: its descriptor is older.
	if v := second.membership.Descriptor().Version; v != 2 {
		t.Fatalf("the second member starts with descriptor %d, want 2", v)
	}
	reply, err := third.call(t, second)
	if err != nil {
		t.Fatal(err)
	}
	if want := third.membership.Self().String() + " hello"; reply != want {
		t.Errorf("reply %q, want %q", reply, want)
	}
	if v := second.membership.Descriptor().Version; v != 3 {
		t.Errorf("after the hello the second member has descriptor %d, want 3", v)
	}
	// And the other way round: who is behind learns from whom it asks.
	if _, err := second.call(t, founder); err != nil {
		t.Error(err)
	}
}

func TestAMemberThatForgotACertificateIsToldAgain(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	second.gate.met[acquaintance{second.id, founder.membership.Self()}] = true // before the founder's restart
	if _, err := second.call(t, founder); err != nil {
		t.Errorf("a member that had to say hello again: %v", err)
	}
}

func TestAStrangerGetsNowhere(t *testing.T) {
	g, other := &testGroup{t: t}, &testGroup{t: t}
	founder := newMember(t, g.create)
	stranger := newMember(t, other.create) // a member of another group
	if _, err := stranger.call(t, founder); err == nil || !strings.Contains(err.Error(), errNoGroup.Error()) {
		t.Errorf("a call for a group that the other isn't in: %v", err)
	}

	stranger.id = founder.id // it claims to belong
	_, err := stranger.call(t, founder)
	if err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a call without a certificate of the group: %v", err)
	}
	stranger.gate.met[acquaintance{founder.id, founder.membership.Self()}] = true // it leaves the hello out
	if reply, err := stranger.gate.ask(t.Context(), stranger.network, founder.membership.Self(), protocolEcho, nil); !errors.Is(err, errStranger) {
		t.Errorf("a call without a hello: %q, %v", reply, err)
	}
}

func TestARemovedMemberGetsNowhere(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	if _, err := second.call(t, founder); err != nil {
		t.Fatal(err)
	}
	if _, err := g.authority.Remove(second.membership.Self()); err != nil {
		t.Fatal(err)
	}
	if reply, err := second.call(t, founder); err == nil {
		t.Errorf("a removed member was answered: %q", reply)
	}
}

func TestAnotherRunIsNoticedOnce(t *testing.T) {
	g := &testGroup{t: t}
	founder := newMember(t, g.create)
	second := newMember(t, g.join)
	founder.ready = make(chan struct{}) // no tunnel stands here, so that none is told
	self := second.membership.Self()
	for _, run := range []uint64{1, 1, 2} {
		second.run = run
		if err := founder.greet(self, second.hello(nil)); err != nil {
			t.Fatal(err)
		}
		if got := founder.met[self].run; got != run {
			t.Errorf("the founder remembers run %d, want %d", got, run)
		}
	}
}

func FuzzGate(f *testing.F) {
	f.Add([]byte{}, []byte{})
	f.Add(make([]byte, 32), []byte{replyOK, 1, 2})
	f.Add(make([]byte, 31), []byte{replyStranger})
	f.Add(make([]byte, 64), []byte{replyRefused, 'n', 'o'})
	n := &network{ready: make(chan struct{})}
	close(n.ready)
	g := &gate{find: func(id group.ID) (*network, bool) { return n, id == group.ID{} }}
	f.Fuzz(func(t *testing.T, req, reply []byte) {
		if _, body, err := g.open(t.Context(), req); err == nil && len(body) != len(req)-len(group.ID{}) {
			t.Errorf("a body of %d bytes from a request of %d", len(body), len(req))
		}
		if b, err := unwrap(reply); err == nil && len(b) != len(reply)-1 {
			t.Errorf("%d bytes out of a reply of %d", len(b), len(reply))
		}
	})
}
