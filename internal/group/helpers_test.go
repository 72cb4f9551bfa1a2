package group

import (
	"crypto/ed25519"
	"fmt"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"landbridge/internal/store"
)

// start is when all tests begin.
func start() time.Time { return time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC) }

// testKey returns the n-th node key.
func testKey(n int) ed25519.PrivateKey {
	seed := make([]byte, ed25519.SeedSize)
	copy(seed, fmt.Sprintf("key %d", n))
	return ed25519.NewKeyFromSeed(seed)
}

func testMember(n int) MemberID { return MemberOf(publicKey(testKey(n))) }

func testParams() Params {
	return Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults()
}

func openDB(t testing.TB) *store.DB {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// lab is a group with its authority, node 0.
type lab struct {
	t         testing.TB
	db        *store.DB
	authority *Authority
	founder   *Membership
	now       time.Time
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{t: t, db: openDB(t), now: start()}
	var err error
	l.authority, l.founder, err = CreateGroup(l.db, testKey(0), "founder", testParams(), l.now)
	if err != nil {
		t.Fatal(err)
	}
	l.authority.Subscribe(func(signed SignedDescriptor) {
		if changed, err := l.founder.Update(signed); err != nil || !changed {
			t.Errorf("the founder's own membership: %v, %v", changed, err)
		}
	})
	return l
}

func (l *lab) invite() Invitation {
	l.t.Helper()
	inv, _ := l.issue(Terms{Life: time.Hour})
	return inv
}

func (l *lab) issue(t Terms) (Invitation, Issued) {
	l.t.Helper()
	token, made, err := l.authority.Issue(t, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	inv, err := ParseInvitation(token)
	if err != nil {
		l.t.Fatal(err)
	}
	return inv, made
}

// ask sends a request through its encoded form, and reads the reply.
func (l *lab) ask(node int, req JoinRequest) (JoinReply, error) {
	l.t.Helper()
	b, err := req.Marshal()
	if err != nil {
		l.t.Fatal(err)
	}
	reply, err := l.authority.Serve(testMember(node), "192.0.2.7:4860", b, l.now)
	if err != nil {
		return JoinReply{}, err
	}
	return ParseJoinReply(reply)
}

// join makes node n a member with a state file of its own.
func (l *lab) join(n int) *Membership {
	l.t.Helper()
	inv := l.invite()
	reply, err := l.ask(n, NewJoinRequest(inv, fmt.Sprintf("node%d", n)))
	if err != nil {
		l.t.Fatal(err)
	}
	m, err := SaveJoin(openDB(l.t), testKey(n), inv, reply, l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	return m
}

func (l *lab) remove(n int) SignedDescriptor {
	l.t.Helper()
	signed, err := l.authority.Remove(testMember(n))
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}

// mustUpdate hands a member the founder's newest descriptor.
func (l *lab) mustUpdate(m *Membership) {
	l.t.Helper()
	if _, err := m.Update(l.founder.Signed()); err != nil {
		l.t.Fatal(err)
	}
}

// sign signs a changed copy of the founder's descriptor with the true CA key, as a
// faulty authority would.
func (l *lab) sign(change func(*Descriptor)) SignedDescriptor {
	l.t.Helper()
	d := *l.founder.Descriptor()
	d.Members = append([]Entry(nil), d.Members...)
	change(&d)
	signed, err := d.sign(l.authority.key)
	if err != nil {
		l.t.Fatal(err)
	}
	return signed
}
