package group

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"landbridge/internal/store"
)

func TestAnInvitationAdmitsAsManyAsItSays(t *testing.T) {
	l := newLab(t)
	inv, made := l.issue(Terms{Life: time.Hour, Uses: 3, Note: "the Porto office"})
	for n := 1; n <= 3; n++ {
		for range 2 { // its first reply was lost: that is one use
			if _, err := l.ask(n, NewJoinRequest(inv, "x")); err != nil {
				t.Fatalf("node %d: %v", n, err)
			}
		}
	}
	if _, err := l.ask(4, NewJoinRequest(inv, "x")); !errors.Is(err, ErrUsed) {
		t.Errorf("a fourth node: %v", err)
	}
	got := l.invitation(made.ID)
	want := made
	for n := 1; n <= 3; n++ {
		want.Uses = append(want.Uses, Use{By: testMember(n), At: l.now})
	}
	if !sameIssued(got, want) || got.Open(l.now) || got.Note != "the Porto office" {
		t.Errorf("listed as %+v, want %+v", got, want)
	}
}

func sameIssued(a, b Issued) bool {
	for _, i := range []*Issued{&a, &b} {
		i.Made, i.Expires, i.Revoked = i.Made.UTC(), i.Expires.UTC(), i.Revoked.UTC()
		uses := i.Uses
		i.Uses = nil
		for _, u := range uses {
			i.Uses = append(i.Uses, Use{By: u.By, At: u.At.UTC()})
		}
	}
	return reflect.DeepEqual(a, b)
}

func (l *lab) invitation(id InvitationID) Issued {
	l.t.Helper()
	all, err := l.authority.Invitations()
	if err != nil {
		l.t.Fatal(err)
	}
	for _, i := range all {
		if i.ID == id {
			return i
		}
	}
	l.t.Fatalf("invitation %v isn't among %+v", id, all)
	return Issued{}
}

// Many nodes at once: what was admitted is what
// was counted, and never more than the invitation says.
func TestNoUseIsOneTooManyHoweverManyAskAtOnce(t *testing.T) {
	l := newLab(t)
	inv, made := l.issue(Terms{Life: time.Hour, Uses: 5})
	var admitted atomic.Int64
	var asking sync.WaitGroup
	for n := 1; n <= 40; n++ {
		asking.Go(func() {
			switch _, err := l.authority.Admit(testMember(n), NewJoinRequest(inv, "x"), l.now); {
			case err == nil:
				admitted.Add(1)
			case !errors.Is(err, ErrUsed):
				t.Error(err)
			}
		})
	}
	asking.Wait()
	if used := len(l.invitation(made.ID).Uses); admitted.Load() != 5 || used != 5 || len(l.founder.Descriptor().Members) != 6 {
		t.Errorf("%d admitted, %d counted, %d in the roster", admitted.Load(), used, len(l.founder.Descriptor().Members))
	}
}

func TestAUseAndItsAdmissionAreDurableTogether(t *testing.T) {
	l := newLab(t)
	inv, made := l.issue(Terms{Life: time.Hour, Uses: 2})
	before := l.db.Stats().Commits
	if _, err := l.ask(1, NewJoinRequest(inv, "x")); err != nil {
		t.Fatal(err)
	}
	if got := l.db.Stats().Commits - before; got != 1 {
		t.Errorf("an admission took %d commits: a kill between them would lose one of use and roster", got)
	}
	if used := len(l.invitation(made.ID).Uses); used != 1 {
		t.Errorf("%d uses counted", used)
	}
}

func TestARevokedInvitationAdmitsNobody(t *testing.T) {
	l := newLab(t)
	inv, made := l.issue(Terms{Life: time.Hour, Uses: 2})
	first, err := l.ask(1, NewJoinRequest(inv, "x"))
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		gone, err := l.authority.Revoke(made.ID, l.now.Add(time.Minute))
		if err != nil || gone.Open(l.now) || len(gone.Uses) != 1 {
			t.Errorf("%+v, %v", gone, err)
		}
		l.now = l.now.Add(time.Minute)
	}
	if r := l.invitation(made.ID).Revoked; !r.Equal(start().Add(time.Minute)) {
		t.Errorf("revoked at %v, when it was done twice", r)
	}
	if _, err := l.ask(2, NewJoinRequest(inv, "y")); !errors.Is(err, ErrRevoked) {
		t.Errorf("another node: %v", err)
	}
	again, err := l.ask(1, NewJoinRequest(inv, "x"))
	if err != nil || !bytes.Equal(first.Descriptor, again.Descriptor) {
		t.Errorf("whom it has admitted, and whose reply was lost: %v", err)
	}
	if _, err := l.authority.Revoke(InvitationID{1}, l.now); !errors.Is(err, ErrUnknownInvitation) {
		t.Errorf("one that there isn't: %v", err)
	}
}

