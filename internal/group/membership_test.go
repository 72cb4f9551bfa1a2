package group

import (
	"bytes"
	"errors"
	"slices"
	"sync"
	"testing"
	"time"

	"landbridge/internal/store"
)

func TestAMembershipOutlivesARestart(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	l.join(2)
	l.mustUpdate(m)
	again, err := OpenMembership(m.db, testKey(1), m.Group())
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(again.Signed(), m.Signed()) || !bytes.Equal(again.Certificate(), m.Certificate()) || again.Descriptor().Version != 3 {
		t.Errorf("version %d", again.Descriptor().Version)
	}
	if ids, err := Groups(m.db); err != nil || !slices.Equal(ids, []ID{l.founder.Group()}) {
		t.Errorf("groups %v (%v)", ids, err)
	}
	if _, err := OpenMembership(m.db, testKey(2), m.Group()); !errors.Is(err, ErrOtherNode) {
		t.Errorf("another key: %v", err)
	}
	if _, err := OpenMembership(m.db, testKey(1), ID{1}); !errors.Is(err, ErrNoMembership) {
		t.Errorf("another group: %v", err)
	}
	if _, err := OpenAuthority(m.db, m.Group()); !errors.Is(err, ErrNotAuthority) {
		t.Errorf("the authority at a plain member: %v", err)
	}
}

func forget(t *testing.T, db *store.DB, id ID) {
	t.Helper()
	if err := db.Update(func(tx *store.Tx) error { return Forget(tx, id) }); err != nil {
		t.Fatal(err)
	}
}

func TestNothingIsLeftOfAForgottenGroup(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	forget(t, m.db, m.Group())
	if ids, err := Groups(m.db); err != nil || len(ids) != 0 {
		t.Errorf("a member's groups: %v (%v)", ids, err)
	}
	l.join(2)
	if changed, err := m.Update(l.founder.Signed()); changed || !errors.Is(err, ErrNoMembership) {
		t.Errorf("a descriptor that comes late: %v, %v", changed, err)
	}

	inv := l.invite()
	forget(t, l.db, l.founder.Group())
	if _, err := OpenAuthority(l.db, l.founder.Group()); !errors.Is(err, ErrNotAuthority) {
		t.Errorf("the CA key: %v", err)
	}
	if _, err := l.authority.Admit(testMember(3), NewJoinRequest(inv, "late"), l.now); err == nil {
		t.Error("a newcomer that comes late was admitted")
	}
	err := l.db.View(func(tx *store.Tx) error {
		if n := descriptors().Len(tx) + memberships().Len(tx) + authorities().Len(tx) + invitations(l.founder.Group()).Len(tx); n != 0 {
			t.Errorf("%d rows are left", n)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// What the file has when fn of a subscriber runs is what Update promises.
func TestUpdateIsDurableBeforeItTells(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	var told []uint64
	cancel := m.Subscribe(func(d *Descriptor) {
		told = append(told, d.Version)
		if m.Descriptor() != d {
			t.Error("told before it is in force")
		}
		err := m.db.View(func(tx *store.Tx) error {
			stored, _, err := loadDescriptor(tx, m.Group())
			if err == nil && stored.descriptor.Version != d.Version {
				t.Errorf("told of version %d, the file has %d", d.Version, stored.descriptor.Version)
			}
			return err
		})
		if err != nil {
			t.Error(err)
		}
	})
	l.join(2)
	l.join(3)
	l.mustUpdate(m)
	l.remove(3)
	l.mustUpdate(m)
	l.mustUpdate(m)
	cancel()
	l.join(4)
	l.mustUpdate(m)
	if !slices.Equal(told, []uint64{4, 5}) {
		t.Errorf("told of %v", told)
	}
}

func TestAnUpdateThatCannotBeStoredIsNotInForce(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	m.Subscribe(func(*Descriptor) { t.Error("told") })
	l.join(2)
	if err := m.db.Close(); err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Update(l.founder.Signed()); !errors.Is(err, store.ErrClosed) || changed {
		t.Errorf("%v, %v", changed, err)
	}
	if v := m.Descriptor().Version; v != 2 {
		t.Errorf("version %d", v)
	}
}

func TestUpdateNeverGoesBack(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	old := m.Signed()
	l.join(2)
	l.mustUpdate(m)
	for name, signed := range map[string]SignedDescriptor{"older": old, "the same": m.Signed(), "the same, copied": bytes.Clone(m.Signed())} {
		if changed, err := m.Update(signed); err != nil || changed {
			t.Errorf("%s: %v, %v", name, changed, err)
		}
	}
	inv := l.invite()
	if _, err := SaveJoin(m.db, testKey(1), inv, JoinReply{Descriptor: old, Certificate: m.Certificate()}, l.now); err != nil {
		t.Fatal(err)
	}
	if again, err := OpenMembership(m.db, testKey(1), m.Group()); err != nil || again.Descriptor().Version != 3 {
		t.Errorf("joining again went back to %v (%v)", again.Descriptor().Version, err)
	}
	if _, err := m.Update(newLab(t).founder.Signed()); !errors.Is(err, ErrOtherGroup) {
		t.Errorf("another group's: %v", err)
	}
	if _, err := m.Update([]byte("x")); !errors.Is(err, ErrDescriptor) {
		t.Errorf("garbage: %v", err)
	}
}

func TestOnlyTheCertifiedAreAuthorized(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	two := l.join(2) // m doesn't know of it yet
	if err := m.Authorized(l.founder.Self(), l.now); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("before it has shown its certificate: %v", err)
	}
	if err := m.CheckCertificate(l.founder.Self(), l.founder.Certificate(), l.now); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(m.Authorized(l.founder.Self(), l.now), m.Authorized(m.Self(), l.now)); err != nil {
		t.Error(err)
	}
	if c, ok := m.certificateOf(l.founder.Self()); !ok || !bytes.Equal(c.der, l.founder.Certificate()) {
		t.Error("its certificate isn't remembered")
	}
	err := m.CheckCertificate(two.Self(), two.Certificate(), l.now)
	if !errors.Is(err, ErrBehind) || !errors.Is(err, ErrNotMember) {
		t.Errorf("one whose admission hasn't arrived: %v", err)
	}
	if err := m.Authorized(two.Self(), l.now); !errors.Is(err, ErrNotMember) || errors.Is(err, ErrBehind) {
		t.Errorf("authorized: %v", err)
	}
	l.mustUpdate(m)
	if err := m.Authorized(two.Self(), l.now); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("the refused certificate was remembered: %v", err)
	}
	if err := m.CheckCertificate(two.Self(), two.Certificate(), l.now); err != nil {
		t.Error(err)
	}
	l.remove(2)
	l.mustUpdate(m)
	if err := m.Authorized(two.Self(), l.now); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed: %v", err)
	}
	if err := m.CheckCertificate(two.Self(), two.Certificate(), l.now); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed, with its good certificate: %v", err)
	}
	if len(m.learnt) != 1 {
		t.Errorf("%d certificates remembered, want the founder's", len(m.learnt))
	}
	l.mustUpdate(two)
	if err := two.Authorized(two.Self(), l.now); !errors.Is(err, ErrRemoved) {
		t.Errorf("the removed one of itself: %v", err)
	}
	if err := two.CheckCertificate(two.Self(), two.Certificate(), l.now); !errors.Is(err, ErrRemoved) {
		t.Errorf("its own certificate: %v", err)
	}
	// A check that was under way when the removal came remembers nothing.
	m.learn(two.Self(), *two.own.Load())
	if _, ok := m.certificateOf(two.Self()); ok {
		t.Error("the certificate of a removed member is remembered")
	}
}

