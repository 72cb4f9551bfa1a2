package neighbourhood

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/vouch"
)

// Protocol is what routers of one segment, and members that have to do with their
// hosts, say to each other over the overlay. A request is one of these and what belongs to it.
const Protocol = "/landbridge/segment/1"

// What a request begins with.
const (
	AskVouch  = 1 // the caller's statement about the called; the reply is the other way round, or empty
	askTell   = 2 // a vouch.Tell
	askShow   = 3 // asks for a Tell
	AskAlive  = 4 // asks how the called is; the reply is a byte: 1 if its LAN and WAN sides work; then who relays what it sends to the caller, if somebody does. An appointment may follow
	AskBlocks = 5 // asks for the blocks that the called holds; the reply is an address of each, 4 bytes
)

const (
	// tellTimeout bounds one attempt to tell a member.
	tellTimeout = 2 * time.Second
	// tellTries is how often a member is told that doesn't answer.
	tellTries = 3
	// bookReview is how often statements are looked through that may have ended.
	bookReview = time.Minute
)

// Peers are the other members, as Standins speaks with them.
type Peers interface {
	// Call sends a request of Protocol.
	Call(ctx context.Context, m group.MemberID, req []byte) ([]byte, error)
	// Reached returns the members to which there is a connection, a session, or one being made;
	// none while the group is being taken up.
	Reached() []group.MemberID
	// Via returns who relays what is sent to a member; zero: nobody.
	Via(m group.MemberID) group.MemberID
}

// Here is the router that this member is, where it is one.
type Here interface {
	// Well reports whether both of its sides work.
	Well() bool
	// About returns its word that a member is its neighbour, where that is so.
	About(m group.MemberID, now time.Time) (st vouch.Statement, is bool)
	// Appear has it answer a nonce on the segment, to mac alone.
	Appear(mac frame.MAC, n beacon.Nonce)
	// Blocks tells the blocks that are held here.
	Blocks() []byte
}

// StandinsConfig is what a Standins is made of.
type StandinsConfig struct {
	Membership *group.Membership
	Peers      Peers
	Here       Here
	Run        func(work func(context.Context)) // in the background, as long as the group is at work
	Log        *slog.Logger
}

// Standins is a member's part in routers standing in for each other: what it has been told
// of others, and, of a router, what it tells. It is safe for concurrent use.
type Standins struct {
	StandinsConfig
	book *vouch.Book

	mu      sync.Mutex
	named   map[group.MemberID]vouch.Statement // by owner; each names us
	serving []group.MemberID                   // whose hosts we serve now; with ourselves while we take part
	number  uint64
}

// NewStandins returns a Standins that has been told nothing.
func NewStandins(c StandinsConfig) *Standins {
	member := func(m group.MemberID) bool {
		d := c.Membership.Descriptor()
		e, ok := d.Entry(m)
		return ok && e.In(d.Version)
	}
	s := &Standins{StandinsConfig: c, named: make(map[group.MemberID]vouch.Statement)}
	s.book = vouch.NewBook(c.Membership.Group(), s.LeaseTime, member)
	return s
}

// LeaseTime is how long the group's leases are.
func (s *Standins) LeaseTime() time.Duration { return s.Membership.Descriptor().LeaseTime }

// Answer answers a request of Protocol.
func (s *Standins) Answer(from group.MemberID, req []byte) ([]byte, error) {
	if len(req) == 0 {
		return nil, errors.New("empty request")
	}
	now := time.Now()
	switch body := req[1:]; req[0] {
	case AskVouch:
		if err := s.TakeStatement(from, body, now); err != nil {
			return nil, err
		}
		if st, is := s.Here.About(from, now); is {
			return st.Append(nil), nil
		}
		return nil, nil
	case askTell:
		tell, err := vouch.ParseTell(body)
		if err != nil {
			return nil, err
		}
		s.book.Take(from, tell, now)
		return nil, nil
	case askShow:
		return s.tell(now).Marshal(), nil
	case AskBlocks:
		return s.Here.Blocks(), nil
	case AskAlive:
		return s.relayTo(from, s.alive(body)), nil
	}
	return nil, fmt.Errorf("unknown request %d", req[0])
}

