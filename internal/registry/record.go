package registry

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"landbridge/internal/group"
)

// recordDomain separates signatures on records from all others of the node key.
const recordDomain = "landbridge registry record 1"

// ErrBadRecord: a block record that doesn't parse, or isn't its holder's.
var ErrBadRecord = errors.New("bad block record")

// clientHash stands for a client in records: 8 bytes of SHA-256(group, client
// ID), so that those who keep records don't learn the client IDs.
type clientHash [8]byte

func hashClient(id group.ID, client []byte) clientHash {
	h := sha256.Sum256(append(append(id[:], "client"...), client...))
	return clientHash(h[:8])
}

// Record is what members know of a block: one small signed value.
type Record struct {
	Group   group.ID       `cbor:"1,keyasint"`
	Block   BlockID        `cbor:"2,keyasint"`
	Holder  group.MemberID `cbor:"3,keyasint"`
	Epoch   uint64         `cbor:"4,keyasint"`
	Seq     uint64         `cbor:"5,keyasint"` // rises with every change within an epoch
	Segment SegmentID      `cbor:"6,keyasint"` // where leased addresses are, unless moved
	Leased  []byte         `cbor:"7,keyasint"` // bitmap: bit o%8 of byte o/8 for offset o
	Entries []Entry        `cbor:"8,keyasint"` // one for each leased offset, ascending
	Moved   []Moved        `cbor:"9,keyasint"` // the exceptions, ascending
	// Bound is the reservations in the block, ascending, so that an heir keeps them. Older
	// programs don't know them.
	Bound []Binding `cbor:"10,keyasint,omitempty"`
	// Six is a bitmap of leased addresses whose hosts have taken their IPv6 address, too; nil: none has. Older
	// programs don't know it.
	Six []byte `cbor:"11,keyasint,omitempty"`
}

// Binding is a reservation: the address is leased to nobody else.
type Binding struct {
	Offset uint16     `cbor:"1,keyasint"`
	Client clientHash `cbor:"2,keyasint"`
	ByMAC  bool       `cbor:"3,keyasint,omitempty"` // Client is the one that a host with that MAC is which sends no ID
	Name   string     `cbor:"4,keyasint,omitempty"`
}

// Entry says who has a leased address.
type Entry struct {
	Offset uint16     `cbor:"1,keyasint"`
	Client clientHash `cbor:"2,keyasint"`
	Name   string     `cbor:"3,keyasint,omitempty"`
	Since  int64      `cbor:"4,keyasint"` // Unix seconds; orders two claims to one name
}

// Moved says that a leased address is served by another member.
type Moved struct {
	Offset  uint16         `cbor:"1,keyasint"`
	Member  group.MemberID `cbor:"2,keyasint"`
	Segment SegmentID      `cbor:"3,keyasint"`
}

// signedRecord is how a record travels and is stored.
type signedRecord struct {
	Body        []byte `cbor:"1,keyasint"`
	Signature   []byte `cbor:"2,keyasint"`
	Certificate []byte `cbor:"3,keyasint"` // the holder's, so that nobody has to ask for it
}

// leased reports whether the address at offset is leased.
func (r *Record) leased(offset int) bool { return bit(r.Leased, offset) }

// at returns who serves a leased offset.
func (r *Record) at(offset int) (group.MemberID, SegmentID) {
	if i, ok := slices.BinarySearchFunc(r.Moved, offset, func(m Moved, o int) int { return int(m.Offset) - o }); ok {
		return r.Moved[i].Member, r.Moved[i].Segment
	}
	return r.Holder, r.Segment
}

// entry returns the entry of a leased offset.
func (r *Record) entry(offset int) (Entry, bool) {
	if i, ok := slices.BinarySearchFunc(r.Entries, offset, func(e Entry, o int) int { return int(e.Offset) - o }); ok {
		return r.Entries[i], true
	}
	return Entry{}, false
}

func (r *Record) newer(o *Record) bool {
	return o == nil || r.Epoch > o.Epoch || r.Epoch == o.Epoch && r.Seq > o.Seq
}

func bit(bitmap []byte, i int) bool { return i>>3 < len(bitmap) && bitmap[i>>3]>>(i&7)&1 != 0 }

