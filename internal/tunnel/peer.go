package tunnel

import (
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// A peer is another member of the group, with or without a session.
type peer struct {
	tunnel *Tunnel
	id     group.MemberID
	hash   memberHash
	born   time.Duration

	// Read and written by the frame path.
	route    atomic.Pointer[route] // nil: packets wait
	dozing   atomic.Bool           // the machines sleep long; wake them when packets go out
	data     atomic.Int64          // when the last IP packet went or came
	deadline atomic.Int64          // of the machines
	tx, rx   traffic

	// The socket reader's own.
	lastOther  pathID // the path other than the route's that was told last
	lastOtherT time.Duration
	others     bucket // of such paths; a datagram's source is easily forged
	relayed    bucket
	refusedAt  time.Duration
	shelf      shelf // of what others forward to it through us

	echoes echoes // Ping's

	mu           sync.Mutex // guards what follows
	closed       bool
	paths        pathState
	life         lifeState
	current      *session   // seals our packets
	next         *session   // we answered an offer with it; the peer hasn't used it yet
	old          []*session // only receive, for a moment
	offer        *pendingOffer
	rekey        *pendingRekey
	answered     answeredRekey
	queue        []waitingPacket
	homes        []netip.AddrPort // the peer's own interface addresses
	relays       bool             // it offers to relay
	lastHeard    time.Duration    // by a path of the past
	rekeys       uint64
	ended        time.Duration // when the last session did
	logs         bucket
	offersIn     bucket
	candidatesIn bucket
	rekeysIn     bucket
	probesIn     bucket
	assured      int // times that assure has sent something
	assureAt     time.Duration
	uncrossAt    time.Duration // when to look again which retired keys the peer uses
	links        []*link       // streams to it
	opening      bool          // one is being opened
}

// traffic counts one direction's IP packets.
type traffic struct{ packets, bytes atomic.Uint64 }

func (t *traffic) add(packets, bytes int) {
	t.packets.Add(uint64(packets))
	t.bytes.Add(uint64(bytes))
}

// A route is an immutable snapshot of how packets to a peer travel now, but for
// the times, which the frame path keeps up.
type route struct {
	out  *outbound
	kind PathKind
	path pathID
	addr netip.AddrPort // where datagrams are written to; relay: none
	far  netip.AddrPort // the member's end, as people know it: of a stream that is TCP's
	via  *peer          // relay

	roundTrip time.Duration // as the path machine knew it when it made the route; 0 if it didn't

	sent, heard atomic.Int64
}

// moment gathers what the machines need to know of the frame path.
func (p *peer) moment() moment {
	m := moment{now: p.tunnel.now(), data: time.Duration(p.data.Load())}
	if r := p.route.Load(); r != nil {
		m.sent, m.heard = time.Duration(r.sent.Load()), time.Duration(r.heard.Load())
	}
	return m
}

func (p *peer) messages() uint64 {
	if p.current == nil {
		return 0
	}
	return p.current.out.counter.Load()
}

// dispatch gives both machines an event and does what they want; p.mu is held.
func (p *peer) dispatch(event any) {
	if p.closed {
		return
	}
	m := p.moment()
	before := p.paths.alive()
	acts := p.paths.step(event, m)
	var more []any
	p.life, more = stepLife(p.life, event, m, p.messages())
	acts = append(acts, more...)
	if alive := p.paths.alive(); alive != before {
		p.life, more = stepLife(p.life, pathAlive{alive}, m, p.messages())
		acts = append(acts, more...)
	}
	for _, a := range acts {
		p.perform(a)
	}
	p.tidy(m.now)
	p.rest(m)
}

// rest notes when the machines want to be woken.
func (p *peer) rest(m moment) {
	at := min(p.paths.deadline(m), p.life.deadline(m, p.messages()), p.tidyAt())
	p.deadline.Store(int64(at))
	p.dozing.Store(at > m.now+tickActive)
	p.tunnel.kick(at)
}

// rouse wakes the machines when packets flow after a pause.
func (p *peer) rouse(now time.Duration) {
	if p.dozing.Load() && p.dozing.Swap(false) {
		p.deadline.Store(int64(now + tickActive))
		p.tunnel.kick(now + tickActive)
	}
}

func (p *peer) perform(action any) {
	switch a := action.(type) {
	case probePath:
		p.sendProbe(a)
	case usePath:
		p.debugPath(a)
		p.notePath(a)
		p.publish()
		p.tunnel.relaysMoved(p)
	case tellCandidates:
		p.sendCandidates(flagReply)
	case openLink:
		p.openLink()
	case askRelays:
		p.tunnel.askRelays()
	case sendOffer:
		p.startOffer(a.again)
	case sendRekey:
		p.sendRekey()
	case dropSession:
		p.info("session ended", "why", a.why)
		p.drop(a.tell)
	}
}

// drop ends the session; the keys still open what is under way.
func (p *peer) drop(tell byte) {
	if tell != 0 {
		p.sendControl(p.paths.chosen, []byte{msgClose, tell})
	}
	p.ended = p.tunnel.now()
	p.retire(p.current)
	p.retire(p.next)
	p.current, p.next = nil, nil
	p.abandonRekey()
	p.dispatch(keysDown{})
}

// close ends the session; the tunnel is ending.
func (p *peer) close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sendControl(p.paths.chosen, []byte{msgClose, closeLeaving})
	p.shut()
}

