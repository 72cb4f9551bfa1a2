package access

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"landbridge/console/api"
	"landbridge/internal/budget"
	"landbridge/internal/store"
)

// What is logged at the most, whoever asks for it: so many lines at once, and then one each time.
const (
	logBurst = 20
	logEvery = 10 * time.Second
)

// Options are what a Service gets from outside. The zero value is ready.
type Options struct {
	Now    func() time.Time // the clock; time.Now where it is nil
	Random io.Reader        // where secrets come from; crypto/rand where it is nil
	Log    *slog.Logger     // nothing is logged where it is nil

	Appliance string // tells this appliance from others, in the name of its cookie: letters and digits; may be empty
}

// Service is users, sessions and the rest of this package over one state file. It is safe
// for concurrent use.
type Service struct {
	db        *store.DB
	appliance string
	now       func() time.Time
	random    io.Reader
	log       *slog.Logger
	sessions  *sessions
	hasher    *hasher
	users     *lockout // by name
	sources   *lockout // by address
	journal   journal

	settingUp sync.Mutex // one set-up at a time: its hash is made outside of the transaction
}

// Open returns the service of a state file. Where there is no administrator yet it makes
// the setup code, unless an earlier start has. With an error it returns a service for the Unix
// socket alone: what is kept of users can't be read.
func Open(db *store.DB, o Options) (*Service, error) {
	s := &Service{db: db, now: o.Now, random: o.Random, log: o.Log,
		appliance: o.Appliance, hasher: newHasher(), users: newLockout(maxUserWait), sources: newLockout(maxSourceWait)}
	s.journal.strangers = budget.Budget{Every: strangerEvery, Burst: strangerBurst}
	if s.now == nil {
		s.now = time.Now
	}
	if s.random == nil {
		s.random = rand.Reader
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.log = budget.Log(s.log, logEvery, logBurst)
	s.sessions = newSessions(db, s.random, s.log)
	if err := errors.Join(s.openSetup(), s.sessions.restore(s.now())); err != nil {
		return s, fmt.Errorf("open the console's users: %w", err)
	}
	return s, nil
}

// Authenticate returns whose request it is that carries the cookie of a session, and comes
// as id says: id itself where the cookie is nobody's. active says that a person has made the
// request, so that the session's idle time begins anew.
func (s *Service) Authenticate(id Identity, cookie string, active bool) (Identity, error) {
	key, ok := keyOf(cookie)
	if !ok {
		return id, nil
	}
	kept, ok := s.sessions.use(key, s.now(), active)
	if !ok {
		return id, nil
	}
	u, ok, err := s.user(kept.user)
	if err != nil || !ok {
		return id, err
	}
	return u.identity(id, cookie, key, kept), nil
}

// While returns a context that ends with ctx, and with the session that id is of. cancel
// must be called when it isn't needed any more.
func While(ctx context.Context, id Identity) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	if id.Done != nil {
		go func() {
			select {
			case <-id.Done:
				cancel()
			case <-ctx.Done():
			}
		}()
	}
	return ctx, cancel
}

// identity makes id that of a user's session.
func (u userRecord) identity(id Identity, cookie string, key sessionKey, s session) Identity {
	id.Name, id.Role, id.How = u.Name, u.Role, BySession
	id.CSRF, id.Began, id.Expires, id.Reauthenticated = csrfOf(cookie), s.began, s.began.Add(AbsoluteTimeout), s.reauth
	id.TOTP, id.Done, id.key = u.TOTP != "", s.done, key
	return id
}

// Authorize returns nil if id may ask for op now, else why not.
func (s *Service) Authorize(id Identity, op api.Operation) error {
	needed, ok := ParseRole(op.Role)
	switch {
	case !ok: // a test keeps the document from having one
		return refuse(Forbidden, "the document doesn't say who may ask for this")
	case needed == Anyone:
		return nil
	case !id.Known():
		return refuse(Unauthenticated, "log in first: this needs the role %v", needed)
	case id.Role < needed:
		return refuse(Forbidden, "%s is %v, and this needs the role %v: ask an administrator", id.Name, id.Role, needed)
	case op.Reauth && id.How == BySession && s.now().Sub(s.sessions.lastReauthenticated(id)) >= ReauthTimeout:
		return refuse(Reauthenticate, "this needs your password, or your authenticator's code, once more")
	}
	return nil
}

