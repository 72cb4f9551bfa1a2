package neighbourhood

import (
	"maps"
	"sync"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// siblingMemory is how long after its last proof a router's MAC still counts as one: frames of
// it may be on their way, and a proof may fail for a moment.
const siblingMemory = 10 * time.Second

// Siblings are the other routers of the group on this segment, by the MACs that beacons prove
// to be theirs. Safe for concurrent use.
type Siblings struct {
	Neighbors func() []beacon.Neighbor
	Gateway   func(group.MemberID) frame.MAC // a member's gateway MAC

	mu     sync.Mutex
	proven map[frame.MAC]time.Time // when last
}

// Has reports whether a MAC is, or was a moment ago, proven to be a sibling's.
func (s *Siblings) Has(mac frame.MAC, now time.Time) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(now)
	at, ok := s.proven[mac]
	return ok && now.Sub(at) < siblingMemory
}

// Refresh notes who is there now. It is called more often than siblingMemory.
func (s *Siblings) Refresh(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.note(now)
	maps.DeleteFunc(s.proven, func(_ frame.MAC, at time.Time) bool { return now.Sub(at) >= siblingMemory })
}

// note notes the routers that speak with their own gateway MACs: none can cover up for
// another's. Called with mu held.
func (s *Siblings) note(now time.Time) {
	for _, n := range s.Neighbors() {
		if !n.Says.Router || n.MAC != s.Gateway(n.Member) {
			continue
		}
		if s.proven == nil {
			s.proven = make(map[frame.MAC]time.Time)
		}
		s.proven[n.MAC] = now
	}
}
