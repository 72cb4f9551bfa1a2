package overlay

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/netlab"
)

// labPort is where every node's data socket is.
const labPort = 4242

// onHost opens overlay number n with its data socket on a host of a lab.
func onHost(t *testing.T, h *netlab.Host, n int, adjust func(*setup)) *testNode {
	t.Helper()
	at := netip.AddrPortFrom(h.Port("eth0").Addr(), labPort)
	conn, err := h.ListenPacket("udp4", at.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	node := startOn(t, n, &wire{UDPConn: conn.(*net.UDPConn)}, adjust)
	node.Handle(echoProtocol, echo)
	return node
}

// labAddr is where a public host's node is.
func labAddr(h *netlab.Host, n int) string {
	return quicMultiaddr(netip.AddrPortFrom(h.Port("eth0").Addr(), labPort)).String() + "/p2p/" + idOf(n).String()
}

// behindNATs is two members behind NATs of their own, and a public one that is all
// they know. The WAN's addresses are from a range that libp2p takes for unusable.
type behindNATs struct {
	public, a, b *netlab.Host
	siteA        *netlab.Site
	bootstrap    func(*setup)
	nodeP        *testNode
	nodeA, nodeB *testNode
	members      []group.MemberID
}

func startBehindNATs(t *testing.T, kind netlab.NAT) *behindNATs {
	t.Helper()
	lab := netlab.ForTest(t)
	wan := lab.WAN("203.0.113.0/24")
	l := &behindNATs{public: wan.Host("p")}
	l.siteA = wan.Site("a", netlab.Behind(kind))
	l.a = l.siteA.Host("box")
	l.b = wan.Site("b", netlab.Behind(kind)).Host("box")
	if err := lab.Err(); err != nil {
		t.Fatal(err)
	}
	l.members = []group.MemberID{idOf(0), idOf(1), idOf(2)}
	l.bootstrap = func(cfg *setup) { cfg.peers = []string{labAddr(l.public, 0)} }
	l.nodeP = onHost(t, l.public, 0, nil)
	l.nodeA = onHost(t, l.a, 1, l.bootstrap)
	l.nodeB = onHost(t, l.b, 2, l.bootstrap)
	for _, n := range []*testNode{l.nodeP, l.nodeA, l.nodeB} {
		n.SetMembers(l.members)
	}
	return l
}

func callBothWays(t *testing.T, a, b *testNode, limit time.Duration) {
	t.Helper()
	for _, pair := range [][2]*testNode{{a, b}, {b, a}} {
		begun := time.Now()
		if _, err := pair[0].Call(within(t, limit), pair[1].Self(), echoProtocol, nil); err != nil {
			t.Fatalf("after %v: %v", time.Since(begun).Round(time.Millisecond), err)
		}
		t.Logf("called after %v, direct: %v", time.Since(begun).Round(time.Millisecond), pair[0].directTo(pair[1].Self()))
	}
}

func TestMembersBehindNATsCallEachOther(t *testing.T) {
	t.Parallel()
	for _, kind := range []netlab.NAT{netlab.PortRestricted, netlab.Symmetric} {
		t.Run(kind.String(), func(t *testing.T) {
			t.Parallel()
			l := startBehindNATs(t, kind)
			callBothWays(t, l.nodeA, l.nodeB, promptly)
			eventually(t, "A knows how others see it", func() bool {
				seen := l.nodeA.Observed()
				return len(seen) > 0 && seen[0].Addr() == l.siteA.Public()
			})
		})
	}
}

func TestNewcomerReachesAMemberBehindANATByItsInvitation(t *testing.T) {
	t.Parallel()
	l := startBehindNATs(t, netlab.PortRestricted)
	// The invitation has the addresses that the member announces, circuits included.
	eventually(t, "A announces a circuit", func() bool {
		for _, addr := range l.nodeA.Addrs() {
			if _, rest, ok := cutCircuit(addr); ok && rest != "" {
				return true
			}
		}
		return false
	})
	var circuits []string
	for _, addr := range l.nodeA.Addrs() {
		if _, _, ok := cutCircuit(addr); ok {
			circuits = append(circuits, addr)
		}
	}
	if err := l.nodeB.Close(); err != nil { // its host is the newcomer's now
		t.Fatal(err)
	}
	_ = l.nodeB.wire.Close()
	newcomer := onHost(t, l.b, 3, func(cfg *setup) { cfg.peers = circuits })
	if _, err := newcomer.Call(within(t, promptly), l.nodeA.Self(), echoProtocol, nil); err != nil {
		t.Fatal(err)
	}
}

func TestMembersBehindNATsFindEachOtherAgainAfterRestarts(t *testing.T) {
	t.Parallel()
	l := startBehindNATs(t, netlab.PortRestricted)
	callBothWays(t, l.nodeA, l.nodeB, promptly)

	t.Log("a member restarts, without a word")
	l.nodeA.wire.block(l.nodeP.wire) // all ports are the same: nothing gets out
	_ = l.nodeA.Close()
	_ = l.nodeA.wire.Close()
	l.nodeA = onHost(t, l.a, 1, l.bootstrap)
	l.nodeA.SetMembers(l.members)
	callBothWays(t, l.nodeA, l.nodeB, promptly)

	t.Log("the public member restarts, without a word")
	l.nodeP.wire.block(l.nodeA.wire)
	_ = l.nodeP.Close()
	_ = l.nodeP.wire.Close()
	l.nodeP = onHost(t, l.public, 0, nil)
	l.nodeP.SetMembers(l.members)
	eventually(t, "all in contact again", func() bool {
		_, errA := l.nodeA.Call(within(t, promptly), l.nodeB.Self(), echoProtocol, nil)
		_, errB := l.nodeB.Call(within(t, promptly), l.nodeA.Self(), echoProtocol, nil)
		return errA == nil && errB == nil && l.nodeP.directTo(l.nodeA.Self()) && l.nodeP.directTo(l.nodeB.Self())
	})
}
