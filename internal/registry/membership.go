package registry

import (
	"sync"
	"time"

	"landbridge/internal/group"
)

// membership is the standing that a group.Membership gives.
type membership struct {
	*group.Membership
	mu      sync.Mutex
	of      *group.Descriptor // what present was made from
	with    *group.Settings
	present *terms
}

func (m *membership) self() group.MemberID { return m.Self() }

func (m *membership) nameOf(of group.MemberID) string {
	e, _ := m.Descriptor().Entry(of)
	return e.Name
}

func (m *membership) terms() (*terms, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	d, s := m.Descriptor(), m.Settings()
	if m.of == d && m.with == s {
		return m.present, nil
	}
	if m.of == d { // the roster, with what it remembers, stays
		m.present, m.with = m.present.under(s), s
		return m.present, nil
	}
	raw := m.Signed()
	entries := make([]rosterEntry, len(d.Members))
	for i, e := range d.Members {
		entries[i] = rosterEntry{id: e.ID, added: e.Added, removed: e.Removed}
	}
	t, err := newTerms(newRoster(d.Group, d.Version, entries), d.Prefix, d.BlockBits, d.LeaseTime, d.HoldTime, raw)
	if err != nil {
		return nil, err
	}
	m.of, m.with, m.present = d, s, t.under(s)
	return m.present, nil
}

// under returns the terms with other settings.
func (t *terms) under(s *group.Settings) *terms {
	next := *t
	next.settings, next.pool = s, newPool(t.geometry, s)
	next.leaseTime = t.boundTime
	if s != nil && s.LeaseTime != 0 {
		next.leaseTime = s.LeaseTime
	}
	return &next
}

func (m *membership) learn(descriptor []byte) error {
	_, err := m.Update(descriptor)
	return err
}

func (m *membership) onChange(f func()) (cancel func()) {
	return m.Subscribe(func(*group.Descriptor) { f() })
}

func (m *membership) certificate() []byte { return m.Certificate() }

func (m *membership) checkCertificate(of group.MemberID, der []byte, now time.Time) error {
	if of == m.Self() {
		return m.Descriptor().Check(of)
	}
	return m.CheckCertificate(of, der, now)
}

func (m *membership) authorized(from group.MemberID, now time.Time) error {
	return m.Authorized(from, now)
}

func (m *membership) sign(domain string, msg []byte) []byte { return m.Sign(domain, msg) }

func (m *membership) verify(domain string, from group.MemberID, msg, sig []byte) error {
	return m.Verify(domain, from, msg, sig)
}
