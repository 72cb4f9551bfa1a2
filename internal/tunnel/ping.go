package tunnel

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"net/netip"
	"sync"
	"time"

	"landbridge/internal/group"
)

// ErrNoPeer is returned by Ping for a member with which there can be no session.
var ErrNoPeer = errors.New("there can be no session with this member")

// pingLook is how often a Ping without a path looks for one.
const pingLook = 20 * time.Millisecond

// Pong is the answer to a Ping, and how it was asked.
type Pong struct {
	RTT  time.Duration
	Path PathKind
	Addr netip.AddrPort // lan and direct: the peer; relay: the relay
	Via  group.MemberID // relay
}

// Ping sends a probe of the shortest size by the path in use, makes a session and waits for a path where there is
// none, and waits for the answer until ctx ends. An error comes with the Pong that says
// where the probe went, as far as it went. Members answer a hundred probes a second (peer.onProbe).
func (t *Tunnel) Ping(ctx context.Context, to group.MemberID) (Pong, error) {
	p := t.peer(to)
	if p == nil {
		return Pong{}, ErrNoPeer
	}
	if err := p.awaitPath(ctx); err != nil {
		return Pong{}, err
	}
	var b [8]byte
	rand.Read(b[:]) // never fails
	id := binary.BigEndian.Uint64(b[:])
	answered := p.echoes.start(id)
	defer p.echoes.stop(id)
	pong, begun := p.sendEcho(id)
	select {
	case at := <-answered:
		pong.RTT = at - begun
		return pong, nil
	case <-ctx.Done():
		return pong, ctx.Err()
	}
}

// awaitPath waits until packets can be sent, and wants them to be.
func (p *peer) awaitPath(ctx context.Context) error {
	tick := time.NewTicker(pingLook)
	defer tick.Stop()
	for p.route.Load() == nil {
		p.mu.Lock()
		p.data.Store(int64(p.tunnel.now()))
		p.dispatch(wanted{})
		closed := p.closed
		p.mu.Unlock()
		if closed {
			return ErrNoPeer
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// sendEcho sends a probe, and says how and when.
func (p *peer) sendEcho(id uint64) (Pong, time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pong := Pong{Path: p.paths.kind, Addr: p.farEnd(p.paths.chosen.addr), Via: p.paths.chosen.via}
	if relay := p.tunnel.peers.Load().byID[pong.Via]; relay != nil {
		if r := relay.route.Load(); r != nil {
			pong.Addr = r.far
		}
	}
	begun := p.tunnel.now()
	p.sendControl(p.paths.chosen, newProbe(id, probeSize))
	return pong, begun
}

// echoes are the Pings whose answers are awaited. The zero value is ready.
type echoes struct {
	mu   sync.Mutex
	open map[uint64]chan time.Duration
}

func (e *echoes) start(id uint64) <-chan time.Duration {
	answered := make(chan time.Duration, 1)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.open == nil {
		e.open = make(map[uint64]chan time.Duration)
	}
	e.open[id] = answered
	return answered
}

func (e *echoes) stop(id uint64) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.open, id)
}

// answer notes that the answer to a Ping has come, and reports whether it was to one.
func (e *echoes) answer(id uint64, now time.Duration) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	answered, ok := e.open[id]
	if ok {
		delete(e.open, id)
		answered <- now
	}
	return ok
}
