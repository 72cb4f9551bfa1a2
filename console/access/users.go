package access

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// maxUsers bounds the users; each request reads one, and the overview all of them.
const maxUsers = 256

// userRecord is what is kept of a user, under the name in lower case.
type userRecord struct {
	Name     string       `cbor:"1,keyasint"`
	Role     Role         `cbor:"2,keyasint"`
	Password passwordHash `cbor:"3,keyasint"`
	Created  time.Time    `cbor:"4,keyasint"`
	Changed  time.Time    `cbor:"5,keyasint"` // the password
	// Of an authenticator app: its secret in base 32 once it counts, and before; the time step of
	// the last code that was used; the SHA-256 of the recovery codes that are left.
	TOTP        string   `cbor:"6,keyasint,omitempty"`
	PendingTOTP string   `cbor:"7,keyasint,omitempty"`
	LastStep    uint64   `cbor:"8,keyasint,omitempty"`
	Recovery    [][]byte `cbor:"9,keyasint,omitempty"`
}

func (u userRecord) key() string { return userKey(u.Name) }

// userKey returns the name under which a user is kept: who types Alice means alice.
func userKey(name string) string { return strings.ToLower(name) }

func usersBucket() store.Bucket[userRecord] { return store.NewBucket[userRecord]("access", "users") }

// checkName says what is wrong with a new user's name.
func checkName(field, name string) []api.FieldError {
	wrong := func(detail string) []api.FieldError { return []api.FieldError{{Field: field, Detail: detail}} }
	if name == "" || len(name) > 64 {
		return wrong("want 1 to 64 letters, digits, dots, hyphens and underscores")
	}
	for i, r := range name {
		alphanumeric := '0' <= r && r <= '9' || 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z'
		if !alphanumeric && (i == 0 || !strings.ContainsRune(".-_", r)) {
			return wrong("want letters, digits, dots, hyphens and underscores, and a letter or digit first, as in alice")
		}
	}
	return nil
}

// user returns the user that is kept under a key.
func (s *Service) user(key string) (u userRecord, ok bool, err error) {
	if key == "" || len(key) > 64 {
		return userRecord{}, false, nil
	}
	err = s.db.View(func(tx *store.Tx) (err error) {
		u, ok, err = usersBucket().Get(tx, []byte(key))
		return err
	})
	return u, ok, err
}

// administrators counts the users with that role.
func administrators(tx *store.Tx) (n int, err error) {
	for _, u := range usersBucket().Scan(tx, nil, &err) {
		if u.Role == Administrator {
			n++
		}
	}
	return n, err
}

// hash makes the hash of a new password when it is its turn.
func (s *Service) hash(ctx context.Context, password string) (h passwordHash, err error) {
	var failed error
	err = s.hasher.do(ctx, func() { h, failed = hashPassword(password, s.random) })
	return h, errors.Join(err, failed)
}

// addUser keeps a new user, and runs then, if given, in the same transaction.
func (s *Service) addUser(u userRecord, then func(*store.Tx) error) error {
	return s.db.Update(func(tx *store.Tx) error {
		_, there, err := usersBucket().Get(tx, []byte(u.key()))
		switch {
		case err != nil:
			return err
		case there:
			return refuse(Conflict, "there is a user %s already: choose another name", u.Name)
		case usersBucket().Len(tx) >= maxUsers:
			return refuse(Conflict, "there are %d users already, which is the most: remove one first", maxUsers)
		}
		if err := usersBucket().Put(tx, []byte(u.key()), u); err != nil {
			return fmt.Errorf("keep the user %s: %w", u.Name, err)
		}
		if then == nil {
			return nil
		}
		return then(tx)
	})
}
