package overlay

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"
)

const (
	dialTimeout = 5 * time.Second  // one address
	reachLimit  = 10 * time.Second // all ways to one member together
	// A direct dial that hasn't succeeded after dialHedge gets company: members are
	// asked where the peer is, and relay to it.
	dialHedge = 150 * time.Millisecond
	// A member that couldn't be reached is not tried again for a call within
	// failMemory, unless something new is heard of it.
	failMemory = time.Second
	// A connection on which a call got no answer in time is closed when it doesn't
	// answer this probe either.
	probeTime = 1500 * time.Millisecond
	stopGrace = 20 * time.Millisecond
)

// dialer shares dials: at most one a peer, on which any number of callers wait.
type dialer struct {
	direct sync.RWMutex // read by each direct dial; locked for ever by stop

	mu       sync.Mutex
	active   map[peer.ID]*reaching
	failed   map[peer.ID]failure
	sought   map[peer.ID][]Attempt // by the last search, which failed; of at most maxRemembered peers
	suspects map[network.Conn]bool // being probed
	tidying  map[peer.ID]bool      // true: another connection has come since the last look
}

type reaching struct {
	arrived chan struct{} // of capacity 1: there is a connection, whoever made it
	done    chan struct{} // closed at the end; then conn or err is set
	conn    network.Conn
	err     error
}

type failure struct {
	at  time.Time
	err error
}

// connect returns a connection to p: the best one there is, or a new one.
func (o *Overlay) connect(ctx context.Context, p peer.ID) (network.Conn, error) {
	if c := o.bestConn(p); c != nil {
		return c, nil
	}
	d := &o.dialer
	d.mu.Lock()
	if f, ok := d.failed[p]; ok && time.Since(f.at) < failMemory {
		d.mu.Unlock()
		return nil, f.err
	}
	r := o.reachLocked(p)
	d.mu.Unlock()
	select {
	case <-r.done:
		return r.conn, r.err
	case <-ctx.Done():
		return nil, o.notYet(p, context.Cause(ctx))
	}
}

// reachLocked joins or starts the one attempt to reach p. It goes on when the caller
// that started it leaves: the next one profits.
func (o *Overlay) reachLocked(p peer.ID) *reaching {
	d := &o.dialer
	if r := d.active[p]; r != nil {
		return r
	}
	r := &reaching{arrived: make(chan struct{}, 1), done: make(chan struct{})}
	if !o.enter() {
		r.err = ErrClosed
		close(r.done)
		return r
	}
	d.active[p] = r
	go func() {
		defer o.running.Done()
		ctx, cancel := context.WithTimeout(o.ctx, reachLimit)
		defer cancel()
		r.conn, r.err = o.reach(ctx, p, r.arrived)
		d.mu.Lock()
		delete(d.active, p)
		delete(d.failed, p)
		if r.err != nil {
			d.forgetOld()
			d.failed[p] = failure{at: time.Now(), err: r.err}
		}
		d.mu.Unlock()
		close(r.done)
	}()
	return r
}

// forgetOld keeps the table of failures small.
func (d *dialer) forgetOld() {
	for p, f := range d.failed {
		if time.Since(f.at) > failMemory {
			delete(d.failed, p)
		}
	}
}

// heard tells the dialer that there is something new to try for p.
func (d *dialer) heard(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failed, p)
}

// arrived tells the dialer that there is a connection to p.
func (d *dialer) arrived(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.failed, p)
	delete(d.sought, p)
	if r := d.active[p]; r != nil {
		select {
		case r.arrived <- struct{}{}:
		default:
		}
	}
}

// reach tries everything that can connect us to p: its addresses at once; then, while
// those run, the circuits that it has announced, the addresses and circuits that
// connected members know, and what Kademlia finds. It ends when a connection has arrived, p's own dial included, or when all
// have failed.
func (o *Overlay) reach(ctx context.Context, p peer.ID, arrived <-chan struct{}) (network.Conn, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	o.memory.feed(p)
	const ways = 4
	failed := make(chan error, ways)
	try := func(way func(context.Context, peer.ID) error) {
		o.running.Go(func() { failed <- way(ctx, p) })
	}
	try(o.dialDirect)
	hedge := time.NewTimer(dialHedge)
	defer hedge.Stop()
	var faults []error
	for started := 1; started == 1 || len(faults) < started; {
		more := false
		select {
		case <-arrived:
		case err := <-failed:
			if err != nil {
				faults = append(faults, err)
			}
			more = err != nil && started == 1
		case <-hedge.C:
			more = started == 1
		case <-ctx.Done():
			return nil, o.unreachable(p, faults)
		}
		if c := o.bestConn(p); c != nil {
			return c, nil
		}
		if more {
			started = ways
			try(o.dialCircuits)
			try(o.dialAsked)
			try(o.dialRouted)
		}
	}
	return nil, o.unreachable(p, faults)
}

