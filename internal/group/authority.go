package group

import (
	"crypto/ed25519"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"time"

	"landbridge/internal/store"
)

// Authority is the group's creator at work: it holds the CA's key. It is safe for
// concurrent use. All it decides is durable before it is told.
//
// A descriptor that it signs reaches the node's own Membership, and everybody else,
// by the caller: Subscribe, and hand it to Membership.Update and to the overlay.
type Authority struct {
	db  *store.DB
	id  ID
	key ed25519.PrivateKey // the CA's

	mu     sync.Mutex // one change of the group at a time, told in order
	cached parsed     // what load found last, to save verifying it again
	subs   subscribers[SignedDescriptor]
	asks   subscribers[struct{}] // who want to hear of requests

	changed subscribers[SignedSettings]
}

// CreateGroup makes a group whose authority and first member is the node with this
// key. It stores the CA's key in db, which is the only copy: back it up.
func CreateGroup(db *store.DB, key ed25519.PrivateKey, nodeName string, p Params, now time.Time) (*Authority, *Membership, error) {
	p = p.WithDefaults()
	if err := errors.Join(p.Validate(), validateLabel("node name", nodeName)); err != nil {
		return nil, nil, err
	}
	_, caKey, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	self := MemberOf(publicKey(key))
	d := &Descriptor{
		Group: IDOf(publicKey(caKey)), Version: 1, Params: p, Authority: self,
		Members: []Entry{{ID: self, Name: nodeName, Added: 1}},
	}
	if d.CA, err = makeCA(caKey, p.Name, now); err != nil {
		return nil, nil, err
	}
	reply, err := certify(caKey, d, self, now)
	if err != nil {
		return nil, nil, err
	}
	err = db.Update(func(tx *store.Tx) error {
		if err := authorities().Put(tx, d.Group[:], authorityRecord{Seed: caKey.Seed()}); err != nil {
			return err
		}
		if err := descriptors().Put(tx, d.Group[:], reply.Descriptor); err != nil {
			return err
		}
		return memberships().Put(tx, d.Group[:], membershipRecord{Self: self, Certificate: reply.Certificate})
	})
	if err != nil {
		return nil, nil, fmt.Errorf("create group %s: %w", p.Name, err)
	}
	m, err := OpenMembership(db, key, d.Group)
	if err != nil {
		return nil, nil, err
	}
	return &Authority{db: db, id: d.Group, key: caKey}, m, nil
}

// certify signs d and certifies one of its members.
func certify(key ed25519.PrivateKey, d *Descriptor, m MemberID, now time.Time) (JoinReply, error) {
	signed, err := d.sign(key)
	if err != nil {
		return JoinReply{}, err
	}
	d, err = ParseDescriptor(signed) // what others would refuse must not leave here
	if err != nil {
		return JoinReply{}, err
	}
	cert, err := renew(key, d, m, now)
	return JoinReply{Descriptor: signed, Certificate: cert}, err
}

// renew certifies a present member of d, which ParseDescriptor made.
func renew(key ed25519.PrivateKey, d *Descriptor, m MemberID, now time.Time) ([]byte, error) {
	if err := d.Check(m); err != nil {
		return nil, err
	}
	entry, _ := d.Entry(m)
	return issue(key, d.ca, entry, now)
}

// OpenAuthority opens the authority of a group that was created in db, else
// ErrNotAuthority.
func OpenAuthority(db *store.DB, id ID) (*Authority, error) {
	a := &Authority{db: db, id: id}
	err := db.View(func(tx *store.Tx) error {
		record, ok, err := authorities().Get(tx, id[:])
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrNotAuthority
		case len(record.Seed) != ed25519.SeedSize:
			return errors.New("the CA key in the state file is damaged: nobody can be admitted any more; create a new group")
		}
		a.key = ed25519.NewKeyFromSeed(record.Seed)
		_, err = a.load(tx)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", id.Short(), err)
	}
	return a, nil
}

// Group returns the group's ID.
func (a *Authority) Group() ID { return a.id }

// Subscribe has fn called with each descriptor that the authority signs from now on:
// in order, after it is durable, on the goroutine of Admit or Remove. fn must not call
// the Authority. cancel ends it.
func (a *Authority) Subscribe(fn func(SignedDescriptor)) (cancel func()) { return a.subs.add(fn) }

// load returns the stored descriptor, which Membership.Update may have replaced. The
// caller holds mu, or has the Authority for itself.
func (a *Authority) load(tx *store.Tx) (*Descriptor, error) {
	raw, ok, err := descriptors().Get(tx, a.id[:])
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoMembership
	}
	if string(raw) != string(a.cached.signed) {
		d, err := ParseDescriptor(raw)
		if err != nil {
			return nil, err
		}
		a.cached = parsed{signed: raw, descriptor: d}
	}
	return a.cached.descriptor, nil
}

// Renew returns a new certificate for a present member, from whom the overlay has
// proved the request to be; else ErrNotMember or ErrRemoved.
func (a *Authority) Renew(from MemberID, now time.Time) ([]byte, error) {
	reply, err := a.standing(from, now)
	return reply.Certificate, err
}

// standing is the reply to a present member.
func (a *Authority) standing(from MemberID, now time.Time) (JoinReply, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var reply JoinReply
	err := a.db.View(func(tx *store.Tx) error {
		d, err := a.load(tx)
		if err != nil {
			return err
		}
		cert, err := renew(a.key, d, from, now)
		reply = JoinReply{Descriptor: a.cached.signed, Certificate: cert}
		return err
	})
	if err != nil {
		return JoinReply{}, fmt.Errorf("renew the certificate of %v: %w", from, err)
	}
	return reply, nil
}

// Remove ends a membership with a new version of the descriptor, which it returns.
// For a node removed before it returns the present one. The authority itself can't be
// removed (ErrLastAuthority).
func (a *Authority) Remove(m MemberID) (SignedDescriptor, error) {
	return a.Dismiss(m, "", time.Time{})
}

// Dismiss is Remove with a reason and a time, which all members are told. The reason is one
// line of at most MaxReason bytes, or empty.
func (a *Authority) Dismiss(m MemberID, reason string, now time.Time) (SignedDescriptor, error) {
	if err := validateLine("reason", reason); err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var next *parsed
	err := a.db.Update(func(tx *store.Tx) error {
		d, err := a.load(tx)
		if err != nil {
			return err
		}
		if m == d.Authority {
			return ErrLastAuthority
		}
		if err := d.Check(m); err != nil {
			if errors.Is(err, ErrRemoved) {
				return nil
			}
			return err
		}
		n := d.next()
		for i := range n.Members {
			if n.Members[i].ID == m && n.Members[i].Removed == 0 {
				n.Members[i].Removed = n.Version
				n.Members[i].Reason, n.Members[i].RemovedAt = reason, now
			}
		}
		next, err = a.put(tx, n)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("remove %v: %w", m, err)
	}
	a.finish(next)
	return a.cached.signed, nil
}

// put signs and stores the next version. It counts once the transaction is durable:
// then finish.
func (a *Authority) put(tx *store.Tx, n *Descriptor) (*parsed, error) {
	signed, err := n.sign(a.key)
	if err != nil {
		return nil, err
	}
	d, err := ParseDescriptor(signed) // what others would refuse must not leave here
	if err != nil {
		return nil, err
	}
	return &parsed{signed: signed, descriptor: d}, descriptors().Put(tx, a.id[:], signed)
}

// finish tells the subscribers. The caller holds mu.
func (a *Authority) finish(next *parsed) {
	if next != nil {
		a.cached = *next
		a.subs.tell(next.signed)
	}
}
