package group

import (
	"crypto/ed25519"
	"net/netip"
	"path/filepath"
	"testing"
	"time"

	"landbridge/internal/store"
)

func TestSmoke(t *testing.T) {
	now := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	db, err := store.Open(filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	_, k1, _ := ed25519.GenerateKey(nil)
	_, k2, _ := ed25519.GenerateKey(nil)
	a, m, err := CreateGroup(db, k1, "one", Params{Name: "lab", Prefix: netip.MustParsePrefix("10.9.0.0/16")}, now)
	if err != nil {
		t.Fatal(err)
	}
	tok, err := a.Invite(time.Hour, []string{"/ip4/192.0.2.1/udp/4242/quic-v1/p2p/" + m.Self().String()}, now)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(len(tok), tok)
	inv, err := ParseInvitation(tok)
	if err != nil {
		t.Fatal(err)
	}
	t.Log(inv.Addrs)
	db2, err := store.Open(filepath.Join(t.TempDir(), "s.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db2.Close()
	req, _ := NewJoinRequest(inv, "two").Marshal()
	rep, err := a.Serve(MemberOf(publicKey(k2)), req, now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ParseJoinReply(rep)
	if err != nil {
		t.Fatal(err)
	}
	m2, err := SaveJoin(db2, k2, inv, r, now)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Update(m2.Signed()); err != nil {
		t.Fatal(err)
	}
	if err := m.CheckCertificate(m2.Self(), m2.Certificate(), now); err != nil {
		t.Fatal(err)
	}
	t.Log(len(m2.Signed()), len(m2.Certificate()), m.Descriptor().Replicas(2, [32]byte{}, 5))
}
