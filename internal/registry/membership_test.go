package registry

import (
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"net/netip"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// wire joins registries of real memberships.
type wire struct{ peers sync.Map } // MemberID -> *Registry

type wireEnd struct {
	w    *wire
	self group.MemberID
}

func (e wireEnd) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	peer, ok := e.w.peers.Load(to)
	if !ok {
		return nil, errUnreachable
	}
	return peer.(*Registry).Serve(ctx, e.self, req)
}

func wireDB(t *testing.T, name string) (*store.DB, ed25519.PrivateKey) {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	seed := sha256.Sum256([]byte(name))
	return db, ed25519.NewKeyFromSeed(seed[:])
}

func (w *wire) open(t *testing.T, db *store.DB, m *group.Membership) *Registry {
	t.Helper()
	id := m.Self()
	r, err := Open(Config{Membership: m, Store: db, Transport: wireEnd{w, id}, Segment: SegmentID(id[:16]), Log: labLog()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	w.peers.Store(id, r)
	return r
}

// join admits a node. Only the authority hears of it: the others learn from the newcomer.
func join(t *testing.T, a *group.Authority, at group.MemberID, name string, now time.Time) (*store.DB, *group.Membership) {
	t.Helper()
	token, err := a.Invite(time.Hour, []string{"/ip4/192.0.2.1/udp/4001/quic-v1/p2p/" + at.String()}, now)
	if err != nil {
		t.Fatal(err)
	}
	inv, err := group.ParseInvitation(token)
	if err != nil {
		t.Fatal(err)
	}
	db, key := wireDB(t, name)
	answer, err := a.Admit(group.MemberOf(key.Public().(ed25519.PublicKey)), group.NewJoinRequest(inv, name), now)
	if err != nil {
		t.Fatal(err)
	}
	m, err := group.SaveJoin(db, key, inv, answer, now)
	if err != nil {
		t.Fatal(err)
	}
	return db, m
}

func TestRealMembersLearnOfEachOtherFromTheirRequests(t *testing.T) {
	t.Parallel() // it mostly waits
	now := time.Now()
	w := &wire{}
	db, key := wireDB(t, "founder")
	authority, founder, err := group.CreateGroup(db, key, "founder", group.Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}.WithDefaults(), now)
	if err != nil {
		t.Fatal(err)
	}
	rs := []*Registry{w.open(t, db, founder)}
	ms := []*group.Membership{founder}
	for _, name := range []string{"second", "third", "fourth"} {
		db, m := join(t, authority, founder.Self(), name, now)
		rs, ms = append(rs, w.open(t, db, m)), append(ms, m)
	}
	for i, r := range rs {
		lease := get(t, r, client(i))
		for j, other := range rs {
			loc, err := other.Resolve(short(t, 5*time.Second), lease.Addr)
			for n := 0; err != nil && n < 20; n++ { // a loaded machine
				time.Sleep(100 * time.Millisecond)
				loc, err = other.Resolve(short(t, 5*time.Second), lease.Addr)
			}
			if err != nil || loc.Member != ms[i].Self() {
				t.Fatalf("member %d resolves the host of member %d: %v, %v", j, i, loc, err)
			}
		}
	}
	// A removed member gets nowhere, and learns why.
	signed, err := authority.Remove(ms[3].Self())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := founder.Update(signed); err != nil {
		t.Fatal(err)
	}
	tt, err := rs[3].terms()
	if err != nil {
		t.Fatal(err)
	}
	a, err := rs[3].call(t.Context(), tt, founder.Self(), request{Kind: kindWatch, Block: rs[0].Blocks()[0].Block})
	if err != nil || a.Status != statusRefused || len(a.Record) != 0 {
		t.Fatalf("a removed member asks: %+v, %v", a.Status, err)
	}
	if err := ms[3].Descriptor().Check(ms[3].Self()); !errors.Is(err, group.ErrRemoved) {
		t.Fatalf("the removed member doesn't know: %v", err)
	}
	if _, err := rs[0].Serve(t.Context(), group.MemberID{1, 2, 3}, must(rs[0].codec.encode(request{Kind: kindLookup, Group: rs[0].group, Version: 1}))); err != nil {
		t.Fatal(err)
	}
}
