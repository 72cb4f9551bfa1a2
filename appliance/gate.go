package appliance

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/group"
	"landbridge/internal/overlay"
	"landbridge/internal/tunnel"
)

// Of the protocols that members speak over the overlay's streams, these are the
// gate's own; group.Protocol (join and renew) and registry.Protocol are the others.
// All but hello and join are closed to whoever hasn't shown a certificate of the group.
const (
	protocolHello   = "/landbridge/hello/1"   // certificates and descriptors, both ways
	protocolConnect = "/landbridge/connect/1" // offers of sessions
	protocolStream  = "/landbridge/stream/1"  // sealed datagrams over TCP: the group's ID, then what package tunnel draws
)

// streamOpening bounds how long a member may take to say of which group its stream is.
const streamOpening = 10 * time.Second

// Every request on a group's protocol opens with the group's ID, every reply with
// one of these.
const (
	replyOK       = 0 // what follows is the reply
	replyStranger = 1 // say hello first: your certificate isn't known here
	replyRefused  = 2 // what follows is the reason
	replyRemoved  = 3 // the caller was removed; what follows is the signed descriptor that says so
)

var (
	errStranger = errors.New("the other side doesn't know this member's certificate yet")
	errNoGroup  = errors.New("this appliance isn't in that group")
)

// gate stands between the overlay, where anybody may speak, and the rooms of a
// group, where only members may. It introduces this node to others (hello) and
// refuses callers that haven't been introduced.
type gate struct {
	overlay *overlay.Overlay
	find    func(group.ID) (*network, bool)
	log     *slog.Logger

	mu  sync.Mutex
	met map[acquaintance]bool // to whom this node has shown its certificate
}

type acquaintance struct {
	group  group.ID
	member group.MemberID
}

// hello is what both sides say of themselves.
type hello struct {
	Certificate []byte `cbor:"1,keyasint"`
	Version     uint64 `cbor:"2,keyasint"`           // of the descriptor that the sender has
	Descriptor  []byte `cbor:"3,keyasint,omitempty"` // signed; where the receiver is known to have an older one
	Run         uint64 `cbor:"4,keyasint"`           // a random number for each time that the group is taken up: another one means that sessions are lost
	Time        int64  `cbor:"5,keyasint,omitempty"` // the sender's clock, Unix nanoseconds; 0: from a program that doesn't say

	SettingsVersion *uint64 `cbor:"6,keyasint,omitempty"` // that the sender has, 0 for none; nil: from a program that knows none
	Settings        []byte  `cbor:"7,keyasint,omitempty"` // signed; where the receiver is known to have others
	SettingsSum     uint64  `cbor:"8,keyasint,omitempty"` // group.Settings.Sum of what the sender has; 0 for none
}

// has is what of the group a hello says its sender has.
func (h hello) has() *extent {
	return &extent{descriptor: h.Version, settings: h.SettingsVersion, sum: h.SettingsSum}
}

// extent is the versions of what a member knows of the group.
type extent struct {
	descriptor uint64
	settings   *uint64 // nil: its program knows none
	sum        uint64  // of the settings; 0: it doesn't say
}

// lacks reports whether a member has older settings than s, or others of their version, and could use s.
func (e extent) lacks(s *group.Settings) bool {
	if s == nil || e.settings == nil {
		return false
	}
	return *e.settings < s.Version || *e.settings == s.Version && e.sum != 0 && e.sum != s.Sum()
}

func newGate(o *overlay.Overlay, find func(group.ID) (*network, bool), log *slog.Logger) *gate {
	g := &gate{overlay: o, find: find, log: log, met: make(map[acquaintance]bool)}
	o.Handle(protocolHello, g.serveHello)
	o.HandleStreams(protocolStream, g.serveStream)
	return g
}

// handle opens a protocol of the group to its members.
func (g *gate) handle(protocol string, serve func(ctx context.Context, n *network, from group.MemberID, req []byte) ([]byte, error)) {
	g.overlay.Handle(protocol, func(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
		n, body, err := g.open(ctx, req)
		if err != nil {
			return refusal(err), nil
		}
		if err := n.membership.Authorized(from, time.Now()); err != nil {
			if errors.Is(err, group.ErrRemoved) {
				return n.dismissal(), nil
			}
			return []byte{replyStranger}, nil // a hello can bring the certificate, and the roster that names it
		}
		reply, err := serve(ctx, n, from, body)
		if err != nil {
			return refusal(err), nil
		}
		return append([]byte{replyOK}, reply...), nil
	})
}

// call asks a member of the group. Where that member doesn't know this one yet,
// it says hello first. It fails with group.ErrRemoved, without asking, once this node
// knows that it was removed.
func (g *gate) call(ctx context.Context, n *network, to group.MemberID, protocol string, req []byte) ([]byte, error) {
	if err := n.standing(); err != nil {
		return nil, err
	}
	who := acquaintance{n.id, to}
	g.mu.Lock()
	met := g.met[who]
	g.mu.Unlock()
	if !met {
		if err := g.introduce(ctx, n, to); err != nil {
			return nil, err
		}
	}
	reply, err := g.ask(ctx, n, to, protocol, req)
	if !errors.Is(err, errStranger) {
		return reply, err
	}
	if err := g.introduce(ctx, n, to); err != nil { // it has restarted, or our certificate is new
		return nil, err
	}
	return g.ask(ctx, n, to, protocol, req)
}

