package tunnel

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Membership is what the tunnel needs of a node's standing in its group;
// *group.Membership has it. If it also has
//
//	Subscribe(func(*group.Descriptor)) (cancel func())
//
// then removals cut sessions at once instead of within seconds.
type Membership interface {
	Self() group.MemberID
	Group() group.ID
	Certificate() []byte
	CheckCertificate(from group.MemberID, der []byte, now time.Time) error
	Authorized(from group.MemberID, now time.Time) error
	Sign(domain string, msg []byte) group.Signature
	Verify(domain string, from group.MemberID, msg []byte, sig group.Signature) error
}

// Signal carries an offer to a member and its answer back, over a stream that
// authenticates both ends. The other end's HandleSignal makes the answer.
type Signal interface {
	Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error)
}

// Config is what a tunnel is made of.
type Config struct {
	Socket     *Socket // may be shared by the tunnels of several groups
	Membership Membership
	Signal     Signal

	// Streams opens streams to members that UDP doesn't reach. Nil is none.
	Streams Streams
	// Observed returns our UDP addresses as others see them; nil is none.
	Observed func() []netip.AddrPort
	// Interfaces returns the addresses of our interfaces that others may try,
	// without those of the group itself.
	Interfaces func() []netip.Addr
	// Exclude reports whether an address that a peer offers must not be tried,
	// because it lies inside the group's own network. Nil excludes none.
	Exclude func(netip.Addr) bool
	// Keep returns the members to which a session is held without packets: those
	// that relay for us. Nil is none; relays that turn up are kept in any case.
	Keep func() []group.MemberID
	// Deliver takes packets from one member. They are only good until it returns.
	// One goroutine calls it, one batch at a time.
	Deliver func(from group.MemberID, pkts []frame.Packet)
	// JoinTCP and JoinUDP say whether Deliver takes segments joined to GSO packets.
	JoinTCP, JoinUDP bool

	MTU   int // largest packet, in bytes; zero is DefaultMTU
	Relay RelayConfig
	Log   *slog.Logger
}

const (
	maxPeers        = 2048
	offersPerSecond = 5  // that one member may make
	maxCalls        = 64 // offers under way at once
	callTimeout     = 4 * time.Second
	surveyGap       = 5 * time.Second  // between looks at certificates, interfaces, relays
	forgetPeer      = 10 * time.Minute // without a session
	maxWaiting      = 4096             // packets that wait for a session, in all
	maxWaitingMem   = 4 << 20
)

// A Tunnel is one group's data plane: sessions with its members over a shared
// socket. It is safe for concurrent use.
type Tunnel struct {
	cfg    Config
	log    *slog.Logger
	under  underlay
	demux  *demux
	self   group.MemberID
	hash   memberHash
	mtu    int
	counts counters
	codec  codec

	peers   atomic.Pointer[peerSet]
	batches chan *batch // idle ones
	waiting budget
	relayed bucket // reader's
	shelved int    // bytes on all shelves; reader's

	wake  chan struct{}
	sleep atomic.Int64 // until when run sleeps

	kept      map[group.MemberID]bool          // run's: sessions held open
	keptUntil map[group.MemberID]time.Duration // run's: of those, the relays that turned up
	calls     chan struct{}

	ctx    context.Context
	cancel context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex // guards what follows; taken after a peer's mu
	closed  bool
	wants   map[group.MemberID]struct{} // members that a peer offered as relays
	failed  []netip.AddrPort            // addresses that our kernel can't reach
	learned bool                        // a peer has told us an address of ours
	dirty   bool                        // relays may have come or gone
	asking  bool                        // a path has fallen silent: are those to relays still what they were?
	survey  time.Duration               // when run looks at certificates and interfaces next
	seen    map[seenBy]sighting
	local   localView
	relays  []group.MemberID // members that we reach at home and that relay
	unwatch func()
}

// peerSet is an immutable snapshot of the peers.
type peerSet struct {
	byID   map[group.MemberID]*peer
	byHash map[memberHash]*peer
}

// Open starts a tunnel.
func Open(cfg Config) (*Tunnel, error) {
	if cfg.Socket == nil {
		return nil, errors.New("tunnel: no socket")
	}
	return open(cfg, cfg.Socket)
}

