package registry

import (
	"context"
	"sync"
)

// flights make one question of the many that are asked at the same time about the
// same thing. The zero value works.
type flights[K comparable, V any] struct {
	mu  sync.Mutex
	air map[K]*flight[V]
}

// flight is one question in progress that many wait for.
type flight[V any] struct {
	done chan struct{}
	v    V
	err  error
}

// do returns what find found for key: called on a goroutine of r, unless one is
// at it already. The caller waits no longer than ctx; find goes on.
func (g *flights[K, V]) do(ctx context.Context, r *Registry, key K, find func() (V, error)) (v V, err error) {
	g.mu.Lock()
	f, ok := g.air[key]
	if !ok {
		f = &flight[V]{done: make(chan struct{})}
		if g.air == nil {
			g.air = make(map[K]*flight[V])
		}
		g.air[key] = f
	}
	g.mu.Unlock()
	land := func(v V, err error) {
		f.v, f.err = v, err
		g.mu.Lock()
		delete(g.air, key)
		g.mu.Unlock()
		close(f.done)
	}
	if !ok && !r.spawn(func() { land(find()) }) {
		land(v, ErrClosed)
	}
	select {
	case <-f.done:
		return f.v, f.err
	case <-ctx.Done():
		return v, ctx.Err()
	}
}