// Readers at work while the roster changes under them; the race detector watches, and
// a member that stays is authorized at every moment.
func TestReadersDoNotNoticeUpdates(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	if err := m.CheckCertificate(l.founder.Self(), l.founder.Certificate(), l.now); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			for running := true; running; {
				select {
				case <-done:
					running = false // one more round
				default:
				}
				err := errors.Join(m.Authorized(l.founder.Self(), l.now), m.CheckCertificate(l.founder.Self(), l.founder.Certificate(), l.now))
				d := m.Descriptor()
				if err != nil || len(d.Current()) < 2 {
					t.Error(err)
				}
			}
		})
	}
	for n := 2; n < 7; n++ {
		l.join(n)
		l.mustUpdate(m)
		if n%2 == 0 {
			l.remove(n)
			l.mustUpdate(m)
		}
	}
	close(done)
	wg.Wait()
}

func TestRenewal(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	third := CertificateLife / 3
	for at, due := range map[time.Duration]bool{0: false, 2*third - time.Second: false, 2 * third: true, 2 * CertificateLife: true} {
		if got := m.RenewalDue(start().Add(at)); got != due {
			t.Errorf("due at %v: %v", at, got)
		}
	}
	l.join(2)
	l.now = l.now.Add(2 * third)
	reply, err := l.ask(1, NewRenewRequest(m.Group()))
	if err != nil {
		t.Fatal(err)
	}
	old := m.Certificate()
	if err := m.Renewed(reply, l.now); err != nil {
		t.Fatal(err)
	}
	if m.RenewalDue(l.now) || !m.Expires().Equal(l.now.Add(CertificateLife)) || m.Descriptor().Version != 3 {
		t.Errorf("ends %v, version %d", m.Expires(), m.Descriptor().Version)
	}
	if err := m.SetCertificate(old, l.now); err != nil || bytes.Equal(m.Certificate(), old) {
		t.Errorf("went back to the old certificate (%v)", err)
	}
	again, err := OpenMembership(m.db, testKey(1), m.Group())
	if err != nil || !bytes.Equal(again.Certificate(), m.Certificate()) {
		t.Errorf("not stored (%v)", err)
	}
	if err := m.SetCertificate(l.founder.Certificate(), l.now); !errors.Is(err, ErrCertificate) {
		t.Errorf("another's certificate: %v", err)
	}
	// A peer that has seen the new one keeps it when it is shown the old one.
	if err := errors.Join(l.founder.CheckCertificate(m.Self(), m.Certificate(), l.now), l.founder.CheckCertificate(m.Self(), old, l.now)); err != nil {
		t.Fatal(err)
	}
	if err := l.founder.Authorized(m.Self(), start().Add(CertificateLife+time.Hour)); err != nil {
		t.Error(err)
	}
}

