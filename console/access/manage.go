package access

import (
	"context"
	"errors"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// Reauthenticate notes that the person of the session in ctx has shown password or code once
// more.
func (s *Service) Reauthenticate(ctx context.Context, password, code string) (Identity, error) {
	id := FromContext(ctx)
	switch {
	case id.How != BySession:
		return id, refuse(Conflict, "only a session is reauthenticated, and the request is of a %v", id.How)
	case password == "" && code == "":
		return id, invalid(api.FieldError{Field: "password", Detail: "must be given, or the code of the authenticator app"})
	}
	var err error
	if password != "" {
		err = s.checkPassword(ctx, id, password, "password")
	} else {
		err = s.checkCode(id, code)
	}
	if err != nil {
		return id, err
	}
	id.Reauthenticated = s.now()
	s.sessions.reauthenticated(id.key, id.Reauthenticated)
	return id, nil
}

// checkCode holds a code against the user's of the session.
func (s *Service) checkCode(id Identity, code string) error {
	name, from := userKey(id.Name), source(id.Remote)
	if err := s.checkLocks(name, from); err != nil {
		return err
	}
	ok, err := s.useCode(name, code)
	if err != nil {
		return err
	}
	if !ok {
		s.failed(name, from)
		return invalid(api.FieldError{Field: "code", Detail: "is not what the app shows now, or was used already"})
	}
	return nil
}

// checkPassword is verify for who is known already: a wrong password is the named field's
// fault.
func (s *Service) checkPassword(ctx context.Context, id Identity, password, field string) error {
	_, err := s.verify(ctx, id, id.Name, password)
	if IsKind(err, Unauthenticated) {
		return invalid(api.FieldError{Field: field, Detail: "is not your password"})
	}
	return err
}

// ChangePassword gives the user of the session in ctx another password. Their sessions end,
// and the one that is returned begins.
func (s *Service) ChangePassword(ctx context.Context, current, password string) (Session, error) {
	id := FromContext(ctx)
	if id.How != BySession {
		return Session{}, refuse(Conflict, "this is about a user who has logged in, and the request is of a %v: change the user's password instead", id.How)
	}
	if err := CheckPassword("new", password, id.Name); err != nil {
		return Session{}, err
	}
	if err := s.checkPassword(ctx, id, current, "current"); err != nil {
		return Session{}, err
	}
	hash, err := s.hash(ctx, password)
	if err != nil {
		return Session{}, err
	}
	key := userKey(id.Name)
	u, err := s.changeUser(key, func(u *userRecord) error {
		u.Password, u.Changed = hash, s.now().UTC()
		return nil
	}, func(tx *store.Tx) error { return forgetSessions(tx, key, sessionKey{}) })
	if err != nil {
		return Session{}, err
	}
	s.sessions.endOthers(key, sessionKey{})
	return s.begin(id, u)
}

// Users returns the users by name.
func (s *Service) Users() (all []api.User, err error) {
	counts := s.sessions.count(s.now())
	err = s.db.View(func(tx *store.Tx) (err error) {
		all = nil
		for _, u := range usersBucket().Scan(tx, nil, &err) {
			all = append(all, u.describe(counts[u.key()]))
		}
		return err
	})
	return all, err
}

func (u userRecord) describe(sessions int) api.User {
	return api.User{
		Name: u.Name, Role: u.Role.API(), Totp: u.TOTP != "", RecoveryCodes: len(u.Recovery),
		Created: u.Created, PasswordChanged: u.Changed, Sessions: sessions,
	}
}

// ListUsers returns the users that a state file has, by name, without a service on it.
func ListUsers(db *store.DB) ([]api.User, error) {
	s := &Service{db: db, now: time.Now, sessions: newSessions(db, nil, nil)}
	return s.Users()
}

// newRole reads a role that a user or token may have.
func newRole(role api.Role) (Role, []api.FieldError) {
	r, ok := ParseRole(string(role))
	if !ok || r == Anyone {
		return Anyone, []api.FieldError{{Field: "role", Detail: "want viewer, operator or administrator"}}
	}
	return r, nil
}

// CreateUser makes a user.
func (s *Service) CreateUser(ctx context.Context, req api.UserCreate) (api.User, error) {
	if err := CheckUser(req); err != nil {
		return api.User{}, err
	}
	role, _ := newRole(req.Role)
	hash, err := s.hash(ctx, req.Password)
	if err != nil {
		return api.User{}, err
	}
	now := s.now().UTC()
	u := userRecord{Name: req.Name, Role: role, Password: hash, Created: now, Changed: now}
	var then func(*store.Tx) error
	if role == Administrator {
		then = forgetSetupCode
	}
	return u.describe(0), s.addUser(u, then)
}

// ChangeUser changes a user: what req leaves out stays. It ends their sessions, but for that
// of the request in ctx; another password revokes their API tokens, too.
func (s *Service) ChangeUser(ctx context.Context, name string, req api.UserChange) (api.User, error) {
	var role Role
	var wrong []api.FieldError
	if req.Role != "" {
		role, wrong = newRole(req.Role)
	}
	if req.Password != "" {
		wrong = append(wrong, checkPassword("password", req.Password, name)...)
	}
	if err := invalid(wrong...); err != nil {
		return api.User{}, err
	}
	if _, ok, err := s.user(userKey(name)); err != nil || !ok {
		return api.User{}, errors.Join(err, noUser(name))
	}
	var hash passwordHash
	if req.Password != "" {
		var err error
		if hash, err = s.hash(ctx, req.Password); err != nil {
			return api.User{}, err
		}
	}
	own := FromContext(ctx).key
	u, err := s.changeUser(userKey(name), func(u *userRecord) error {
		if role != Anyone {
			u.Role = role
		}
		if req.Password != "" {
			u.Password, u.Changed = hash, s.now().UTC()
		}
		if req.RemoveTotp {
			u.forgetTOTP()
		}
		return nil
	}, func(tx *store.Tx) error {
		if req.Password != "" { // whoever knew the former one may have made some
			if err := removeTokens(tx, func(t tokenRecord) bool { return t.User == userKey(name) }); err != nil {
				return err
			}
		}
		return forgetSessions(tx, userKey(name), own)
	})
	if err != nil {
		return api.User{}, err
	}
	s.sessions.endOthers(u.key(), own)
	if req.Password != "" {
		s.users.succeeded(u.key())
	}
	return u.describe(s.sessions.count(s.now())[u.key()]), nil
}

// RemoveUser removes a user with their sessions and tokens.
func (s *Service) RemoveUser(name string) error {
	key := userKey(name)
	err := s.db.Update(func(tx *store.Tx) error {
		u, ok, err := usersBucket().Get(tx, []byte(key))
		if err != nil {
			return err
		}
		if !ok {
			return noUser(name)
		}
		if err := usersBucket().Delete(tx, []byte(key)); err != nil {
			return err
		}
		if u.Role == Administrator {
			if err := oneLeft(tx); err != nil {
				return err
			}
		}
		if err := forgetSessions(tx, key, sessionKey{}); err != nil {
			return err
		}
		return removeTokens(tx, func(t tokenRecord) bool { return t.User == key })
	})
	if err == nil {
		s.sessions.endOthers(key, sessionKey{})
	}
	return err
}

// byUserAndName orders tokens.
func byUserAndName(a, b api.Token) int {
	return strings.Compare(a.User+"\x00"+a.Name+"\x00"+a.ID, b.User+"\x00"+b.Name+"\x00"+b.ID)
}