func open(cfg Config, under underlay) (*Tunnel, error) {
	if cfg.Membership == nil || cfg.Signal == nil || cfg.Deliver == nil {
		return nil, errors.New("tunnel: Membership, Signal and Deliver must be set")
	}
	if cfg.MTU == 0 {
		cfg.MTU = DefaultMTU
	}
	if cfg.MTU < 576 || cfg.MTU > MaxMTU {
		return nil, errors.New("tunnel: the MTU must be between 576 and 9216 bytes")
	}
	if cfg.Relay.Rate <= 0 {
		cfg.Relay.Rate = defaultRelayRate
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	codec, err := newCodec()
	if err != nil {
		return nil, err
	}
	t := &Tunnel{
		cfg: cfg, codec: codec, log: cfg.Log, under: under, demux: under.demux(), mtu: cfg.MTU,
		self: cfg.Membership.Self(), hash: hashOf(cfg.Membership.Self()),
		waiting: budget{packets: maxWaiting, bytes: maxWaitingMem},
		relayed: newBucket(cfg.Relay.Rate),
		wake:    make(chan struct{}, 1),
		batches: make(chan *batch, idleBatches),
		calls:   make(chan struct{}, maxCalls),
		wants:   make(map[group.MemberID]struct{}),
		seen:    make(map[seenBy]sighting),
		kept:    make(map[group.MemberID]bool),

		keptUntil: make(map[group.MemberID]time.Duration),
	}
	t.peers.Store(&peerSet{byID: map[group.MemberID]*peer{}, byHash: map[memberHash]*peer{}})
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.refreshLocal(t.now())
	if s, ok := cfg.Membership.(interface {
		Subscribe(func(*group.Descriptor)) (cancel func())
	}); ok {
		t.unwatch = s.Subscribe(func(*group.Descriptor) { t.surveyNow() })
	}
	t.work.Go(t.run)
	return t, nil
}

// Close ends all sessions, tells the peers, and waits until nothing of the tunnel
// runs any more; Deliver isn't called afterwards. The socket stays open.
func (t *Tunnel) Close() error {
	t.mu.Lock()
	if t.closed {
		t.mu.Unlock()
		return nil
	}
	t.closed = true
	t.mu.Unlock()
	if t.unwatch != nil {
		t.unwatch()
	}
	t.cancel()
	t.work.Wait()
	for _, p := range t.peers.Load().byID {
		p.close()
	}
	t.demux.mu.Lock() // a batch may be on its way to Deliver
	defer t.demux.mu.Unlock()
	return nil
}

func (t *Tunnel) now() time.Duration { return t.demux.clock() }

// peer returns the peer with this ID, and makes it if need be. It returns nil for
// ourselves, when there are too many, and when the tunnel is closed.
func (t *Tunnel) peer(id group.MemberID) *peer {
	if p := t.peers.Load().byID[id]; p != nil {
		return p
	}
	if id == t.self || id.IsZero() {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	set := t.peers.Load()
	if p := set.byID[id]; p != nil {
		return p
	}
	if t.closed || len(set.byID) >= maxPeers {
		t.counts.add(TooManyPeers, 1)
		return nil
	}
	p := t.newPeer(id)
	t.replacePeers(func(s *peerSet) { s.byID[id], s.byHash[p.hash] = p, p })
	return p
}

func (t *Tunnel) newPeer(id group.MemberID) *peer {
	var seed [32]byte
	rand.Read(seed[:]) // never fails
	p := &peer{
		tunnel: t, id: id, hash: hashOf(id),
		paths:        newPathState(seed),
		relayed:      newBucket(t.cfg.Relay.Rate / 4 * 3),
		others:       bucket{rate: 10, depth: maxOffered, level: maxOffered},
		logs:         bucket{rate: 0.1, depth: 5, level: 5},
		offersIn:     bucket{rate: offersPerSecond, depth: 2 * offersPerSecond, level: 2 * offersPerSecond},
		candidatesIn: bucket{rate: 2, depth: 6, level: 6},
		rekeysIn:     bucket{rate: 0.2, depth: 4, level: 4},
		probesIn:     bucket{rate: 100, depth: 500, level: 500}, // all paths of a peer that has just begun, and again
		born:         t.now(),
	}
	p.paths.step(relaysLive{t.relays}, moment{now: p.born})
	p.deadline.Store(int64(never))
	return p
}

// replacePeers publishes a changed copy of the set; t.mu is held.
func (t *Tunnel) replacePeers(change func(*peerSet)) {
	old := t.peers.Load()
	next := &peerSet{byID: maps.Clone(old.byID), byHash: maps.Clone(old.byHash)}
	change(next)
	t.peers.Store(next)
}

// run lets time pass for the peers, and does what takes locks of several of them.
func (t *Tunnel) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-t.ctx.Done():
			return
		case <-timer.C:
		case <-t.wake:
		}
		t.sleep.Store(0) // whoever has news meanwhile needn't wake us
		t.chores()
		next := t.tickPeers()
		t.sleep.Store(int64(next))
		if again := t.earliest(); again < next { // news came in between
			next = again
		}
		timer.Reset(next - t.now())
	}
}

