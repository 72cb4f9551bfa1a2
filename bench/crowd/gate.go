package crowd

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/fxamacker/cbor/v2"

	"landbridge/internal/group"
	"landbridge/internal/registry"
)

// What members say to each other before and around anything else, as package appliance has it
// (gate.go): a request opens with the group's ID, a reply with one of these bytes.
const (
	protocolHello   = "/landbridge/hello/1"
	protocolConnect = "/landbridge/connect/1"

	replyOK       = 0
	replyStranger = 1
	replyRefused  = 2
)

type hello struct {
	Certificate []byte `cbor:"1,keyasint"`
	Version     uint64 `cbor:"2,keyasint"`
	Descriptor  []byte `cbor:"3,keyasint,omitempty"`
	Run         uint64 `cbor:"4,keyasint"`
}

var errStranger = errors.New("the hub doesn't know this member's certificate yet")

// listen has the overlay serve the hub.
func (m *member) listen() {
	m.overlay.Handle(protocolHello, func(_ context.Context, from group.MemberID, req []byte) ([]byte, error) {
		var theirs hello
		err := m.unmarshal(req, &theirs)
		if err == nil {
			err = m.meet(from, theirs)
		}
		if err != nil {
			return refusal(err), nil
		}
		return m.answer(cbor.Marshal(m.hello()))
	})
	m.serve(protocolConnect, m.connect)
	m.serve(registry.Protocol, m.register)
}

// connect answers offers of sessions.
func (m *member) connect(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
	return m.tunnel.HandleSignal(ctx, from, req)
}

// register answers what other members ask the registry.
func (m *member) register(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
	return m.registry.Serve(ctx, from, req)
}

// serve opens a protocol to members that have shown their certificates.
func (m *member) serve(protocol string, handle func(context.Context, group.MemberID, []byte) ([]byte, error)) {
	m.overlay.Handle(protocol, func(ctx context.Context, from group.MemberID, req []byte) ([]byte, error) {
		body, err := m.body(req)
		switch {
		case err != nil:
			return refusal(err), nil
		case m.membership.Authorized(from, time.Now()) != nil || !m.crowd.stands():
			return []byte{replyStranger}, nil
		}
		return m.answer(handle(ctx, from, body))
	})
}

func (m *member) hello() hello {
	return hello{Certificate: m.membership.Certificate(), Version: m.membership.Descriptor().Version, Run: m.run}
}

// meet takes what another member says of itself.
func (m *member) meet(from group.MemberID, h hello) error {
	if len(h.Descriptor) > 0 {
		if _, err := m.membership.Update(h.Descriptor); err != nil {
			return err
		}
	}
	return m.membership.CheckCertificate(from, h.Certificate, time.Now())
}

// line is how a member asks others by a protocol.
type line struct {
	member   *member
	protocol string
	answer   func(to *member, ctx context.Context, from group.MemberID, req []byte) ([]byte, error)
}

// Call asks a member of the crowd directly, and the hub by the overlay, after a hello where
// the hub wants one.
func (l line) Call(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	if to != l.member.authority() {
		return l.callDirectly(ctx, to, req)
	}
	reply, err := l.member.ask(ctx, to, l.protocol, req)
	if !errors.Is(err, errStranger) {
		return reply, err
	}
	if err := l.member.introduce(ctx, to); err != nil {
		return nil, err
	}
	return l.member.ask(ctx, to, l.protocol, req)
}

func (l line) callDirectly(ctx context.Context, to group.MemberID, req []byte) ([]byte, error) {
	other := l.member.crowd.byID(to)
	if other == nil {
		return nil, errors.New("the crowd doesn't stand yet")
	}
	self := l.member.membership.Self()
	if err := other.meet(self, l.member.hello()); err != nil {
		return nil, err
	}
	return l.answer(other, ctx, self, req)
}

func (m *member) introduce(ctx context.Context, to group.MemberID) error {
	req, err := cbor.Marshal(m.hello())
	if err != nil {
		return err
	}
	reply, err := m.ask(ctx, to, protocolHello, req)
	if err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	var theirs hello
	if err := cbor.Unmarshal(reply, &theirs); err != nil {
		return fmt.Errorf("hello: %w", err)
	}
	return m.meet(to, theirs)
}

func (m *member) ask(ctx context.Context, to group.MemberID, protocol string, req []byte) ([]byte, error) {
	id := m.membership.Group()
	reply, err := m.overlay.Call(ctx, to, protocol, append(id[:len(id):len(id)], req...))
	switch {
	case err != nil:
		return nil, err
	case len(reply) > 0 && reply[0] == replyOK:
		return reply[1:], nil
	case len(reply) > 0 && reply[0] == replyStranger:
		return nil, errStranger
	}
	return nil, fmt.Errorf("the hub refuses: %.200q", reply)
}

func (m *member) body(req []byte) ([]byte, error) {
	id := m.membership.Group()
	if len(req) < len(id) || group.ID(req[:len(id)]) != id {
		return nil, errors.New("a request for another group")
	}
	return req[len(id):], nil
}

func (m *member) unmarshal(req []byte, into any) error {
	body, err := m.body(req)
	if err != nil {
		return err
	}
	return cbor.Unmarshal(body, into)
}

func (m *member) answer(reply []byte, err error) ([]byte, error) {
	if err != nil {
		return refusal(err), nil
	}
	return append([]byte{replyOK}, reply...), nil
}

func refusal(err error) []byte { return append([]byte{replyRefused}, err.Error()...) }
