package access

import (
	"context"
	"crypto/subtle"
	"encoding/base32"
	"errors"
	"fmt"
	"io"
	"strings"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// settingsRecord is what is kept under the key "settings".
type settingsRecord struct {
	SetupCode string `cbor:"1,keyasint,omitempty"` // while there is no administrator
}

const settingsKey = "settings"

func settingsBucket() store.Bucket[settingsRecord] {
	return store.NewBucket[settingsRecord]("access", "settings")
}

// openSetup makes the setup code where there is no administrator.
func (s *Service) openSetup() error {
	code, err := newSetupCode(s.random)
	if err != nil {
		return err
	}
	return s.db.Update(func(tx *store.Tx) error {
		n, err := administrators(tx)
		if err != nil || n > 0 {
			return err
		}
		r, _, err := settingsBucket().Get(tx, []byte(settingsKey))
		if err != nil || r.SetupCode != "" {
			return err
		}
		r.SetupCode = code
		return settingsBucket().Put(tx, []byte(settingsKey), r)
	})
}

// codeAlphabet has no letter that looks like another: Crockford's base 32.
const codeAlphabet = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// newSetupCode returns 40 random bits as 7Q3K-M2XP.
func newSetupCode(random io.Reader) (string, error) {
	b := make([]byte, 5)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("make a setup code: %w", err)
	}
	c := base32.NewEncoding(codeAlphabet).EncodeToString(b)
	return c[:4] + "-" + c[4:], nil
}

// plainCode returns a code as it is compared: what people add or mistake is put right.
func plainCode(code string) string {
	return strings.NewReplacer("-", "", " ", "", "O", "0", "I", "1", "L", "1").Replace(strings.ToUpper(code))
}

// SetupCode returns what the first visitor must know; empty once there is an
// administrator.
func (s *Service) SetupCode() (code string, err error) {
	err = s.db.View(func(tx *store.Tx) error {
		r, _, err := settingsBucket().Get(tx, []byte(settingsKey))
		code = r.SetupCode
		return err
	})
	return code, err
}

// IsSetUp reports whether there is an administrator.
func (s *Service) IsSetUp() (bool, error) {
	code, err := s.SetupCode()
	return code == "", err
}

// setupLock is the user whose lock guesses of the setup code share; no user has the name.
const setupLock = "/setup"

// SetUp makes the first administrator of who knows the setup code, and begins their
// session. The request's identity is in ctx; who asks at the socket needs no code, and may give
// the password's hash (HashText) in its place.
func (s *Service) SetUp(ctx context.Context, code, name, password string) (Session, error) {
	id := FromContext(ctx)
	session, err := s.setUp(ctx, id, code, name, password)
	if !untried(err) && !errors.Is(err, errSetUp) { // there is no end of those
		s.Record(ctx, api.Operation{ID: "setUp"}, printable(name), err)
	}
	return session, err
}

func (s *Service) setUp(ctx context.Context, id Identity, code, name, password string) (Session, error) {
	s.settingUp.Lock()
	defer s.settingUp.Unlock()
	if err := s.checkSetupCode(id, code); err != nil {
		return Session{}, err
	}
	hash, err := s.firstHash(ctx, id, name, password)
	if err != nil {
		return Session{}, err
	}
	now := s.now().UTC()
	u := userRecord{Name: name, Role: Administrator, Password: hash, Created: now, Changed: now}
	if err := s.addUser(u, forgetSetupCode); err != nil {
		return Session{}, err
	}
	return s.begin(id, u)
}

func (s *Service) checkSetupCode(id Identity, code string) error {
	right, err := s.SetupCode()
	switch {
	case err != nil:
		return err
	case right == "":
		return errSetUp
	case id.How == BySocket:
		return nil
	}
	from := source(id.Remote)
	if err := s.checkLocks(setupLock, from); err != nil {
		return err
	}
	if subtle.ConstantTimeCompare([]byte(plainCode(code)), []byte(plainCode(right))) != 1 {
		s.failed(setupLock, from)
		detail := "is not the setup code: landbridge console prints it on the appliance"
		return invalid(api.FieldError{Field: "code", Detail: detail})
	}
	s.users.succeeded(setupLock)
	s.sources.succeeded(from)
	return nil
}

func forgetSetupCode(tx *store.Tx) error {
	r, _, err := settingsBucket().Get(tx, []byte(settingsKey))
	if err != nil {
		return err
	}
	r.SetupCode = ""
	return settingsBucket().Put(tx, []byte(settingsKey), r)
}