// Credentials are what a person types to log in.
type Credentials struct {
	Name, Password string
	Code           string // of the authenticator app, or a recovery code; empty where none was asked for
}

// Login begins a session of who shows the right credentials. The request's identity is in
// ctx; a session that it is of ends. Its error is an *Error: Unauthenticated, with Code set
// where only a code is wanting, or TooMany.
func (s *Service) Login(ctx context.Context, c Credentials) (Session, error) {
	id := FromContext(ctx)
	u, err := s.verify(ctx, id, c.Name, c.Password)
	if err == nil && u.TOTP != "" {
		err = s.verifyCode(id, u, c.Code)
	}
	s.recordLogin(ctx, c.Name, err)
	if err != nil {
		return Session{}, err
	}
	return s.begin(id, u)
}

// begin makes a session of a user whose credentials were right.
func (s *Service) begin(id Identity, u userRecord) (Session, error) {
	if id.How == BySession {
		if err := s.sessions.end(id.key); err != nil {
			return Session{}, err
		}
	}
	cookie, key, kept, err := s.sessions.begin(u, id.Remote, s.now())
	if err != nil {
		return Session{}, err
	}
	return Session{Cookie: cookie, Identity: u.identity(ForStranger(id.Remote), cookie, key, kept)}, nil
}

// verifyCode holds what was typed beside the right password against the user's code.
func (s *Service) verifyCode(id Identity, u userRecord, code string) error {
	if code == "" {
		return &Error{Kind: Unauthenticated, Code: true, text: "the code of your authenticator app is wanted, too"}
	}
	name, from := u.key(), source(id.Remote)
	ok, err := s.useCode(name, code)
	if err == nil && !ok {
		s.failed(name, from)
		err = &Error{Kind: Unauthenticated, Code: true, text: "the code is not what your authenticator app shows now, or was used already"}
	}
	if err == nil {
		s.users.succeeded(name)
		s.sources.succeeded(from)
	}
	return err
}

// verify returns the user whose name and password are right.
func (s *Service) verify(ctx context.Context, id Identity, user, password string) (userRecord, error) {
	name, from := userKey(user), source(id.Remote)
	if err := s.checkLocks(name, from); err != nil {
		return userRecord{}, err
	}
	u, _, err := s.user(name)
	if err != nil {
		return userRecord{}, err
	}
	var locked error
	right := false
	err = s.hasher.do(ctx, func() {
		// Those that came together have all been let in above.
		if locked = s.checkLocks(name, from); locked == nil {
			right = u.Password.matches(password)
		}
	})
	if err = errors.Join(err, locked); err != nil {
		return userRecord{}, err
	}
	if !right {
		s.failed(name, from)
		return userRecord{}, refuse(Unauthenticated, "the name or the password is wrong")
	}
	if u.TOTP == "" { // else the code decides
		s.users.succeeded(name)
		s.sources.succeeded(from)
	}
	return u, nil
}

// failed notes a wrong password or code.
func (s *Service) failed(name, from string) {
	now := s.now()
	s.users.failed(name, now)
	s.sources.failed(from, now)
}

func (s *Service) checkLocks(name, from string) error {
	now := s.now()
	if wait := max(s.users.wait(name, now), s.sources.wait(from, now)); wait > 0 {
		return tooMany(wait, "too many wrong passwords or codes")
	}
	return nil
}

// Logout ends the session of the request. An error means that it may be back after a restart.
func (s *Service) Logout(ctx context.Context) error {
	if id := FromContext(ctx); id.How == BySession {
		return s.sessions.end(id.key)
	}
	return nil
}
