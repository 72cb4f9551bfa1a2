package access

import (
	"net/netip"
	"time"

	"landbridge/internal/store"
)

const (
	// keptUse is how exactly it is kept when a session was used: a kill forgets so much of it.
	keptUse = time.Minute
	// clockSkew is how far ahead of the clock a kept session may have begun.
	clockSkew = time.Minute
)

// sessionRecord is what is kept of a session, under the SHA-256 of its cookie.
type sessionRecord struct {
	User   string     `cbor:"1,keyasint"` // the key of whose it is
	Remote netip.Addr `cbor:"2,keyasint"`
	Began  time.Time  `cbor:"3,keyasint"`
	Used   time.Time  `cbor:"4,keyasint"`
	Reauth time.Time  `cbor:"5,keyasint"`
}

func sessionsBucket() store.Bucket[sessionRecord] {
	return store.NewBucket[sessionRecord]("access", "sessions")
}

func (s *session) record() sessionRecord {
	return sessionRecord{User: s.user, Remote: s.remote, Began: s.began.UTC(), Used: s.used.UTC(), Reauth: s.reauth.UTC()}
}

// restore takes up the sessions that an earlier run has left, and forgets those that are over, whose
// user is gone, or that a clock which went back would have last.
func (t *sessions) restore(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.db.Update(func(tx *store.Tx) error {
		clear(t.table)
		var failed error
		for key, r := range sessionsBucket().Scan(tx, nil, &failed) {
			_, known, err := usersBucket().Get(tx, []byte(r.User))
			if err != nil {
				return err
			}
			s := &session{user: r.User, remote: r.Remote, began: r.Began, used: r.Used, kept: r.Used, reauth: r.Reauth, done: make(chan struct{})}
			if known && len(key) == len(sessionKey{}) && !s.over(now) && !r.Began.After(now.Add(clockSkew)) && len(t.table) < maxSessions {
				t.table[sessionKey(key)] = s
				continue
			}
			if err := sessionsBucket().Delete(tx, key); err != nil {
				return err
			}
		}
		return failed
	})
}

// keepNew keeps a session that begins, unless u isn't what is kept of its user any more, and
// forgets those that have made room for it.
func (t *sessions) keepNew(key sessionKey, s *session, u userRecord, dropped []sessionKey) error {
	return t.db.Update(func(tx *store.Tx) error {
		now, ok, err := usersBucket().Get(tx, []byte(s.user))
		if err != nil {
			return err
		}
		if !ok || !now.Changed.Equal(u.Changed) || !now.Created.Equal(u.Created) {
			return refuse(Unauthenticated, "the name or the password is wrong")
		}
		for _, d := range dropped {
			if err := sessionsBucket().Delete(tx, d[:]); err != nil {
				return err
			}
		}
		return sessionsBucket().Put(tx, key[:], s.record())
	})
}

// keep keeps what has changed of a session, unless it has ended meanwhile.
func (t *sessions) keep(key sessionKey, s session) error {
	return t.db.Batch(func(tx *store.Tx) error {
		_, ok, err := sessionsBucket().Get(tx, key[:])
		if err != nil || !ok {
			return err
		}
		return sessionsBucket().Put(tx, key[:], s.record())
	})
}

// forget has a session be unknown after a restart, too.
func (t *sessions) forget(key sessionKey) error {
	return t.db.Update(func(tx *store.Tx) error { return sessionsBucket().Delete(tx, key[:]) })
}

// forgetSessions forgets all sessions of a user but one, in the transaction that is the reason.
func forgetSessions(tx *store.Tx, user string, but sessionKey) error {
	var failed error
	for key, r := range sessionsBucket().Scan(tx, nil, &failed) {
		if r.User != user || string(key) == string(but[:]) {
			continue
		}
		if err := sessionsBucket().Delete(tx, key); err != nil {
			return err
		}
	}
	return failed
}

// ForgetSessions has nobody be logged in who is by what a state file says.
func ForgetSessions(db *store.DB) error {
	return db.Update(func(tx *store.Tx) error { return sessionsBucket().Clear(tx) })
}
