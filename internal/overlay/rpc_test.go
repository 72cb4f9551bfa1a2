package overlay

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"landbridge/internal/group"
)

func TestCallReachesTheHandlerAndTellsWhoCalls(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, echo)
	b := start(t, 2, bootstrap(a))
	reply, err := b.Call(within(t, 30*time.Second), a.Self(), echoProtocol, []byte("hello"))
	if want := b.Self().Short() + ":hello"; err != nil || string(reply) != want {
		t.Fatalf("got %q, %v; want %q", reply, err, want)
	}
	b.Handle(echoProtocol, echo)
	reply, err = a.Call(within(t, 30*time.Second), b.Self(), echoProtocol, []byte("back"))
	if want := a.Self().Short() + ":back"; err != nil || string(reply) != want {
		t.Fatalf("got %q, %v; want %q", reply, err, want)
	}
}

func TestCallCarriesMessagesUpToTheLimit(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, func(_ context.Context, _ group.MemberID, req []byte) ([]byte, error) { return req, nil })
	b := start(t, 2, bootstrap(a))
	ctx := within(t, time.Minute)
	for _, n := range []int{0, 1, readPiece - 1, readPiece, readPiece + 1, MaxMessage} {
		req := bytes.Repeat([]byte{byte(n)}, n)
		reply, err := b.Call(ctx, a.Self(), echoProtocol, req)
		if err != nil || !bytes.Equal(reply, req) {
			t.Fatalf("%d bytes: got %d, %v", n, len(reply), err)
		}
	}
	if _, err := b.Call(ctx, a.Self(), echoProtocol, make([]byte, MaxMessage+1)); !errors.Is(err, errMessageSize) {
		t.Fatalf("too long a message: %v", err)
	}
}

func TestHandlerErrorsTravelAsText(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, func(context.Context, group.MemberID, []byte) ([]byte, error) {
		return nil, errors.New("no such block")
	})
	b := start(t, 2, bootstrap(a))
	_, err := b.Call(within(t, 30*time.Second), a.Self(), echoProtocol, nil)
	var remote RemoteError
	if !errors.As(err, &remote) || remote != "no such block" {
		t.Fatalf("got %v", err)
	}
	if !strings.Contains(err.Error(), "echo/1") {
		t.Fatalf("the error doesn't say what was called: %v", err)
	}
}

func TestProtocolThatNobodyHandlesIsAnError(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.server.opened = time.Time{} // long ago
	b := start(t, 2, bootstrap(a))
	if _, err := b.Call(within(t, 30*time.Second), a.Self(), "/landbridge/none/1", nil); !errors.Is(err, ErrNotHandled) {
		t.Fatalf("got %v", err)
	}
}

func TestCallBeforeTheHandlerIsRegisteredWaitsForIt(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	b := start(t, 2, bootstrap(a))
	eventually(t, "connected", func() bool { return b.connectedTo(a.Self()) })
	got := make(chan error, 1)
	go func() {
		_, err := b.Call(t.Context(), a.Self(), echoProtocol, nil)
		got <- err
	}()
	eventually(t, "call has come", func() bool {
		a.server.mu.Lock()
		defer a.server.mu.Unlock()
		return a.server.total > 0
	})
	a.Handle(echoProtocol, echo)
	if err := <-got; err != nil {
		t.Fatal(err)
	}
}

func TestCallToSelfRunsTheHandler(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, echo)
	reply, err := a.Call(t.Context(), a.Self(), echoProtocol, []byte("x"))
	if err != nil || string(reply) != a.Self().Short()+":x" {
		t.Fatalf("got %q, %v", reply, err)
	}
}

func TestCallEndsWithItsContext(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	release := make(chan struct{})
	defer close(release)
	handlerEnded := make(chan struct{})
	a.Handle(echoProtocol, func(ctx context.Context, _ group.MemberID, _ []byte) ([]byte, error) {
		<-ctx.Done() // the caller's patience came with the request
		close(handlerEnded)
		<-release
		return nil, nil
	})
	b := start(t, 2, bootstrap(a))
	eventually(t, "connected", func() bool { return b.connectedTo(a.Self()) })
	begun := time.Now()
	_, err := b.Call(within(t, 2*time.Second), a.Self(), echoProtocol, nil) // in which the request comes on a busy machine, too
	if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took > promptly+2*time.Second {
		t.Fatalf("took %v: %v", took, err)
	}
	select {
	case <-handlerEnded:
	case <-time.After(maxHandling / 3): // without the caller's it would go on for maxHandling
		t.Fatal("the handler's context outlives the caller's")
	}
}

func TestCallToAMemberThatCantBeReachedCostsNoMoreThanItsContext(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	b := start(t, 2, bootstrap(a))
	dead := newWire(t, 0)
	b.Add([]string{(&testNode{Overlay: &Overlay{self: idOf(3)}, wire: dead}).addr()})
	for range 3 {
		ctx := within(t, 100*time.Millisecond)
		_, err := b.Call(ctx, idOf(3), echoProtocol, nil)
		deadline, _ := ctx.Deadline()
		// The dial itself goes on for 5 s; a loaded machine may take its time.
		if late := time.Since(deadline); !errors.Is(err, ErrUnreachable) || late > promptly {
			t.Fatalf("%v after the context's end: %v", late, err)
		}
	}
	if _, err := b.Call(within(t, 3*time.Second), idOf(4), echoProtocol, nil); !errors.Is(err, ErrUnreachable) {
		t.Fatalf("a member that nobody knows: %v", err)
	}
}

func TestCallsBeyondTheBoundAreRefusedAtOnce(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	release := make(chan struct{})
	a.Handle(echoProtocol, func(context.Context, group.MemberID, []byte) ([]byte, error) {
		<-release
		return nil, nil
	})
	b := start(t, 2, bootstrap(a))
	ctx := within(t, time.Minute)
	results := make(chan error, maxCallsByPeer)
	for range maxCallsByPeer {
		go func() {
			_, err := b.Call(ctx, a.Self(), echoProtocol, nil)
			results <- err
		}()
	}
	eventually(t, "all places taken", func() bool {
		a.server.mu.Lock()
		defer a.server.mu.Unlock()
		return a.server.total == maxCallsByPeer
	})
	if _, err := b.Call(ctx, a.Self(), echoProtocol, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("one more: %v", err)
	}
	close(release)
	for range maxCallsByPeer {
		if err := <-results; err != nil {
			t.Errorf("one that was let in: %v", err)
		}
	}
}

func TestCloseEndsCallsAndRefusesNewOnes(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	entered := make(chan struct{})
	a.Handle(echoProtocol, func(ctx context.Context, _ group.MemberID, _ []byte) ([]byte, error) {
		close(entered)
		<-ctx.Done()
		return nil, ctx.Err()
	})
	b := start(t, 2, bootstrap(a))
	got := make(chan error, 1)
	ctx := within(t, 10*time.Second)
	go func() {
		_, err := b.Call(ctx, a.Self(), echoProtocol, nil)
		got <- err
	}()
	select {
	case <-entered:
	case err := <-got:
		t.Fatalf("the call didn't come: %v", err)
	}
	if err := a.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-got; err == nil {
		t.Fatal("a call of a closed overlay got a reply")
	}
	if _, err := a.Call(t.Context(), b.Self(), echoProtocol, nil); !errors.Is(err, ErrClosed) {
		t.Fatalf("got %v", err)
	}
}
