package share

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"

	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// Circle is the routers that share a segment's work, as one of them sees it. It isn't
// changed once it is made. Its methods allocate nothing.
type Circle struct {
	self    group.MemberID
	routers []router
}

type router struct {
	member group.MemberID
	seed   uint64
}

// NewCircle returns the circle of these routers; whether self is one of them is the
// caller's to say.
func NewCircle(self group.MemberID, members ...group.MemberID) *Circle {
	c := &Circle{self: self}
	for _, m := range members {
		c.routers = append(c.routers, router{m, seed(m)})
	}
	return c
}

// Key is what is shared out: each key belongs to one router.
type Key uint64

// AddrKey is the key of an address.
func AddrKey(a netip.Addr) Key {
	b := a.As16()
	return Key(binary.BigEndian.Uint64(b[8:]))
}

// MACKey is the key of a station.
func MACKey(m frame.MAC) Key {
	return Key(uint64(binary.BigEndian.Uint16(m[:2]))<<32 | uint64(binary.BigEndian.Uint32(m[2:])) | 1<<63)
}

// MemberKey is the key of a member, for what is done in its place.
func MemberKey(m group.MemberID) Key { return Key(seed(m)) }

// Owner returns the router to which a key belongs; the zero value in an empty circle.
func (c *Circle) Owner(k Key) (owner group.MemberID) {
	best := uint64(0)
	for i := range c.routers {
		r := &c.routers[i]
		score := mix(r.seed ^ mix(uint64(k)))
		if i == 0 || score > best || score == best && r.member.Compare(owner) > 0 {
			owner, best = r.member, score
		}
	}
	return owner
}

// Ours reports whether a key belongs to the router that made the circle.
func (c *Circle) Ours(k Key) bool {
	if len(c.routers) == 1 {
		return c.routers[0].member == c.self // the usual case
	}
	return len(c.routers) > 0 && c.Owner(k) == c.self
}

// Has reports whether m takes part.
func (c *Circle) Has(m group.MemberID) bool {
	for i := range c.routers {
		if c.routers[i].member == m {
			return true
		}
	}
	return false
}

// seed is the same everywhere and for ever: all routers of a segment must agree.
func seed(m group.MemberID) uint64 {
	sum := sha256.Sum256(append([]byte("landbridge share 1\x00"), m[:]...))
	return binary.BigEndian.Uint64(sum[:])
}

// mix is the finalizer of SplitMix64 (Steele, Lea, Flood 2014).
func mix(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}
