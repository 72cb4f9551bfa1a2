package group

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// An invitation may demand approval: who uses it becomes a Request, and a member only once
// somebody has said yes at the authority. The newcomer asks again and again until then.

const (
	// MaxRequests bounds the requests that wait at one time, and half of it those by one
	// invitation, so that one that leaked leaves room for others.
	MaxRequests = 64
	// MaxReason bounds what a person gives as a reason, in bytes.
	MaxReason = MaxNote
	// RequestSilence is after how long a request is forgotten whose node asks no more.
	RequestSilence = 24 * time.Hour

	maxDenied   = 64                  // requests that are remembered as denied
	keepDenied  = 30 * 24 * time.Hour // for so long
	maxFrom     = 64                  // bytes
	seenAtLeast = time.Minute         // between two writes of when a node asked last
)

// Request is a node that waits for approval.
type Request struct {
	Member     MemberID
	Name       string // that it would like
	From       string // the address that it came from first, for people
	At, Seen   time.Time
	Invitation InvitationID
	Note       string // of the invitation
}

// DeniedError is ErrDenied with the reason that was given, if any.
type DeniedError struct{ Reason string }

func (e *DeniedError) Error() string {
	if e.Reason == "" {
		return ErrDenied.Error()
	}
	return fmt.Sprintf("%v; the reason given: %s", ErrDenied, e.Reason)
}

// Unwrap returns ErrDenied.
func (e *DeniedError) Unwrap() error { return ErrDenied }

// requestRecord is a request; one at most of each node.
type requestRecord struct {
	Invitation []byte    `cbor:"1,keyasint"`
	Name       string    `cbor:"2,keyasint"`
	From       string    `cbor:"3,keyasint,omitempty"`
	At         time.Time `cbor:"4,keyasint"`
	Seen       time.Time `cbor:"5,keyasint"`
	Denied     time.Time `cbor:"6,keyasint,omitzero"`
	Reason     string    `cbor:"7,keyasint,omitempty"` // of the denial
}

func requests(group ID) store.Bucket[requestRecord] {
	return store.NewBucket[requestRecord]("group", "requests", group.String())
}

// waits reports whether somebody may still decide.
func (r requestRecord) waits(now time.Time) bool {
	return r.Denied.IsZero() && now.Sub(r.Seen) <= RequestSilence
}

// approval says what stands between a good use of an invitation and the admission: nil,
// ErrAwaitingApproval, a DeniedError or ErrCrowded. asked is the node's request, if any.
func (a *Authority) approval(tx *store.Tx, from MemberID, inv invitationRecord, now time.Time) (asked bool, err error) {
	key := invitationKey(inv.Hash)
	own, ok, err := requests(a.id).Get(tx, from[:])
	switch {
	case err != nil:
		return false, err
	case ok && slices.Equal(own.Invitation, key) && !own.Denied.IsZero():
		return true, &DeniedError{Reason: own.Reason}
	case ok && slices.Equal(own.Invitation, key) && own.waits(now):
		return true, ErrAwaitingApproval
	case !inv.Approval:
		return false, nil
	}
	all, same := 0, 0
	for other, r := range requests(a.id).Scan(tx, nil, &err) {
		if r.waits(now) && !slices.Equal(other, from[:]) {
			all++
			if slices.Equal(r.Invitation, key) {
				same++
			}
		}
	}
	switch {
	case err != nil:
		return false, err
	case all >= MaxRequests || same >= MaxRequests/2:
		return false, ErrCrowded
	}
	return false, ErrAwaitingApproval
}

// note remembers that a node waits for approval, and now and then that it still does. The
// caller holds mu.
func (a *Authority) note(from MemberID, at string, req JoinRequest, now time.Time) error {
	known, changed := requestRecord{}, false
	err := a.db.View(func(tx *store.Tx) (err error) {
		known, _, err = requests(a.id).Get(tx, from[:])
		return err
	})
	sameInvitation := slices.Equal(known.Invitation, invitationKey(hashSecret(req.Secret)))
	if err != nil || sameInvitation && known.waits(now) && now.Sub(known.Seen) < seenAtLeast {
		return err
	}
	err = a.db.Update(func(tx *store.Tx) error {
		inv, err := a.judge(tx, from, req, now)
		if !errors.Is(err, ErrAwaitingApproval) {
			return nil // decided meanwhile: the node will ask again
		}
		r := known
		if changed = !sameInvitation || !known.waits(now); changed {
			if err := a.forgetRequests(tx, now); err != nil {
				return err
			}
			r = requestRecord{Invitation: invitationKey(inv.Hash), Name: req.Name, From: at[:min(len(at), maxFrom)], At: now}
		}
		r.Seen = now
		return requests(a.id).Put(tx, from[:], r)
	})
	if err == nil && changed {
		a.asks.tell(struct{}{})
	}
	return err
}

