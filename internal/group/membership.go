package group

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/store"
)

// Membership is one node's standing in one group: its certificate, the newest
// descriptor it knows, and the certificates that others have shown. It is safe for
// concurrent use; what it must not forget is in the state file.
type Membership struct {
	db   *store.DB
	key  ed25519.PrivateKey // the node's
	self MemberID
	id   ID

	known    atomic.Pointer[parsed]
	own      atomic.Pointer[certificate]
	settings atomic.Pointer[parsedSettings] // never nil

	mu      sync.Mutex // one update at a time, told in order
	subs    subscribers[*Descriptor]
	settled subscribers[*Settings]

	learntMu sync.RWMutex
	learnt   map[MemberID]certificate // of members of the present roster only
}

// certificate is one that was checked.
type certificate struct {
	der       []byte
	notBefore time.Time
	notAfter  time.Time
}

func (c certificate) good(now time.Time) bool {
	return !tolerant(now, c.notBefore).Before(c.notBefore) && !now.After(c.notAfter)
}

// renewal is when two thirds of its life are over: time to ask the authority for another.
func (c certificate) renewal() time.Time {
	return c.notBefore.Add(c.notAfter.Sub(c.notBefore) * 2 / 3)
}

// Groups lists the groups that the node is a member of, in order of ID.
func Groups(db *store.DB) ([]ID, error) {
	var ids []ID
	err := db.View(func(tx *store.Tx) (failed error) {
		for key := range memberships().Scan(tx, nil, &failed) {
			var id ID
			if err := id.UnmarshalBinary(key); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return failed
	})
	return ids, err
}

// OpenMembership opens the membership that SaveJoin or CreateGroup stored. It fails
// with ErrNoMembership, or ErrOtherNode where the key isn't the one that joined. An
// expired certificate and a removal are no errors here: see Authorized(Self()).
func OpenMembership(db *store.DB, key ed25519.PrivateKey, id ID) (*Membership, error) {
	m := &Membership{db: db, key: key, self: MemberOf(publicKey(key)), id: id, learnt: make(map[MemberID]certificate)}
	err := db.View(func(tx *store.Tx) error {
		record, ok, err := memberships().Get(tx, id[:])
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrNoMembership
		case record.Self != m.self:
			return ErrOtherNode
		}
		known, ok, err := loadDescriptor(tx, id)
		switch {
		case err != nil:
			return err
		case !ok:
			return ErrNoMembership
		}
		cert, err := parseX509(record.Certificate)
		if err != nil {
			return fmt.Errorf("the certificate in the state file: %w", err)
		}
		settings, err := loadSettings(tx, known.descriptor)
		if errors.Is(err, ErrSettings) { // a newer program's, or damaged: it goes without, until a member sends some that it can use
			settings, err = parsedSettings{}, nil
		}
		if err != nil {
			return err
		}
		m.known.Store(&known)
		m.settings.Store(&settings)
		m.own.Store(&certificate{der: record.Certificate, notBefore: cert.NotBefore, notAfter: cert.NotAfter})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("group %s: %w", id.Short(), err)
	}
	return m, nil
}

// SaveJoin checks the authority's reply to an invitation, stores it, and opens the
// membership. A membership that is there already is brought up to date.
func SaveJoin(db *store.DB, key ed25519.PrivateKey, inv Invitation, reply JoinReply, now time.Time) (*Membership, error) {
	self := MemberOf(publicKey(key))
	d, err := ParseDescriptor(reply.Descriptor)
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if d.Group != inv.Group {
		return nil, fmt.Errorf("join: the authority answered for group %s, the invitation is of %s: %w", d.Group.Short(), inv.Group.Short(), ErrOtherGroup)
	}
	if err := d.Check(self); err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	if _, err := checkCertificate(d.ca, d.Group, self, reply.Certificate, now); err != nil {
		return nil, fmt.Errorf("join: %w (is this node's clock right?)", err)
	}
	err = db.Update(func(tx *store.Tx) error {
		if _, err := mergeDescriptor(tx, parsed{signed: reply.Descriptor, descriptor: d}); err != nil {
			return err
		}
		return memberships().Put(tx, d.Group[:], membershipRecord{Self: self, Certificate: reply.Certificate})
	})
	if err != nil {
		return nil, fmt.Errorf("join: %w", err)
	}
	return OpenMembership(db, key, d.Group)
}

// Forget removes a group from the state file: the membership, and the CA's key with the
// invitations where this node is the authority. What other packages keep of the group can
// go in the same transaction.
func Forget(tx *store.Tx, id ID) error {
	if err := memberships().Delete(tx, id[:]); err != nil {
		return err
	}
	if err := descriptors().Delete(tx, id[:]); err != nil {
		return err
	}
	if err := settingsBucket().Delete(tx, id[:]); err != nil {
		return err
	}
	if err := authorities().Delete(tx, id[:]); err != nil {
		return err
	}
	if err := requests(id).Clear(tx); err != nil {
		return err
	}
	return invitations(id).Clear(tx)
}

// Self returns this node's ID.
func (m *Membership) Self() MemberID { return m.self }

// Group returns the group's ID.
func (m *Membership) Group() ID { return m.id }

// Descriptor returns the newest descriptor known. It is shared: don't change it.
func (m *Membership) Descriptor() *Descriptor { return m.known.Load().descriptor }

// Signed returns the newest descriptor known in the form that others take. Don't
// change it.
func (m *Membership) Signed() SignedDescriptor { return m.known.Load().signed }

// Certificate returns this node's certificate, DER. Don't change it.
func (m *Membership) Certificate() []byte { return m.own.Load().der }

// Update takes a newer descriptor, from whomever it came: verified, it is durable
// before Update returns, and the subscribers have been told. One that is older or
// known changes nothing. ErrForked: it contradicts what is known, and is not taken.
func (m *Membership) Update(signed SignedDescriptor) (changed bool, err error) {
	if bytes.Equal(signed, m.Signed()) {
		return false, nil // what gossip brings most of the time
	}
	d, err := ParseDescriptor(signed)
	if err != nil {
		return false, err
	}
	if d.Group != m.id {
		return false, fmt.Errorf("descriptor of group %s: %w", d.Group.Short(), ErrOtherGroup)
	}
	came := parsed{signed: bytes.Clone(signed), descriptor: d}
	m.mu.Lock()
	defer m.mu.Unlock()
	if take, err := newer(*m.known.Load(), came); err != nil || !take {
		return false, err
	}
	var stored parsed
	err = m.db.Update(func(tx *store.Tx) (err error) {
		if _, ok, err := memberships().Get(tx, m.id[:]); err != nil || !ok {
			return errors.Join(ErrNoMembership, err) // it was left meanwhile
		}
		// The authority on this node may have stored it, or a later one, before.
		stored, err = mergeDescriptor(tx, came)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("update group %s to version %d: %w", m.id.Short(), d.Version, err)
	}
	m.known.Store(&stored)
	m.forgetRemoved(stored.descriptor)
	m.subs.tell(stored.descriptor)
	return true, nil
}

// Subscribe has fn called with each descriptor that Update takes from now on: one
// after the other, in order of version, on the goroutine of Update. fn must not call
// Update. cancel ends it.
func (m *Membership) Subscribe(fn func(*Descriptor)) (cancel func()) { return m.subs.add(fn) }

// RenewalDue reports whether it is time to ask the authority for another certificate.
func (m *Membership) RenewalDue(now time.Time) bool { return !now.Before(m.own.Load().renewal()) }

// Expires returns the end of this node's certificate.
func (m *Membership) Expires() time.Time { return m.own.Load().notAfter }

// Renewed takes the authority's reply to a KindRenew request: certificate and newest
// descriptor. A certificate that ends before the present one is not taken.
func (m *Membership) Renewed(reply JoinReply, now time.Time) error {
	if _, err := m.Update(reply.Descriptor); err != nil {
		return err
	}
	return m.SetCertificate(reply.Certificate, now)
}

// SetCertificate checks and stores a new certificate of this node.
func (m *Membership) SetCertificate(der []byte, now time.Time) error {
	cert, err := checkCertificate(m.Descriptor().ca, m.id, m.self, der, now)
	if err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if !cert.NotAfter.After(m.own.Load().notAfter) {
		return nil
	}
	err = m.db.Update(func(tx *store.Tx) error {
		return memberships().Put(tx, m.id[:], membershipRecord{Self: m.self, Certificate: der})
	})
	if err != nil {
		return err
	}
	m.own.Store(&certificate{der: der, notBefore: cert.NotBefore, notAfter: cert.NotAfter})
	return nil
}

// Sign signs msg with the node key, for this group and the named use; domain is a
// constant such as "registry grant".
func (m *Membership) Sign(domain string, msg []byte) Signature {
	return ed25519.Sign(m.key, signedMessage(m.id, domain, msg))
}

// Verify checks a signature that from made with Sign. Whether from is a member, tell
// CheckCertificate and Authorized.
func (m *Membership) Verify(domain string, from MemberID, msg []byte, sig Signature) error {
	return VerifySignature(m.id, domain, from, msg, sig)
}
