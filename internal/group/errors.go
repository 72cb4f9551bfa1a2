package group

import (
	"errors"
	"fmt"
)

// Faults of an invitation.
var (
	ErrNotInvitation   = errors.New(`not an invitation: one begins with "lb1"; copy the whole line that "landbridge group invite" printed`)
	ErrNewerInvitation = errors.New("made by a newer landbridge: update this node and use the invitation again")
	ErrTornToken       = errors.New("the invitation is torn: part of it is missing or changed; copy it again, from the first character to the last")
	ErrExpired         = errors.New("the invitation has expired: ask the group's authority for a new one")
	ErrUsed            = errors.New("the invitation was used by as many nodes as it admits: ask the group's authority for a new one")
	ErrRevoked         = errors.New("the invitation was revoked by the group's authority: ask there for a new one")
	// ErrAwaitingApproval is no refusal yet: ask again.
	ErrAwaitingApproval  = errors.New("the invitation demands approval, and at the group's authority nobody has decided yet")
	ErrDenied            = errors.New("at the group's authority it was decided not to admit this appliance")
	ErrCrowded           = errors.New("too many appliances wait for approval at the group's authority: have some decided on there")
	ErrNameOfNode        = errors.New("the name has the form of a fingerprint or member ID, which would let one node pass for another: give the appliance another name, and join again")
	ErrNoRequest         = errors.New("it doesn't wait for approval: it was decided on, or has asked no more for a day")
	ErrUnknownInvitation = errors.New("the group's authority doesn't know this invitation: it was withdrawn, or expired long ago; ask for a new one")
	ErrOtherGroup        = errors.New("of another group: use the invitation at the group that made it")
)

// Faults of a member's standing.
var (
	ErrNotMember     = errors.New("not a member of the group: join with an invitation first")
	ErrRemoved       = errors.New("removed from the group: ask the group's authority for a new invitation")
	ErrNoCertificate = errors.New("has shown no certificate that is valid now")
	// ErrBehind: the CA has certified the node, so it is the roster here that is too
	// old. Fetch the group's newest descriptor and check again. It is also an
	// ErrNotMember.
	ErrBehind      = fmt.Errorf("certified, but not in the roster known here, which must be older: fetch the newest descriptor (%w)", ErrNotMember)
	ErrCertificate = errors.New("bad certificate")
	ErrSignature   = errors.New("the signature doesn't match")
)

// Faults of a descriptor.
var (
	ErrDescriptor = errors.New("bad group descriptor")
	// ErrForked: two descriptors that the CA signed contradict each other, which
	// happens when the authority's state was set back to an old copy.
	ErrForked = errors.New("the group's authority has signed two histories of the group: its state was restored from an old backup; don't admit or remove anybody there before it has fetched the newest descriptor")
	ErrFull   = fmt.Errorf("the group is full: %d members have been admitted over its life; create a new group", MaxMembers)
)

// Faults of the state.
var (
	ErrNotAuthority  = errors.New("this appliance doesn't keep the group's CA key, so it can't invite or remove members: the one that created the group can")
	ErrNoMembership  = errors.New("this node isn't a member of the group: join with an invitation first")
	ErrOtherNode     = errors.New("the membership belongs to another node key: restore that key beside it, or join again")
	ErrLastAuthority = errors.New("the group's authority can't be removed: nobody could admit or remove members any more")
)
