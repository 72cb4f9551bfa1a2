package group

import (
	"fmt"
	"slices"
	"time"

	"landbridge/internal/store"
)

// What this package keeps in the state file.

// membershipRecord is a node's standing in a group.
type membershipRecord struct {
	Self        MemberID `cbor:"1,keyasint"`
	Certificate []byte   `cbor:"2,keyasint"`
}

// authorityRecord is kept by the group's creator alone.
type authorityRecord struct {
	Seed []byte `cbor:"1,keyasint"` // of the CA's Ed25519 key, 32 bytes
}

// invitationRecord outlives the invitation for a while, so that a late user hears what
// is wrong with it.
type invitationRecord struct {
	Hash    []byte    `cbor:"1,keyasint"` // SHA-256 of the secret
	Expires time.Time `cbor:"2,keyasint"`
	UsedBy  MemberID  `cbor:"3,keyasint"` // of a version that knew one use alone; zero: none of those
	UsedAt  time.Time `cbor:"4,keyasint"`
	Uses    []Use     `cbor:"5,keyasint,omitempty"`
	Limit   int       `cbor:"6,keyasint,omitempty"` // 0 is 1
	Made    time.Time `cbor:"7,keyasint,omitzero"`
	Note    string    `cbor:"8,keyasint,omitempty"`
	Revoked time.Time `cbor:"9,keyasint,omitzero"`

	Approval bool `cbor:"10,keyasint,omitempty"` // who uses it waits for a person's yes
}

func (r invitationRecord) limit() int { return max(1, r.Limit) }

// uses are the nodes that the invitation has admitted, in order.
func (r invitationRecord) uses() []Use {
	if r.UsedBy.IsZero() {
		return r.Uses
	}
	return append([]Use{{By: r.UsedBy, At: r.UsedAt}}, r.Uses...)
}

func (r invitationRecord) usedBy(m MemberID) bool {
	return slices.ContainsFunc(r.uses(), func(u Use) bool { return u.By == m })
}

func (r invitationRecord) issued() Issued {
	i := Issued{Made: r.Made, Expires: r.Expires, Limit: r.limit(), Uses: r.uses(), Note: r.Note, Revoked: r.Revoked, Approval: r.Approval}
	copy(i.ID[:], r.Hash)
	return i
}

func memberships() store.Bucket[membershipRecord] {
	return store.NewBucket[membershipRecord]("group", "memberships")
}

// descriptors holds the newest descriptor known of each group, one for the authority
// and the membership of one node.
func descriptors() store.Bucket[[]byte] { return store.NewBucket[[]byte]("group", "descriptors") }

func authorities() store.Bucket[authorityRecord] {
	return store.NewBucket[authorityRecord]("group", "authorities")
}

func invitations(group ID) store.Bucket[invitationRecord] {
	return store.NewBucket[invitationRecord]("group", "invitations", group.String())
}

// loadDescriptor returns the stored descriptor, and whether there is one.
func loadDescriptor(tx *store.Tx, group ID) (parsed, bool, error) {
	raw, ok, err := descriptors().Get(tx, group[:])
	if err != nil || !ok {
		return parsed{}, false, err
	}
	d, err := ParseDescriptor(raw)
	if err != nil {
		return parsed{}, false, fmt.Errorf("group %s in the state file: %w", group.Short(), err)
	}
	return parsed{signed: raw, descriptor: d}, true, nil
}

// mergeDescriptor stores the descriptor that came where it is newer, and returns what
// is stored then.
func mergeDescriptor(tx *store.Tx, came parsed) (parsed, error) {
	group := came.descriptor.Group
	known, ok, err := loadDescriptor(tx, group)
	if err != nil {
		return parsed{}, err
	}
	if ok {
		if take, err := newer(known, came); err != nil || !take {
			return known, err
		}
	}
	return came, descriptors().Put(tx, group[:], came.signed)
}
