package group

import "sync"

// subscribers are functions that want to hear of something. The zero value is ready.
type subscribers[T any] struct {
	mu   sync.Mutex
	next int
	fns  map[int]func(T)
}

func (s *subscribers[T]) add(fn func(T)) (cancel func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fns == nil {
		s.fns = make(map[int]func(T))
	}
	id := s.next
	s.next++
	s.fns[id] = fn
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.fns, id)
	}
}

// tell calls the functions without the lock, so that they may cancel and subscribe.
func (s *subscribers[T]) tell(v T) {
	s.mu.Lock()
	fns := make([]func(T), 0, len(s.fns))
	for id := range s.next {
		if fn := s.fns[id]; fn != nil {
			fns = append(fns, fn)
		}
	}
	s.mu.Unlock()
	for _, fn := range fns {
		fn(v)
	}
}