func (g *gate) ask(ctx context.Context, n *network, to group.MemberID, protocol string, req []byte) ([]byte, error) {
	reply, err := g.overlay.Call(ctx, to, protocol, envelope(n.id, req))
	if err != nil {
		return nil, err
	}
	if len(reply) > 0 && reply[0] == replyRemoved {
		return nil, n.dismissed(to, reply[1:])
	}
	return unwrap(reply)
}

// tell sends this node's descriptor to a node that may not be a member any more, which
// introduce would refuse to meet.
func (g *gate) tell(ctx context.Context, n *network, to group.MemberID) error {
	_, err := g.exchange(ctx, n, to, n.hello(new(extent)))
	return err
}

// introduce shows this node's certificate to a member and learns the member's,
// and brings the older of the two descriptors, and settings, up to date.
func (g *gate) introduce(ctx context.Context, n *network, to group.MemberID) error {
	if err := n.standing(); err != nil {
		return err
	}
	mine := n.hello(nil)
	for range 2 { // once more where what the member has was the older
		asked := time.Now()
		theirs, err := g.exchange(ctx, n, to, mine)
		if err != nil {
			return fmt.Errorf("hello to %s: %w", to.Short(), err)
		}
		if err := n.greet(to, theirs); err != nil {
			return err
		}
		if theirs.Time != 0 {
			n.clocks.note(to, readClock(asked, time.Now(), time.Unix(0, theirs.Time)))
		}
		if theirs.Version >= n.membership.Descriptor().Version && !theirs.has().lacks(n.membership.Settings()) {
			break
		}
		mine = n.hello(theirs.has())
	}
	g.mu.Lock()
	g.met[acquaintance{n.id, to}] = true
	g.mu.Unlock()
	return nil
}

func (g *gate) exchange(ctx context.Context, n *network, to group.MemberID, mine hello) (hello, error) {
	req, err := cbor.Marshal(mine)
	if err != nil {
		return hello{}, err
	}
	reply, err := g.ask(ctx, n, to, protocolHello, req)
	if err != nil {
		return hello{}, err
	}
	var theirs hello
	if err := cbor.Unmarshal(reply, &theirs); err != nil {
		return hello{}, fmt.Errorf("unreadable hello: %w", err)
	}
	return theirs, nil
}

func (g *gate) serveHello(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
	n, body, err := g.open(ctx, req)
	if err != nil {
		return refusal(err), nil
	}
	var theirs hello
	if err := cbor.Unmarshal(body, &theirs); err != nil {
		return refusal(fmt.Errorf("unreadable hello: %w", err)), nil
	}
	// Where the roster here is too old to have the caller in it, the reply's
	// version tells it so, and it says hello again with the newer descriptor.
	err = n.greet(from, theirs)
	if errors.Is(err, group.ErrRemoved) {
		return n.dismissal(), nil
	}
	if err != nil && !errors.Is(err, group.ErrBehind) {
		return refusal(err), nil
	}
	reply, err := cbor.Marshal(n.hello(theirs.has()))
	if err != nil {
		return nil, err
	}
	return append([]byte{replyOK}, reply...), nil
}

// open finds the group that a request is for, and waits while it is being taken up.
func (g *gate) open(ctx context.Context, req []byte) (*network, []byte, error) {
	var id group.ID
	if len(req) < len(id) {
		return nil, nil, errors.New("request without a group")
	}
	copy(id[:], req)
	n, ok := g.find(id)
	if !ok {
		return nil, nil, errNoGroup
	}
	select {
	case <-n.ready:
		return n, req[len(id):], nil
	case <-ctx.Done():
		return nil, nil, ctx.Err()
	}
}

func envelope(id group.ID, req []byte) []byte {
	return append(id[:len(id):len(id)], req...)
}

func refusal(err error) []byte { return append([]byte{replyRefused}, err.Error()...) }

func unwrap(reply []byte) ([]byte, error) {
	if len(reply) == 0 {
		return nil, errors.New("empty reply")
	}
	switch reply[0] {
	case replyOK:
		return reply[1:], nil
	case replyStranger:
		return nil, errStranger
	case replyRefused:
		return nil, fmt.Errorf("refused: %.200s", reply[1:])
	default:
		return nil, fmt.Errorf("reply of an unknown kind %d", reply[0])
	}
}

// serveStream carries a group's datagrams for a member whom UDP doesn't reach.
func (g *gate) serveStream(from group.MemberID, s *overlay.Stream) {
	defer func() { _ = s.Close() }()
	var id group.ID
	if s.SetReadDeadline(time.Now().Add(streamOpening)) != nil {
		return
	}
	if _, err := io.ReadFull(s, id[:]); err != nil || s.SetReadDeadline(time.Time{}) != nil {
		return
	}
	n, ok := g.find(id)
	if !ok {
		return
	}
	select {
	case <-n.ready:
	case <-time.After(streamOpening):
		return
	}
	if n.membership.Authorized(from, time.Now()) == nil {
		n.tunnel.HandleStream(from, s)
	}
}

// streams opens streams of a group's datagrams; it is tunnel.Streams.
type streams struct{ network *network }

func (s streams) Open(ctx context.Context, to group.MemberID) (tunnel.Stream, error) {
	stream, err := s.network.node.overlay.OpenStream(ctx, to, protocolStream)
	if err != nil {
		return nil, err
	}
	if _, err := stream.Write(s.network.id[:]); err != nil {
		return nil, errors.Join(err, stream.Close())
	}
	return stream, nil
}
