package loop

import (
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func open(t *testing.T) *Loop {
	l, err := Open(true)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// pipe is a descriptor to read from and one to write to.
func pipe(t *testing.T) (r, w int) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(p[0]); unix.Close(p[1]) })
	return p[0], p[1]
}

// reader counts what comes.
func reader(fd int, got *atomic.Int64) Handler {
	buf := make([]byte, 16)
	return func() (int, error) {
		n, err := unix.Read(fd, buf)
		switch {
		case err == unix.EAGAIN:
			return 0, nil
		case err != nil:
			return 0, err
		case n == 0:
			return 0, errors.New("the far end is closed")
		}
		got.Add(int64(n))
		return n, nil
	}
}

func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 30 s: ", what)
		}
	}
}

func TestEverySourceIsServed(t *testing.T) {
	t.Run("of few", func(t *testing.T) { serveAll(t, 3) })
	t.Run("of many", func(t *testing.T) { serveAll(t, 2*waitEvents+1) })
}

func serveAll(t *testing.T, sources int) {
	l := open(t)
	counts, ends := make([]atomic.Int64, sources), make([]int, sources)
	for i := range counts {
		r, w := pipe(t)
		ends[i] = w
		s, err := l.Add(r, reader(r, &counts[i]), func(err error) { t.Error(err) })
		if err != nil {
			t.Fatal(err)
		}
		defer s.Remove()
	}
	for round := range 50 {
		for i, w := range ends {
			if _, err := unix.Write(w, make([]byte, i+1)); err != nil {
				t.Fatal(err)
			}
		}
		await(t, "all has been read", func() bool {
			for i := range counts {
				if counts[i].Load() != int64((i+1)*(round+1)) {
					return false
				}
			}
			return true
		})
	}
}

