package registry

import (
	"net/netip"
	"time"

	"landbridge/internal/group"
)

// terms is what the registry needs to know of a descriptor and of the group's settings; immutable.
type terms struct {
	*roster
	geometry
	leaseTime, holdTime time.Duration
	// boundTime is the lease time of the descriptor, on which all members agree at each moment, as they
	// may not on leaseTime while it changes: no lease outlasts the hold in which it is made by more.
	boundTime time.Duration
	settings  *group.Settings // nil: none
	pool      pool
	raw       []byte // the signed descriptor, for those who are behind
}

// lapse is how long a silent holder is safe from heirs.
func (t *terms) lapse() time.Duration { return lapseAfter(t.holdTime, t.boundTime) }

// leaseWithin is how long a lease may last that rests on the word of from: shorter than leaseTime
// where heirs could have the address before, or a later holder.
func (t *terms) leaseWithin(now, from Instant) time.Duration {
	most, known := now.since(from)
	left := t.holdTime - most
	if !known {
		left = 0
	}
	return min(t.leaseTime, max(0, left)+t.boundTime)
}

// leaseGrace is how long an address stays with its client beyond the end of the
// lease by our clock, for clocks that drift and answers that take time: 5 %.
func leaseGrace(lease time.Duration) time.Duration { return lease / 20 }

// standing is this node's place in the group: group.Membership, or a test's own.
type standing interface {
	self() group.MemberID
	nameOf(m group.MemberID) string  // the newest descriptor's; "" where it knows none
	terms() (*terms, error)          // of the newest descriptor and settings; the same pointer while they don't change
	learn(descriptor []byte) error   // a newer descriptor becomes the newest, durably, before it returns
	onChange(func()) (cancel func()) // called after the newest descriptor has changed
	certificate() []byte
	checkCertificate(of group.MemberID, der []byte, now time.Time) error
	authorized(from group.MemberID, now time.Time) error
	sign(domain string, msg []byte) []byte
	verify(domain string, from group.MemberID, msg, sig []byte) error
}

func newTerms(r *roster, prefix netip.Prefix, blockBits int, leaseTime, holdTime time.Duration, raw []byte) (*terms, error) {
	g, err := newGeometry(prefix, blockBits)
	if err != nil {
		return nil, err
	}
	return &terms{roster: r, geometry: g, leaseTime: leaseTime, boundTime: leaseTime, holdTime: holdTime, raw: raw, pool: wholePool(g)}, nil
}
