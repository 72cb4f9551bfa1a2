package e2e

import (
	bigendian "encoding/binary"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"testing"
	"time"

	"landbridge/internal/netlab"
)

// streamPause is the time between two numbers of a stream.
const streamPause = 10 * time.Millisecond

// stream is a TCP connection by which one host sends numbers, which the other sends back. It ends
// with the test, and fails it if the connection breaks or a number is wrong.
type stream struct {
	t    *testing.T
	name string

	mu     sync.Mutex
	came   uint64    // numbers
	at     time.Time // when the last came
	again  time.Time // when something came after a while without
	whiles []span    // without
	worst  time.Duration
	err    error

	machine *stalls
}

// newStream connects from a host to an address of another.
func newStream(t *testing.T, from, to *netlab.Host, addr netip.Addr) *stream {
	t.Helper()
	l, err := to.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	done := make(chan struct{})
	running.Go(func() {
		conn, err := l.Accept()
		if err == nil {
			// Also where the other end has no way left by which to say that it ends.
			running.Go(func() { <-done; _ = conn.Close() })
			_, _ = io.Copy(conn, conn)
			_ = conn.Close()
		}
	})
	conn, err := from.Dial(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		close(done)
		_ = l.Close()
		t.Fatalf("connect from %s to %v of %s: %v", from.Name, addr, to.Name, err)
	}
	s := &stream{t: t, name: fmt.Sprintf("%s to %v of %s", from.Name, addr, to.Name), at: time.Now(), machine: newStalls(t)}
	running.Go(func() {
		for n := uint64(1); ; n++ {
			select {
			case <-done:
				return
			case <-time.After(streamPause):
			}
			if _, err := conn.Write(bigendian.BigEndian.AppendUint64(nil, n)); err != nil {
				select {
				case <-done: // the other end was faster
				default:
					s.fail(err)
				}
				return
			}
		}
	})
	running.Go(func() {
		var b [8]byte
		for {
			_, err := io.ReadFull(conn, b[:])
			select {
			case <-done:
				return
			default:
			}
			if err != nil {
				s.fail(err)
				return
			}
			s.take(bigendian.BigEndian.Uint64(b[:]), time.Now())
		}
	})
	t.Cleanup(func() {
		close(done)
		_, _ = conn.Close(), l.Close()
		running.Wait()
		if s.err != nil {
			t.Errorf("the stream from %s broke: %v", s.name, s.err)
		}
	})
	return s
}

func (s *stream) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = errors.Join(s.err, err)
}

func (s *stream) take(n uint64, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	since := now.Sub(s.at)
	if s.worst = max(s.worst, since); since > 10*streamPause {
		s.again = now
		s.whiles = append(s.whiles, span{s.at, now})
	}
	if s.came++; n != s.came {
		s.err = errors.Join(s.err, fmt.Errorf("%d came in the place of %d", n, s.came))
	}
	s.at = now
}

// flows waits until more has come than by now: what was going on hasn't broken the connection.
func (s *stream) flows() {
	s.t.Helper()
	s.mu.Lock()
	before := s.came
	s.mu.Unlock()
	waitFor(s.t, "the stream from "+s.name+" goes on", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.came > before, s.err
	})
}

// gap returns the longest time in which nothing came, and begins anew.
func (s *stream) gap() time.Duration {
	worst, _ := s.gaps()
	return worst
}

// gaps returns the longest time in which nothing came, and the longest without what this process stood still meanwhile,
// which is what a test may judge. It begins anew.
func (s *stream) gaps() (worst, ours time.Duration) {
	s.flows()
	return s.judged()
}

func (s *stream) judged() (worst, ours time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	worst, ours = s.worst, min(s.worst, 10*streamPause)
	for _, w := range s.whiles {
		ours = max(ours, w.length()-s.machine.within(w))
	}
	s.worst, s.whiles = 0, nil
	return worst, ours
}

// settles waits until the stream has flowed for half a second without a longer gap than at any
// time, and returns the longest since began, as gaps does.
func (s *stream) settles(began time.Time) (worst, ours time.Duration) {
	s.t.Helper()
	waitFor(s.t, "the stream from "+s.name+" settles", func() (bool, error) {
		s.mu.Lock()
		defer s.mu.Unlock()
		steady := time.Now().Add(-500 * time.Millisecond)
		return began.Before(steady) && s.again.Before(steady) && s.at.After(time.Now().Add(-10*streamPause)), s.err
	})
	return s.gaps()
}