func TestNoHandlerRunsAfterRemove(t *testing.T) {
	l := open(t)
	r, w := pipe(t)
	var removed, late atomic.Bool
	var calls atomic.Int64
	s, err := l.Add(r, func() (int, error) { // always busy
		late.Store(late.Load() || removed.Load())
		calls.Add(1)
		return 1, nil
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	await(t, "the handler runs", func() bool { return calls.Load() > 100 })
	s.Remove()
	removed.Store(true)
	s.Remove()
	unix.Write(w, []byte{1})
	var other atomic.Int64
	r2, w2 := pipe(t)
	again, err := l.Add(r2, reader(r2, &other), func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	defer again.Remove()
	unix.Write(w2, []byte{1})
	await(t, "the loop goes on", func() bool { return other.Load() == 1 })
	if late.Load() {
		t.Error("the handler ran after Remove")
	}
}

func TestAFailedSourceIsRemovedAndTold(t *testing.T) {
	l := open(t)
	r, w := pipe(t)
	told := make(chan error, 10)
	var got atomic.Int64
	s, err := l.Add(r, reader(r, &got), func(err error) { told <- err })
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(w)
	if err := <-told; err == nil {
		t.Error("no reason")
	}
	s.Remove()
	if len(told) > 0 {
		t.Error("told twice")
	}
}

func TestAClosedLoopTakesNothing(t *testing.T) {
	l := open(t)
	r, _ := pipe(t)
	var got atomic.Int64
	s, err := l.Add(r, reader(r, &got), func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(l.Close(), l.Close()); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Add(r, reader(r, &got), func(error) {}); !errors.Is(err, ErrClosed) {
		t.Errorf("Add: %v", err)
	}
	s.Remove()
}

func TestABadDescriptorIsRefused(t *testing.T) {
	if s, err := open(t).Add(-1, func() (int, error) { return 0, nil }, func(error) {}); err == nil {
		s.Remove()
		t.Error("descriptor -1 is watched")
	}
}

func TestAnIdleLoopSleeps(t *testing.T) {
	l := open(t)
	r, _ := pipe(t)
	var calls atomic.Int64
	s, err := l.Add(r, func() (int, error) { calls.Add(1); return 0, nil }, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Remove()
	await(t, "the handler rests", func() bool {
		before := calls.Load()
		time.Sleep(20 * time.Millisecond)
		return calls.Load() == before
	})
}

// Dozing on the only processor, the thread would keep all other goroutines from it.
func TestALoopDoesNotDozeOnTheOnlyProcessor(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	if open(t).doze {
		t.Error("it does")
	}
	runtime.GOMAXPROCS(2)
	if !open(t).doze {
		t.Error("it doesn't doze where there is another")
	}
}

func TestLingeringHasABudget(t *testing.T) {
	start := time.Now()
	l := newLinger(start)
	now := start.Add(time.Second)
	wasted := time.Duration(0)
	const step = 10 * time.Microsecond
	for now.Sub(start) < 11*time.Second { // something comes each 200 µs, always after the thread slept
		began := now
		for l.more(now) {
			now = now.Add(step)
		}
		wasted += now.Sub(began)
		now = now.Add(200 * time.Microsecond)
		l.woken(now)
		l.worked()
	}
	if most := time.Second + time.Second/10; wasted > most || wasted < most/2 {
		t.Errorf("%v of 10 s were waited in vain, want about %v", wasted, most)
	}
}

// Each look in vain, and each doze, costs more than what a connection sends to stay alive.
func TestASinglePacketIsNotLingeredAfter(t *testing.T) {
	now := time.Now()
	l := newLinger(now)
	for i := range 1000 {
		now = now.Add(streamWithin / (streamBursts - 1))
		l.woken(now)
		l.worked()
		if l.more(now) {
			t.Fatalf("it lingers after packet %d", i)
		}
		if l.awake.After(now) {
			t.Fatalf("it dozes after packet %d", i)
		}
	}
}

// Who pauses between two requests doesn't find the thread fast asleep; who has gone does. That it
// looks up now and then meanwhile counts for nothing.
func TestAfterAStreamTheThreadOnlyDozesForAWhile(t *testing.T) {
	now := time.Now()
	l := newLinger(now)
	for range streamBursts {
		l.woken(now)
		l.worked()
		l.more(now)
	}
	if !l.stream {
		t.Fatal("these were no stream")
	}
	for end := now.Add(awakeTime); now.Before(end); now = now.Add(dozeTime) {
		l.woken(now)
		if l.more(now) {
			t.Fatal("it lingers though nothing came")
		}
		if !l.awake.After(now) {
			t.Fatalf("it is fast asleep %v before its time", end.Sub(now))
		}
	}
	if l.awake.After(now) {
		t.Error("it dozes on")
	}
}

func TestLingeringThatPaysIsFree(t *testing.T) {
	start := time.Now()
	l := newLinger(start)
	now := start.Add(time.Second)
	for range streamBursts {
		l.worked()
		l.more(now)
	}
	for range 100_000 {
		l.worked()
		if !l.more(now) || !l.more(now.Add(lingerTime/2)) {
			t.Fatal("it doesn't linger")
		}
		now = now.Add(lingerTime / 2)
	}
}

func TestAFileIsClosedWhenItsLastUserIsDone(t *testing.T) {
	var p [2]int
	if err := unix.Pipe2(p[:], unix.O_NONBLOCK|unix.O_CLOEXEC); err != nil {
		t.Fatal(err)
	}
	defer unix.Close(p[1])
	f := NewFile(p[0])
	fd, ok := f.Use()
	if !ok || fd != p[0] {
		t.Fatal("it can't be used")
	}
	for range 2 {
		if err := f.Close(); err != nil || !f.IsClosed() {
			t.Errorf("it can't be closed: %v", err)
		}
	}
	if _, ok := f.Use(); ok {
		t.Error("a closed file is used")
	}
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil {
		t.Errorf("closed under its user: %v", err)
	}
	f.Done()
	if _, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil {
		t.Error("not closed")
	}
}

func TestNobodyCallsTheThreadOnceAllChangesAreMade(t *testing.T) {
	l := open(t)
	r, _ := pipe(t)
	for range 5000 {
		var work sync.WaitGroup
		for range 3 {
			work.Go(func() { (&Source{loop: l, fd: r}).Remove() })
		}
		work.Wait()
		// A call that is left over would wake the thread for ever.
		if n, err := unix.Poll([]unix.PollFd{{Fd: int32(l.wake), Events: unix.POLLIN}}, 0); n != 0 {
			t.Fatalf("the thread is still called: %v", err)
		}
	}
}

func TestALoopMayBeClosedByTwoAtOnce(t *testing.T) {
	l, err := Open(false)
	if err != nil {
		t.Fatal(err)
	}
	r, _ := pipe(t)
	busy, goOn := make(chan struct{}, 1), make(chan struct{})
	_, err = l.Add(r, func() (int, error) { // keeps the thread until both have asked
		select {
		case busy <- struct{}{}:
		default:
		}
		<-goOn
		return 0, nil
	}, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	<-busy
	var asked atomic.Int64
	var work sync.WaitGroup
	for range 2 {
		work.Go(func() {
			asked.Add(1)
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		})
	}
	await(t, "both ask", func() bool { return asked.Load() == 2 })
	close(goOn)
	work.Wait()
}