// dialDirect dials the addresses of p that lead straight to it.
func (o *Overlay) dialDirect(ctx context.Context, p peer.ID) error {
	if !o.dialer.direct.TryRLock() {
		return ErrClosed
	}
	defer o.dialer.direct.RUnlock()
	_, err := o.node.swarm.DialPeer(network.WithForceDirectDial(ctx, "landbridge"), p)
	return err
}

// stop ends direct dials, for good; their context has ended before. libp2p's swarm
// (v0.51.0, nonProxyAddr) panics when it is closed while a goroutine of its own still
// sorts the addresses of such a dial. The dial returns without waiting for that
// goroutine, so where one was under way it gets a moment.
func (d *dialer) stop() {
	if d.direct.TryLock() {
		return
	}
	d.direct.Lock()
	<-time.After(stopGrace)
}

// dialCircuits dials p through the relays that it has announced, by an invitation
// perhaps; we need not be connected to them.
func (o *Overlay) dialCircuits(ctx context.Context, p peer.ID) error {
	if !slices.ContainsFunc(o.node.Peerstore().Addrs(p), isCircuit) {
		return errors.New("no relay of it is known")
	}
	return o.dialAt(ctx, p, nil)
}

// dialAsked asks connected members where p is, and dials what it hears, circuits
// included. As long as nobody relays for p it asks again, a few times: p may be about
// to come back.
func (o *Overlay) dialAsked(ctx context.Context, p peer.ID) error {
	const rounds = 7 // 0, 50, 150, 350, 750, 1550 and 3150 ms after the first
	pause := 50 * time.Millisecond
	var dials sync.WaitGroup
	defer dials.Wait()
	for round := range rounds {
		found, relayed := o.askMembers(ctx, p, round)
		if relayed {
			return o.dialAt(ctx, p, found)
		}
		if len(found) > 0 {
			dials.Go(func() { _ = o.dialAt(ctx, p, found) })
			if len(o.node.swarm.Peers()) > askedMembers { // the dial mostly does: others needn't be asked meanwhile
				pause = max(pause, askedPause)
			}
		}
		wait := time.NewTimer(pause)
		pause *= 2
		select {
		case <-wait.C:
		case <-ctx.Done():
			wait.Stop()
			return context.Cause(ctx)
		}
	}
	return errors.New("no connected member relays to it")
}

// dialRouted looks p up in the DHT, and dials what that finds.
func (o *Overlay) dialRouted(ctx context.Context, p peer.ID) error {
	if err := o.findByRouting(ctx, p); err != nil {
		return err
	}
	return o.dialAt(ctx, p, nil)
}

// dialAt dials p at addrs and at whatever else is known of it.
func (o *Overlay) dialAt(ctx context.Context, p peer.ID, addrs []ma.Multiaddr) error {
	o.node.Peerstore().AddAddrs(p, addrs, peerstore.TempAddrTTL)
	o.node.swarm.Backoff().Clear(p)
	_, err := o.node.swarm.DialPeer(ctx, p)
	return err
}

// bestConn returns the connection to use: a direct one before a circuit, and of two
// alike the newer, as a peer that has restarted leaves a dead one behind. Nil for
// none.
func (o *Overlay) bestConn(p peer.ID) network.Conn {
	var best network.Conn
	for _, c := range o.node.swarm.ConnsToPeer(p) { // oldest first
		if c.IsClosed() {
			continue
		}
		if best == nil || !isCircuit(c.RemoteMultiaddr()) || isCircuit(best.RemoteMultiaddr()) {
			best = c
		}
	}
	return best
}

// suspect probes a connection on which nothing came back, and closes it if it is
// dead; the next call then dials anew instead of waiting in vain.
func (o *Overlay) suspect(c network.Conn) {
	d := &o.dialer
	d.mu.Lock()
	known := d.suspects[c]
	if !known {
		d.suspects[c] = true
	}
	d.mu.Unlock()
	if known || c.IsClosed() || !o.enter() {
		return
	}
	go func() {
		defer o.running.Done()
		defer func() {
			d.mu.Lock()
			delete(d.suspects, c)
			d.mu.Unlock()
		}()
		if !o.probe(c) {
			_ = c.Close()
		}
	}()
}

// probe reports whether the peer answers on this connection.
func (o *Overlay) probe(c network.Conn) bool {
	ctx, cancel := context.WithTimeout(o.ctx, probeTime)
	defer cancel()
	_, err := o.callOn(ctx, c, pingProtocol, nil)
	return err == nil || errors.Is(err, ErrBusy)
}
