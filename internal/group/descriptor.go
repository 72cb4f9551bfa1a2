package group

import (
	"crypto/x509"
	"fmt"
	"slices"
	"time"

	"landbridge/internal/sorting"
)

// MaxMembers bounds the members that a group admits over its life, removed ones
// included.
const MaxMembers = 4096

// MaxRemovals is of how many removals a descriptor tells why they were made.
const MaxRemovals = 256

// Descriptor is what a group's CA says about the group: its parameters, and the
// roster of its members with the descriptor versions that admitted and removed them.
// Versions count from 1 without a gap, so that every node that knows version v can
// tell who the members were at v and before.
//
// A Descriptor is shared and must not be changed.
type Descriptor struct {
	Group   ID
	Version uint64
	Params
	Authority MemberID // who admits and removes
	CA        []byte   // the CA's certificate, DER
	Members   []Entry  // in order of admission

	derived
}

// Entry is one admission. A node that was removed and admitted again has two.
type Entry struct {
	ID      MemberID
	Name    string // one DNS label, unique among the members of a version
	Added   uint64 // the version that admitted it
	Removed uint64 // the version that removed it; 0: still a member

	// Of the last MaxRemovals removals it is known, as far as it was said, why and when.
	Reason    string    // one line, at most MaxReason bytes
	RemovedAt time.Time // whole seconds
}

// In reports whether the entry makes its node a member at version.
func (e Entry) In(version uint64) bool {
	return e.Added <= version && (e.Removed == 0 || version < e.Removed)
}

// derived is computed once by ParseDescriptor. A Descriptor made otherwise (by a
// test) works without.
type derived struct {
	ca     *x509.Certificate
	newest map[MemberID]int // index of each node's last entry
}

func (d *Descriptor) derive(ca *x509.Certificate) {
	d.derived = derived{
		ca:     ca,
		newest: make(map[MemberID]int, len(d.Members)),
	}
	for i, e := range d.Members {
		d.newest[e.ID] = i
	}
}

// Entry returns the node's last entry, and whether it ever had one.
func (d *Descriptor) Entry(m MemberID) (Entry, bool) {
	if d.newest != nil {
		i, ok := d.newest[m]
		if !ok {
			return Entry{}, false
		}
		return d.Members[i], true
	}
	for _, e := range slices.Backward(d.Members) {
		if e.ID == m {
			return e, true
		}
	}
	return Entry{}, false
}

// Check returns nil for a present member, ErrRemoved, or ErrNotMember.
func (d *Descriptor) Check(m MemberID) error {
	switch e, ok := d.Entry(m); {
	case !ok:
		return fmt.Errorf("node %v: %w", m, ErrNotMember)
	case !e.In(d.Version):
		return fmt.Errorf("node %v: %w", m, ErrRemoved)
	default:
		return nil
	}
}

// Current returns the present members, sorted.
func (d *Descriptor) Current() []MemberID { return d.MembersAt(d.Version) }

// MembersAt returns who was a member at version, sorted; nil for a version that this
// descriptor doesn't reach, or 0.
func (d *Descriptor) MembersAt(version uint64) []MemberID {
	if version > d.Version {
		return nil
	}
	var members []MemberID
	for _, e := range d.Members {
		if e.In(version) {
			members = append(members, e.ID)
		}
	}
	sorting.By(members, MemberID.Compare)
	return members
}
