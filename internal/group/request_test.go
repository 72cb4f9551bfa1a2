package group

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"landbridge/internal/store"
)

func (l *lab) waiting() []Request {
	l.t.Helper()
	all, err := l.authority.Requests(l.now)
	if err != nil {
		l.t.Fatal(err)
	}
	return all
}

// byApproval makes an invitation that demands approval.
func (l *lab) byApproval(uses int) (Invitation, Issued) {
	l.t.Helper()
	return l.issue(Terms{Life: time.Hour, Uses: uses, Approval: true, Note: "branches"})
}

func TestANewcomerWaitsUntilItIsApproved(t *testing.T) {
	l := newLab(t)
	told := 0
	defer l.authority.WatchRequests(func() { told++ })()
	inv, made := l.byApproval(1)
	for range 3 {
		if _, err := l.ask(1, NewJoinRequest(inv, "one")); !errors.Is(err, ErrAwaitingApproval) {
			t.Fatal(err)
		}
	}
	got := l.waiting()
	if len(got) != 1 || told != 1 || got[0].Member != testMember(1) || got[0].Name != "one" || got[0].From != "192.0.2.7:4860" || got[0].Note != "branches" || got[0].Invitation != made.ID {
		t.Fatalf("%d told, %+v waits", told, got)
	}
	if d := l.founder.Descriptor(); d.Version != 1 || len(l.invitation(made.ID).Uses) != 0 {
		t.Errorf("before anybody has decided: version %d, %d uses", d.Version, len(l.invitation(made.ID).Uses))
	}
	l.restart()
	l.now = l.now.Add(3 * time.Hour) // the invitation has ended; it was asked in time
	if _, err := l.ask(1, NewJoinRequest(inv, "one")); !errors.Is(err, ErrAwaitingApproval) {
		t.Errorf("after a restart: %v", err)
	}
	before := l.db.Stats().Commits
	entry, err := l.authority.Approve(testMember(1), l.now)
	if err != nil || entry.Name != "one" {
		t.Fatalf("%+v, %v", entry, err)
	}
	if n := l.db.Stats().Commits - before; n > 2 { // the founder's own membership takes it in another
		t.Errorf("%d commits", n)
	}
	reply, err := l.ask(1, NewJoinRequest(inv, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := SaveJoin(openDB(t), testKey(1), inv, reply, l.now); err != nil {
		t.Error(err)
	}
	if len(l.waiting()) != 0 || len(l.invitation(made.ID).Uses) != 1 {
		t.Errorf("%+v wait still; uses %+v", l.waiting(), l.invitation(made.ID).Uses)
	}
	if _, err := l.authority.Approve(testMember(1), l.now); !errors.Is(err, ErrNoRequest) {
		t.Errorf("twice: %v", err)
	}
	if _, err := l.ask(2, NewJoinRequest(inv, "two")); !errors.Is(err, ErrUsed) {
		t.Errorf("another: %v", err)
	}
}

func (l *lab) restart() {
	l.t.Helper()
	var err error
	if l.authority, err = OpenAuthority(l.db, l.authority.id); err != nil {
		l.t.Fatal(err)
	}
	l.authority.Subscribe(func(signed SignedDescriptor) { _, _ = l.founder.Update(signed) })
}

func TestADeniedNewcomerIsToldWhy(t *testing.T) {
	l := newLab(t)
	inv, made := l.byApproval(2)
	_, _ = l.ask(1, NewJoinRequest(inv, "one"))
	if err := l.authority.Deny(testMember(1), "not\none of ours", l.now); err == nil {
		t.Error("a reason of two lines")
	}
	if err := l.authority.Deny(testMember(1), "the fingerprint differs", l.now); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		_, err := l.ask(1, NewJoinRequest(inv, "one"))
		if denied := new(DeniedError); !errors.As(err, &denied) || denied.Reason != "the fingerprint differs" || !strings.Contains(err.Error(), denied.Reason) {
			t.Errorf("told %v", err)
		}
	}
	if len(l.waiting()) != 0 || len(l.invitation(made.ID).Uses) != 0 {
		t.Error("it waits still, or has used the invitation")
	}
	if _, err := l.authority.Approve(testMember(1), l.now); !errors.Is(err, ErrNoRequest) {
		t.Errorf("approved after all: %v", err)
	}
	again, _ := l.byApproval(1)
	if _, err := l.ask(1, NewJoinRequest(again, "one")); !errors.Is(err, ErrAwaitingApproval) || len(l.waiting()) != 1 {
		t.Errorf("by another invitation: %v, %+v", err, l.waiting())
	}
}

func TestWhoWaitsByAnInvitationThatEndsIsRefused(t *testing.T) {
	l := newLab(t)
	inv, made := l.byApproval(5)
	_, _ = l.ask(1, NewJoinRequest(inv, "one"))
	if _, err := l.authority.Revoke(made.ID, l.now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.ask(1, NewJoinRequest(inv, "one")); !errors.Is(err, ErrRevoked) || len(l.waiting()) != 0 {
		t.Errorf("revoked: %v, %+v", err, l.waiting())
	}
	inv, _ = l.byApproval(1)
	for n := 1; n <= 3; n++ {
		_, _ = l.ask(n, NewJoinRequest(inv, "x"))
	}
	if _, err := l.authority.Approve(testMember(2), l.now); err != nil {
		t.Fatal(err)
	}
	if _, err := l.authority.Approve(testMember(3), l.now); !errors.Is(err, ErrNoRequest) {
		t.Errorf("a use too many: %v", err)
	}
	if _, err := l.ask(3, NewJoinRequest(inv, "x")); !errors.Is(err, ErrUsed) || len(l.waiting()) != 0 {
		t.Errorf("used up: %v, %+v", err, l.waiting())
	}
}

func TestAMemberNeedsNoApproval(t *testing.T) {
	l := newLab(t)
	l.join(1)
	inv, _ := l.byApproval(2)
	if _, err := l.ask(1, NewJoinRequest(inv, "one")); err != nil {
		t.Error(err)
	}
}

func TestRequestsAreBoundedAndForgotten(t *testing.T) {
	l := newLab(t)
	inv, _ := l.byApproval(MaxInvitationUses)
	other, _ := l.byApproval(MaxInvitationUses)
	crowd := func(inv Invitation, first, n int) (waiting int) {
		for i := range n {
			switch _, err := l.ask(first+i, NewJoinRequest(inv, fmt.Sprint("n", i))); {
			case errors.Is(err, ErrAwaitingApproval):
				waiting++
			case !errors.Is(err, ErrCrowded):
				t.Fatal(err)
			}
		}
		return waiting
	}
	if n := crowd(inv, 1000, 100); n != MaxRequests/2 {
		t.Errorf("%d wait by one invitation", n)
	}
	if n := crowd(other, 2000, 100); n != MaxRequests/2 || len(l.waiting()) != MaxRequests {
		t.Errorf("%d wait by another, %d in all", n, len(l.waiting()))
	}
	before := l.db.Stats().Commits
	crowd(inv, 1000, 100)
	if n := l.db.Stats().Commits - before; n != 0 {
		t.Errorf("asking again at once costs %d commits", n)
	}
	l.now = l.now.Add(30 * time.Minute)
	crowd(inv, 1000, 1) // asks on; the others don't
	l.now = l.now.Add(RequestSilence - 10*time.Minute)
	if got := l.waiting(); len(got) != 1 || got[0].Member != testMember(1000) {
		t.Errorf("a day later %+v wait", got)
	}
	fresh, _ := l.byApproval(MaxInvitationUses)
	if crowd(fresh, 3000, 1); l.kept() != 2 {
		t.Errorf("%d are in the state file", l.kept())
	}
	for i := range maxDenied + 10 {
		crowd(fresh, 4000+i, 1)
		if err := l.authority.Deny(testMember(4000+i), "", l.now); err != nil {
			t.Fatal(err)
		}
	}
	if n := l.kept(); n > maxDenied+2 {
		t.Errorf("%d are in the state file", n)
	}
}

func (l *lab) kept() (n int) {
	l.t.Helper()
	if err := l.db.View(func(tx *store.Tx) error { n = requests(l.authority.id).Len(tx); return nil }); err != nil {
		l.t.Fatal(err)
	}
	return n
}

func TestAReasonFromTheWireIsOneLineOrNone(t *testing.T) {
	for reason, want := range map[string]string{"no": "no", "a\x1b[31mb": "", "two\nlines": "", strings.Repeat("x", 201): "", "\xff": ""} {
		b, err := marshal(wireReply{Refusal: 11, Reason: reason})
		if err != nil {
			continue // what CBOR doesn't take as text
		}
		_, err = ParseJoinReply(b)
		if denied := new(DeniedError); errors.As(err, &denied) && denied.Reason != want || err == nil {
			t.Errorf("%q is read as %v", reason, err)
		}
	}
}

func TestFingerprintsTellNodesApart(t *testing.T) {
	seen := map[string]bool{}
	for n := range 100 {
		f := testMember(n).Fingerprint()
		if len(f) != 19 || strings.Count(f, "-") != 3 || seen[f] {
			t.Errorf("%q", f)
		}
		seen[f] = true
	}
}

// FuzzApprovals drives an authority by arbitrary orders: however they come, uses and roster agree,
// and nobody is in who wasn't approved.
func FuzzApprovals(f *testing.F) {
	f.Add([]byte{0, 1, 2, 8, 9, 16, 24})
	f.Add([]byte{0, 16, 0, 8, 0, 3, 3, 27})
	f.Fuzz(func(t *testing.T, orders []byte) {
		l := newLab(t)
		inv, made := l.byApproval(2)
		approved := map[MemberID]bool{}
		for _, o := range orders[:min(len(orders), 64)] {
			m := int(o%8) + 1
			switch o / 8 % 4 {
			case 0:
				if _, err := l.ask(m, NewJoinRequest(inv, "x")); err == nil && !approved[testMember(m)] {
					t.Fatalf("node %d is in, and nobody said yes", m)
				}
			case 1:
				if _, err := l.authority.Approve(testMember(m), l.now); err == nil {
					approved[testMember(m)] = true
				}
			case 2:
				_ = l.authority.Deny(testMember(m), "", l.now)
			case 3:
				l.now = l.now.Add(time.Duration(o) * 10 * time.Second)
			}
		}
		if uses := len(l.invitation(made.ID).Uses); uses != len(approved) || uses > 2 || len(l.founder.Descriptor().Current()) != uses+1 {
			t.Errorf("%d uses, %d approved, roster %v", uses, len(approved), l.founder.Descriptor().Current())
		}
	})
}

func TestANameInTheFormOfAFingerprintOrAMemberIDIsRefused(t *testing.T) {
	l := newLab(t)
	inv, _ := l.byApproval(5)
	member := testMember(1)
	if _, err := l.ask(3, NewJoinRequest(inv, "three")); !errors.Is(err, ErrAwaitingApproval) {
		t.Fatal(err)
	}
	for _, name := range []string{member.Fingerprint(), strings.ToLower(member.String())} {
		if _, err := l.ask(3, NewJoinRequest(inv, name)); !errors.Is(err, ErrNameOfNode) {
			t.Errorf("%s, by one that waits already: %v", name, err)
		}
		if _, err := l.ask(2, NewJoinRequest(inv, name)); !errors.Is(err, ErrNameOfNode) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := l.waiting(); len(got) != 1 || got[0].Name != "three" {
		t.Errorf("%+v waits", got)
	}
	for _, name := range []string{"web-2", "k3f7-m2qx-5rta-wd4", "k3f7-m2qx-5rta-wd41", "k3f7m2qx5rtawd4e"} {
		if NamesNode(name) {
			t.Errorf("%s is taken for a fingerprint or a member ID", name)
		}
	}
	if !NamesNode(member.String()) || !NamesNode(strings.ToUpper(member.Fingerprint())) {
		t.Error("a member ID or a fingerprint isn't taken for one")
	}
}
