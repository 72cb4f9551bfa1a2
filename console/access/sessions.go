package access

import (
	"crypto/sha256"
	"encoding/base64"
	"io"
	"net/netip"
	"sync"
	"time"
)

// How long a session lives, and how many there may be.
const (
	IdleTimeout     = 30 * time.Minute
	AbsoluteTimeout = 12 * time.Hour
	ReauthTimeout   = 10 * time.Minute // dangerous acts want a password no older than this

	maxSessions     = 1024
	maxUserSessions = 16
	secretLength    = 32 // bytes
)

// sessionKey is the SHA-256 of a session's cookie: who reads the memory or a dump can't log
// in with it.
type sessionKey [sha256.Size]byte

// Session is a session that has begun.
type Session struct {
	Cookie   string // the value for the browser alone
	Identity Identity
}

// session is what is kept of one.
type session struct {
	user   string
	csrf   string
	remote netip.Addr
	began  time.Time
	used   time.Time
	reauth time.Time
	done   chan struct{}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= IdleTimeout || now.Sub(s.began) >= AbsoluteTimeout
}

// sessions is the table of sessions. It is safe for concurrent use.
type sessions struct {
	random io.Reader
	mu     sync.Mutex
	table  map[sessionKey]*session
}

func newSessions(random io.Reader) *sessions {
	return &sessions{random: random, table: make(map[sessionKey]*session)}
}

// begin makes a session of a user who has just shown a password.
func (t *sessions) begin(user string, remote netip.Addr, now time.Time) (cookie string, key sessionKey, s session, err error) {
	cookie, err = secret(t.random, secretLength)
	if err != nil {
		return "", sessionKey{}, session{}, err
	}
	csrf, err := secret(t.random, secretLength)
	if err != nil {
		return "", sessionKey{}, session{}, err
	}
	key, _ = keyOf(cookie)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.makeRoom(user, now)
	made := &session{user: user, csrf: csrf, remote: remote, began: now, used: now, reauth: now, done: make(chan struct{})}
	t.table[key] = made
	return cookie, key, *made, nil
}

// keyOf returns the key of a cookie, and false for what can't be one.
func keyOf(cookie string) (sessionKey, bool) {
	if len(cookie) != base64.RawURLEncoding.EncodedLen(secretLength) {
		return sessionKey{}, false
	}
	return sha256.Sum256([]byte(cookie)), true
}

// use returns the session of a key, and notes where a person has used it. A session that is
// over is dropped.
func (t *sessions) use(key sessionKey, now time.Time, active bool) (session, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.table[key]
	if s == nil {
		return session{}, false
	}
	if s.over(now) {
		t.drop(key, s)
		return session{}, false
	}
	if active {
		s.used = now
	}
	return *s, true
}

// reauthenticated notes that password or code were given again.
func (t *sessions) reauthenticated(key sessionKey, now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.table[key]; s != nil {
		s.reauth = now
	}
}

// lastReauthenticated returns when password or code were last given for the session that id
// is of: in the request itself, perhaps, after it was found whose it is.
func (t *sessions) lastReauthenticated(id Identity) time.Time {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.table[id.key]; s != nil && s.reauth.After(id.Reauthenticated) {
		return s.reauth
	}
	return id.Reauthenticated
}

// end ends one session.
func (t *sessions) end(key sessionKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.table[key]; s != nil {
		t.drop(key, s)
	}
}

// endOf ends all sessions of a user.
func (t *sessions) endOf(user string) { t.endOthers(user, sessionKey{}) }

// endOthers ends all sessions of a user but one.
func (t *sessions) endOthers(user string, but sessionKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for key, s := range t.table {
		if s.user == user && key != but {
			t.drop(key, s)
		}
	}
}

// count returns how many sessions each user has.
func (t *sessions) count(now time.Time) map[string]int {
	t.mu.Lock()
	defer t.mu.Unlock()
	counts := make(map[string]int)
	for _, s := range t.table {
		if !s.over(now) {
			counts[s.user]++
		}
	}
	return counts
}

// drop is called with mu held.
func (t *sessions) drop(key sessionKey, s *session) {
	close(s.done)
	delete(t.table, key)
}

// makeRoom drops sessions that are over, then the one that was used longest ago: of the
// user, where they have as many as one may have, else of all. Called with mu held.
func (t *sessions) makeRoom(user string, now time.Time) {
	var mine, all sessionKey
	var mineUsed, allUsed time.Time
	count := 0
	for key, s := range t.table {
		if s.over(now) {
			t.drop(key, s)
			continue
		}
		if s.user == user {
			if count++; mineUsed.IsZero() || s.used.Before(mineUsed) {
				mine, mineUsed = key, s.used
			}
		}
		if allUsed.IsZero() || s.used.Before(allUsed) {
			all, allUsed = key, s.used
		}
	}
	switch {
	case count >= maxUserSessions:
		t.drop(mine, t.table[mine])
	case len(t.table) >= maxSessions:
		t.drop(all, t.table[all])
	}
}