func TestAllInvitationsThatAreOpenAreRevokedAtOnce(t *testing.T) {
	l := newLab(t)
	_, earlier := l.issue(Terms{Life: time.Hour})
	if _, err := l.authority.Revoke(earlier.ID, l.now); err != nil {
		t.Fatal(err)
	}
	waiting, asked := l.issue(Terms{Life: time.Hour, Uses: 2, Approval: true})
	if _, err := l.ask(1, NewJoinRequest(waiting, "x")); !errors.Is(err, ErrAwaitingApproval) {
		t.Fatal(err)
	}
	l.now = l.now.Add(time.Minute)
	before := l.db.Stats().Commits
	if err := l.authority.RevokeAll(l.now); err != nil {
		t.Fatal(err)
	}
	if got := l.db.Stats().Commits - before; got != 1 {
		t.Errorf("in %d commits", got)
	}
	if was, is := l.invitation(earlier.ID).Revoked, l.invitation(asked.ID).Revoked; !was.Equal(start()) || !is.Equal(l.now) {
		t.Errorf("revoked at %v and %v", was, is)
	}
	if _, err := l.ask(1, NewJoinRequest(waiting, "x")); !errors.Is(err, ErrRevoked) {
		t.Errorf("who waited: %v", err)
	}
}

func TestAnInvitationOfAnOlderVersionKeepsItsUse(t *testing.T) {
	l := newLab(t)
	inv, made := l.issue(Terms{Life: time.Hour})
	hash := hashSecret(inv.Secret)
	old := invitationRecord{Hash: hash, Expires: inv.Expires, UsedBy: testMember(1), UsedAt: l.now}
	if err := l.db.Update(func(tx *store.Tx) error { return invitations(l.authority.id).Put(tx, invitationKey(hash), old) }); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(2, NewJoinRequest(inv, "x")); !errors.Is(err, ErrUsed) {
		t.Errorf("another node: %v", err)
	}
	if i := l.invitation(made.ID); i.Limit != 1 || len(i.Uses) != 1 || i.Uses[0].By != testMember(1) {
		t.Errorf("listed as %+v", i)
	}
}

func TestRevokedInvitationsMakeRoom(t *testing.T) {
	l := newLab(t)
	var last Issued
	for range maxInvitations {
		_, last = l.issue(Terms{Life: time.Hour})
	}
	if _, err := l.authority.Invite(time.Hour, nil, l.now); err == nil || !strings.Contains(err.Error(), "revoke") {
		t.Fatalf("one too many: %v", err)
	}
	if _, err := l.authority.Revoke(last.ID, l.now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.authority.Invite(time.Hour, nil, l.now); err != nil {
		t.Error(err)
	}
}

func TestTermsOutOfBoundsAreRefused(t *testing.T) {
	l := newLab(t)
	for want, terms := range map[string]Terms{
		"-1 uses":     {Life: time.Hour, Uses: -1},
		"1001 uses":   {Life: time.Hour, Uses: 1001},
		"201 bytes":   {Life: time.Hour, Note: strings.Repeat("n", 201)},
		"one line":    {Life: time.Hour, Note: "two\nlines"},
		"must be UTF": {Life: time.Hour, Note: "\xff"},
		"a life":      {},
	} {
		if _, _, err := l.authority.Issue(terms, l.now); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v", terms, err)
		}
	}
	if all, err := l.authority.Invitations(); err != nil || len(all) != 0 {
		t.Errorf("%d remembered, %v", len(all), err)
	}
}

func FuzzInvitationID(f *testing.F) {
	f.Add("00112233445566ff")
	f.Add("zz")
	f.Fuzz(func(t *testing.T, s string) {
		id, err := ParseInvitationID(s)
		if err != nil {
			if len(err.Error()) > 200 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
			return
		}
		if !strings.EqualFold(id.String(), s) || fmt.Sprint(id) != id.String() {
			t.Errorf("%q is %v", s, id)
		}
	})
}