// shut gives back all that the peer holds; it is of no use afterwards. p.mu is held.
func (p *peer) shut() {
	p.closed = true
	for _, l := range p.links {
		l.close()
	}
	p.route.Store(nil)
	p.abandonRekey()
	p.abandonOffer()
	p.releaseKeys()
	p.dropQueue()
	p.deadline.Store(int64(never))
}

// releaseKeys makes all keys useless at once, those of the past included. p.mu is held.
func (p *peer) releaseKeys() {
	for _, s := range append(p.old, p.current, p.next) {
		if s != nil {
			p.tunnel.demux.table.release(s.in.index)
		}
	}
	p.current, p.next, p.old = nil, nil, nil
}

// forgettable reports whether nobody has had to do with the peer for long.
func (p *peer) forgettable(now time.Duration) bool {
	l := &p.life
	return !l.up && !l.keep && !l.calling && len(p.queue) == 0 &&
		now-max(p.born, p.ended, l.wanted, l.called) > forgetPeer
}

func (p *peer) debugPath(a usePath) {
	log := p.tunnel.log.With("member", p.id, "path", a.kind.String())
	switch {
	case a.path.relayed():
		log.Debug("path chosen", "via", a.path.via)
	default:
		log.Debug("path chosen", "addr", a.path.addr)
	}
}

// info logs what a peer's doing led to, within bounds.
func (p *peer) info(msg string, args ...any) {
	if p.logs.take(1, p.tunnel.now()) {
		p.tunnel.log.Info(msg, append([]any{"member", p.id}, args...)...)
	}
}

// retire lets a session receive for a last moment.
func (p *peer) retire(s *session) {
	if s == nil {
		return
	}
	s.retired = p.tunnel.now()
	s.in.confirmed.Store(false) // from here on it tells whether the peer still uses it
	p.old = append(p.old, s)
}

// adopt puts keys into use that the peer is known to have; publish follows.
func (p *peer) adopt(s *session) {
	p.retire(p.current)
	if p.next != s {
		p.retire(p.next)
	}
	p.current, p.next = s, nil
	p.old, s.retired, s.used = slices.DeleteFunc(p.old, func(old *session) bool { return old == s }), 0, 0
	p.assured, p.assureAt = 0, 0
	if s.rekey {
		p.rekeys++
	}
}

// begunAnew reports whether the keys were made with a peer that had just started.
func (p *peer) begunAnew(now time.Duration) bool {
	for _, s := range []*session{p.current, p.next} {
		if s != nil && s.fresh && now-s.created < anewWithin {
			return true
		}
	}
	return false
}

// confirm is called by the reader when the first datagram under a key arrives.
func (p *peer) confirm(in *inbound) {
	p.mu.Lock()
	defer p.mu.Unlock()
	in.confirmed.Store(true)
	if p.next == nil || p.next.in != in || p.closed {
		return
	}
	p.adopt(p.next)
	p.publish()
	p.dispatch(installed{initiator: false})
	p.sendControl(p.paths.chosen, []byte{msgKeepalive})
}

// tidy releases keys and packets whose time is over.
func (p *peer) tidy(now time.Duration) {
	p.old = slices.DeleteFunc(p.old, func(s *session) bool {
		if now-s.retired < keepOldKeys {
			return false
		}
		p.tunnel.demux.table.release(s.in.index)
		return true
	})
	if p.next != nil && now-p.next.created >= confirmWithin {
		p.tunnel.demux.table.release(p.next.in.index)
		p.next = nil
		if p.current == nil {
			p.dispatch(sessionOver{why: "the member asked for a session and never used it"})
			return
		}
	}
	p.assure(now)
	p.uncross(now)
	p.expireQueue(now)
	if r := p.route.Load(); r != nil && len(p.queue) > 0 {
		p.flush(r)
	}
}

