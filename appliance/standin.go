package appliance

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
	"landbridge/internal/vouch"
)

// protocolSegment is what routers of one segment, and members that have to do with their
// hosts, say to each other over the overlay. A request is one of these and what belongs to it.
const protocolSegment = "/landbridge/segment/1"

const (
	segmentVouch  = 1 // the caller's statement about the called; the reply is the other way round, or empty
	segmentTell   = 2 // a vouch.Tell
	segmentShow   = 3 // asks for a Tell
	segmentAlive  = 4 // asks how the called is; the reply is a byte: 1 if its LAN and WAN sides work; then who relays what it sends to the caller, if somebody does. An appointment may follow
	segmentBlocks = 5 // asks for the blocks that the called holds; the reply is an address of each, 4 bytes
)

const (
	// tellTimeout bounds one attempt to tell a member.
	tellTimeout = 2 * time.Second
	// tellTries is how often a member is told that doesn't answer.
	tellTries = 3
	// bookReview is how often statements are looked through that may have ended.
	bookReview = time.Minute
)

// standins is a member's part in routers standing in for each other: what it has been told
// of others, and, of a router, what it tells.
type standins struct {
	network *network
	book    *vouch.Book

	mu      sync.Mutex
	named   map[group.MemberID]vouch.Statement // by owner; each names us
	serving []group.MemberID                   // whose hosts we serve now; with ourselves while we take part
	number  uint64
}

func newStandins(n *network) *standins {
	member := func(m group.MemberID) bool {
		d := n.membership.Descriptor()
		e, ok := d.Entry(m)
		return ok && e.In(d.Version)
	}
	return &standins{network: n, book: vouch.NewBook(n.membership.Group(), n.leaseTime, member), named: make(map[group.MemberID]vouch.Statement)}
}

// leaseTime is how long the group's leases are.
func (n *network) leaseTime() time.Duration { return n.membership.Descriptor().LeaseTime }

// serveSegment answers protocolSegment.
func (s *standins) serveSegment(_ context.Context, from group.MemberID, req []byte) ([]byte, error) {
	if len(req) == 0 {
		return nil, errors.New("empty request")
	}
	now := time.Now()
	switch body := req[1:]; req[0] {
	case segmentVouch:
		if err := s.takeStatement(from, body, now); err != nil {
			return nil, err
		}
		if a := s.network.attachment.Load(); a != nil && a.neighbours != nil && a.neighbours.beacon.Is(from) {
			return a.neighbours.statement(from, now).Append(nil), nil
		}
		return nil, nil
	case segmentTell:
		tell, err := vouch.ParseTell(body)
		if err != nil {
			return nil, err
		}
		s.book.Take(from, tell, now)
		return nil, nil
	case segmentShow:
		return s.tell(now).Marshal(), nil
	case segmentBlocks:
		return blocksTold(s.network.registry.Blocks()), nil
	case segmentAlive:
		return s.relayTo(from, s.alive(body)), nil
	}
	return nil, fmt.Errorf("unknown request %d", req[0])
}

// appoint returns the question of a router how another is, and that it answer a nonce on the
// segment, to mac alone.
func appoint(mac frame.MAC, n beacon.Nonce) []byte {
	return append(append([]byte{segmentAlive}, mac[:]...), n[:]...)
}

// alive answers how this router is, and keeps the appointment that the question may bring.
func (s *standins) alive(appointment []byte) []byte {
	a := s.network.attachment.Load()
	if a == nil || a.neighbours == nil {
		return []byte{0}
	}
	if len(appointment) == len(frame.MAC{})+len(beacon.Nonce{}) {
		a.neighbours.beacon.Answer(frame.MAC(appointment[:6]), beacon.Nonce(appointment[6:]))
	}
	if !a.neighbours.well() {
		return []byte{0}
	}
	return []byte{1}
}

// relayTo adds to a reply who relays what is sent to its receiver.
func (s *standins) relayTo(to group.MemberID, reply []byte) []byte {
	if s.network.tunnel == nil {
		return reply // in tests
	}
	if via := s.network.tunnel.Via(to); !via.IsZero() {
		reply = append(reply, via[:]...)
	}
	return reply
}

// relayTold returns who relays what a member sends to us, by its reply to segmentAlive.
func relayTold(reply []byte) (m group.MemberID) {
	if len(reply) == 1+len(m) {
		m = group.MemberID(reply[1:])
	}
	return m
}

// elsewhere is how a router finds out whether it reaches members at other sites.
type elsewhere struct{ *neighbours }

// Others returns the other members of the group.
func (e elsewhere) Others() []group.MemberID {
	return slices.DeleteFunc(slices.Clone(e.network.membership.Descriptor().Current()), func(m group.MemberID) bool { return m == e.self })
}

