package group

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"landbridge/internal/store"
)

func TestANewcomerBecomesAMember(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	d := m.Descriptor()
	if d.Version != 2 || !slices.Equal(d.Current(), l.founder.Descriptor().Current()) || len(d.Members) != 2 {
		t.Errorf("roster %+v", d.Members)
	}
	if e, _ := d.Entry(m.Self()); e.Name != "node1" || e.Added != 2 {
		t.Errorf("entry %+v", e)
	}
	if d.Authority != l.founder.Self() || d.Params != testParams() {
		t.Errorf("descriptor %+v", d)
	}
	if err := m.Authorized(m.Self(), l.now); err != nil {
		t.Errorf("itself: %v", err)
	}
	if err := errors.Join(l.founder.CheckCertificate(m.Self(), m.Certificate(), l.now), m.CheckCertificate(l.founder.Self(), l.founder.Certificate(), l.now)); err != nil {
		t.Error(err)
	}
}

func TestAnInvitationAdmitsOneNode(t *testing.T) {
	l := newLab(t)
	inv := l.invite()
	first, err := l.ask(1, NewJoinRequest(inv, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(2, NewJoinRequest(inv, "two")); !errors.Is(err, ErrUsed) {
		t.Errorf("a second node: %v", err)
	}
	l.now = l.now.Add(100 * 24 * time.Hour) // the reply was lost; much later
	again, err := l.ask(1, NewJoinRequest(inv, "one"))
	if err != nil {
		t.Fatalf("the same node again: %v", err)
	}
	if !bytes.Equal(first.Descriptor, again.Descriptor) {
		t.Error("asking again made a new version")
	}
	if _, err := SaveJoin(openDB(t), testKey(1), inv, again, l.now); err != nil {
		t.Error(err)
	}
	if _, err := l.ask(2, NewJoinRequest(inv, "two")); !errors.Is(err, ErrUsed) {
		t.Errorf("a second node, after the end: %v", err)
	}
}

func TestAMemberWithAnotherInvitationStaysOne(t *testing.T) {
	l := newLab(t)
	l.join(1)
	l.join(1)
	if d := l.founder.Descriptor(); d.Version != 2 || len(d.Members) != 2 {
		t.Errorf("version %d, %d entries", d.Version, len(d.Members))
	}
}

func TestWhatIsWrongWithAnInvitationIsSaid(t *testing.T) {
	l, other := newLab(t), newLab(t)
	expired := l.invite()
	l.now = l.now.Add(2 * time.Hour)
	guessed := l.invite()
	guessed.Secret[15] ^= 1
	elsewhere := other.invite()
	renamed := other.invite()
	renamed.Group = l.founder.Group()
	badName := NewJoinRequest(l.invite(), "Not A Label")
	before := l.db.Stats().Commits
	for name, test := range map[string]struct {
		req  JoinRequest
		want error
	}{
		"expired":                         {NewJoinRequest(expired, "x"), ErrExpired},
		"a guessed secret":                {NewJoinRequest(guessed, "x"), ErrUnknownInvitation},
		"of another group":                {NewJoinRequest(elsewhere, "x"), ErrOtherGroup},
		"another's secret":                {NewJoinRequest(renamed, "x"), ErrUnknownInvitation},
		"no secret":                       {JoinRequest{Kind: KindJoin, Group: l.founder.Group(), Name: "x"}, ErrUnknownInvitation},
		"renewal by a stranger":           {NewRenewRequest(l.founder.Group()), ErrNotMember},
		"renewal of another":              {NewRenewRequest(other.founder.Group()), ErrOtherGroup},
		"a good one, but no name to show": {badName, nil},
	} {
		_, err := l.ask(1, test.req)
		switch {
		case test.want == nil && (err == nil || !strings.Contains(err.Error(), "letters a to z")):
			t.Errorf("%s: %v", name, err)
		case test.want != nil && !errors.Is(err, test.want):
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	if got := l.db.Stats().Commits - before; got != 0 {
		t.Errorf("refusals cost %d commits", got)
	}
	if v := l.founder.Descriptor().Version; v != 1 {
		t.Errorf("version %d", v)
	}
}

func TestARemovedMemberComesBackByAnotherInvitationOnly(t *testing.T) {
	l := newLab(t)
	inv := l.invite()
	if _, err := l.ask(1, NewJoinRequest(inv, "one")); err != nil {
		t.Fatal(err)
	}
	signed := l.remove(1)
	if again := l.remove(1); !bytes.Equal(signed, again) {
		t.Error("removing twice made a version")
	}
	if _, err := l.ask(1, NewJoinRequest(inv, "one")); !errors.Is(err, ErrRemoved) {
		t.Errorf("by the old invitation: %v", err)
	}
	if _, err := l.ask(1, NewRenewRequest(l.founder.Group())); !errors.Is(err, ErrRemoved) {
		t.Errorf("by renewal: %v", err)
	}
	if v := l.founder.Descriptor().Version; v != 3 {
		t.Errorf("version %d", v)
	}
	l.join(1)
	if err := l.founder.Descriptor().Check(testMember(1)); err != nil {
		t.Errorf("by a new one: %v", err)
	}
	l.remove(1)
	if err := l.founder.Descriptor().Check(testMember(1)); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed again: %v", err)
	}
}

// The key under which an invitation is found is short; it alone admits nobody.
func TestTheWholeSecretIsCompared(t *testing.T) {
	l := newLab(t)
	inv := l.invite()
	err := l.db.Update(func(tx *store.Tx) error {
		bucket, key := invitations(l.authority.id), invitationKey(hashSecret(inv.Secret))
		record, _, err := bucket.Get(tx, key)
		record.Hash[31] ^= 1
		return errors.Join(err, bucket.Put(tx, key, record))
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(1, NewJoinRequest(inv, "x")); !errors.Is(err, ErrUnknownInvitation) {
		t.Errorf("got %v", err)
	}
}

func TestRemoveSaysWhatItCannot(t *testing.T) {
	l := newLab(t)
	if _, err := l.authority.Remove(testMember(0)); !errors.Is(err, ErrLastAuthority) {
		t.Errorf("the authority: %v", err)
	}
	if _, err := l.authority.Remove(testMember(1)); !errors.Is(err, ErrNotMember) {
		t.Errorf("a stranger: %v", err)
	}
}

func TestMembersOfOneNameAreToldApart(t *testing.T) {
	l := newLab(t)
	long := strings.Repeat("a", MaxNameLength)
	var names []string
	for n := 1; n <= 6; n++ {
		want := "debian"
		if n > 3 {
			want = long
		}
		if _, err := l.ask(n, NewJoinRequest(l.invite(), want)); err != nil {
			t.Fatal(err)
		}
		e, _ := l.founder.Descriptor().Entry(testMember(n))
		names = append(names, e.Name)
	}
	want := []string{"debian", "debian-2", "debian-3", long, long[:61] + "-2", long[:61] + "-3"}
	if !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// Nodes that use one invitation at the same moment: one wins. Others' admissions and
// removals at the same time all get a version of their own.
func TestAdmissionsAtOnce(t *testing.T) {
	l := newLab(t)
	var versions []uint64
	l.authority.Subscribe(func(signed SignedDescriptor) { // called one at a time
		d, err := ParseDescriptor(signed)
		if err != nil {
			t.Error(err)
			return
		}
		versions = append(versions, d.Version)
	})
	contested := l.invite()
	own := make([]Invitation, 10)
	for i := range own {
		own[i] = l.invite()
	}
	wins := make([]bool, 10)
	var wg sync.WaitGroup
	for i := range 10 {
		wg.Go(func() {
			_, err := l.authority.Admit(testMember(100+i), NewJoinRequest(contested, "x"), l.now)
			if wins[i] = err == nil; err != nil && !errors.Is(err, ErrUsed) {
				t.Error(err)
			}
		})
		wg.Go(func() {
			member := testMember(200 + i)
			_, err1 := l.authority.Admit(member, NewJoinRequest(own[i], fmt.Sprint("n", i)), l.now)
			_, err2 := l.authority.Renew(member, l.now)
			_, err3 := l.authority.Remove(member)
			if err := errors.Join(err1, err2, err3); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := len(slices.DeleteFunc(wins, func(won bool) bool { return !won })); n != 1 {
		t.Errorf("%d nodes were admitted by one invitation", n)
	}
	want := make([]uint64, 21)
	for i := range want {
		want[i] = uint64(i + 2)
	}
	if !slices.Equal(versions, want) {
		t.Errorf("versions %v, want %v", versions, want)
	}
	if d := l.founder.Descriptor(); len(d.Current()) != 2 || d.Version != 22 {
		t.Errorf("%d members at version %d", len(d.Current()), d.Version)
	}
}

func TestTheAuthorityGoesOnAfterARestart(t *testing.T) {
	l := newLab(t)
	inv, used := l.invite(), l.invite()
	if _, err := l.ask(1, NewJoinRequest(used, "one")); err != nil {
		t.Fatal(err)
	}
	var err error
	if l.authority, err = OpenAuthority(l.db, l.founder.Group()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(2, NewJoinRequest(used, "two")); !errors.Is(err, ErrUsed) {
		t.Errorf("a used invitation: %v", err)
	}
	reply, err := l.ask(2, NewJoinRequest(inv, "two"))
	if err != nil {
		t.Fatal(err)
	}
	if d, err := ParseDescriptor(reply.Descriptor); err != nil || d.Version != 3 {
		t.Errorf("version %v (%v)", d, err)
	}
}

// An authority set back to an old backup learns the newest descriptor from its
// members, and goes on behind it.
func TestARestoredAuthorityContinuesTheNewestHistory(t *testing.T) {
	l := newLab(t)
	old, ok, err := parsed{}, false, error(nil)
	if err := l.db.View(func(tx *store.Tx) error {
		old, ok, err = loadDescriptor(tx, l.founder.Group())
		return err
	}); err != nil || !ok {
		t.Fatal(err)
	}
	m := l.join(1)
	if err := l.db.Update(func(tx *store.Tx) error {
		return descriptors().Put(tx, l.authority.id[:], old.signed)
	}); err != nil {
		t.Fatal(err)
	}
	if l.founder, err = OpenMembership(l.db, testKey(0), l.authority.id); err != nil {
		t.Fatal(err)
	}
	l.authority, err = OpenAuthority(l.db, l.authority.id)
	if err != nil || l.founder.Descriptor().Version != 1 {
		t.Fatal(err, l.founder.Descriptor().Version)
	}
	if changed, err := l.founder.Update(m.Signed()); err != nil || !changed {
		t.Fatal(changed, err)
	}
	reply, err := l.ask(2, NewJoinRequest(l.invite(), "two"))
	if err != nil {
		t.Fatal(err)
	}
	if changed, err := m.Update(reply.Descriptor); err != nil || !changed || m.Descriptor().Version != 3 {
		t.Errorf("%v, %v, version %d", changed, err, m.Descriptor().Version)
	}
}

func TestInvitationsAreForgottenInTimeAndBounded(t *testing.T) {
	l := newLab(t)
	fill := func(n int, expires time.Time) {
		t.Helper()
		err := l.db.Update(func(tx *store.Tx) error {
			for i := range n {
				hash := hashSecret(Secret{1, byte(i), byte(i >> 8), byte(expires.Unix()), byte(expires.Unix() >> 8)})
				if err := invitations(l.authority.id).Put(tx, invitationKey(hash), invitationRecord{Hash: hash, Expires: expires}); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	count := func() (n int) {
		t.Helper()
		if err := l.db.View(func(tx *store.Tx) error { n = invitations(l.authority.id).Len(tx); return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	fill(10, l.now.Add(-rememberInvitation-time.Minute))
	fill(10, l.now.Add(-time.Minute))
	l.invite()
	if n := count(); n != 11 {
		t.Errorf("%d remembered, want the 10 that ended a minute ago and the new one", n)
	}
	fill(maxInvitations-11, l.now.Add(time.Hour))
	l.invite()
	if n := count(); n != maxInvitations-11+2 {
		t.Errorf("%d remembered when it got tight, want only the open ones", n)
	}
	fill(20, l.now.Add(2*time.Hour))
	if _, err := l.authority.Invite(time.Hour, nil, l.now); err == nil || !strings.Contains(err.Error(), "wait until one expires") {
		t.Errorf("one too many: %v", err)
	}
}

func TestInviteRefusesALifeOutOfBounds(t *testing.T) {
	l := newLab(t)
	for _, ttl := range []time.Duration{-time.Hour, 0, MaxInvitationLife + 1} {
		if _, err := l.authority.Invite(ttl, nil, l.now); err == nil {
			t.Errorf("a life of %v was given", ttl)
		}
	}
	if _, err := l.authority.Invite(time.Hour, []string{"nonsense"}, l.now); err == nil {
		t.Error("a bad address was taken")
	}
}

func TestAFullGroupAdmitsNobody(t *testing.T) {
	l := newLab(t)
	full := l.sign(func(d *Descriptor) {
		d.Version = 2
		for i := len(d.Members); i < MaxMembers; i++ {
			d.Members = append(d.Members, Entry{ID: MemberID{1, byte(i), byte(i >> 8)}, Name: fmt.Sprintf("a-node-with-a-rather-long-name-%031d", i), Added: 2})
		}
	})
	if len(full) > MaxDescriptorSize {
		t.Fatalf("%d bytes", len(full))
	}
	if _, err := l.founder.Update(full); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(1, NewJoinRequest(l.invite(), "x")); !errors.Is(err, ErrFull) {
		t.Errorf("got %v", err)
	}
}

func TestGarbageForTheAuthorityIsAnError(t *testing.T) {
	l := newLab(t)
	good, err := NewJoinRequest(l.invite(), "x").Marshal()
	if err != nil {
		t.Fatal(err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "a text": []byte("hello"), "cut": good[:len(good)-1], "too long": make([]byte, MaxRequestSize+1),
		"unknown kind":   bytes.Replace(good, []byte{0xa4, 1, 1}, []byte{0xa4, 1, 9}, 1),
		"short secret":   []byte("\xa2\x01\x01\x03\x41\x00"),
		"trailing bytes": append(bytes.Clone(good), 0),
	} {
		if reply, err := l.authority.Serve(testMember(1), "", b, l.now); err == nil {
			t.Errorf("%s: answered %x", name, reply)
		}
	}
}

func TestAMemberThatLeavesIsOutOfTheRoster(t *testing.T) {
	l := newLab(t)
	m := l.join(1)
	leave := NewLeaveRequest(m.Group())
	for range 2 { // the reply was lost
		reply, err := l.ask(1, leave)
		if err != nil {
			t.Fatal(err)
		}
		d, err := ParseDescriptor(reply.Descriptor)
		if err != nil || d.Version != 3 || !errors.Is(d.Check(m.Self()), ErrRemoved) || len(reply.Certificate) != 0 {
			t.Errorf("version %d: %v (%v)", d.Version, d.Check(m.Self()), err)
		}
	}
	if _, err := l.ask(2, leave); !errors.Is(err, ErrNotMember) {
		t.Errorf("a stranger: %v", err)
	}
	if _, err := l.ask(1, NewLeaveRequest(ID{1})); !errors.Is(err, ErrOtherGroup) {
		t.Errorf("another group: %v", err)
	}
	if _, err := l.ask(0, leave); err == nil || l.founder.Authorized(l.founder.Self(), l.now) != nil {
		t.Errorf("the authority took itself out: %v", err)
	}
	l.join(1) // by a new invitation, under its old name
	if e, _ := l.founder.Descriptor().Entry(m.Self()); e.Name != "node1" || e.Added != 4 {
		t.Errorf("back again: %+v", e)
	}
}
