package access

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pquerna/otp/totp"

	"landbridge/console/api"
	"landbridge/internal/store"
)

const goodPassword = "correct horse battery"

// rig is a service with a clock that a test sets.
type rig struct {
	*Service
	t   *testing.T
	now time.Time
	db  *store.DB
}

func newRig(t *testing.T) *rig {
	t.Helper()
	db, err := store.Open(filepath.Join(t.TempDir(), "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	r := &rig{t: t, now: time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC), db: db}
	r.Service = r.open()
	return r
}

func (r *rig) open() *Service {
	r.t.Helper()
	s, err := Open(r.db, Options{Now: func() time.Time { return r.now }})
	if err != nil {
		r.t.Fatal(err)
	}
	return s
}

func from(addr string) context.Context {
	return NewContext(context.Background(), ForStranger(netip.MustParseAddr(addr)))
}

// setUp makes the administrator alice, and returns a context of her session.
func (r *rig) setUp() (context.Context, Session) {
	r.t.Helper()
	code, err := r.SetupCode()
	if err != nil {
		r.t.Fatal(err)
	}
	session, err := r.SetUp(from("192.0.2.1"), code, "alice", goodPassword)
	if err != nil {
		r.t.Fatal(err)
	}
	return NewContext(context.Background(), session.Identity), session
}

func (r *rig) login(password, code string) (Session, error) {
	return r.Login(from("192.0.2.1"), Credentials{Name: "Alice", Password: password, Code: code})
}

func TestTheSetupCodeOutlivesRestartsAndServesOnce(t *testing.T) {
	r := newRig(t)
	first, _ := r.SetupCode()
	if again, _ := r.open().SetupCode(); again != first || len(first) != 9 {
		t.Errorf("the code was %q, and is %q after a restart", first, again)
	}
	r.setUp()
	for _, s := range []*Service{r.Service, r.open()} {
		if code, _ := s.SetupCode(); code != "" {
			t.Errorf("there is an administrator, and the code %q", code)
		}
	}
}

func TestGuessesOfTheSetupCodeAreSlowedDown(t *testing.T) {
	r := newRig(t)
	for i := range freeFailures {
		if _, err := r.SetUp(from(fmt.Sprintf("192.0.2.%d", i)), "0000-0000", "eve", goodPassword); !IsKind(err, Invalid) {
			t.Fatal(err)
		}
	}
	if _, err := r.SetUp(from("198.51.100.1"), "0000-0000", "eve", goodPassword); !IsKind(err, TooMany) {
		t.Errorf("%v, want a wait, whoever guesses", err)
	}
}

func TestSessionsEndWhenIdleAndInTheEnd(t *testing.T) {
	r := newRig(t)
	_, session := r.setUp()
	known := func(active bool) bool {
		id, err := r.Authenticate(Identity{}, session.Cookie, active)
		if err != nil {
			t.Fatal(err)
		}
		return id.Known()
	}
	for range 20 {
		r.now = r.now.Add(IdleTimeout - time.Second)
		if !known(true) {
			t.Fatal("a session in use has ended")
		}
	}
	r.now = r.now.Add(IdleTimeout - time.Second)
	if !known(false) {
		t.Fatal("it ended too early")
	}
	r.now = r.now.Add(time.Second)
	if known(true) {
		t.Error("a page that asks by itself has kept the session")
	}
	select {
	case <-session.Identity.Done:
	default:
		t.Error("nobody is told that it has ended")
	}

	session, err := r.login(goodPassword, "")
	if err != nil {
		t.Fatal(err)
	}
	for begun := r.now; r.now.Sub(begun) < AbsoluteTimeout; r.now = r.now.Add(10 * time.Minute) {
		if !known(true) {
			t.Fatalf("it ended after %v", r.now.Sub(begun))
		}
	}
	if known(true) {
		t.Error("a session outlives its absolute bound")
	}
}

func TestFailuresOfAUserAndOfAnAddressMakeThemWait(t *testing.T) {
	r := newRig(t)
	r.setUp()
	for range freeFailures {
		if _, err := r.login("wrong", ""); !IsKind(err, Unauthenticated) {
			t.Fatal(err)
		}
	}
	if _, err := r.login(goodPassword, ""); !IsKind(err, TooMany) {
		t.Errorf("the right password at once: %v", err)
	}
	if _, err := r.Login(from("192.0.2.1"), Credentials{Name: "bob", Password: "x"}); !IsKind(err, TooMany) {
		t.Errorf("another name from there: %v", err)
	}
	r.now = r.now.Add(firstWait)
	if _, err := r.login(goodPassword, ""); err != nil {
		t.Errorf("after the wait: %v", err)
	}
}

func TestTheBackoffDoublesIsForgottenAndItsTableIsBounded(t *testing.T) {
	l, now := newLockout(time.Minute), time.Unix(1_800_000_000, 0)
	var waits []time.Duration
	for range freeFailures + 8 {
		l.failed("a", now)
		waits = append(waits, l.wait("a", now))
		now = now.Add(l.wait("a", now))
	}
	want := "[0s 0s 0s 0s 1s 2s 4s 8s 16s 32s 1m0s 1m0s 1m0s]"
	if got := fmt.Sprint(waits); got != want {
		t.Errorf("waits %s, want %s", got, want)
	}
	now = now.Add(forgetAfter + time.Second)
	if l.failed("a", now); l.wait("a", now) != 0 {
		t.Error("it isn't forgotten")
	}
	for i := range 2 * maxLocks {
		l.failed(fmt.Sprint(i), now.Add(time.Duration(i)))
	}
	if len(l.locks) > maxLocks {
		t.Errorf("%d entries", len(l.locks))
	}
}

func TestACodeServesOnceAndRecoveryCodesStandIn(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.setUp()
	enrolled, err := r.EnrollTOTP(ctx, "Landbridge site-a")
	if err != nil || !strings.HasPrefix(enrolled.URI, "otpauth://totp/Landbridge%20site-a:alice?") {
		t.Fatal(enrolled, err)
	}
	code := func() string {
		c, err := totp.GenerateCode(enrolled.Secret, r.now)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	if _, err := r.login(goodPassword, ""); err != nil {
		t.Errorf("not confirmed yet: %v", err)
	}
	if _, err := r.ConfirmTOTP(ctx, "000000x"); !IsKind(err, Invalid) {
		t.Errorf("a wrong code: %v", err)
	}
	recovery, err := r.ConfirmTOTP(ctx, code())
	if err != nil || len(recovery) != recoveryCodes {
		t.Fatal(recovery, err)
	}
	refused := new(Error)
	if _, err := r.login(goodPassword, ""); !asRefusal(err, &refused) || !refused.Code {
		t.Errorf("without a code: %v", err)
	}
	if _, err := r.login(goodPassword, code()); err == nil {
		t.Error("the code of the enrolment serves again")
	}
	r.now = r.now.Add(totpPeriod)
	if _, err := r.login("wrong", code()); err == nil {
		t.Error("a code is enough")
	}
	if _, err := r.login(goodPassword, code()); err != nil {
		t.Errorf("the right code: %v", err)
	}
	if _, err := r.login(goodPassword, code()); err == nil {
		t.Error("a code serves twice")
	}
	if _, err := r.login(goodPassword, strings.ToUpper(recovery[3])); err != nil {
		t.Errorf("a recovery code: %v", err)
	}
	if _, err := r.login(goodPassword, recovery[3]); err == nil {
		t.Error("a recovery code serves twice")
	}
}

func asRefusal(err error, to **Error) bool {
	e, ok := err.(*Error)
	*to = e
	return ok
}

func TestDangerousActsWantThePasswordAgain(t *testing.T) {
	r := newRig(t)
	ctx, session := r.setUp()
	op := api.Operation{ID: "backup", Role: "administrator", Reauth: true}
	if err := r.Authorize(session.Identity, op); err != nil {
		t.Errorf("right after the login: %v", err)
	}
	r.now = r.now.Add(ReauthTimeout)
	if err := r.Authorize(session.Identity, op); !IsKind(err, Reauthenticate) {
		t.Errorf("later: %v", err)
	}
	if _, err := r.Reauthenticate(ctx, "wrong", ""); !IsKind(err, Invalid) {
		t.Errorf("a wrong password: %v", err)
	}
	if _, err := r.Reauthenticate(ctx, goodPassword, ""); err != nil {
		t.Fatal(err)
	}
	if err := r.Authorize(session.Identity, op); err != nil {
		t.Errorf("the password was given in the request itself, and it is refused: %v", err)
	}
	id, err := r.Authenticate(Identity{}, session.Cookie, true)
	if err != nil || r.Authorize(id, op) != nil {
		t.Errorf("once more: %v, %v", err, r.Authorize(id, op))
	}
}

func TestRolesBoundWhatIsAskedFor(t *testing.T) {
	r := newRig(t)
	for have := Anyone; have <= Administrator; have++ {
		for need := Anyone; need <= Administrator; need++ {
			id := Identity{Role: have, How: BySession}
			if have == Anyone {
				id.How = ByNothing
			}
			err := r.Authorize(id, api.Operation{Role: need.String()})
			if (err == nil) != (have >= need) {
				t.Errorf("%v asks for what needs %v: %v", have, need, err)
			}
		}
	}
	if err := r.Authorize(ForSocket(), api.Operation{Role: "nobody"}); err == nil {
		t.Error("an operation with an unknown role is done")
	}
}

func TestUsersAreManagedAndAnAdministratorStays(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.setUp()
	if _, err := r.CreateUser(ctx, api.UserCreate{Name: "Bob", Role: "viewer", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.CreateUser(ctx, api.UserCreate{Name: "bob", Role: "viewer", Password: goodPassword}); !IsKind(err, Conflict) {
		t.Errorf("the name again: %v", err)
	}
	bob, err := r.Login(from("192.0.2.9"), Credentials{Name: "bob", Password: goodPassword})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.RemoveUser("alice"); !IsKind(err, Conflict) {
		t.Errorf("the last administrator is removed: %v", err)
	}
	if _, err := r.ChangeUser(ctx, "alice", api.UserChange{Role: "viewer"}); !IsKind(err, Conflict) {
		t.Errorf("the last administrator becomes viewer: %v", err)
	}
	if u, err := r.ChangeUser(ctx, "bob", api.UserChange{Role: "operator"}); err != nil || u.Role != "operator" || u.Name != "Bob" {
		t.Errorf("%+v, %v", u, err)
	}
	if id, _ := r.Authenticate(Identity{}, bob.Cookie, true); id.Known() {
		t.Error("the session from before the change of role goes on")
	}
	if _, err := r.ChangeUser(ctx, "nobody", api.UserChange{Role: "operator"}); !IsKind(err, NotFound) {
		t.Errorf("who isn't there: %v", err)
	}
	if err := r.RemoveUser("BOB"); err != nil {
		t.Error(err)
	}
	if all, err := r.Users(); err != nil || len(all) != 1 || all[0].Name != "alice" {
		t.Errorf("%+v, %v", all, err)
	}
}

func TestTokensServeUntilTheyAreOverOrTheirUserIsNoMore(t *testing.T) {
	r := newRig(t)
	ctx, _ := r.setUp()
	if _, err := r.CreateUser(ctx, api.UserCreate{Name: "bob", Role: "viewer", Password: goodPassword}); err != nil {
		t.Fatal(err)
	}
	bob := NewContext(context.Background(), Identity{Name: "bob", Role: Viewer, How: BySession})
	if _, err := r.CreateToken(bob, api.TokenCreate{Name: "x", Role: "operator"}); !IsKind(err, Invalid) {
		t.Errorf("a role above one's own: %v", err)
	}
	if _, err := r.CreateToken(bob, api.TokenCreate{Name: "x", Role: "viewer", User: "alice"}); !IsKind(err, Forbidden) {
		t.Errorf("for somebody else: %v", err)
	}
	made, err := r.CreateToken(bob, api.TokenCreate{Name: "x", Role: "viewer", TTLSeconds: 3600})
	if err != nil {
		t.Fatal(err)
	}
	is := func(want bool) {
		t.Helper()
		id, err := r.AuthenticateToken(Identity{}, "Bearer "+made.Secret)
		if (err == nil) != want || want && (id.Name != "bob" || id.Role != Viewer || id.How != ByToken) {
			t.Errorf("%+v, %v; want %t", id, err, want)
		}
	}
	is(true)
	if all, err := r.Tokens(bob); err != nil || len(all) != 1 || all[0].LastUsed.IsZero() {
		t.Errorf("%+v, %v", all, err)
	}
	r.now = r.now.Add(time.Hour)
	is(false)
	r.now = r.now.Add(-time.Minute)
	is(true)
	const other = "another horse battery"
	if _, err := r.ChangeUser(ctx, "bob", api.UserChange{Role: api.RoleOperator}); err != nil {
		t.Fatal(err)
	}
	is(true)
	if _, err := r.ChangeUser(ctx, "bob", api.UserChange{Password: other}); err != nil {
		t.Fatal(err)
	}
	is(false) // whoever knew the former password may have made it
	if made, err = r.CreateToken(bob, api.TokenCreate{Name: "again", Role: api.RoleViewer, TTLSeconds: 3600}); err != nil {
		t.Fatal(err)
	}
	is(true)
	if err := r.RevokeToken(NewContext(context.Background(), Identity{Name: "eve", Role: Operator}), made.Token.ID); !IsKind(err, NotFound) {
		t.Errorf("somebody else revokes it: %v", err)
	}
	if err := r.RemoveUser("bob"); err != nil {
		t.Fatal(err)
	}
	is(false)
	for _, forged := range []string{"", "Bearer", "Bearer lbt_", "Bearer lbt_" + strings.Repeat("A", 1000), "Basic " + made.Secret} {
		if _, err := r.AuthenticateToken(Identity{}, forged); err == nil {
			t.Errorf("%.30q is somebody's", forged)
		}
	}
}

func TestOnePasswordIsHashedAtATimeAndFewWait(t *testing.T) {
	h := newHasher()
	working, release := make(chan struct{}), make(chan struct{})
	results := make(chan error, maxWaiting)
	go func() { results <- h.do(context.Background(), func() { close(working); <-release }) }()
	<-working
	ctx, cancel := context.WithCancel(context.Background())
	for range maxWaiting - 1 {
		h.places <- struct{}{} // those that wait
	}
	if err := h.do(ctx, func() {}); !IsKind(err, TooMany) {
		t.Errorf("one too many: %v", err)
	}
	<-h.places
	cancel()
	if err := h.do(ctx, func() { t.Error("two at a time") }); err != context.Canceled {
		t.Errorf("who doesn't wait any more: %v", err)
	}
	close(release)
	if err := <-results; err != nil {
		t.Error(err)
	}
}

func TestAnAdministratorIsSetUpByAHashAtTheSocketAlone(t *testing.T) {
	r := newRig(t)
	text, err := HashText("alice", goodPassword, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if err := CheckHash(text); err != nil {
		t.Error(err)
	}
	code, _ := r.SetupCode()
	if _, err := r.SetUp(from("192.0.2.1"), code, "alice", text+"x"); err != nil {
		t.Fatal(err) // to others it is a password as any
	}
	r = newRig(t)
	atSocket := NewContext(context.Background(), ForSocket())
	if _, err := r.SetUp(atSocket, "", "alice", text+"!"); !IsKind(err, Invalid) {
		t.Errorf("%v, want the hash refused", err)
	}
	if _, err := r.SetUp(atSocket, "", "alice", text); err != nil {
		t.Fatal(err)
	}
	if _, err := r.login(goodPassword, ""); err != nil {
		t.Errorf("the password of the hash: %v", err)
	}
	if _, err := r.login(text, ""); err == nil {
		t.Error("the hash serves as a password")
	}
}

func TestHashesThatAreNoneOrCostTooMuchAreRefused(t *testing.T) {
	good, err := HashText("alice", goodPassword, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "password", "$2b$10$abcdefghijklmnopqrstuu", good + "=", good[:len(good)-30], strings.Replace(good, "v=19", "v=16", 1),
		strings.Replace(good, "m=7168", "m=4194304", 1), strings.Replace(good, "m=7168", "m=8", 1), strings.Replace(good, "t=5", "t=100", 1), strings.Replace(good, "t=5", "t=4", 1),
		strings.Replace(good, "p=1", "p=4", 1), strings.Replace(good, "p=1", "p=256", 1), strings.Replace(good, "t=5", "t=05", 1), good + "$x",
	} {
		if err := CheckHash(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
	if err := CheckHash(strings.Replace(good, "m=7168,t=5", "m=19456,t=2", 1)); err != nil {
		t.Errorf("one of two passes with 19 MiB, as they were made before: %v", err)
	}
	if _, err := HashText("alice", "short", rand.Reader); !IsKind(err, Invalid) {
		t.Errorf("a short password: %v", err)
	}
}
