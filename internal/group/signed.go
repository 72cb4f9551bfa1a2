package group

import (
	"bytes"
	"cmp"
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"landbridge/internal/sorting"
)

// parsed is a descriptor in both forms.
type parsed struct {
	signed     SignedDescriptor
	descriptor *Descriptor
}

// SignedDescriptor is a descriptor as it travels: see "Descriptor" in doc.go.
type SignedDescriptor []byte

// descriptorFormat is the version of the body's layout. A node that meets a later one
// can't use the group before it is updated.
const descriptorFormat = 1

type wireEnvelope struct {
	Body      []byte `cbor:"1,keyasint"`
	Signature []byte `cbor:"2,keyasint"`
}

type wireDescriptor struct {
	Format    uint64       `cbor:"0,keyasint"`
	Group     ID           `cbor:"1,keyasint"`
	Version   uint64       `cbor:"2,keyasint"`
	Name      string       `cbor:"3,keyasint"`
	Prefix    netip.Prefix `cbor:"4,keyasint"`
	Zone      string       `cbor:"5,keyasint"`
	LeaseTime uint32       `cbor:"6,keyasint"` // seconds
	HoldTime  uint32       `cbor:"7,keyasint"` // seconds
	MTU       uint16       `cbor:"8,keyasint"`
	BlockBits uint8        `cbor:"9,keyasint"`
	Authority MemberID     `cbor:"10,keyasint"`
	CA        []byte       `cbor:"11,keyasint"`
	Members   []wireEntry  `cbor:"12,keyasint"`

	Removals []wireRemoval `cbor:"13,keyasint,omitempty"` // versions before it was there ignore it
}

type wireEntry struct {
	_       struct{} `cbor:",toarray"`
	ID      MemberID
	Name    string
	Added   uint64
	Removed uint64
}

// wireRemoval says why an entry ended.
type wireRemoval struct {
	_      struct{} `cbor:",toarray"`
	Entry  uint64   // its place in the roster
	At     uint64   // Unix seconds
	Reason string
}

// removals are the last ones of which there is anything to say, in the roster's order.
func (d *Descriptor) removals() (all []wireRemoval) {
	told := make([]int, 0, MaxRemovals)
	for i, e := range d.Members {
		if e.Removed != 0 && !e.RemovedAt.IsZero() {
			told = append(told, i)
		}
	}
	sorting.By(told, func(a, b int) int { return cmp.Compare(d.Members[b].Removed, d.Members[a].Removed) })
	told = told[:min(len(told), MaxRemovals)]
	slices.Sort(told)
	for _, i := range told {
		e := d.Members[i]
		all = append(all, wireRemoval{Entry: uint64(i), At: uint64(e.RemovedAt.Unix()), Reason: e.Reason})
	}
	return all
}

// tell puts into the roster what is known of removals.
func (d *Descriptor) tell(removals []wireRemoval) error {
	if len(removals) > MaxRemovals {
		return fmt.Errorf("%d removals are told of, at most %d can be", len(removals), MaxRemovals)
	}
	for n, r := range removals {
		switch {
		case r.Entry >= uint64(len(d.Members)) || d.Members[r.Entry].Removed == 0 || r.At == 0 || r.At > 1<<40:
			return fmt.Errorf("removal %d: there is none like it in the roster", n)
		case n > 0 && r.Entry <= removals[n-1].Entry:
			return fmt.Errorf("removal %d: out of order", n)
		}
		if err := validateLine("reason of a removal", r.Reason); err != nil {
			return err
		}
		d.Members[r.Entry].Reason, d.Members[r.Entry].RemovedAt = r.Reason, time.Unix(int64(r.At), 0).UTC()
	}
	return nil
}

// sign encodes the descriptor and signs it with the CA's key.
func (d *Descriptor) sign(key ed25519.PrivateKey) (SignedDescriptor, error) {
	w := wireDescriptor{
		Format: descriptorFormat, Group: d.Group, Version: d.Version, Name: d.Name,
		Prefix: d.Prefix, Zone: d.Zone,
		LeaseTime: uint32(d.LeaseTime / time.Second), HoldTime: uint32(d.HoldTime / time.Second),
		MTU: uint16(d.MTU), BlockBits: uint8(d.BlockBits),
		Authority: d.Authority, CA: d.CA, Members: make([]wireEntry, len(d.Members)),
		Removals: d.removals(),
	}
	for i, e := range d.Members {
		w.Members[i] = wireEntry{ID: e.ID, Name: e.Name, Added: e.Added, Removed: e.Removed}
	}
	body, err := marshal(w)
	if err != nil {
		return nil, fmt.Errorf("encode the group descriptor: %w", err)
	}
	return marshal(wireEnvelope{Body: body, Signature: ed25519.Sign(key, descriptorMessage(body))})
}

// descriptorMessage is what the CA signs. Its other signatures are over X.509
// certificates, which begin with an ASN.1 sequence (0x30), never with this.
func descriptorMessage(body []byte) []byte {
	return append([]byte("landbridge descriptor 1\x00"), body...)
}

