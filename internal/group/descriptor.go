package group

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"fmt"
	"slices"
)

// MaxMembers bounds the members that a group admits over its life, removed ones
// included.
const MaxMembers = 4096

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
	places [][sha256.Size]byte
}

func (d *Descriptor) derive(ca *x509.Certificate) {
	d.derived = derived{
		ca:     ca,
		newest: make(map[MemberID]int, len(d.Members)),
		places: make([][sha256.Size]byte, len(d.Members)),
	}
	for i, e := range d.Members {
		d.newest[e.ID] = i
		d.places[i] = place(e.ID)
	}
}

// place is where a member stands among the keys.
func place(m MemberID) [sha256.Size]byte { return sha256.Sum256(m[:]) }

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
	slices.SortFunc(members, MemberID.Compare)
	return members
}

// Replicas returns the r members of version whose SHA-256(ID) is closest to key by
// XOR, closest first; all of them where there are fewer; nil for a version that this
// descriptor doesn't reach, or 0. Every node with that version gets the same answer.
func (d *Descriptor) Replicas(version uint64, key [32]byte, r int) []MemberID {
	if version > d.Version || r <= 0 {
		return nil
	}
	type candidate struct {
		distance [sha256.Size]byte
		id       MemberID
	}
	best := make([]candidate, 0, min(r, len(d.Members))+1)
	for i, e := range d.Members {
		if !e.In(version) {
			continue
		}
		c := candidate{distance: d.distance(i, key), id: e.ID}
		if len(best) == r && bytes.Compare(c.distance[:], best[r-1].distance[:]) >= 0 {
			continue
		}
		at, _ := slices.BinarySearchFunc(best, c, func(a, b candidate) int {
			return bytes.Compare(a.distance[:], b.distance[:])
		})
		best = slices.Insert(best, at, c)
		best = best[:min(len(best), r)]
	}
	replicas := make([]MemberID, len(best))
	for i, c := range best {
		replicas[i] = c.id
	}
	return replicas
}

func (d *Descriptor) distance(entry int, key [32]byte) [sha256.Size]byte {
	var at [sha256.Size]byte
	if d.places != nil {
		at = d.places[entry]
	} else {
		at = place(d.Members[entry].ID)
	}
	for i := range at {
		at[i] ^= key[i]
	}
	return at
}
