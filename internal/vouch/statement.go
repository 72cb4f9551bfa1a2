package vouch

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"landbridge/internal/group"
)

// The specification's numbers; see doc.go.
const (
	domain       = "same segment"
	version      = 1
	unsignedLen  = 81
	statementLen = unsignedLen + 64
	tellHeadLen  = 10
	memberLen    = len(group.MemberID{})

	// MaxNamed bounds the statements and the owners in one Tell.
	MaxNamed = 32
	// clockSkew is how far the clocks of two members may be apart.
	clockSkew = 2 * time.Minute
	// slack is how much longer than a lease a statement holds, besides a quarter of the lease:
	// time enough to renew it.
	slack = 5 * time.Minute
)

// Life is how long a statement holds in a group with such leases, and the longest that is believed. Whoever
// makes it new every [RenewAfter] has at any time one out that outlives each lease that it has granted.
func Life(lease time.Duration) time.Duration { return lease + lease/4 + slack }

// RenewAfter is how soon a statement is to be made new: half of what it outlives a lease by.
func RenewAfter(lease time.Duration) time.Duration { return (Life(lease) - lease) / 2 }

// ErrMalformed is wrapped by all errors about bytes that can't be read.
var ErrMalformed = errors.New("vouch: malformed")

// Statement is an owner's word that a neighbour is on its segment, so that it may speak for
// the owner's hosts.
type Statement struct {
	Owner, Neighbour group.MemberID
	Made, Until      time.Time // whole seconds
	Signature        group.Signature
}

// Sign makes m's statement about a neighbour. It holds for Life.
func Sign(m *group.Membership, neighbour group.MemberID, now time.Time) Statement {
	s := Statement{Owner: m.Self(), Neighbour: neighbour, Made: now, Until: now.Add(Life(m.Descriptor().LeaseTime))}
	s.Signature = m.Sign(domain, s.appendUnsigned(nil))
	return s
}

// Good reports whether the statement holds now, in a group with such leases: its time, and its owner's
// signature in this group. Whether both are members is for the caller to know.
func (s Statement) Good(id group.ID, lease time.Duration, now time.Time) bool {
	return s.holds(now) && s.Until.Sub(s.Made) <= Life(lease) && group.VerifySignature(id, domain, s.Owner, s.appendUnsigned(nil), s.Signature) == nil
}

func (s Statement) holds(now time.Time) bool {
	return s.Owner != s.Neighbour && now.Add(clockSkew).After(s.Made) && now.Add(-clockSkew).Before(s.Until)
}

// Append appends the statement as it travels.
func (s Statement) Append(b []byte) []byte { return append(s.appendUnsigned(b), s.Signature...) }

func (s Statement) appendUnsigned(b []byte) []byte {
	b = append(b, version)
	b = append(b, s.Owner[:]...)
	b = append(b, s.Neighbour[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.Made.Unix()))
	return binary.BigEndian.AppendUint64(b, uint64(s.Until.Unix()))
}

// ParseStatement reads what Append wrote, all of b.
func ParseStatement(b []byte) (Statement, error) {
	if len(b) != statementLen || b[0] != version {
		return Statement{}, fmt.Errorf("%w statement of %d bytes", ErrMalformed, len(b))
	}
	seconds := func(b []byte) time.Time { return time.Unix(int64(binary.BigEndian.Uint64(b)&(1<<40-1)), 0) }
	s := Statement{
		Owner: group.MemberID(b[1:33]), Neighbour: group.MemberID(b[33:65]),
		Made: seconds(b[65:]), Until: seconds(b[73:]), Signature: group.Signature(append([]byte(nil), b[unsignedLen:]...)),
	}
	return s, nil
}

// Tell is what a router says to members elsewhere: who has named it, and whose hosts it
// serves now.
type Tell struct {
	Number     uint64
	Statements []Statement
	Serving    []group.MemberID
}

// Marshal returns the Tell as it travels. What is beyond MaxNamed is left out.
func (t Tell) Marshal() []byte {
	statements, serving := t.Statements[:min(len(t.Statements), MaxNamed)], t.Serving[:min(len(t.Serving), MaxNamed)]
	b := append([]byte{version}, binary.BigEndian.AppendUint64(nil, t.Number)...)
	b = append(b, byte(len(statements)))
	for _, s := range statements {
		b = s.Append(b)
	}
	b = append(b, byte(len(serving)))
	for _, m := range serving {
		b = append(b, m[:]...)
	}
	return b
}

// ParseTell reads what Marshal wrote, all of b.
func ParseTell(b []byte) (t Tell, err error) {
	bad := fmt.Errorf("%w message of %d bytes", ErrMalformed, len(b))
	if len(b) <= tellHeadLen || b[0] != version {
		return t, bad
	}
	t.Number = binary.BigEndian.Uint64(b[1:])
	n, rest := int(b[9]), b[tellHeadLen:]
	if n > MaxNamed || len(rest) <= n*statementLen {
		return Tell{}, bad
	}
	for ; n > 0; n-- {
		s, err := ParseStatement(rest[:statementLen])
		if err != nil {
			return Tell{}, err
		}
		t.Statements, rest = append(t.Statements, s), rest[statementLen:]
	}
	n, rest = int(rest[0]), rest[1:]
	if n > MaxNamed || len(rest) != n*memberLen {
		return Tell{}, bad
	}
	for ; n > 0; n-- {
		t.Serving, rest = append(t.Serving, group.MemberID(rest[:memberLen])), rest[memberLen:]
	}
	return t, nil
}
