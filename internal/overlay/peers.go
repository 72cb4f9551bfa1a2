package overlay

import (
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/quic-go/quic-go"

	"landbridge/internal/group"
)

// PeerInfo is what we know of one peer, member of our groups or not.
type PeerInfo struct {
	Member    group.MemberID
	Addrs     []string      // multiaddrs where it says it can be reached, without its ID
	Connected bool          // at all
	Direct    bool          // not only through a relay
	Remote    string        // where its connection comes from; "" for not connected
	Latency   time.Duration // round trip, smoothed; 0 for unknown

	// Unreachable says where the last search looked in vain; nil while connected, and before
	// a search has ended.
	Unreachable *UnreachableError
}

// Peers lists the peers that are connected, members of our groups, or remembered.
func (o *Overlay) Peers() []PeerInfo {
	known := append(o.node.swarm.Peers(), o.memory.recent(maxRemembered)...)
	if r := o.members.Load(); r != nil {
		known = append(known, r.sorted...)
	}
	slices.Sort(known)
	var infos []PeerInfo
	for _, p := range slices.Compact(known) {
		member, err := group.MemberOfPeer(p)
		if err != nil || p == o.node.ID() {
			continue
		}
		info := PeerInfo{Member: member}
		for _, a := range o.node.Peerstore().Addrs(p) {
			info.Addrs = append(info.Addrs, a.String())
		}
		slices.Sort(info.Addrs)
		if c := o.bestConn(p); c != nil {
			info.Connected = true
			info.Direct = !isCircuit(c.RemoteMultiaddr())
			info.Remote = c.RemoteMultiaddr().String()
			info.Latency = o.latency(c)
		} else {
			info.Unreachable = o.dialer.missed(p)
		}
		infos = append(infos, info)
	}
	return infos
}

// Remote returns the multiaddress that a member's connection comes from, without its ID; ""
// where it isn't connected.
func (o *Overlay) Remote(m group.MemberID) string {
	if c := o.bestConn(m.Peer()); c != nil {
		return c.RemoteMultiaddr().String()
	}
	return ""
}

// Link is how a connected peer is connected.
type Link struct {
	Direct bool           // not only through a relay
	Via    group.MemberID // the relay, where it isn't direct
	Next   bool           // one of those to whom this node passes news on, so that all get them
}

// Links returns the peers that are connected now. It is for those who look often: Peers
// costs a hundred times as much.
func (o *Overlay) Links() map[group.MemberID]Link {
	peers := o.node.swarm.Peers()
	o.wanting.Lock()
	next := o.next // replaced, never altered
	o.wanting.Unlock()
	links := make(map[group.MemberID]Link, len(peers))
	for _, p := range peers {
		c := o.bestConn(p)
		member, err := group.MemberOfPeer(p)
		if c == nil || err != nil {
			continue
		}
		_, isNext := slices.BinarySearch(next, p)
		link := Link{Direct: !isCircuit(c.RemoteMultiaddr()), Next: isNext}
		if !link.Direct {
			link.Via = relayOf(c.RemoteMultiaddr())
		}
		links[member] = link
	}
	return links
}

// relayOf returns the relay of a circuit; zero where it isn't said.
func relayOf(circuit ma.Multiaddr) (m group.MemberID) {
	text, err := circuit.ValueForProtocol(ma.P_P2P) // the first: what follows is the far end
	if err != nil {
		return m
	}
	if p, err := peer.Decode(text); err == nil {
		m, _ = group.MemberOfPeer(p)
	}
	return m
}

// latency returns QUIC's own measurement, else the peerstore's.
func (o *Overlay) latency(c network.Conn) time.Duration {
	var q *quic.Conn
	if c.As(&q) {
		return q.ConnectionStats().SmoothedRTT
	}
	return o.node.Peerstore().LatencyEWMA(c.RemotePeer())
}

// subscribers are those who want to know who is connected.
type subscribers struct {
	mu   sync.Mutex
	next int
	subs map[int]*subscriber
}

type subscriber struct {
	mu sync.Mutex                 // held during a call
	f  func(group.MemberID, bool) // nil after cancel
}

// OnConnect calls f when a peer gets its first connection, and when it loses its
// last. Calls come one after the other, in order, from one goroutine, which f must
// not hold up; a peer that comes and goes within moments may be left out. cancel waits
// for a call that runs, so f must not call it; after it has returned there are no more.
func (o *Overlay) OnConnect(f func(member group.MemberID, connected bool)) (cancel func()) {
	s := &o.subscribers
	s.mu.Lock()
	defer s.mu.Unlock()
	id, sub := s.next, &subscriber{f: f}
	s.next++
	s.subs[id] = sub
	return func() {
		sub.mu.Lock()
		sub.f = nil
		sub.mu.Unlock()
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.subs, id)
	}
}

func (s *subscribers) publish(m group.MemberID, connected bool) {
	s.mu.Lock()
	subs := maps.Clone(s.subs)
	s.mu.Unlock()
	for _, id := range slices.Sorted(maps.Keys(subs)) {
		subs[id].call(m, connected)
	}
}

