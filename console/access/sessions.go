package access

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"io"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/store"
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

// session is what is known of one.
type session struct {
	user   string
	remote netip.Addr
	began  time.Time
	used   time.Time
	kept   time.Time // used, as it is on disk
	reauth time.Time
	done   chan struct{}
}

func (s *session) over(now time.Time) bool {
	return now.Sub(s.used) >= IdleTimeout || now.Sub(s.began) >= AbsoluteTimeout
}

// sessions is the table of sessions, and what outlives restarts of them (sessionstore.go). What
// is to be found there is decided by transactions, what ends is told by the table: a session is in
// both from its beginning to its end. It is safe for concurrent use.
type sessions struct {
	db     *store.DB
	random io.Reader
	log    *slog.Logger
	mu     sync.Mutex
	table  map[sessionKey]*session
}

func newSessions(db *store.DB, random io.Reader, log *slog.Logger) *sessions {
	return &sessions{db: db, random: random, log: log, table: make(map[sessionKey]*session)}
}

// begin makes a session of a user who has just shown a password, and returns when it is on disk.
// It is refused where that password isn't the user's any more.
func (t *sessions) begin(u userRecord, remote netip.Addr, now time.Time) (cookie string, key sessionKey, s session, err error) {
	cookie, err = secret(t.random, secretLength)
	if err != nil {
		return "", sessionKey{}, session{}, err
	}
	key, _ = keyOf(cookie)
	made := &session{user: u.key(), remote: remote, began: now, used: now, kept: now, reauth: now, done: make(chan struct{})}
	dropped := t.add(key, made, now)
	if err := t.keepNew(key, made, u, dropped); err != nil {
		t.take(key)
		return "", sessionKey{}, session{}, err
	}
	return cookie, key, *made, nil
}

// add puts a session into the table, and returns which had to make room.
func (t *sessions) add(key sessionKey, s *session, now time.Time) (dropped []sessionKey) {
	t.mu.Lock()
	defer t.mu.Unlock()
	dropped = t.makeRoom(s.user, now)
	t.table[key] = s
	return dropped
}

// take removes a session from the table alone, and reports whether it was there.
func (t *sessions) take(key sessionKey) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.table[key]
	if s != nil {
		t.drop(key, s)
	}
	return s != nil
}

// csrfOf returns the token that requests of a session must carry. It is made of the cookie, so
// that nothing of it has to be kept, and tells nothing of it.
func csrfOf(cookie string) string {
	sum := sha256.Sum256([]byte("landbridge csrf\x00" + cookie))
	return base64.RawURLEncoding.EncodeToString(sum[:])
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
	s, ok, late := t.look(key, now, active)
	switch {
	case ok && late:
		t.tell(t.keep(key, s))
	case late:
		t.tell(t.forget(key))
	}
	return s, ok
}

// look is use in the table alone. late says that the disk is to hear of it.
func (t *sessions) look(key sessionKey, now time.Time, active bool) (_ session, ok, late bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := t.table[key]
	switch {
	case s == nil:
		return session{}, false, false
	case s.over(now):
		t.drop(key, s)
		return session{}, false, true
	case active:
		s.used = now
	}
	if late = s.used.Sub(s.kept) >= keptUse; late {
		s.kept = s.used // whether or not it can be kept: it isn't tried with each request
	}
	return *s, true, late
}

// reauthenticated notes that password or code were given again.
func (t *sessions) reauthenticated(key sessionKey, now time.Time) {
	t.mu.Lock()
	s, ok := t.table[key]
	if !ok {
		t.mu.Unlock()
		return
	}
	s.reauth, s.kept = now, s.used
	noted := *s
	t.mu.Unlock()
	t.tell(t.keep(key, noted))
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

// end ends one session: here at once, and for those who start later when it returns nil.
func (t *sessions) end(key sessionKey) error {
	if !t.take(key) {
		return nil
	}
	return t.forget(key)
}

// endOthers ends all sessions of a user but one in the table; forgetSessions has them end on disk, in
// the transaction that is the reason.
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
// user, where they have as many as one may have, else of all. It returns which. Called with mu
// held.
func (t *sessions) makeRoom(user string, now time.Time) (dropped []sessionKey) {
	var mine, all sessionKey
	var mineUsed, allUsed time.Time
	count := 0
	for key, s := range t.table {
		if s.over(now) {
			t.drop(key, s)
			dropped = append(dropped, key)
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
		return append(dropped, mine)
	case len(t.table) >= maxSessions:
		t.drop(all, t.table[all])
		return append(dropped, all)
	}
	return dropped
}

// tell logs that a session isn't kept as it is; it goes on all the same.
func (t *sessions) tell(err error) {
	if err != nil && !errors.Is(err, store.ErrClosed) {
		t.log.Warn("a session of the console isn't kept: after a restart it is as it was before", "err", err)
	}
}
