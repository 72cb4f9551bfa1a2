package registry

import (
	"context"
	"sync"
)

// keyedLocks are mutexes by key that can be waited for with a context. The zero
// value works.
type keyedLocks[K comparable] struct {
	mu   sync.Mutex
	held map[K]chan struct{}
}

func (l *keyedLocks[K]) lock(ctx context.Context, key K) error {
	for {
		l.mu.Lock()
		ch, busy := l.held[key]
		if !busy {
			if l.held == nil {
				l.held = make(map[K]chan struct{})
			}
			l.held[key] = make(chan struct{})
			l.mu.Unlock()
			return nil
		}
		l.mu.Unlock()
		select {
		case <-ch:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (l *keyedLocks[K]) unlock(key K) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.held[key])
	delete(l.held, key)
}
