package group

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"strconv"
	"time"

	"landbridge/internal/store"
)

const (
	// maxInvitations bounds the invitations that an authority remembers.
	maxInvitations = 1024
	// rememberInvitation is how long after its end an invitation is remembered.
	rememberInvitation = 30 * 24 * time.Hour
)

// hashSecret is what the authority keeps of a secret; its first bytes are the key.
func hashSecret(s Secret) []byte {
	sum := sha256.Sum256(append([]byte("landbridge secret 1\x00"), s[:]...))
	return sum[:]
}

func invitationKey(hash []byte) []byte { return hash[:8] }

// Invite makes an invitation that admits one node within ttl, and returns its token.
// addrs are multiaddrs with /p2p/ID, at most MaxInvitationAddrs, of this node first;
// without any, the newcomer must find a member on its own LAN. The token is stored
// nowhere.
func (a *Authority) Invite(ttl time.Duration, addrs []string, now time.Time) (string, error) {
	if ttl < MinInvitationLife || ttl > MaxInvitationLife {
		return "", fmt.Errorf("invitation: a life of %v; must be %v to %v", ttl, MinInvitationLife, MaxInvitationLife)
	}
	inv := Invitation{Group: a.id, Addrs: addrs, Expires: now.Add(ttl).Truncate(time.Second)}
	if _, err := rand.Read(inv.Secret[:]); err != nil {
		return "", err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var token string
	err := a.db.Update(func(tx *store.Tx) error {
		d, err := a.load(tx)
		if err != nil {
			return err
		}
		inv.Authority = d.Authority
		if token, err = inv.Token(); err != nil {
			return err
		}
		if err := forgetInvitations(tx, a.id, now); err != nil {
			return err
		}
		hash := hashSecret(inv.Secret)
		return invitations(a.id).Put(tx, invitationKey(hash), invitationRecord{Hash: hash, Expires: inv.Expires})
	})
	if err != nil {
		return "", fmt.Errorf("invite to group %s: %w", a.id.Short(), err)
	}
	return token, nil
}

// forgetInvitations makes room: those long over go, and where that isn't enough, all
// that are over.
func forgetInvitations(tx *store.Tx, group ID, now time.Time) error {
	bucket := invitations(group)
	for _, keep := range []time.Duration{rememberInvitation, 0} {
		var failed error
		left := 0
		for key, record := range bucket.Scan(tx, nil, &failed) {
			if now.Sub(record.Expires) <= keep {
				left++
			} else if err := bucket.Delete(tx, key); err != nil {
				return err
			}
		}
		if failed != nil || left < maxInvitations {
			return failed
		}
	}
	return fmt.Errorf("%d invitations are open: wait until one expires", maxInvitations)
}

// Admit makes from, whose key the overlay has proved, a member by an invitation's
// secret, and returns its certificate with the descriptor that has it. In one
// transaction the invitation becomes used and the descriptor's next version is
// stored. The same node may ask again with the same invitation (its reply was lost)
// and gets the same answer. Else it fails with ErrOtherGroup, ErrUnknownInvitation,
// ErrExpired, ErrUsed, ErrRemoved or ErrFull, and nothing has changed.
func (a *Authority) Admit(from MemberID, req JoinRequest, now time.Time) (JoinReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var reply JoinReply
	var next *parsed
	err := a.db.View(func(tx *store.Tx) error { // a stranger's guess must not cost a write
		_, err := a.judge(tx, from, req, now)
		return err
	})
	if err == nil {
		err = a.db.Update(func(tx *store.Tx) error {
			reply, next, err = a.admit(tx, from, req, now)
			return err
		})
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
	case record.UsedBy == from:
		return record, standing // ErrRemoved: one invitation, one admission
	case !record.UsedBy.IsZero():
		return record, ErrUsed
	case now.After(record.Expires):
		return record, ErrExpired
	case standing != nil && len(d.Members) >= MaxMembers:
		return record, ErrFull
	default:
		return record, validateLabel("name", req.Name)
	}
}

func (a *Authority) admit(tx *store.Tx, from MemberID, req JoinRequest, now time.Time) (JoinReply, *parsed, error) {
	record, err := a.judge(tx, from, req, now)
	if err != nil {
		return JoinReply{}, nil, err
	}
	if record.UsedBy.IsZero() {
		record.UsedBy, record.UsedAt = from, now
		if err := invitations(a.id).Put(tx, invitationKey(record.Hash), record); err != nil {
			return JoinReply{}, nil, err
		}
	}
	var next *parsed
	result := a.cached
	if a.cached.descriptor.Check(from) != nil {
		n := a.cached.descriptor.next()
		n.Members = append(n.Members, Entry{ID: from, Name: freeName(n, req.Name), Added: n.Version})
		if next, err = a.put(tx, n); err != nil {
			return JoinReply{}, nil, err
		}
		result = *next
	}
	cert, err := renew(a.key, result.descriptor, from, now)
	return JoinReply{Descriptor: result.signed, Certificate: cert}, next, err
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
// refusal. Its error is for the log: the peer sent garbage, or this node failed.
func (a *Authority) Serve(from MemberID, request []byte, now time.Time) ([]byte, error) {
	req, err := ParseJoinRequest(request)
	if err != nil {
		return nil, err
	}
	var reply JoinReply
	switch {
	case req.Kind == KindJoin:
		reply, err = a.Admit(from, req, now)
	case req.Group != a.id:
		err = ErrOtherGroup
	case req.Kind == KindLeave:
		reply.Descriptor, err = a.Remove(from)
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