// tickPeers gives a tick to every peer whose time has come.
func (t *Tunnel) tickPeers() time.Duration {
	now := t.now()
	for _, p := range t.peers.Load().byID {
		if time.Duration(p.deadline.Load()) <= now {
			p.mu.Lock()
			p.dispatch(tick{})
			p.mu.Unlock()
		}
	}
	return t.earliest()
}

func (t *Tunnel) earliest() time.Duration {
	t.mu.Lock()
	next := t.survey
	if t.dirty || t.asking || t.learned || len(t.wants) > 0 || len(t.failed) > 0 {
		next = 0
	}
	t.mu.Unlock()
	for _, p := range t.peers.Load().byID {
		next = min(next, time.Duration(p.deadline.Load()))
	}
	return next
}

// kick wakes run if it sleeps past the time given.
func (t *Tunnel) kick(at time.Duration) {
	if at >= time.Duration(t.sleep.Load()) {
		return
	}
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// chores spreads what concerns several peers.
func (t *Tunnel) chores() {
	now := t.now()
	t.mu.Lock()
	var wants map[group.MemberID]struct{}
	if len(t.wants) > 0 {
		wants, t.wants = t.wants, make(map[group.MemberID]struct{})
	}
	failed, dirty, learned := t.failed, t.dirty, t.learned
	var ask []group.MemberID
	if t.asking {
		ask = t.relays
	}
	survey := now >= t.survey
	t.failed, t.dirty, t.asking, t.learned = nil, false, false, false
	if survey {
		t.survey = now + surveyGap
	}
	t.mu.Unlock()

	for id := range wants {
		t.each([]group.MemberID{id}, wanted{})
	}
	for _, addr := range failed {
		t.tell(unreachable{addr})
	}
	t.each(ask, asked{})
	if learned {
		t.tell(addressLearned{})
	}
	if survey {
		t.checkPeers(now)
		if t.refreshLocal(now) {
			t.tell(networkChanged{})
		}
	}
	if survey || dirty {
		t.reviewRelays()
	}
}

// tell gives all peers an event.
func (t *Tunnel) tell(event any) {
	for _, p := range t.peers.Load().byID {
		p.mu.Lock()
		p.dispatch(event)
		p.mu.Unlock()
	}
}

// each gives an event to the members named, which become peers if they weren't.
func (t *Tunnel) each(ids []group.MemberID, event any) {
	for _, id := range ids {
		if p := t.peer(id); p != nil {
			p.mu.Lock()
			p.dispatch(event)
			p.mu.Unlock()
		}
	}
}

// checkPeers ends the sessions of peers that are no longer authorized, and forgets
// those that have had none for long.
func (t *Tunnel) checkPeers(now time.Duration) {
	var gone []*peer
	for _, p := range t.peers.Load().byID {
		p.mu.Lock()
		if p.current != nil || p.next != nil || len(p.old) > 0 {
			if err := t.cfg.Membership.Authorized(p.id, time.Now()); err != nil {
				t.counts.add(Unauthorized, 1)
				p.dispatch(sessionOver{why: err.Error(), tell: closeRevoked, wait: surveyGap})
				p.releaseKeys()
				for _, l := range p.links {
					l.close()
				}
			}
		}
		p.restLinks(now)
		if p.forgettable(now) {
			p.shut()
			gone = append(gone, p)
		}
		p.mu.Unlock()
	}
	if len(gone) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.replacePeers(func(s *peerSet) {
		for _, p := range gone {
			delete(s.byID, p.id)
			delete(s.byHash, p.hash)
		}
	})
}

// surveyNow looks at certificates, interfaces and relays at once.
func (t *Tunnel) surveyNow() {
	t.mu.Lock()
	t.survey = 0
	t.mu.Unlock()
	t.kick(0)
}

// Restarted says that a member runs anew and has forgotten its keys: what is sent to
// it by the present session is lost. A session that is wanted is made again at once.
// If the member has already asked for one itself, that one stays.
func (t *Tunnel) Restarted(id group.MemberID) {
	if p := t.peers.Load().byID[id]; p != nil {
		p.mu.Lock()
		if !p.begunAnew(t.now()) {
			p.dispatch(sessionOver{why: "the member was restarted"})
		}
		p.dispatch(peerReachable{})
		p.mu.Unlock()
	}
}

// Reachable says that a member is there now, as the overlay's news of a connection
// does. A session that is wanted is asked for at once instead of after a pause.
func (t *Tunnel) Reachable(id group.MemberID) {
	if p := t.peers.Load().byID[id]; p != nil {
		p.mu.Lock()
		p.dispatch(peerReachable{})
		p.mu.Unlock()
	}
}
