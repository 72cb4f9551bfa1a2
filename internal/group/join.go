package group

import (
	"errors"
	"fmt"
)

// Protocol is the overlay protocol on which an authority serves newcomers and members
// whose certificate is to be renewed.
const Protocol = "/landbridge/group/1"

// RequestKind tells what a JoinRequest asks for.
type RequestKind uint8

// Kinds of requests.
const (
	KindJoin  RequestKind = 1 // admit me: I have an invitation's secret
	KindRenew RequestKind = 2 // renew my certificate: I am a member
	KindLeave RequestKind = 3 // remove me: I have left
)

// JoinRequest is what a node asks of the authority, over a stream on which the
// overlay has proved the node's key. The secret goes to the authority alone.
type JoinRequest struct {
	Kind   RequestKind
	Group  ID
	Secret Secret // KindJoin
	Name   string // KindJoin: the name that the node would like (see NodeName)
}

// JoinReply is the authority's yes: the group's newest descriptor, with the node in
// it, and a certificate; to who leaves, the descriptor without it and no certificate.
type JoinReply struct {
	Descriptor  SignedDescriptor
	Certificate []byte // DER
}

type wireRequest struct {
	Kind   uint8  `cbor:"1,keyasint"`
	Group  ID     `cbor:"2,keyasint"`
	Secret []byte `cbor:"3,keyasint,omitempty"`
	Name   string `cbor:"4,keyasint,omitempty"`
}

type wireReply struct {
	Refusal     uint64 `cbor:"0,keyasint,omitempty"`
	Descriptor  []byte `cbor:"1,keyasint,omitempty"`
	Certificate []byte `cbor:"2,keyasint,omitempty"`
	Reason      string `cbor:"3,keyasint,omitempty"` // of ErrDenied
}

// NewJoinRequest uses an invitation.
func NewJoinRequest(inv Invitation, name string) JoinRequest {
	return JoinRequest{Kind: KindJoin, Group: inv.Group, Secret: inv.Secret, Name: name}
}

// NewRenewRequest asks for a new certificate.
func NewRenewRequest(group ID) JoinRequest { return JoinRequest{Kind: KindRenew, Group: group} }

// NewLeaveRequest asks to be taken out of the roster.
func NewLeaveRequest(group ID) JoinRequest { return JoinRequest{Kind: KindLeave, Group: group} }

// Marshal encodes the request.
func (r JoinRequest) Marshal() ([]byte, error) {
	w := wireRequest{Kind: uint8(r.Kind), Group: r.Group, Name: r.Name}
	if r.Kind == KindJoin {
		w.Secret = r.Secret[:]
	}
	return marshal(w)
}

// ParseJoinRequest reads what a stranger sent.
func ParseJoinRequest(b []byte) (JoinRequest, error) {
	var w wireRequest
	if len(b) > MaxRequestSize {
		return JoinRequest{}, fmt.Errorf("join request: %d bytes long, at most %d are allowed", len(b), MaxRequestSize)
	}
	if err := unmarshal(b, &w); err != nil {
		return JoinRequest{}, fmt.Errorf("join request: %w", err)
	}
	r := JoinRequest{Kind: RequestKind(w.Kind), Group: w.Group, Name: w.Name}
	switch r.Kind {
	case KindJoin:
		if len(w.Secret) != secretSize {
			return JoinRequest{}, fmt.Errorf("join request: a secret of %d bytes, want %d", len(w.Secret), secretSize)
		}
		copy(r.Secret[:], w.Secret)
		if err := validateLabel("join request: name", r.Name); err != nil {
			return JoinRequest{}, err
		}
	case KindRenew, KindLeave:
		r.Name = ""
	default:
		return JoinRequest{}, fmt.Errorf("join request: unknown kind %d", w.Kind)
	}
	return r, nil
}

// Marshal encodes the reply.
func (r JoinReply) Marshal() ([]byte, error) {
	return marshal(wireReply{Descriptor: r.Descriptor, Certificate: r.Certificate})
}

// refusals gives each error that a newcomer should be told a number on the wire.
// Append only.
func refusals() []error {
	return []error{
		nil, ErrUsed, ErrExpired, ErrUnknownInvitation, ErrOtherGroup, ErrRemoved,
		ErrNotMember, ErrFull, ErrNotAuthority, ErrRevoked, ErrAwaitingApproval, ErrDenied, ErrCrowded,
		ErrNameOfNode,
	}
}

// MarshalRefusal encodes a no. ok is false for an error that isn't the newcomer's
// business (a disk that is full), which travels as text.
func MarshalRefusal(err error) (b []byte, ok bool) {
	for code, known := range refusals() {
		if known != nil && errors.Is(err, known) {
			w := wireReply{Refusal: uint64(code)}
			if denied := new(DeniedError); errors.As(err, &denied) {
				w.Reason = denied.Reason
			}
			b, err := marshal(w)
			return b, err == nil
		}
	}
	return nil, false
}

// ParseJoinReply reads the authority's answer. A refusal comes back as the error that
// it was: ErrUsed, ErrExpired, ErrUnknownInvitation, ErrOtherGroup, ErrRemoved,
// ErrNotMember, ErrFull, ErrNotAuthority, ErrRevoked, ErrAwaitingApproval, ErrDenied (as a
// DeniedError), ErrCrowded, ErrNameOfNode. What a yes is worth, SaveJoin and
// Membership.Renewed check.
func ParseJoinReply(b []byte) (JoinReply, error) {
	var w wireReply
	if len(b) > MaxReplySize {
		return JoinReply{}, fmt.Errorf("join reply: %d bytes long, at most %d are allowed", len(b), MaxReplySize)
	}
	if err := unmarshal(b, &w); err != nil {
		return JoinReply{}, fmt.Errorf("join reply: %w", err)
	}
	known := refusals()
	switch {
	case w.Refusal == 0:
		return JoinReply{Descriptor: w.Descriptor, Certificate: w.Certificate}, nil
	case w.Refusal < uint64(len(known)) && errors.Is(known[w.Refusal], ErrDenied):
		if validateLine("reason", w.Reason) != nil {
			w.Reason = ""
		}
		return JoinReply{}, &DeniedError{Reason: w.Reason}
	case w.Refusal < uint64(len(known)):
		return JoinReply{}, known[w.Refusal]
	default:
		return JoinReply{}, fmt.Errorf("the group's authority refused for a reason (%d) that this version doesn't know: update this node", w.Refusal)
	}
}