func TestSaveJoinChecksTheReply(t *testing.T) {
	l, other := newLab(t), newLab(t)
	inv := l.invite()
	reply, err := l.ask(1, NewJoinRequest(inv, "one"))
	if err != nil {
		t.Fatal(err)
	}
	otherInv := other.invite()
	otherReply, err := other.ask(1, NewJoinRequest(otherInv, "one"))
	if err != nil {
		t.Fatal(err)
	}
	founders := JoinReply{Descriptor: reply.Descriptor, Certificate: l.founder.Certificate()}
	db := openDB(t)
	for name, test := range map[string]struct {
		reply JoinReply
		node  int
		at    time.Time
		want  error
	}{
		"another group's":       {otherReply, 1, l.now, ErrOtherGroup},
		"another's certificate": {founders, 1, l.now, ErrCertificate},
		"without us":            {reply, 2, l.now, ErrNotMember},
		"no certificate":        {JoinReply{Descriptor: reply.Descriptor}, 1, l.now, ErrCertificate},
		"nothing":               {JoinReply{}, 1, l.now, ErrDescriptor},
		"our clock is behind":   {reply, 1, l.now.Add(-time.Hour), ErrCertificate},
	} {
		if _, err := SaveJoin(db, testKey(test.node), inv, test.reply, test.at); !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if ids, err := Groups(db); err != nil || len(ids) != 0 {
		t.Errorf("a refused reply left %v (%v)", ids, err)
	}
	if _, err := SaveJoin(db, testKey(1), inv, reply, l.now); err != nil {
		t.Error(err)
	}
}

func TestOneNodeMayBeInSeveralGroups(t *testing.T) {
	a, b := newLab(t), newLab(t)
	m := a.join(1)
	inv := b.invite()
	reply, err := b.ask(1, NewJoinRequest(inv, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SaveJoin(m.db, testKey(1), inv, reply, b.now); err != nil {
		t.Fatal(err)
	}
	if ids, err := Groups(m.db); err != nil || len(ids) != 2 {
		t.Errorf("%v (%v)", ids, err)
	}
}

func TestSignaturesHoldForOneMessageDomainGroupAndMember(t *testing.T) {
	l, other := newLab(t), newLab(t)
	m := l.join(1)
	sig := m.Sign("registry grant", []byte("block 7"))
	if err := l.founder.Verify("registry grant", m.Self(), []byte("block 7"), sig); err != nil {
		t.Fatal(err)
	}
	for name, err := range map[string]error{
		"another message":   l.founder.Verify("registry grant", m.Self(), []byte("block 8"), sig),
		"another domain":    l.founder.Verify("registry", m.Self(), []byte(" grantblock 7"), sig),
		"another member":    l.founder.Verify("registry grant", l.founder.Self(), []byte("block 7"), sig),
		"another group":     other.founder.Verify("registry grant", m.Self(), []byte("block 7"), sig),
		"no signature":      l.founder.Verify("registry grant", m.Self(), []byte("block 7"), nil),
		"a longer one":      l.founder.Verify("registry grant", m.Self(), []byte("block 7"), append(slices.Clone(sig), 0)),
		"nobody's":          l.founder.Verify("registry grant", MemberID{}, []byte("block 7"), sig),
		"a changed one":     l.founder.Verify("registry grant", m.Self(), []byte("block 7"), append(Signature{sig[0] ^ 1}, sig[1:]...)),
		"at a non-member's": VerifySignature(ID{}, "registry grant", m.Self(), []byte("block 7"), sig),
	} {
		if !errors.Is(err, ErrSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestIDsComeBackFromEveryForm(t *testing.T) {
	m, id := testMember(1), IDOf(publicKey(testKey(2)))
	var m2, m3 MemberID
	var id2, id3 ID
	mt, _ := m.MarshalText()
	mb, _ := m.MarshalBinary()
	it, _ := id.MarshalText()
	ib, _ := id.MarshalBinary()
	if err := errors.Join(m2.UnmarshalText(mt), m3.UnmarshalBinary(mb), id2.UnmarshalText(it), id3.UnmarshalBinary(ib)); err != nil {
		t.Fatal(err)
	}
	if m2 != m || m3 != m || id2 != id || id3 != id {
		t.Error("changed on the way")
	}
	if m.UnmarshalBinary(mb[:31]) == nil || id.UnmarshalBinary(append(ib, 0)) == nil || m.UnmarshalText([]byte("x")) == nil || id.UnmarshalText(it[:63]) == nil {
		t.Error("a wrong length was taken")
	}
}
