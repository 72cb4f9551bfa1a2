package router

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/scratch"
)

// question is what a packet waits for.
type question uint8

const (
	whoServes    question = iota // the member behind a destination
	whoseIsIt                    // whether a source is leased to the member that sent it
	whichMAC                     // a local host's MAC, by ARP
	whichMAC6                    // likewise, by neighbour discovery; the address is the IPv4 one
	whoSends                     // whose a source on this segment is
	whoIsThat                    // a source that isn't leased here
	whereTo                      // a host's stale neighbour entry
	whichRouters                 // a router solicitation
)

// waitKey names a question about an address; and about a member, or a station (asKey), where the question has one.
type waitKey struct {
	question question
	addr     netip.Addr
	member   group.MemberID
}

// refusals remembers questions that were answered with no, each for a while. It holds
// a bounded number: a new one may push out another, which costs a question asked again. It
// takes no lock and allocates nothing.
//
// A slot is 32 bits of the key's hash (the lower bits of it choose the slot) and the time, in
// tenths of a second since start, until which it holds.
type refusals struct {
	seed  maphash.Seed
	start time.Time
	slots []atomic.Uint64
}

const refusalTick = 100 * time.Millisecond

func newRefusals(now time.Time) refusals {
	return refusals{seed: maphash.MakeSeed(), start: now, slots: scratch.Make[atomic.Uint64](refusalSlot)}
}

func (r *refusals) remember(k waitKey, now time.Time, long time.Duration) {
	h := r.hash(k)
	r.slots[h%uint64(len(r.slots))].Store(h&^0xffffffff | uint64(r.tick(now.Add(long))))
}

func (r *refusals) holds(k waitKey, now time.Time) bool {
	h := r.hash(k)
	slot := r.slots[h%uint64(len(r.slots))].Load()
	return slot>>32 == h>>32 && uint32(slot) > r.tick(now)
}

// tick is never 0 for a time that is remembered: an empty slot holds nothing. Times
// come from the monotonic clock, which doesn't step.
func (r *refusals) tick(t time.Time) uint32 {
	return uint32(max(0, t.Sub(r.start)/refusalTick))
}

func (r *refusals) hash(k waitKey) uint64 {
	var b [5 + len(k.member)]byte
	addr := k.addr.As4()
	b[0] = byte(k.question)
	copy(b[1:], addr[:])
	copy(b[5:], k.member[:])
	return maphash.Bytes(r.seed, b[:])
}
