package overlay

import (
	"errors"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	msmux "github.com/multiformats/go-multistream"

	"landbridge/internal/group"
)

func TestStrangersOfAllIDsLeavePlacesToMembers(t *testing.T) {
	t.Parallel()
	s := server{running: make(map[peer.ID]int)}
	for i := range 2 * maxCalls {
		if s.begin(idOf(1000+i/4).Peer(), true) != (i < maxCallsByStrangers) {
			t.Fatalf("call %d of strangers", i)
		}
	}
	for i := range maxCallsByPeer + 1 {
		if s.begin(idOf(1).Peer(), false) != (i < maxCallsByPeer) {
			t.Fatalf("call %d of a member", i)
		}
	}
	s.done(idOf(1000).Peer(), true)
	if !s.begin(idOf(2000).Peer(), true) || s.begin(idOf(2000).Peer(), true) {
		t.Fatal("one place had been given back")
	}
}

func TestAStrangersSlowBodiesDontKeepMembersOut(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	a.Handle(echoProtocol, echo)
	member, stranger := start(t, 2, bootstrap(a)), start(t, 3, bootstrap(a))
	a.SetMembers([]group.MemberID{member.Self()})
	eventually(t, "connected", func() bool { return member.connectedTo(a.Self()) && stranger.connectedTo(a.Self()) })
	ctx := within(t, 8*time.Second) // before transferTime has ended the slow ones
	for range maxCallsByStranger {
		conn, err := stranger.connect(ctx, a.node.ID())
		if err != nil {
			t.Fatal(err)
		}
		s, err := conn.NewStream(network.WithAllowLimitedConn(ctx, "test"))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetProtocol(echoProtocol); err != nil {
			t.Fatal(err)
		}
		request := appendRequest(nil, time.Minute, make([]byte, 100))
		if _, err := msmux.NewMSSelect(s, echoProtocol).Write(request[:requestHeader]); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, "the slow calls have begun", func() bool {
		a.server.mu.Lock()
		defer a.server.mu.Unlock()
		return a.server.total == maxCallsByStranger
	})
	if _, err := stranger.Call(ctx, a.Self(), echoProtocol, nil); !errors.Is(err, ErrBusy) {
		t.Errorf("one more of the stranger: %v", err)
	}
	if _, err := member.Call(ctx, a.Self(), echoProtocol, nil); err != nil {
		t.Errorf("a member: %v", err)
	}
}

func TestCancelOfOnConnectWaitsForTheCallThatRuns(t *testing.T) {
	t.Parallel()
	o := &Overlay{subscribers: subscribers{subs: make(map[int]*subscriber)}}
	entered, cancelled, returned := make(chan struct{}), make(chan struct{}), make(chan struct{})
	calls := 0
	cancel := o.OnConnect(func(group.MemberID, bool) {
		calls++
		close(entered)
		select {
		case <-cancelled:
			t.Error("cancel has returned while a call runs")
		case <-time.After(50 * time.Millisecond): // cancel waits, as it should
		}
	})
	go func() {
		defer close(returned)
		o.subscribers.publish(idOf(1), true)
	}()
	<-entered
	cancel()
	close(cancelled)
	<-returned
	o.subscribers.publish(idOf(1), false)
	if calls != 1 {
		t.Errorf("%d calls", calls)
	}
}
