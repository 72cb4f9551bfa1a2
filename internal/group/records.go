package group

import (
	"fmt"
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
	UsedBy  MemberID  `cbor:"3,keyasint"` // zero: nobody yet
	UsedAt  time.Time `cbor:"4,keyasint"`
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

// loadDescriptor returns the stored descriptor; nil where there is none.
func loadDescriptor(tx *store.Tx, group ID) (SignedDescriptor, *Descriptor, error) {
	raw, ok, err := descriptors().Get(tx, group[:])
	if err != nil || !ok {
		return nil, nil, err
	}
	d, err := ParseDescriptor(raw)
	if err != nil {
		return nil, nil, fmt.Errorf("group %s in the state file: %w", group.Short(), err)
	}
	return raw, d, nil
}

// mergeDescriptor stores signed where it is newer, and returns what is stored then.
func mergeDescriptor(tx *store.Tx, signed SignedDescriptor, d *Descriptor) (SignedDescriptor, *Descriptor, error) {
	known, old, err := loadDescriptor(tx, d.Group)
	if err != nil {
		return nil, nil, err
	}
	if old != nil {
		take, err := newer(known, signed, old, d)
		if err != nil || !take {
			return known, old, err
		}
	}
	return signed, d, descriptors().Put(tx, d.Group[:], signed)
}