// forgetRequests makes room: requests whose nodes ask no more go, and the oldest denials.
func (a *Authority) forgetRequests(tx *store.Tx, now time.Time) error {
	type denial struct {
		key []byte
		at  time.Time
	}
	var denied []denial
	var failed error
	var gone [][]byte
	for key, r := range requests(a.id).Scan(tx, nil, &failed) {
		switch {
		case r.waits(now):
		case !r.Denied.IsZero() && now.Sub(r.Denied) <= keepDenied:
			denied = append(denied, denial{slices.Clone(key), r.Denied})
		default:
			gone = append(gone, slices.Clone(key))
		}
	}
	sorting.By(denied, func(x, y denial) int { return y.at.Compare(x.at) })
	for _, d := range denied[min(len(denied), maxDenied-1):] {
		gone = append(gone, d.key)
	}
	for _, key := range gone {
		failed = errors.Join(failed, requests(a.id).Delete(tx, key))
	}
	return failed
}

// Requests lists the nodes that wait for approval, the first first.
func (a *Authority) Requests(now time.Time) (all []Request, err error) {
	err = a.db.View(func(tx *store.Tx) (failed error) {
		for key, r := range requests(a.id).Scan(tx, nil, &failed) {
			if !r.waits(now) || len(key) != len(MemberID{}) {
				continue
			}
			q := Request{Member: MemberID(key), Name: r.Name, From: r.From, At: r.At, Seen: r.Seen}
			copy(q.Invitation[:], r.Invitation)
			inv, _, err := invitations(a.id).Get(tx, r.Invitation)
			if err != nil {
				return err
			}
			q.Note = inv.Note
			all = append(all, q)
		}
		return failed
	})
	if err != nil {
		return nil, fmt.Errorf("requests to join group %s: %w", a.id.Short(), err)
	}
	sorting.By(all, func(x, y Request) int { return x.At.Compare(y.At) })
	return all, nil
}

// WatchRequests has fn called when a request is made or decided, on the goroutine that did
// it. fn must not call what changes the Authority. cancel ends it.
func (a *Authority) WatchRequests(fn func()) (cancel func()) {
	return a.asks.add(func(struct{}) { fn() })
}

// Approve makes a node that waits a member: in one transaction a use of its invitation is
// counted, the request ends, and the roster's next version is stored. The node gets its
// certificate when it asks again. It fails with ErrNoRequest, or as Admit does, and nothing
// has changed then.
func (a *Authority) Approve(m MemberID, now time.Time) (Entry, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var next *parsed
	err := a.db.Update(func(tx *store.Tx) error {
		request, err := a.waiting(tx, m, now)
		if err != nil {
			return err
		}
		record, ok, err := invitations(a.id).Get(tx, request.Invitation)
		if err != nil {
			return err
		}
		d, err := a.load(tx)
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrUnknownInvitation
		case !record.Revoked.IsZero():
			return ErrRevoked
		case len(record.uses()) >= record.limit() && !record.usedBy(m):
			return ErrUsed
		case d.Check(m) != nil && len(d.Members) >= MaxMembers:
			return ErrFull
		}
		if next, err = a.enroll(tx, record, m, request.Name, now); err != nil {
			return err
		}
		if len(record.uses())+1 >= record.limit() {
			return a.dropRequests(tx, request.Invitation) // this one, and who waits in vain
		}
		return requests(a.id).Delete(tx, m[:])
	})
	if err != nil {
		return Entry{}, fmt.Errorf("approve %v: %w", m, err)
	}
	a.finish(next)
	a.asks.tell(struct{}{})
	e, _ := a.cached.descriptor.Entry(m)
	return e, nil
}

// Deny refuses a node that waits, which is told the reason. It stays refused with the same
// invitation. It fails with ErrNoRequest.
func (a *Authority) Deny(m MemberID, reason string, now time.Time) error {
	if err := validateLine("reason", reason); err != nil {
		return err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	err := a.db.Update(func(tx *store.Tx) error {
		r, err := a.waiting(tx, m, now)
		if err != nil {
			return err
		}
		r.Denied, r.Reason = now, reason
		return requests(a.id).Put(tx, m[:], r)
	})
	if err != nil {
		return fmt.Errorf("deny %v: %w", m, err)
	}
	a.asks.tell(struct{}{})
	return nil
}

// waiting returns the request of a node that waits, else ErrNoRequest.
func (a *Authority) waiting(tx *store.Tx, m MemberID, now time.Time) (requestRecord, error) {
	r, ok, err := requests(a.id).Get(tx, m[:])
	if err == nil && (!ok || !r.waits(now)) {
		err = ErrNoRequest
	}
	return r, err
}

// dropRequests ends the requests that wait by an invitation.
func (a *Authority) dropRequests(tx *store.Tx, invitation []byte) error {
	var failed error
	var gone [][]byte
	for key, r := range requests(a.id).Scan(tx, nil, &failed) {
		if slices.Equal(r.Invitation, invitation) && r.Denied.IsZero() {
			gone = append(gone, slices.Clone(key))
		}
	}
	for _, key := range gone {
		failed = errors.Join(failed, requests(a.id).Delete(tx, key))
	}
	return failed
}
