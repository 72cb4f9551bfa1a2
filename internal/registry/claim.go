package registry

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"

	"landbridge/internal/group"
)

// Grant is the value of a block's register: who holds the block, and the epoch
// that fences every earlier holder. A zero Holder means free; the epoch stays.
//
// The group's aliases are in such a register too (aliases.go): the value is their table, the
// epoch counts its changes, and nobody holds it.
type Grant struct {
	Holder  group.MemberID `cbor:"1,keyasint"`
	Epoch   uint64         `cbor:"2,keyasint"`
	Aliases string         `cbor:"3,keyasint,omitempty"`
}

func (g Grant) free() bool { return g.Holder.IsZero() }

// Ballot orders the rounds of one register. Conf comes first: whatever is
// accepted in a new configuration outranks all that was carried over from an
// older one. The zero ballot ranks below all others.
type Ballot struct {
	Conf    uint64         `cbor:"1,keyasint,omitempty"`
	Counter uint64         `cbor:"2,keyasint,omitempty"`
	Member  group.MemberID `cbor:"3,keyasint"`
}

func (b Ballot) compare(o Ballot) int {
	if c := cmp.Or(cmp.Compare(b.Conf, o.Conf), cmp.Compare(b.Counter, o.Counter)); c != 0 {
		return c
	}
	return bytes.Compare(b.Member[:], o.Member[:])
}

func (b Ballot) less(o Ballot) bool { return b.compare(o) < 0 }

// op is one of the closed set of changes to a register.
type op uint8

const (
	opRead    op = iota // any -> same
	opClaim             // free e or own at e -> {self, e+1}
	opRenew             // own at e -> same
	opRelease           // own at e -> free at e
	opInherit           // as opClaim, and another's at e -> {self, e+1} when its hold has lapsed
	opAliases           // nobody's at e -> nobody's at e+1, with another table
	opCount
)

// Errors of the register. A *TakenError says by whom.
var (
	ErrTaken     = errors.New("the block is held by another member")
	ErrNotHolder = errors.New("this member does not hold the block at this epoch")
	ErrHeld      = errors.New("the holder's time has not lapsed")
	ErrNoQuorum  = errors.New("too few of the members that keep this block can be reached")
	ErrContended = errors.New("others kept claiming the same block")
)

// TakenError is ErrTaken (by errors.Is) with the grant that stands.
type TakenError struct{ Grant Grant }

func (e *TakenError) Error() string {
	return fmt.Sprintf("the block is held by member %s at epoch %d", e.Grant.Holder.Short(), e.Grant.Epoch)
}

// Is makes errors.Is(err, ErrTaken) true.
func (e *TakenError) Is(target error) bool { return target == ErrTaken }

// apply computes the change that member self asks for. epoch matters to renew
// and release only: the epoch at which the caller believes that it holds.
func (o op) apply(self group.MemberID, epoch uint64, v Grant) (Grant, error) {
	own := v.Holder == self
	switch o {
	case opRead:
		return v, nil
	case opClaim, opInherit:
		// Who claims what is already its own has forgotten that it holds it, and with
		// it which addresses it leased: the new epoch fences its former self.
		if own || v.free() || o == opInherit {
			return Grant{Holder: self, Epoch: v.Epoch + 1}, nil
		}
		return v, &TakenError{v}
	case opRenew:
		if own && v.Epoch == epoch {
			return v, nil
		}
	case opRelease:
		if own && v.Epoch == epoch {
			return Grant{Epoch: v.Epoch}, nil
		}
	}
	return v, ErrNotHolder
}

// permitted is the acceptor's check that the authenticated member from may turn
// base into value. lapsed: by the acceptor's own clock the holder's time is over.
func permitted(from group.MemberID, base, value Grant, lapsed bool) error {
	switch {
	case value == base: // read, renew, confirmation
		return nil
	case base.Holder == from && value == Grant{Epoch: base.Epoch}: // release
		return nil
	case base.free() && value.free() && value.Aliases != base.Aliases && value.Epoch == base.Epoch+1: // aliases
		return nil
	case value.Holder != from || value.Epoch != base.Epoch+1:
		return ErrNotHolder
	case base.free() || base.Holder == from: // claim
		return nil
	case !lapsed:
		return ErrHeld
	}
	return nil // inherit
}