// Links returns the members to which there is a connection.
func (e elsewhere) Links() map[group.MemberID]overlay.Link { return e.network.node.overlay.Links() }

// Near reports whether a member's hosts are on this segment.
func (e elsewhere) Near(m group.MemberID) bool { return e.has(m) }

// Ask asks a member how it is.
func (e elsewhere) Ask(ctx context.Context, m group.MemberID) (there, back group.MemberID, err error) {
	reply, err := e.network.node.gate.call(ctx, e.network, m, protocolSegment, []byte{segmentAlive})
	return e.network.tunnel.Via(m), relayTold(reply), err
}

// takeStatement takes a statement that names us, and tells the others.
func (s *standins) takeStatement(from group.MemberID, b []byte, now time.Time) error {
	st, err := vouch.ParseStatement(b)
	if err != nil {
		return err
	}
	if st.Owner != from || st.Neighbour != s.network.membership.Self() || !st.Good(s.network.id, s.network.leaseTime(), now) {
		return errors.New("the statement isn't the caller's about this member, or doesn't hold")
	}
	s.mu.Lock()
	s.named[st.Owner] = st
	s.number = max(s.number+1, uint64(now.UnixNano()))
	s.mu.Unlock()
	s.tellAll()
	return nil
}

// serve notes whose hosts we serve now, and tells the others if that is new.
func (s *standins) serve(owners []group.MemberID) {
	s.mu.Lock()
	same := slices.Equal(s.serving, owners)
	if !same {
		s.serving = owners
		s.number = max(s.number+1, uint64(time.Now().UnixNano()))
	}
	s.mu.Unlock()
	if !same {
		s.tellAll()
	}
}

// tell returns what is to be told now.
func (s *standins) tell(now time.Time) vouch.Tell {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := vouch.Tell{Number: s.number, Serving: slices.Clone(s.serving)}
	for owner, st := range s.named {
		if now.After(st.Until) {
			delete(s.named, owner)
			continue
		}
		t.Statements = append(t.Statements, st)
	}
	return t
}

// silent reports whether there is nothing to tell: no router has named us.
func (s *standins) silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.named) == 0
}

// tellAll tells those who have sessions with us, and those whom the overlay reaches.
func (s *standins) tellAll() {
	select {
	case <-s.network.ready:
	default:
		return // who is met later is told then
	}
	if s.silent() {
		return
	}
	to := make(map[group.MemberID]bool)
	for m := range s.network.node.overlay.Links() {
		to[m] = true
	}
	for _, m := range s.sessions() {
		to[m] = true
	}
	d := s.network.membership.Descriptor()
	for m := range to {
		if d.Check(m) == nil && m != s.network.membership.Self() {
			s.network.background(func() { s.tellOne(m) })
		}
	}
}

// sessions returns the members with which there is a session, or is to be.
func (s *standins) sessions() (all []group.MemberID) {
	if s.network.tunnel == nil {
		return nil // in tests
	}
	for _, p := range s.network.tunnel.Peers() {
		if p.State != tunnel.StateIdle {
			all = append(all, p.Member)
		}
	}
	return all
}

// tellOne tells a member, again where it doesn't answer and nothing newer is to be told.
func (s *standins) tellOne(m group.MemberID) {
	first := s.tell(time.Now())
	for range tellTries {
		t := s.tell(time.Now())
		if t.Number != first.Number {
			return
		}
		ctx, cancel := context.WithTimeout(s.network.node.base, tellTimeout)
		_, err := s.network.node.gate.call(ctx, s.network, m, protocolSegment, append([]byte{segmentTell}, t.Marshal()...))
		cancel()
		if err == nil || s.network.node.base.Err() != nil {
			return
		}
		s.network.log.Debug("not told who serves whom", "member", m, "err", err)
	}
}

// Speaks reports whether from may send for the hosts of owner, as far as it is known here.
func (s *standins) Speaks(from, owner group.MemberID) bool { return s.book.Speaks(from, owner) }

// Ask has from show that it may send for the hosts of owner.
func (s *standins) Ask(ctx context.Context, from, owner group.MemberID) bool {
	reply, err := s.network.node.gate.call(ctx, s.network, from, protocolSegment, []byte{segmentShow})
	if err != nil {
		return false
	}
	tell, err := vouch.ParseTell(reply)
	if err != nil {
		return false
	}
	s.book.Take(from, tell, time.Now())
	return s.book.Speaks(from, owner)
}

// keepBook drops what has ended, until ctx does.
func (s *standins) keepBook(ctx context.Context) {
	tick := time.NewTicker(bookReview)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			s.book.Review(now)
		}
	}
}
