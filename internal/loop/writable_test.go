package loop

import (
	"sync/atomic"
	"testing"

	"golang.org/x/sys/unix"
)

// full is a source whose descriptor takes nothing more, and its far end.
func full(t *testing.T, l *Loop) (s *Source, w, r int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	s, err = l.Add(fds[0], func() (int, error) { return 0, nil }, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	fill(t, fds[0])
	return s, fds[0], fds[1]
}

func fill(t *testing.T, fd int) {
	t.Helper()
	for n := 0; ; n++ {
		switch _, err := unix.Write(fd, make([]byte, 1000)); {
		case err == unix.EAGAIN:
			return
		case err != nil || n > 10_000:
			t.Fatalf("%d writes, %v", n, err)
		}
	}
}

// another is a source that something else comes from, to show that the loop goes on.
func another(t *testing.T, l *Loop) (got *atomic.Int64, w int) {
	t.Helper()
	r, w := pipe(t)
	got = new(atomic.Int64)
	s, err := l.Add(r, reader(r, got), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Remove)
	return got, w
}

func empty(fd int) {
	for buf := make([]byte, 1000); ; {
		if n, err := unix.Read(fd, buf); n <= 0 || err != nil {
			return
		}
	}
}

func TestWhoWaitsUntilItCanWriteIsCalledOnceThen(t *testing.T) {
	l := open(t)
	s, w, far := full(t, l)
	var calls atomic.Int64
	write := func() { calls.Add(1) }
	other, w2 := another(t, l)
	for round := range int64(3) {
		s.WhenWritable(write)
		for i := range int64(20) { // the others are served meanwhile
			unix.Write(w2, []byte{1})
			await(t, "another source is served", func() bool { return other.Load() == round*40+i+1 })
		}
		if n := calls.Load(); n != round {
			t.Fatalf("called %d times before there was room, in round %d", n, round)
		}
		empty(far)
		await(t, "the writer is called", func() bool { return calls.Load() == round+1 })
		for i := range int64(20) {
			unix.Write(w2, []byte{1})
			await(t, "another source is served", func() bool { return other.Load() == round*40+20+i+1 })
		}
		if n := calls.Load(); n != round+1 {
			t.Fatalf("called %d times in round %d", n, round)
		}
		fill(t, w)
	}
	if n := l.writers.Load(); n != 0 {
		t.Errorf("%d writers are still watched", n)
	}
}

// What is asked for while a call goes on isn't forgotten.
func TestAWriterMayAskAgain(t *testing.T) {
	l := open(t)
	s, _, far := full(t, l)
	var calls atomic.Int64
	var write func()
	write = func() {
		if calls.Add(1) < 100 {
			s.WhenWritable(write)
		}
	}
	s.WhenWritable(write)
	empty(far)
	await(t, "each asking led to a call", func() bool { return calls.Load() == 100 })
	await(t, "nobody watches any more", func() bool { return l.writers.Load() == 0 })
	for range 2000 { // from another goroutine, in the middle of the last call's end
		before := calls.Load()
		s.WhenWritable(write)
		await(t, "it is called", func() bool { return calls.Load() > before })
	}
}

func TestNoWriterIsCalledAfterRemove(t *testing.T) {
	l := open(t)
	s, _, far := full(t, l)
	var calls atomic.Int64
	write := func() { calls.Add(1) }
	s.WhenWritable(write)
	s.Remove()
	s.WhenWritable(write)
	empty(far)
	other, w2 := another(t, l)
	for i := range int64(20) {
		unix.Write(w2, []byte{1})
		await(t, "another source is served", func() bool { return other.Load() == i+1 })
	}
	if calls.Load() != 0 || l.writers.Load() != 0 {
		t.Errorf("%d calls, %d writers", calls.Load(), l.writers.Load())
	}
}

func TestWaitingToWriteAllocatesNothing(t *testing.T) {
	l := open(t)
	s, _, far := full(t, l)
	empty(far)
	done := make(chan struct{})
	write := func() { done <- struct{}{} }
	if n := testing.AllocsPerRun(200, func() { s.WhenWritable(write); <-done }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// The loop's descriptors are closed then, and their numbers may be somebody else's.
func TestAClosedLoopTellsEpollNothingMore(t *testing.T) {
	l, err := Open(false)
	if err != nil {
		t.Fatal(err)
	}
	s, _, _ := full(t, l)
	s.WhenWritable(func() {})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s.WhenWritable(func() { t.Error("called after Close") })
	if s.writing.watched || l.writers.Load() != 0 {
		t.Error("it still asks epoll")
	}
}
