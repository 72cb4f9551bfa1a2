package group

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"time"
)

// CheckCertificate verifies the certificate that from has shown: chain, key, group,
// time, and that from is in the roster and not removed. A good one is remembered, as
// long as from is a member, so that Authorized says yes until it ends. It fails with
// ErrCertificate, ErrRemoved or ErrBehind.
func (m *Membership) CheckCertificate(from MemberID, der []byte, now time.Time) error {
	d := m.Descriptor()
	if c, ok := m.certificateOf(from); ok && bytes.Equal(c.der, der) && c.good(now) {
		return d.Check(from)
	}
	cert, err := checkCertificate(d.ca, m.id, from, der, now)
	if err != nil {
		return err
	}
	if _, known := d.Entry(from); !known {
		return fmt.Errorf("node %v: %w", from, ErrBehind)
	}
	if err := d.Check(from); err != nil {
		return err
	}
	m.learn(from, certificate{der: bytes.Clone(der), notBefore: cert.NotBefore, notAfter: cert.NotAfter})
	return nil
}

// Authorized reports whether from may take part now: nil, ErrNotMember, ErrRemoved,
// or ErrNoCertificate before CheckCertificate has passed for it and after that
// certificate has ended.
func (m *Membership) Authorized(from MemberID, now time.Time) error {
	if err := m.Descriptor().Check(from); err != nil {
		return err
	}
	c, ok := m.certificateOf(from)
	switch {
	case !ok:
		return fmt.Errorf("node %v: %w", from, ErrNoCertificate)
	case !c.good(now):
		return fmt.Errorf("node %v: %w (the last one ended %s)", from, ErrNoCertificate, c.notAfter.UTC().Format(time.RFC3339))
	default:
		return nil
	}
}

func (m *Membership) certificateOf(from MemberID) (certificate, bool) {
	if from == m.self {
		return *m.own.Load(), true
	}
	m.learntMu.RLock()
	defer m.learntMu.RUnlock()
	c, ok := m.learnt[from]
	return c, ok
}

// Validity is of when to when a member's certificate is good.
type Validity struct {
	From, Until time.Time
	Renewal     time.Time // from when its owner asks for another
	Fingerprint [sha256.Size]byte
}

// ValidityOf tells of the last certificate that a member has shown since this node started, and of
// its own; known is false where it has shown none.
func (m *Membership) ValidityOf(from MemberID) (v Validity, known bool) {
	c, known := m.certificateOf(from)
	if !known {
		return v, false
	}
	return Validity{From: c.notBefore, Until: c.notAfter, Renewal: c.renewal(), Fingerprint: sha256.Sum256(c.der)}, true
}

// learn remembers c unless a longer one is known. The roster may have changed since
// the caller looked: under the lock it is looked at again, so that forgetRemoved has
// the last word.
func (m *Membership) learn(from MemberID, c certificate) {
	if from == m.self {
		return
	}
	m.learntMu.Lock()
	defer m.learntMu.Unlock()
	if old, ok := m.learnt[from]; ok && old.notAfter.After(c.notAfter) {
		return
	}
	if m.Descriptor().Check(from) == nil {
		m.learnt[from] = c
	}
}

// forgetRemoved keeps the memory as small as the roster.
func (m *Membership) forgetRemoved(d *Descriptor) {
	m.learntMu.Lock()
	defer m.learntMu.Unlock()
	maps.DeleteFunc(m.learnt, func(from MemberID, _ certificate) bool { return d.Check(from) != nil })
}
