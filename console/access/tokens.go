package access

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"landbridge/console/api"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// An API token is "lbt_" and 256 random bits, so that a quick hash is as good as a slow one.
const (
	tokenPrefix = "lbt_"
	maxTokens   = 1024
	tokenUsed   = 5 * time.Minute // how exactly it is kept when a token was used
)

// tokenRecord is what is kept of an API token, under the SHA-256 of it.
type tokenRecord struct {
	Name     string    `cbor:"1,keyasint"`
	User     string    `cbor:"2,keyasint"` // the key of whose it is
	Role     Role      `cbor:"3,keyasint"`
	Created  time.Time `cbor:"4,keyasint"`
	Expires  time.Time `cbor:"5,keyasint,omitzero"`
	LastUsed time.Time `cbor:"6,keyasint,omitzero"`
}

func tokensBucket() store.Bucket[tokenRecord] {
	return store.NewBucket[tokenRecord]("access", "tokens")
}

// tokenID names a token to people: the beginning of its hash, which tells nothing of it.
func tokenID(key []byte) string { return hex.EncodeToString(key[:8]) }

func (t tokenRecord) describe(key []byte, user string) api.Token {
	return api.Token{ID: tokenID(key), Name: t.Name, User: user, Role: t.Role.API(), Created: t.Created, Expires: t.Expires, LastUsed: t.LastUsed}
}

// AuthenticateToken returns whose request it is that comes as id says and has this header
// Authorization. Its error is ErrToken where the header is nobody's.
func (s *Service) AuthenticateToken(id Identity, authorization string) (Identity, error) {
	scheme, token, _ := strings.Cut(authorization, " ")
	if !strings.EqualFold(scheme, "Bearer") || !strings.HasPrefix(token, tokenPrefix) || len(token) > 64 {
		return id, ErrToken
	}
	sum := sha256.Sum256([]byte(token))
	now := s.now()
	var t tokenRecord
	var u userRecord
	err := s.db.View(func(tx *store.Tx) (err error) {
		var ok bool
		if t, ok, err = tokensBucket().Get(tx, sum[:]); err != nil {
			return err
		} else if !ok || t.over(now) {
			return ErrToken
		}
		if u, ok, err = usersBucket().Get(tx, []byte(t.User)); err == nil && !ok {
			return ErrToken
		}
		return err
	})
	if err != nil {
		return id, err
	}
	if now.Sub(t.LastUsed) > tokenUsed {
		s.noteUse(sum[:], now)
	}
	id.Name, id.Role, id.How, id.Expires = u.Name, min(t.Role, u.Role), ByToken, t.Expires
	return id, nil
}

func (t tokenRecord) over(now time.Time) bool { return !t.Expires.IsZero() && !now.Before(t.Expires) }

// noteUse keeps when a token was used. That it can't is logged; the request goes on.
func (s *Service) noteUse(key []byte, now time.Time) {
	err := s.db.Batch(func(tx *store.Tx) error {
		t, ok, err := tokensBucket().Get(tx, key)
		if err != nil || !ok || now.Sub(t.LastUsed) <= tokenUsed {
			return err
		}
		t.LastUsed = now.UTC()
		return tokensBucket().Put(tx, key, t)
	})
	if err != nil {
		s.log.Warn("when an API token was used is not kept", "err", err)
	}
}

// Tokens returns the tokens of who asks, and all where an administrator does.
func (s *Service) Tokens(ctx context.Context) (all []api.Token, err error) {
	id := FromContext(ctx)
	err = s.db.View(func(tx *store.Tx) error {
		all = nil
		var failed error
		for key, t := range tokensBucket().Scan(tx, nil, &failed) {
			if t.User != userKey(id.Name) && id.Role < Administrator {
				continue
			}
			u, _, err := usersBucket().Get(tx, []byte(t.User))
			if err != nil {
				return err
			}
			all = append(all, t.describe(key, u.Name))
		}
		return failed
	})
	sorting.By(all, byUserAndName)
	return all, err
}

// CreateToken makes an API token, and returns it with its secret.
func (s *Service) CreateToken(ctx context.Context, req api.TokenCreate) (api.NewToken, error) {
	id := FromContext(ctx)
	if err := CheckToken(id, req); err != nil {
		return api.NewToken{}, err
	}
	role, _ := newRole(req.Role)
	owner := cmp.Or(req.User, id.Name)
	random, err := secret(s.random, secretLength)
	if err != nil {
		return api.NewToken{}, err
	}
	token := tokenPrefix + random
	sum := sha256.Sum256([]byte(token))
	t := tokenRecord{Name: req.Name, User: userKey(owner), Role: role, Created: s.now().UTC()}
	if req.TTLSeconds > 0 {
		t.Expires = t.Created.Add(time.Duration(req.TTLSeconds) * time.Second)
	}
	var u userRecord
	err = s.db.Update(func(tx *store.Tx) error {
		var ok bool
		if u, ok, err = usersBucket().Get(tx, []byte(t.User)); err != nil {
			return err
		}
		switch {
		case !ok:
			return invalid(api.FieldError{Field: "user", Detail: "there is no user " + printable(owner)})
		case role > u.Role:
			return invalid(api.FieldError{Field: "role", Detail: "want the user's own role at most, " + u.Role.String()})
		}
		if err := removeTokens(tx, func(t tokenRecord) bool { return t.over(s.now()) }); err != nil {
			return err
		}
		if tokensBucket().Len(tx) >= maxTokens {
			return refuse(Conflict, "there are %d tokens already, which is the most: revoke one first", maxTokens)
		}
		return tokensBucket().Put(tx, sum[:], t)
	})
	return api.NewToken{Token: t.describe(sum[:], u.Name), Secret: token}, err
}

// RevokeToken makes a token worthless: one of who asks, and any where an administrator does.
func (s *Service) RevokeToken(ctx context.Context, name string) error {
	id := FromContext(ctx)
	return s.db.Update(func(tx *store.Tx) error {
		var failed error
		for key, t := range tokensBucket().Scan(tx, nil, &failed) {
			if tokenID(key) == name && (t.User == userKey(id.Name) || id.Role == Administrator) {
				return tokensBucket().Delete(tx, key)
			}
		}
		if failed != nil {
			return failed
		}
		return refuse(NotFound, "there is no token %s of yours", printable(name))
	})
}

// removeTokens removes the tokens that which picks.
func removeTokens(tx *store.Tx, which func(tokenRecord) bool) error {
	var failed error
	for key, t := range tokensBucket().Scan(tx, nil, &failed) {
		if which(t) {
			if err := tokensBucket().Delete(tx, key); err != nil {
				return err
			}
		}
	}
	return failed
}
