package access

import (
	"bytes"
	"context"
	"os"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// restarted is the rig after a kill: nothing of the former service was told to end.
func (r *rig) restarted() *rig {
	again := *r
	again.Service = again.open()
	return &again
}

func (r *rig) knows(s Session) (Identity, bool) {
	r.t.Helper()
	id, err := r.Authenticate(Identity{}, s.Cookie, false)
	if err != nil {
		r.t.Fatal(err)
	}
	return id, id.Known()
}

func (r *rig) keptSessions() (n int) {
	r.t.Helper()
	err := r.db.View(func(tx *store.Tx) error { n = sessionsBucket().Len(tx); return nil })
	if err != nil {
		r.t.Fatal(err)
	}
	return n
}

func TestASessionOutlivesAKillAsItWas(t *testing.T) {
	r := newRig(t)
	_, session := r.setUp()
	r.now = r.now.Add(20 * time.Minute)
	again := r.restarted()
	id, ok := again.knows(session)
	if !ok {
		t.Fatal("after the restart it is nobody's")
	}
	want := session.Identity
	if id.Name != want.Name || id.Role != want.Role || id.CSRF != want.CSRF || !id.Expires.Equal(want.Expires) || !id.Reauthenticated.Equal(want.Reauthenticated) {
		t.Errorf("it is\n%+v\nwas\n%+v", id, want)
	}
	if err := again.Authorize(id, api.Operation{Role: "viewer", Reauth: true}); !IsKind(err, Reauthenticate) {
		t.Errorf("a restart stands for the password: %v", err)
	}
	again.now = again.now.Add(IdleTimeout - 20*time.Minute)
	if _, ok := again.knows(session); ok {
		t.Error("the restart has begun its idle time anew")
	}
}

func TestAKillForgetsTheLastMinuteOfUseAlone(t *testing.T) {
	r := newRig(t)
	_, session := r.setUp()
	for range 3 {
		r.now = r.now.Add(25 * time.Minute)
		if id, err := r.Authenticate(Identity{}, session.Cookie, true); err != nil || !id.Known() {
			t.Fatal(id, err)
		}
	}
	r.now = r.now.Add(keptUse - time.Second)
	if _, err := r.Authenticate(Identity{}, session.Cookie, true); err != nil { // not kept
		t.Fatal(err)
	}
	again := r.restarted()
	again.now = r.now.Add(IdleTimeout - keptUse)
	if _, ok := again.knows(session); !ok {
		t.Error("more than a minute of its use is forgotten")
	}
	again.now = r.now.Add(IdleTimeout - time.Second)
	if _, ok := again.knows(session); ok {
		t.Error("this use wasn't to be kept: the test is of no use")
	}
}

func TestWhatHasEndedStaysSoAfterAKill(t *testing.T) {
	for name, end := range map[string]func(*rig, context.Context) error{
		"logged out": func(r *rig, ctx context.Context) error { return r.Logout(ctx) },
		"another password": func(r *rig, ctx context.Context) error {
			_, err := r.ChangePassword(ctx, goodPassword, goodPassword+"2")
			return err
		},
		"another password set": func(r *rig, _ context.Context) error {
			_, err := r.ChangeUser(context.Background(), "alice", api.UserChange{Password: goodPassword + "2"})
			return err
		},
		"user removed": func(r *rig, _ context.Context) error {
			if _, err := r.CreateUser(context.Background(), api.UserCreate{Name: "bob", Role: "administrator", Password: goodPassword}); err != nil {
				return err
			}
			return r.RemoveUser("alice")
		},
		"idle":           func(r *rig, _ context.Context) error { r.now = r.now.Add(IdleTimeout); return nil },
		"the clock back": func(r *rig, _ context.Context) error { r.now = r.now.Add(-time.Hour); return nil },
		"another login": func(r *rig, ctx context.Context) error {
			_, err := r.Login(ctx, Credentials{Name: "alice", Password: goodPassword})
			return err
		},
		"many logins": func(r *rig, _ context.Context) error {
			u, _, err := r.user("alice")
			for range maxUserSessions {
				r.now = r.now.Add(time.Second)
				if _, err := r.begin(Identity{}, u); err != nil {
					return err
				}
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			ctx, session := r.setUp()
			if _, ok := r.restarted().knows(session); !ok {
				t.Fatal("it isn't kept at all")
			}
			if err := end(r, ctx); err != nil {
				t.Fatal(err)
			}
			if _, ok := r.restarted().knows(session); ok {
				t.Error("after the restart it is known again")
			}
			if n := r.keptSessions(); n > maxUserSessions {
				t.Errorf("%d are kept, want %d at most", n, maxUserSessions)
			}
		})
	}
}

func TestAPasswordThatWasJustChangedBeginsNoSession(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.setUp()
	verified, _, err := r.user("alice")
	if err != nil {
		t.Fatal(err)
	}
	r.now = r.now.Add(time.Second)
	if _, err := r.ChangePassword(ctx, goodPassword, goodPassword+"2"); err != nil {
		t.Fatal(err)
	}
	if s, err := r.begin(Identity{}, verified); !IsKind(err, Unauthenticated) {
		t.Errorf("a login with the old password, overtaken by the change: %v, %v", s, err)
	}
	if n := len(r.Service.sessions.table); n != 1 {
		t.Errorf("there are %d sessions, want that of the change", n)
	}
}

func TestTheStateFileHoldsNothingToLogInWith(t *testing.T) {
	r := newRig(t)
	_, session := r.setUp()
	b, err := os.ReadFile(r.db.Path())
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(b, []byte(session.Cookie)) || bytes.Contains(b, []byte(session.Identity.CSRF)) {
		t.Error("cookie or CSRF token are in the file")
	}
	key, _ := keyOf(session.Cookie)
	if !bytes.Contains(b, key[:]) {
		t.Error("the hash isn't in the file: the test looks at the wrong place")
	}
}
