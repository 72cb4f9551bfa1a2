package overlay

import (
	"bytes"
	"errors"
	"io"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/group"
)

const streamProtocol = prefix + "test stream/1"

// byTCP is node n, which has TCP alone and knows others.
func byTCP(t *testing.T, n int, others ...*Overlay) *Overlay {
	t.Helper()
	o, err := Open(t.Context(), Config{Key: keyOf(n), ListenTCP: netip.MustParseAddrPort("127.0.0.1:0")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = o.Close() })
	for _, other := range others {
		o.Add(other.Addrs())
	}
	return o
}

func TestAStreamCarriesBytesBothWaysUntilItIsClosed(t *testing.T) {
	t.Parallel()
	a := byTCP(t, 1)
	ended := make(chan error, 1)
	a.HandleStreams(streamProtocol, func(from group.MemberID, s *Stream) {
		defer s.Close()
		if from != idOf(2) || !s.RemoteAddr().IsValid() {
			t.Errorf("from %v at %v", from, s.RemoteAddr())
		}
		_, err := io.Copy(s, s)
		ended <- err
	})
	b := byTCP(t, 2, a)
	a.SetMembers([]group.MemberID{b.Self()})
	s, err := b.OpenStream(within(t, 10*time.Second), a.Self(), streamProtocol)
	if err != nil {
		t.Fatal(err)
	}
	sent := bytes.Repeat([]byte("landbridge"), 10_000)
	go func() { _, _ = s.Write(sent) }()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(s, got); err != nil || !bytes.Equal(got, sent) {
		t.Fatalf("other bytes come back (%v)", err)
	}
	if s.RemoteAddr().Port() == 0 {
		t.Error("no address of the other end")
	}
	reading := make(chan error, 1)
	go func() { _, err := s.Read(got); reading <- err }()
	_ = s.Close()
	if err := <-reading; err == nil {
		t.Error("Close leaves a Read waiting")
	}
	<-ended
}

func TestStreamsAreForMembersAndForFewOfThem(t *testing.T) {
	t.Parallel()
	a := byTCP(t, 1)
	taken := make(chan *Stream, 2*maxStreamsByMember)
	hold := make(chan struct{})
	a.HandleStreams(streamProtocol, func(_ group.MemberID, s *Stream) {
		taken <- s
		_, _ = s.Write([]byte{1})
		<-hold
	})
	defer close(hold)
	b, c := byTCP(t, 2, a), byTCP(t, 3, a)
	a.SetMembers([]group.MemberID{b.Self()})
	opens := func(n *Overlay) bool {
		s, err := n.OpenStream(within(t, 10*time.Second), a.Self(), streamProtocol)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = s.Close() })
		_, _ = s.Write([]byte{1}) // with the choice of protocol
		_, err = io.ReadFull(s, make([]byte, 1))
		return err == nil
	}
	if opens(c) {
		t.Error("a stranger's stream is taken")
	}
	for i := range maxStreamsByMember + 1 {
		if opens(b) != (i < maxStreamsByMember) {
			t.Errorf("stream %d of a member", i)
		}
	}
	if len(taken) != maxStreamsByMember {
		t.Errorf("%d streams were handed on", len(taken))
	}
}

func TestWhereThereIsNoTCPConnectionThereIsNoStream(t *testing.T) {
	t.Parallel()
	a := start(t, 1, nil)
	b := start(t, 2, bootstrap(a))
	if _, err := b.OpenStream(within(t, 10*time.Second), a.Self(), streamProtocol); !errors.Is(err, ErrNoTCP) {
		t.Errorf("by QUIC alone: %v", err)
	}
}
