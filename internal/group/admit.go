package group

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"

	"landbridge/internal/store"
)

// Admit makes from, whose key the overlay has proved, a member by an invitation's
// secret, and returns its certificate with the descriptor that has it. In one
// transaction the use is counted and the descriptor's next version is stored, so that
// whatever happens no invitation admits one node too many. The same node may ask again
// with the same invitation (its reply was lost) and gets the same answer. Else it fails
// with ErrOtherGroup, ErrUnknownInvitation, ErrRevoked, ErrExpired, ErrUsed, ErrRemoved,
// ErrNameOfNode or ErrFull, and nothing has changed; or with ErrAwaitingApproval, ErrDenied or ErrCrowded
// where the invitation demands approval (request.go).
func (a *Authority) Admit(from MemberID, req JoinRequest, now time.Time) (JoinReply, error) {
	return a.admitFrom(from, "", req, now)
}

// admitFrom is Admit of a node that came from an address, which people are shown.
func (a *Authority) admitFrom(from MemberID, at string, req JoinRequest, now time.Time) (JoinReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var reply JoinReply
	var next *parsed
	err := a.db.View(func(tx *store.Tx) error { // a stranger's guess must not cost a write
		_, err := a.judge(tx, from, req, now)
		return err
	})
	switch {
	case err == nil:
		err = a.db.Update(func(tx *store.Tx) error {
			reply, next, err = a.admit(tx, from, req, now)
			return err
		})
	case errors.Is(err, ErrAwaitingApproval):
		if failed := a.note(from, at, req, now); failed != nil {
			err = failed
		}
	}
	if err != nil {
		return JoinReply{}, fmt.Errorf("admit %v: %w", from, err)
	}
	a.finish(next)
	return reply, nil
}

// judge decides whether the request is good, and returns the invitation.
func (a *Authority) judge(tx *store.Tx, from MemberID, req JoinRequest, now time.Time) (invitationRecord, error) {
	if req.Group != a.id {
		return invitationRecord{}, ErrOtherGroup
	}
	hash := hashSecret(req.Secret)
	record, ok, err := invitations(a.id).Get(tx, invitationKey(hash))
	if err != nil {
		return invitationRecord{}, err
	}
	if !ok || subtle.ConstantTimeCompare(record.Hash, hash) != 1 {
		return invitationRecord{}, ErrUnknownInvitation
	}
	d, err := a.load(tx)
	if err != nil {
		return invitationRecord{}, err
	}
	standing := d.Check(from)
	switch {
	case record.usedBy(from):
		return record, standing // ErrRemoved: one invitation, one admission of a node
	case !record.Revoked.IsZero():
		return record, ErrRevoked
	case len(record.uses()) >= record.limit():
		return record, ErrUsed
	}
	asked, verdict := false, error(nil)
	if standing != nil {
		asked, verdict = a.approval(tx, from, record, now)
	}
	switch {
	case standing != nil && NamesNode(req.Name):
		return record, ErrNameOfNode
	case asked:
		return record, verdict // in time, as it was asked then
	case now.After(record.Expires):
		return record, ErrExpired
	case standing != nil && len(d.Members) >= MaxMembers:
		return record, ErrFull
	}
	if err := validateLabel("name", req.Name); err != nil {
		return record, err
	}
	return record, verdict
}

func (a *Authority) admit(tx *store.Tx, from MemberID, req JoinRequest, now time.Time) (JoinReply, *parsed, error) {
	record, err := a.judge(tx, from, req, now)
	if err != nil {
		return JoinReply{}, nil, err
	}
	next, err := a.enroll(tx, record, from, req.Name, now)
	if err != nil {
		return JoinReply{}, nil, err
	}
	result := a.cached
	if next != nil {
		result = *next
	}
	cert, err := renew(a.key, result.descriptor, from, now)
	return JoinReply{Descriptor: result.signed, Certificate: cert}, next, err
}

// enroll counts a use of an invitation, and puts the node into the roster's next version,
// which it returns; nil for a member.
func (a *Authority) enroll(tx *store.Tx, record invitationRecord, m MemberID, name string, now time.Time) (*parsed, error) {
	if !record.usedBy(m) {
		record.Uses = append(record.Uses, Use{By: m, At: now})
		if err := invitations(a.id).Put(tx, invitationKey(record.Hash), record); err != nil {
			return nil, err
		}
	}
	if a.cached.descriptor.Check(m) == nil {
		return nil, nil
	}
	n := a.cached.descriptor.next()
	n.Members = append(n.Members, Entry{ID: m, Name: freeName(n, name), Added: n.Version})
	return a.put(tx, n)
}

// freeName returns the name, or the first of name-2, name-3… that no member has.
func freeName(d *Descriptor, name string) string {
	taken := make(map[string]bool)
	for _, e := range d.Members {
		if e.In(d.Version) {
			taken[e.Name] = true
		}
	}
	free := name
	for n := 2; taken[free]; n++ {
		suffix := "-" + strconv.Itoa(n)
		free = name[:min(len(name), MaxNameLength-len(suffix))] + suffix
	}
	return free
}

// Serve answers an encoded JoinRequest of any kind with an encoded JoinReply or
// refusal. at is the address that it came from, which people are shown of who waits for
// approval. Its error is for the log: the peer sent garbage, or this node failed.
func (a *Authority) Serve(from MemberID, at string, request []byte, now time.Time) ([]byte, error) {
	req, err := ParseJoinRequest(request)
	if err != nil {
		return nil, err
	}
	var reply JoinReply
	switch {
	case req.Kind == KindJoin:
		reply, err = a.admitFrom(from, at, req, now)
	case req.Group != a.id:
		err = ErrOtherGroup
	case req.Kind == KindLeave:
		reply.Descriptor, err = a.Dismiss(from, "", now)
	default:
		reply, err = a.standing(from, now)
	}
	if err == nil {
		return reply.Marshal()
	}
	if refusal, ok := MarshalRefusal(err); ok {
		return refusal, nil
	}
	return nil, errors.Join(err)
}
