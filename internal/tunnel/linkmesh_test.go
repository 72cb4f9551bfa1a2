package tunnel

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"landbridge/internal/group"
)

// memTCP opens streams in memory to all members.
type memTCP struct{ from *memNode }

func (s memTCP) Open(_ context.Context, to group.MemberID) (Stream, error) {
	near, far := net.Pipe()
	m := s.from.net
	m.mu.Lock()
	n := m.members[to]
	m.mu.Unlock()
	go n.tunnel.HandleStream(s.from.member.id, pipeStream{far})
	return pipeStream{near}, nil
}

func overTCP(n *memNode) { n.tcp = memTCP{n} }

// linksTo is how many streams a node has to another.
func (n *memNode) linksTo(to *memNode) int {
	p := n.tunnel.peer(to.member.id)
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

func TestPacketsGoByAStreamWhileUDPIsLostAndByUDPAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public, overTCP), m.node(public, overTCP)
		lossy := func(lost bool) {
			m.mu.Lock()
			defer m.mu.Unlock()
			m.drop = func(netip.AddrPort, netip.AddrPort, int) bool { return lost }
		}
		lossy(true)
		a.send(b, "hello")
		await(t, 5*time.Second, "a packet by the stream", b.has(a, "hello"))
		await(t, time.Second, "both ends on TCP", func() bool { return a.connected(b, PathTCP)() && b.connected(a, PathTCP)() })
		if s := a.status(b); s.Addr != (pipeStream{}).RemoteAddr() || s.Why == "" {
			t.Errorf("people see %v, %q", s.Addr, s.Why)
		}
		lossy(false)
		n := 0
		await(t, 15*time.Second, "UDP again", func() bool {
			n++
			b.send(a, fmt.Sprint(n))
			return a.connected(b, PathDirect)() && b.connected(a, PathDirect)()
		})
		await(t, 2*linkIdle, "the streams have ended", func() bool {
			time.Sleep(time.Second)
			b.send(a, "more")
			return a.linksTo(b)+b.linksTo(a) == 0
		})
		if !a.connected(b, PathDirect)() {
			t.Error("the end of the stream was felt")
		}
	})
}

func TestAMembersStreamsAreFewAndEndWithTheTunnel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := newMemNet(t)
		a, b := m.node(public), m.node(public)
		ended := make(chan error, 10)
		for range 10 {
			near, far := net.Pipe()
			go a.tunnel.HandleStream(b.member.id, pipeStream{near})
			go func() { _, err := far.Read(make([]byte, 1)); ended <- err }()
			synctest.Wait()
		}
		if n := a.linksTo(b); n != peerLinks || len(ended) != 10-peerLinks {
			t.Errorf("%d streams stand, %d have ended", n, len(ended))
		}
		a.halt()
		synctest.Wait()
		if len(ended) != 10 {
			t.Errorf("%d of 10 streams have ended with the tunnel", len(ended))
		}
	})
}
