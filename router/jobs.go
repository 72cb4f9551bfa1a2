package router

import (
	"context"
	"sync"
	"sync/atomic"

	"landbridge/internal/frame"
)

// jobs owns the goroutines that work beside the frame path. close cancels and
// awaits them.
type jobs struct {
	ctx    context.Context
	cancel context.CancelFunc
	mu     sync.Mutex
	closed bool
	wg     sync.WaitGroup

	dns atomic.Int32 // queries being handled
}

func newJobs() *jobs {
	ctx, cancel := context.WithCancel(context.Background())
	return &jobs{ctx: ctx, cancel: cancel}
}

// start runs f on its own goroutine; false after close.
func (j *jobs) start(f func(ctx context.Context)) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.closed {
		return false
	}
	j.wg.Go(func() { f(j.ctx) })
	return true
}

func (j *jobs) close() {
	j.mu.Lock()
	j.closed = true
	j.mu.Unlock()
	j.cancel()
	j.wg.Wait()
}

func (j *jobs) isClosed() bool { return j.ctx.Err() != nil }

// serializer lets each DHCP client, told apart by MAC, have one message handled at a
// time, and remembers one more: the newest, because a client that asks again means the
// same or better.
type serializer struct {
	mu      sync.Mutex
	clients map[frame.MAC][]byte // present: being handled; the value is what waits, or nil
}

// turn is what enter says about a message.
type turn uint8

const (
	noRoom     turn = iota // too many clients at a time
	started                // handle it, then what next returns until it says false
	queued                 // it waits
	superseded             // it waits in place of another
)

func newSerializer() *serializer { return &serializer{clients: make(map[frame.MAC][]byte)} }

// enter takes a message; it must not be nil and is kept.
func (s *serializer) enter(k frame.MAC, message []byte) turn {
	s.mu.Lock()
	defer s.mu.Unlock()
	waiting, busy := s.clients[k]
	if !busy {
		if len(s.clients) >= dhcpClients {
			return noRoom
		}
		s.clients[k] = nil
		return started
	}
	s.clients[k] = message
	if waiting != nil {
		return superseded
	}
	return queued
}

// next returns the message that waited meanwhile, or ends the client's turn.
func (s *serializer) next(k frame.MAC) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	message := s.clients[k]
	if message == nil {
		delete(s.clients, k)
		return nil, false
	}
	s.clients[k] = nil
	return message, true
}