func (p *peer) tidyAt() time.Duration {
	at := never
	for _, s := range p.old {
		at = min(at, s.retired+keepOldKeys)
	}
	if p.next != nil {
		at = min(at, p.next.created+confirmWithin)
	}
	if p.unassured() {
		at = min(at, p.assureAt)
	}
	if slices.ContainsFunc(p.old, p.mayYield) {
		at = min(at, p.uncrossAt)
	}
	if len(p.queue) > 0 {
		at = min(at, p.queue[0].since+waitAtMost)
		if p.route.Load() != nil { // its relay's session is being renewed
			at = min(at, p.tunnel.now()+tickActive)
		}
	}
	return at
}

// unassured reports whether the peer may not know that our keys are in use.
func (p *peer) unassured() bool {
	return p.current != nil && p.current.initiator && p.assured < assureTimes &&
		!p.current.in.confirmed.Load() && p.paths.alive()
}

// assure sends something under keys of our making, so that the peer may use them
// too, and again until it does.
func (p *peer) assure(now time.Duration) {
	if p.unassured() && now >= p.assureAt {
		p.assured++
		p.assureAt = now + assureGap
		p.sendControl(p.paths.chosen, []byte{msgKeepalive})
	}
}

// uncross has both ends use the same keys after offers of both that crossed. Where answers overtake each other, each end
// may have retired what the other holds for the newest; as long as retired keys open, nothing is lost. The keys
// that the lower ID asked for stand, if the peer goes on using them.
func (p *peer) uncross(now time.Duration) {
	if now < p.uncrossAt {
		return
	}
	p.uncrossAt = now + assureGap
	for _, s := range p.old {
		if !p.mayYield(s) {
			continue
		}
		if s.in.confirmed.Swap(false) {
			s.used++
		}
		if s.used >= yieldAfter {
			p.adopt(s)
			p.publish()
			p.dispatch(installed{initiator: s.initiator})
			return
		}
	}
}

// mayYield reports whether the keys in use may have crossed with these, which are retired and stand. What a rekey
// has replaced, or a restart, hasn't.
func (p *peer) mayYield(to *session) bool {
	c := p.current
	return c != nil && !c.rekey && !to.rekey && p.stands(to) && !p.stands(c) && c.created-to.created < crossWithin
}

// stands reports whether it was the lower ID that asked for a session.
func (p *peer) stands(s *session) bool { return s.initiator == lower(p.tunnel.self, p.id) }

// publish makes the route from the keys and the path in use. Packets that waited
// go first, so that none overtakes them.
func (p *peer) publish() {
	before := p.route.Load()
	r := p.makeRoute()
	if r != nil && before != nil && before.path == r.path {
		r.sent.Store(before.sent.Load())
		r.heard.Store(before.heard.Load())
	}
	if before != nil {
		p.lastHeard = max(p.lastHeard, time.Duration(before.heard.Load()))
	}
	if r != nil && len(p.queue) > 0 {
		p.flush(r)
	}
	p.route.Store(r)
}

func (p *peer) makeRoute() *route {
	if p.current == nil || !p.paths.alive() {
		return nil
	}
	r := &route{out: p.current.out, kind: p.paths.kind, path: p.paths.chosen, addr: p.paths.chosen.addr}
	if c := p.paths.find(p.paths.chosen); c != nil {
		r.roundTrip = c.rtt
	}
	r.far = p.farEnd(r.addr)
	if r.path.relayed() {
		if r.via = p.tunnel.peers.Load().byID[r.path.via]; r.via == nil {
			return nil
		}
	}
	return r
}

// arrived notes an authentic datagram; the reader calls it for each.
func (p *peer) arrived(from netip.AddrPort, via *peer, now time.Duration) {
	r := p.route.Load()
	if r != nil && r.via == via && r.addr == from {
		r.heard.Store(int64(now))
		return
	}
	other := pathID{addr: from}
	if via != nil {
		other = pathID{via: via.id}
	}
	if other == p.lastOther && now-p.lastOtherT < 250*time.Millisecond || !p.others.take(1, now) {
		return
	}
	p.lastOther, p.lastOtherT = other, now
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lastHeard = now
	kind := PathRelay
	switch {
	case p.linkOf(from) != nil:
		kind = PathTCP
	case isLink(from):
		return // another member's, or of a datagram whose source is forged
	case via == nil:
		kind = p.tunnel.kindOf(endpointCandidate{addr: from, host: p.atHome(from)})
	}
	p.dispatch(heardFrom{path: other, kind: kind})
}

// atHome reports whether an address is one of the peer's own interfaces, that is,
// no NAT stands before it, or a stream that we could open. p.mu is held.
func (p *peer) atHome(a netip.AddrPort) bool {
	if l := p.linkOf(a); l != nil {
		return l.ours
	}
	return slices.Contains(p.homes, a)
}

// deliver hands packets on.
func (p *peer) deliver(now time.Duration, pkts []frame.Packet) {
	p.data.Store(int64(now))
	p.rouse(now)
	p.tunnel.cfg.Deliver(p.id, pkts)
}