// check is everything about a record that needs no key and no state.
func (r *Record) check(id group.ID, g geometry) error {
	switch {
	case r.Group != id:
		return fmt.Errorf("%w: of another group", ErrBadRecord)
	case !g.valid(r.Block):
		return fmt.Errorf("%w: block %d is outside the prefix", ErrBadRecord, r.Block)
	case r.Holder.IsZero() || r.Epoch == 0:
		return fmt.Errorf("%w: no holder", ErrBadRecord)
	case len(r.Leased) != (g.size()+7)/8:
		return fmt.Errorf("%w: bitmap of %d bytes", ErrBadRecord, len(r.Leased))
	case len(r.Six) != 0 && len(r.Six) != len(r.Leased):
		return fmt.Errorf("%w: bitmap of IPv6 of %d bytes", ErrBadRecord, len(r.Six))
	case !r.entriesMatch(g.size()):
		return fmt.Errorf("%w: entries don't match the bitmap", ErrBadRecord)
	}
	last := -1
	for _, m := range r.Moved {
		if int(m.Offset) <= last || int(m.Offset) >= g.size() || !r.leased(int(m.Offset)) || m.Member.IsZero() {
			return fmt.Errorf("%w: exceptions out of order", ErrBadRecord)
		}
		last = int(m.Offset)
	}
	last = -1
	for _, b := range r.Bound {
		if int(b.Offset) <= last || int(b.Offset) >= g.size() || b.Name != cleanName(b.Name) {
			return fmt.Errorf("%w: reservations out of order", ErrBadRecord)
		}
		last = int(b.Offset)
	}
	return nil
}

// entriesMatch: exactly one entry for each leased offset, in order, none beyond.
func (r *Record) entriesMatch(size int) bool {
	i := 0
	for o := range len(r.Leased) * 8 {
		if !r.leased(o) {
			continue
		}
		if o >= size || i >= len(r.Entries) || int(r.Entries[i].Offset) != o || r.Entries[i].Name != cleanName(r.Entries[i].Name) {
			return false
		}
		i++
	}
	return i == len(r.Entries)
}

// cleanName turns what a client calls itself into a DNS label (RFC 1035 section
// 2.3.1, digits first allowed by RFC 1123), or into nothing.
func cleanName(s string) string {
	s, _, _ = strings.Cut(strings.ToLower(s), ".")
	if s == "" || len(s) > maxName || s[0] == '-' || s[len(s)-1] == '-' {
		return ""
	}
	for _, c := range []byte(s) {
		if c != '-' && (c < '0' || c > '9') && (c < 'a' || c > 'z') {
			return ""
		}
	}
	return s
}

// signRecord makes the form that travels.
func signRecord(c codec, s standing, r *Record) ([]byte, error) {
	body, err := c.encode(r)
	if err != nil {
		return nil, err
	}
	return c.encode(signedRecord{Body: body, Signature: s.sign(recordDomain, body), Certificate: s.certificate()})
}

// parseRecord reads a record and checks its form, but not whose it is.
func parseRecord(c codec, id group.ID, g geometry, raw []byte) (*Record, signedRecord, error) {
	var sr signedRecord
	if len(raw) > maxRecord {
		return nil, sr, fmt.Errorf("%w: %d bytes", ErrBadRecord, len(raw))
	}
	if err := c.dec.Unmarshal(raw, &sr); err != nil {
		return nil, sr, fmt.Errorf("%w: %v", ErrBadRecord, err)
	}
	r := new(Record)
	if err := c.dec.Unmarshal(sr.Body, r); err != nil {
		return nil, sr, fmt.Errorf("%w: %v", ErrBadRecord, err)
	}
	if err := r.check(id, g); err != nil {
		return nil, sr, err
	}
	return r, sr, nil
}

// verify checks that the record is signed by its holder. A record of a member
// that was removed since, or whose certificate ran out, passes with current set
// to false: an heir still honours the leases in it.
func (sr signedRecord) verify(s standing, r *Record, current bool, now time.Time) error {
	if current {
		if err := s.checkCertificate(r.Holder, sr.Certificate, now); err != nil {
			return fmt.Errorf("%w: %w", ErrBadRecord, err)
		}
	}
	if err := s.verify(recordDomain, r.Holder, sr.Body, sr.Signature); err != nil {
		return fmt.Errorf("%w: %w", ErrBadRecord, err)
	}
	return nil
}
