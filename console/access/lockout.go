package access

import (
	"net/netip"
	"sync"
	"time"
)

// How failures are answered: the first few are free, then each doubles the wait.
const (
	freeFailures  = 5
	firstWait     = time.Second
	maxUserWait   = time.Minute // short: strangers can make it grow for somebody else
	maxSourceWait = 15 * time.Minute
	forgetAfter   = time.Hour
	maxLocks      = 4096 // entries of a table
)

// lock is the failures of one user or address.
type lock struct {
	failures int
	last     time.Time
	until    time.Time // before, nothing is even tried
}

// lockout is the backoff of users or of addresses. It is safe for concurrent use.
type lockout struct {
	most time.Duration

	mu    sync.Mutex
	locks map[string]lock
}

func newLockout(most time.Duration) *lockout {
	return &lockout{most: most, locks: make(map[string]lock)}
}

// wait returns how long key must wait; 0 where it may try.
func (l *lockout) wait(key string, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return max(0, l.locks[key].until.Sub(now))
}

// failed notes a failure of key.
func (l *lockout) failed(key string, now time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	e, ok := l.locks[key]
	if !ok && len(l.locks) >= maxLocks {
		l.makeRoom(now)
	}
	if now.Sub(e.last) > forgetAfter {
		e = lock{}
	}
	e.failures++
	e.last = now
	if over := e.failures - freeFailures; over >= 0 {
		e.until = now.Add(backoff(over, l.most))
	}
	l.locks[key] = e
}

// backoff returns firstWait doubled n times, at most most.
func backoff(n int, most time.Duration) time.Duration {
	wait := firstWait
	for ; n > 0 && wait < most; n-- {
		wait *= 2
	}
	return min(wait, most)
}

// succeeded forgets the failures of key.
func (l *lockout) succeeded(key string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.locks, key)
}

// makeRoom drops what is forgotten, and else the entry that failed longest ago. Called
// with mu held.
func (l *lockout) makeRoom(now time.Time) {
	var oldest string
	var at time.Time
	for key, e := range l.locks {
		if now.Sub(e.last) > forgetAfter {
			delete(l.locks, key)
			continue
		}
		if oldest == "" || e.last.Before(at) {
			oldest, at = key, e.last
		}
	}
	if len(l.locks) >= maxLocks {
		delete(l.locks, oldest)
	}
}

// source returns the key of an address: itself, and of IPv6 the /64, which one host has as
// a rule.
func source(a netip.Addr) string {
	a = a.Unmap().WithZone("")
	if a.Is6() {
		if p, err := a.Prefix(64); err == nil {
			return p.String()
		}
	}
	return a.String()
}