func (s *subscriber) call(m group.MemberID, connected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.f != nil {
		s.f(m, connected)
	}
}

// watch follows libp2p's events until Close.
func (o *Overlay) watch() error {
	sub, err := o.node.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted), eventbus.BufSize(256))
	if err != nil {
		return err
	}
	o.node.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { o.connected(c) },
		DisconnectedF: func(_ network.Network, c network.Conn) { o.changed(c.RemotePeer()) },
	})
	o.running.Go(func() {
		defer func() { _ = sub.Close() }()
		for {
			select {
			case e, ok := <-sub.Out():
				if !ok {
					return
				}
				if e, ok := e.(event.EvtPeerIdentificationCompleted); ok {
					o.identified(e)
				}
			case <-o.ctx.Done():
				return
			}
		}
	})
	return nil
}

func (o *Overlay) connected(c network.Conn) {
	p := c.RemotePeer()
	o.dialer.arrived(p)
	o.changed(p)
	if len(o.node.swarm.ConnsToPeer(p)) > 1 {
		o.tidy(p)
	}
}

// identified learns from what a peer said of itself and of us.
func (o *Overlay) identified(e event.EvtPeerIdentificationCompleted) {
	if e.ObservedAddr != nil {
		o.own.observe(e.Peer, e.ObservedAddr) // through a circuit that is the relay: ignored
	}
	var addrs []ma.Multiaddr
	// A peer listens at the port from which its QUIC comes: behind a NAT that is the
	// one place where it can be reached, as long as the mapping lives.
	remote := e.Conn.RemoteMultiaddr()
	if _, transport := addrPortOf(remote); e.Conn.Stat().Direction == network.DirOutbound || transport == ma.P_QUIC_V1 {
		addrs = append(addrs, remote)
	}
	for _, a := range e.ListenAddrs {
		if o.own.gate.usable(a) {
			addrs = append(addrs, a)
		}
	}
	// Identify itself drops addresses that it takes for not public.
	addrs = distinct(addrs)
	addrs = addrs[:min(len(addrs), maxLearnt)]
	if r := o.members.Load(); r == nil || r.in[e.Peer] || o.memory.wants(e.Peer) {
		o.memory.learn(e.Peer, addrs, time.Now())
	}
	o.node.Peerstore().AddAddrs(e.Peer, addrs, addrLife)
}

// tidy looks after a peer with several connections: a dead one, left by a former run
// of the peer, is closed, and of two that live (both sides dialled at once) one. It goes
// on, ever more seldom, until there is nothing left to close.
func (o *Overlay) tidy(p peer.ID) {
	d := &o.dialer
	d.mu.Lock()
	_, busy := d.tidying[p]
	d.tidying[p] = busy
	d.mu.Unlock()
	if busy || !o.enter() {
		return
	}
	go func() {
		defer o.running.Done()
		for pause := tidyPause; ; pause = min(2*pause, maxTidyPause) {
			done := o.tidyOnce(p)
			d.mu.Lock()
			more := d.tidying[p]
			d.tidying[p] = false
			if done && !more {
				delete(d.tidying, p)
			}
			d.mu.Unlock()
			if done && !more {
				return
			}
			if more {
				pause = tidyPause
			}
			wait := time.NewTimer(pause)
			select {
			case <-wait.C:
			case <-o.ctx.Done():
				wait.Stop()
				return
			}
		}
	}()
}

const (
	tidyPause    = 2 * time.Second
	maxTidyPause = 10 * time.Second
)

// tidyOnce closes dead connections to p. Of live ones it leaves the best, where this
// side is the one to decide, which both can't be; one that carries calls is left for
// the next round.
func (o *Overlay) tidyOnce(p peer.ID) (done bool) {
	best := o.bestConn(p)
	conns := o.node.swarm.ConnsToPeer(p)
	done = true
	for _, c := range conns {
		switch {
		case c == best || c.IsClosed():
		case !o.probe(c):
			_ = c.Close()
		case o.node.ID() > p: // p decides
		case time.Since(c.Stat().Opened) > tidyPause && !carriesCalls(c):
			_ = c.Close()
		default:
			done = false
		}
	}
	return done
}

func carriesCalls(c network.Conn) bool {
	return slices.ContainsFunc(c.GetStreams(), func(s network.Stream) bool { return serves(s.Protocol()) })
}

// Errors of Call.
var (
	// ErrUnreachable: no way to the member was found. An *UnreachableError says why.
	ErrUnreachable = errors.New("member can't be reached")
	// ErrBusy: the member has more calls to answer than it takes. Try later.
	ErrBusy = errors.New("member is busy")
	// ErrNotHandled: the member runs nothing that answers this protocol.
	ErrNotHandled = errors.New("member does not answer this protocol")
	// ErrClosed: this overlay is closed.
	ErrClosed = errors.New("the overlay is closed")
)

// RemoteError is the error of the handler at the other end, as text.
type RemoteError string

func (e RemoteError) Error() string { return string(e) }
