package access

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"io"
	"runtime/debug"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"landbridge/console/api"
)

// What a hash costs: OWASP's password storage cheat sheet, argon2id with the least memory of its
// equal choices, as a machine of 128 MB has no 19 MiB to spare. Hashes keep their own parameters, so these can change.
const (
	hashMemoryKiB = 7 * 1024
	hashPasses    = 5
	hashThreads   = 1
	hashSalt      = 16 // bytes
	hashLength    = 32 // bytes
)

// Bounds of a password. The longest is well over any passphrase and hashed in no time.
const (
	minPassword = 10
	maxPassword = 256
)

// passwordHash is an argon2id hash with its parameters.
type passwordHash struct {
	MemoryKiB uint32 `cbor:"1,keyasint"`
	Passes    uint32 `cbor:"2,keyasint"`
	Threads   uint8  `cbor:"3,keyasint"`
	Salt      []byte `cbor:"4,keyasint"`
	Sum       []byte `cbor:"5,keyasint"`
}

// hashPassword makes the hash that is kept of a password.
func hashPassword(password string, random io.Reader) (passwordHash, error) {
	h := passwordHash{MemoryKiB: hashMemoryKiB, Passes: hashPasses, Threads: hashThreads, Salt: make([]byte, hashSalt)}
	if _, err := io.ReadFull(random, h.Salt); err != nil {
		return passwordHash{}, fmt.Errorf("make a salt: %w", err)
	}
	h.Sum = h.sum(password, hashLength)
	return h, nil
}

func (h passwordHash) sum(password string, length uint32) []byte {
	return argon2.IDKey([]byte(password), h.Salt, h.Passes, h.MemoryKiB, h.Threads, length)
}

// matches reports whether the hash is of this password. The zero hash is of none, and takes
// as long.
func (h passwordHash) matches(password string) bool {
	if len(h.Sum) == 0 {
		none := passwordHash{MemoryKiB: hashMemoryKiB, Passes: hashPasses, Threads: hashThreads, Salt: make([]byte, hashSalt)}
		none.sum(password, hashLength)
		return false
	}
	return subtle.ConstantTimeCompare(h.Sum, h.sum(password, uint32(len(h.Sum)))) == 1
}

// checkPassword says what is wrong with a new password of a user.
func checkPassword(field, password, user string) []api.FieldError {
	wrong := func(format string, args ...any) []api.FieldError {
		return []api.FieldError{{Field: field, Detail: fmt.Sprintf(format, args...)}}
	}
	n := utf8.RuneCountInString(password)
	switch {
	case !utf8.ValidString(password):
		return wrong("is no text: want UTF-8")
	case n < minPassword:
		return wrong("want at least %d characters; a few words make a good password", minPassword)
	case len(password) > maxPassword:
		return wrong("want at most %d bytes", maxPassword)
	case strings.Count(password, password[:1]) == len(password):
		return wrong("one character over and over is guessed at once: a few words make a good password")
	case strings.EqualFold(password, user), isCommon(password):
		return wrong("is one of the first that anybody would try: a few words make a good password")
	}
	return nil
}

// isCommon reports whether a password is among those that are tried first, of those that
// are long enough.
func isCommon(password string) bool {
	p := strings.ToLower(password)
	const rows = "1234567890 0987654321 qwertyuiop qwertzuiop 1qaz2wsx3edc abcdefghij"
	for _, s := range append(strings.Fields(rows), "password", "landbridge", "administrator", "letmein", "changeme", "iloveyou") {
		if rest, ok := strings.CutPrefix(p, s); ok && strings.Trim(rest, "0123456789!.?*-_ ") == "" {
			return true
		}
	}
	return false
}

// hasher lets one password be hashed at a time, with as long a rest after each, and few
// wait for their turn. Use newHasher.
type hasher struct {
	places chan struct{}  // of those that hash or wait
	turn   chan time.Time // holds when the next may begin
	tidy   *time.Timer    // gives back the last one's memory
}

// tidyAfter is how long a hash's 7 MiB are kept for another: to give them back holds all
// goroutines up, and so packets, which strangers that log in must not bring about again and again.
const tidyAfter = 10 * time.Second

// maxWaiting bounds those that hash or wait. At 50 ms each, with its rest, the last waits a
// second or so.
const maxWaiting = 8

func newHasher() *hasher {
	h := &hasher{places: make(chan struct{}, maxWaiting), turn: make(chan time.Time, 1)}
	h.turn <- time.Time{}
	h.tidy = time.AfterFunc(tidyAfter, debug.FreeOSMemory)
	h.tidy.Stop() // there is nothing yet
	return h
}

// do calls f when it is its turn.
func (h *hasher) do(ctx context.Context, f func()) error {
	select {
	case h.places <- struct{}{}:
		defer func() { <-h.places }()
	default:
		return tooMany(2*time.Second, "too many people log in at this moment")
	}
	var next time.Time
	select {
	case next = <-h.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { h.turn <- next }()
	rest := time.NewTimer(time.Until(next))
	defer rest.Stop()
	select {
	case <-rest.C:
	case <-ctx.Done():
		return ctx.Err()
	}
	start := time.Now()
	f()
	h.tidy.Reset(tidyAfter)
	end := time.Now()
	next = end.Add(end.Sub(start))
	return nil
}

// secret returns n random bytes as text without padding.
func secret(random io.Reader, n int) (string, error) {
	b := make([]byte, n)
	if _, err := io.ReadFull(random, b); err != nil {
		return "", fmt.Errorf("make a secret: %w", err)
	}
	return base64.RawURLEncoding.EncodeToString(b), nil
}
