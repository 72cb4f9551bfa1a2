package access

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"landbridge/console/api"
)

// hashPrefix begins a password's hash as text: the PHC string format, of argon2id.
const hashPrefix = "$argon2id$v=19$"

// Bounds of a hash that is brought along: what this appliance is to spend on each login.
const (
	maxHashMemoryKiB = 64 * 1024
	maxHashPasses    = 10
)

// errHash is returned for a text that is no hash.
var errHash = errors.New("is no hash of a password, as $argon2id$v=19$m=7168,t=5,p=1$SALT$SUM: landbridge console hash-password makes one")

// HashText returns the hash of a password as text ($argon2id$…), for an appliance that is to be set
// up without the password being known to it. user is whose it will be.
func HashText(user, password string, random io.Reader) (string, error) {
	if err := invalid(checkPassword("password", password, user)...); err != nil {
		return "", err
	}
	h, err := hashPassword(password, random)
	if err != nil {
		return "", err
	}
	text := base64.RawStdEncoding
	return fmt.Sprintf("%sm=%d,t=%d,p=%d$%s$%s", hashPrefix, h.MemoryKiB, h.Passes, h.Threads, text.EncodeToString(h.Salt), text.EncodeToString(h.Sum)), nil
}

// CheckHash says what is wrong with a hash as text.
func CheckHash(text string) error {
	_, err := parseHash(text)
	return err
}

// CheckName says what is wrong with the name of a new user.
func CheckName(name string) error {
	if wrong := checkName("name", name); len(wrong) > 0 {
		return errors.New(wrong[0].Detail)
	}
	return nil
}

func parseHash(text string) (h passwordHash, err error) {
	rest, ok := strings.CutPrefix(text, hashPrefix)
	fields := strings.Split(rest, "$")
	if !ok || len(fields) != 3 {
		return passwordHash{}, errHash
	}
	if _, err := fmt.Sscanf(fields[0], "m=%d,t=%d,p=%d", &h.MemoryKiB, &h.Passes, &h.Threads); err != nil || fields[0] != fmt.Sprintf("m=%d,t=%d,p=%d", h.MemoryKiB, h.Passes, h.Threads) {
		return passwordHash{}, errHash
	}
	salt, badSalt := base64.RawStdEncoding.Strict().DecodeString(fields[1])
	sum, badSum := base64.RawStdEncoding.Strict().DecodeString(fields[2])
	switch {
	case badSalt != nil || badSum != nil || len(salt) < 8 || len(salt) > 64 || len(sum) < 16 || len(sum) > 64:
		return passwordHash{}, errHash
	case h.MemoryKiB < hashMemoryKiB || h.MemoryKiB > maxHashMemoryKiB, h.Passes > maxHashPasses, h.MemoryKiB*h.Passes < hashMemoryKiB*hashPasses, h.Threads != hashThreads:
		return passwordHash{}, fmt.Errorf("the hash costs m=%d,t=%d,p=%d, and an appliance wants m=%d to %d, t up to %d, m times t at least %d, p=%d",
			h.MemoryKiB, h.Passes, h.Threads, hashMemoryKiB, maxHashMemoryKiB, maxHashPasses, hashMemoryKiB*hashPasses, hashThreads)
	}
	h.Salt, h.Sum = salt, sum
	return h, nil
}

// firstHash returns what is kept of the first administrator's password.
func (s *Service) firstHash(ctx context.Context, id Identity, name, password string) (passwordHash, error) {
	wrong := checkName("name", name)
	if id.How == BySocket && strings.HasPrefix(password, hashPrefix) {
		h, err := parseHash(password)
		if err != nil {
			wrong = append(wrong, api.FieldError{Field: "password", Detail: err.Error()})
		}
		return h, invalid(wrong...)
	}
	if err := invalid(append(wrong, checkPassword("password", password, name)...)...); err != nil {
		return passwordHash{}, err
	}
	return s.hash(ctx, password)
}