// ParseDescriptor verifies a signed descriptor: size, shape, that the group is the
// hash of the CA's key, the CA's signature, the parameters, the roster. It doesn't
// tell whether it is the newest, nor the time.
func ParseDescriptor(b []byte) (*Descriptor, error) {
	if len(b) > MaxDescriptorSize {
		return nil, fmt.Errorf("%w: %d bytes long, at most %d are allowed", ErrDescriptor, len(b), MaxDescriptorSize)
	}
	var envelope wireEnvelope
	if err := unmarshal(b, &envelope); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	var w wireDescriptor
	if err := unmarshal(envelope.Body, &w); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	ca, err := parseCA(w.CA, w.Group)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	if !ed25519.Verify(ca.PublicKey.(ed25519.PublicKey), descriptorMessage(envelope.Body), envelope.Signature) {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, ErrSignature)
	}
	if w.Format != descriptorFormat {
		return nil, fmt.Errorf("%w: format %d, this node knows %d: update it", ErrDescriptor, w.Format, descriptorFormat)
	}
	d := w.descriptor()
	if err := errors.Join(d.validate(), d.tell(w.Removals)); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDescriptor, err)
	}
	d.derive(ca)
	return d, nil
}

func (w wireDescriptor) descriptor() *Descriptor {
	d := &Descriptor{
		Group: w.Group, Version: w.Version, Authority: w.Authority, CA: w.CA,
		Params: Params{
			Name: w.Name, Prefix: w.Prefix, Zone: w.Zone,
			LeaseTime: time.Duration(w.LeaseTime) * time.Second, HoldTime: time.Duration(w.HoldTime) * time.Second,
			MTU: int(w.MTU), BlockBits: int(w.BlockBits),
		},
		Members: make([]Entry, len(w.Members)),
	}
	for i, e := range w.Members {
		d.Members[i] = Entry{ID: e.ID, Name: e.Name, Added: e.Added, Removed: e.Removed}
	}
	return d
}

// validate checks the parameters, and that the roster is a history that can be.
func (d *Descriptor) validate() error {
	if err := d.Params.Validate(); err != nil {
		return err
	}
	if d.Version == 0 || len(d.Members) == 0 || len(d.Members) > MaxMembers {
		return fmt.Errorf("version %d with %d members", d.Version, len(d.Members))
	}
	last := make(map[MemberID]Entry, len(d.Members))
	names := make(map[string]bool, len(d.Members))
	added := uint64(1)
	for i, e := range d.Members {
		before, again := last[e.ID]
		switch {
		case e.Added < added || e.Added > d.Version:
			return fmt.Errorf("member %d was added at version %d, after %d and at most %d is possible", i, e.Added, added, d.Version)
		case e.Removed != 0 && (e.Removed <= e.Added || e.Removed > d.Version):
			return fmt.Errorf("member %d was added at version %d and removed at %d", i, e.Added, e.Removed)
		case again && (before.Removed == 0 || before.Removed > e.Added):
			return fmt.Errorf("member %d is in the roster twice at version %d", i, e.Added)
		case e.In(d.Version) && names[e.Name]:
			return fmt.Errorf("member %d has the name of another", i)
		}
		if err := validateLabel("member name", e.Name); err != nil {
			return err
		}
		last[e.ID], added = e, e.Added
		names[e.Name] = names[e.Name] || e.In(d.Version)
	}
	if authority, ok := last[d.Authority]; !ok || !authority.In(d.Version) {
		return fmt.Errorf("the authority isn't a member")
	}
	return nil
}

// follows checks that d continues the history that old tells, so that whoever knows
// either gives the same answer about the versions that both reach.
func (d *Descriptor) follows(old *Descriptor) error {
	switch {
	case d.Group != old.Group:
		return fmt.Errorf("group %s: %w", d.Group.Short(), ErrOtherGroup)
	case d.Prefix != old.Prefix || d.BlockBits != old.BlockBits:
		return fmt.Errorf("version %d: the prefix changed: %w", d.Version, ErrForked)
	case len(d.Members) < len(old.Members):
		return fmt.Errorf("version %d: members are missing: %w", d.Version, ErrForked)
	}
	for i, was := range old.Members {
		e := d.Members[i]
		gone := was.Removed == 0 && e.Removed > old.Version
		if e.ID != was.ID || e.Added != was.Added || (e.Removed != was.Removed && !gone) {
			return fmt.Errorf("version %d, member %d: %w", d.Version, i, ErrForked)
		}
	}
	if len(d.Members) > len(old.Members) && d.Members[len(old.Members)].Added <= old.Version {
		return fmt.Errorf("version %d, member %d: %w", d.Version, len(old.Members), ErrForked)
	}
	return nil
}

// newer decides between the descriptor that is known and one that came: whether to
// take it. An old one that contradicts is an error, too: somebody lives by it.
func newer(known, came parsed) (bool, error) {
	old, d := known.descriptor, came.descriptor
	switch {
	case d.Version > old.Version:
		return true, d.follows(old)
	case d.Version < old.Version:
		return false, old.follows(d)
	case !bytes.Equal(known.signed, came.signed):
		return false, fmt.Errorf("version %d: %w", d.Version, ErrForked)
	default:
		return false, nil
	}
}

// next returns a copy of d, one version on, whose roster may be changed.
func (d *Descriptor) next() *Descriptor {
	n := *d
	n.derived = derived{}
	n.Version++
	n.Members = slices.Clone(d.Members)
	return &n
}
