package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base32"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"landbridge/console/api"
	"landbridge/internal/store"
)

// Time-based codes as every authenticator app makes them (RFC 6238, its defaults), and what
// stands in for them.
const (
	totpPeriod    = 30 * time.Second
	totpSkew      = 1  // steps by which clocks may differ
	totpSecret    = 20 // bytes, as RFC 4226 section 4 recommends
	recoveryCodes = 10
	recoveryBytes = 10
)

// EnrollTOTP begins to use an authenticator app for the user of the session in ctx; issuer is
// what the app calls this appliance. It counts once ConfirmTOTP has seen a code.
func (s *Service) EnrollTOTP(ctx context.Context, issuer string) (api.TOTPEnrollment, error) {
	raw := make([]byte, totpSecret)
	if _, err := io.ReadFull(s.random, raw); err != nil {
		return api.TOTPEnrollment{}, fmt.Errorf("make a TOTP secret: %w", err)
	}
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	u, err := s.changeOwn(ctx, func(u *userRecord) error {
		if u.TOTP != "" {
			return refuse(Conflict, "an authenticator app is in use already: remove it first")
		}
		u.PendingTOTP = secret
		return nil
	})
	if err != nil {
		return api.TOTPEnrollment{}, err
	}
	query := url.Values{"secret": {secret}, "issuer": {issuer}, "algorithm": {"SHA1"}, "digits": {"6"}, "period": {"30"}}
	uri := url.URL{Scheme: "otpauth", Host: "totp", Path: "/" + issuer + ":" + u.Name, RawQuery: strings.ReplaceAll(query.Encode(), "+", "%20")}
	return api.TOTPEnrollment{Secret: secret, URI: uri.String()}, nil
}

// ConfirmTOTP has logins of the session's user ask for codes from now on, if code is one. It
// returns the recovery codes, of which only hashes are kept.
func (s *Service) ConfirmTOTP(ctx context.Context, code string) ([]string, error) {
	codes, hashes, err := s.newRecoveryCodes()
	if err != nil {
		return nil, err
	}
	id := FromContext(ctx)
	if err := s.checkLocks(userKey(id.Name), source(id.Remote)); err != nil {
		return nil, err
	}
	wrong := false
	_, err = s.changeOwn(ctx, func(u *userRecord) error {
		if u.PendingTOTP == "" {
			return refuse(Conflict, "no authenticator app is being enrolled: begin with that")
		}
		step, ok := totpStep(u.PendingTOTP, code, s.now(), 0)
		if wrong = !ok; wrong {
			return invalid(api.FieldError{Field: "code", Detail: "is not what the app shows now: see that its clock is right, and use the code before it changes"})
		}
		u.TOTP, u.PendingTOTP, u.LastStep, u.Recovery = u.PendingTOTP, "", step, hashes
		return nil
	})
	if wrong {
		s.failed(userKey(id.Name), source(id.Remote))
	}
	if err != nil {
		return nil, err
	}
	return codes, nil
}

// RemoveTOTP has logins of the session's user ask for no code any more.
func (s *Service) RemoveTOTP(ctx context.Context) error {
	_, err := s.changeOwn(ctx, func(u *userRecord) error { u.forgetTOTP(); return nil })
	return err
}

func (u *userRecord) forgetTOTP() {
	u.TOTP, u.PendingTOTP, u.LastStep, u.Recovery = "", "", 0, nil
}

// useCode reports whether code is the user's now, and uses it up.
func (s *Service) useCode(key, code string) (ok bool, err error) {
	_, err = s.changeUser(key, func(u *userRecord) error {
		ok = u.takeCode(code, s.now())
		return nil
	}, nil)
	return ok, err
}

// takeCode reports whether code is the user's, and has it be nobody's after this.
func (u *userRecord) takeCode(code string, now time.Time) bool {
	if step, ok := totpStep(u.TOTP, code, now, u.LastStep); ok {
		u.LastStep = step
		return true
	}
	sum := sha256.Sum256([]byte(plainRecovery(code)))
	for i, r := range u.Recovery {
		if subtle.ConstantTimeCompare(r, sum[:]) == 1 {
			u.Recovery = slices.Delete(slices.Clone(u.Recovery), i, i+1)
			return true
		}
	}
	return false
}

// totpStep returns the time step whose code this is: one near now, and after last, so that
// no code serves twice.
func totpStep(secret, code string, now time.Time, last uint64) (uint64, bool) {
	code = strings.ReplaceAll(code, " ", "")
	present := uint64(now.Unix()) / uint64(totpPeriod/time.Second)
	for step := present - totpSkew; step <= present+totpSkew; step++ {
		want, err := hotp.GenerateCodeCustom(secret, step, hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && step > last && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 {
			return step, true
		}
	}
	return 0, false
}

// newRecoveryCodes returns codes as xxxx-xxxx-xxxx-xxxx, and the hashes to keep. With 80 random
// bits in each, a quick hash is good enough.
func (s *Service) newRecoveryCodes() (codes []string, hashes [][]byte, err error) {
	for range recoveryCodes {
		b := make([]byte, recoveryBytes)
		if _, err := io.ReadFull(s.random, b); err != nil {
			return nil, nil, fmt.Errorf("make recovery codes: %w", err)
		}
		c := strings.ToLower(base32.NewEncoding(codeAlphabet).EncodeToString(b))
		codes = append(codes, c[:4]+"-"+c[4:8]+"-"+c[8:12]+"-"+c[12:])
		sum := sha256.Sum256([]byte(plainRecovery(c)))
		hashes = append(hashes, sum[:])
	}
	return codes, hashes, nil
}

func plainRecovery(code string) string { return plainCode(code) }

// changeOwn changes the user whose session the request in ctx is of.
func (s *Service) changeOwn(ctx context.Context, change func(*userRecord) error) (userRecord, error) {
	id := FromContext(ctx)
	if id.How != BySession {
		return userRecord{}, refuse(Conflict, "this is about a user who has logged in, and the request is of a %v: log in to the console", id.How)
	}
	return s.changeUser(userKey(id.Name), change, nil)
}

// changeUser changes what is kept of a user, and runs then, if given, in the same transaction; or
// changes nothing where either fails.
func (s *Service) changeUser(key string, change func(*userRecord) error, then func(*store.Tx) error) (u userRecord, err error) {
	err = s.db.Update(func(tx *store.Tx) error {
		var ok bool
		if u, ok, err = usersBucket().Get(tx, []byte(key)); err != nil {
			return err
		} else if !ok {
			return noUser(key)
		}
		before := u.Role
		if err := change(&u); err != nil {
			return err
		}
		if err := usersBucket().Put(tx, []byte(key), u); err != nil {
			return err
		}
		if before == Administrator && u.Role != Administrator {
			if err := oneLeft(tx); err != nil {
				return err
			}
		}
		if then == nil {
			return nil
		}
		return then(tx)
	})
	return u, err
}

func noUser(name string) error { return refuse(NotFound, "there is no user %s", printable(name)) }

// oneLeft refuses a transaction after which there would be no administrator.
func oneLeft(tx *store.Tx) error {
	n, err := administrators(tx)
	if err == nil && n == 0 {
		return refuse(Conflict, "this is the last administrator: make another one first")
	}
	return err
}