// Appoint returns the question of a router how another is, and that it answer a nonce on the
// segment, to mac alone.
func Appoint(mac frame.MAC, n beacon.Nonce) []byte {
	return append(append([]byte{AskAlive}, mac[:]...), n[:]...)
}

// alive answers how this router is, and keeps the appointment that the question may bring.
func (s *Standins) alive(appointment []byte) []byte {
	if len(appointment) == len(frame.MAC{})+len(beacon.Nonce{}) {
		s.Here.Appear(frame.MAC(appointment[:6]), beacon.Nonce(appointment[6:]))
	}
	if !s.Here.Well() {
		return []byte{0}
	}
	return []byte{1}
}

// relayTo adds to a reply who relays what is sent to its receiver.
func (s *Standins) relayTo(to group.MemberID, reply []byte) []byte {
	if via := s.Peers.Via(to); !via.IsZero() {
		reply = append(reply, via[:]...)
	}
	return reply
}

// RelayTold returns who relays what a member sends to us, by its reply to AskAlive.
func RelayTold(reply []byte) (m group.MemberID) {
	if len(reply) == 1+len(m) {
		m = group.MemberID(reply[1:])
	}
	return m
}

// TakeStatement takes a statement that names us, and tells the others.
func (s *Standins) TakeStatement(from group.MemberID, b []byte, now time.Time) error {
	st, err := vouch.ParseStatement(b)
	if err != nil {
		return err
	}
	if st.Owner != from || st.Neighbour != s.Membership.Self() || !st.Good(s.Membership.Group(), s.LeaseTime(), now) {
		return errors.New("the statement isn't the caller's about this member, or doesn't hold")
	}
	s.mu.Lock()
	s.named[st.Owner] = st
	s.number = max(s.number+1, uint64(now.UnixNano()))
	s.mu.Unlock()
	s.tellAll()
	return nil
}

// Serve notes whose hosts we serve now, and tells the others if that is new.
func (s *Standins) Serve(owners []group.MemberID) {
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
func (s *Standins) tell(now time.Time) vouch.Tell {
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

// Silent reports whether there is nothing to tell: no router has named us.
func (s *Standins) Silent() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.named) == 0
}

// tellAll tells those who have sessions with us, and those whom the overlay reaches.
func (s *Standins) tellAll() {
	if s.Silent() {
		return
	}
	to := make(map[group.MemberID]bool)
	for _, m := range s.Peers.Reached() { // who is met later is told then
		to[m] = true
	}
	d := s.Membership.Descriptor()
	for m := range to {
		if d.Check(m) == nil && m != s.Membership.Self() {
			s.Run(func(ctx context.Context) { s.TellOne(ctx, m) })
		}
	}
}

// TellOne tells a member, again where it doesn't answer and nothing newer is to be told.
func (s *Standins) TellOne(ctx context.Context, m group.MemberID) {
	first := s.tell(time.Now())
	for range tellTries {
		t := s.tell(time.Now())
		if t.Number != first.Number {
			return
		}
		within, cancel := context.WithTimeout(ctx, tellTimeout)
		_, err := s.Peers.Call(within, m, append([]byte{askTell}, t.Marshal()...))
		cancel()
		if err == nil || ctx.Err() != nil {
			return
		}
		s.Log.Debug("not told who serves whom", "member", m, "err", err)
	}
}

// Serving returns the member to which packets go for hosts of owner: owner, or who stands in for it.
func (s *Standins) Serving(owner group.MemberID) group.MemberID { return s.book.Serving(owner) }

// Speaks reports whether from may send for the hosts of owner, as far as it is known here.
func (s *Standins) Speaks(from, owner group.MemberID) bool { return s.book.Speaks(from, owner) }

// Ask has from show that it may send for the hosts of owner.
func (s *Standins) Ask(ctx context.Context, from, owner group.MemberID) bool {
	reply, err := s.Peers.Call(ctx, from, []byte{askShow})
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

// Keep drops what has ended, until ctx does.
func (s *Standins) Keep(ctx context.Context) {
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
