package registry

import (
	"errors"
	"time"

	"landbridge/internal/group"
)

// ErrTooManyNew comes from Offer and Commit: too many clients that were never seen
// here ask at once, or too many with one MAC address. The next attempt of a real one
// will do. Answer nothing.
var ErrTooManyNew = errors.New("too many new clients at once, or too many IDs of one MAC address")

// maxPerMAC is how many client IDs of one MAC address have an address, or an offer,
// at a time: containers on one interface are many clients, and so is one host that
// makes up IDs.
const maxPerMAC = 32

// newcomers is a token bucket: how many clients that are remembered nowhere here may
// still be given an address at once.
type newcomers struct {
	burst int
	every time.Duration // one token comes back, up to burst
	left  int
	at    time.Duration // when left was last made larger
}

func newNewcomers() newcomers {
	return newcomers{burst: 512, every: 250 * time.Millisecond}
}

// take spends one token.
func (n *newcomers) take(now time.Duration) bool {
	if back := int((now - n.at) / n.every); n.at == 0 || back >= n.burst-n.left {
		n.left, n.at = n.burst, now
	} else {
		n.left, n.at = n.left+back, n.at+time.Duration(back)*n.every
	}
	if n.left <= 0 {
		return false
	}
	n.left--
	return true
}

// newGuests bounds how many found hosts one other member has addresses signed over for: what
// it does costs this member's own clients nothing.
func newGuests() *newcomers { return &newcomers{burst: 64, every: time.Second} }

// host decides whether another member may have one more address of a block signed over for a
// host that it has found: half a block at most. Called with mu held.
func (r *Registry) host(from group.MemberID, blk *block, now time.Duration) error {
	guests := 0
	for i := range blk.slots {
		if l := blk.slots[i].lease; l != nil && l.To == from && l.taken(now) {
			guests++
		}
	}
	budget := r.book.guests[from]
	if budget == nil {
		budget = newGuests()
		r.book.guests[from] = budget
	}
	if guests >= max(1, len(blk.slots)/2) || !budget.take(now) {
		r.counts.turnedAway.Add(1)
		return ErrTooManyNew
	}
	return nil
}

// admit decides whether a client without address, offer or memory here may be given
// an address. Called with mu held.
func (r *Registry) admit(c Client, now Instant) error {
	if len(c.MAC) == 6 && r.identities([6]byte(c.MAC), now.Mono) >= maxPerMAC ||
		!r.book.newcomers.take(now.Mono) {
		r.counts.turnedAway.Add(1)
		return ErrTooManyNew
	}
	return nil
}

// identities counts the clients of one MAC address. Called with mu held.
func (r *Registry) identities(mac [6]byte, now time.Duration) int {
	n := 0
	for _, blk := range r.book.held {
		for i := range blk.slots {
			s := &blk.slots[i]
			if l := s.lease; l != nil && l.MAC == mac && l.live(now) || s.reserved != "" && s.mac == mac && now < s.until {
				n++
			}
		}
	}
	return n
}

// share is how many blocks one member may claim, lest one site, or one hostile host
// there, take the group's whole prefix: a quarter of them, or an equal part where
// there are fewer than four members, and at least two. A lone member may have all.
func (t *terms) share() int {
	members := len(t.members())
	if members < 2 {
		return t.blocks()
	}
	return max(2, t.blocks()/min(members, 4))
}
