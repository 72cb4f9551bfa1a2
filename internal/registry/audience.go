package registry

import "sync"

// audience is those who want to hear of something, each by a function. The zero audience is ready.
type audience[T any] struct {
	mu    sync.Mutex
	next  int
	funcs map[int]func(T)
}

// join adds f, which is called from many goroutines and must be quick, until cancel.
func (a *audience[T]) join(f func(T)) (cancel func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.funcs == nil {
		a.funcs = make(map[int]func(T))
	}
	id := a.next
	a.next++
	a.funcs[id] = f
	return func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		delete(a.funcs, id)
	}
}

// tell calls all of them, one after the other, without any lock held.
func (a *audience[T]) tell(what T) {
	a.mu.Lock()
	funcs := make([]func(T), 0, len(a.funcs))
	for _, f := range a.funcs {
		funcs = append(funcs, f)
	}
	a.mu.Unlock()
	for _, f := range funcs {
		f(what)
	}
}
