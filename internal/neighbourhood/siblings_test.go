package neighbourhood

import (
	"testing"
	"time"

	"landbridge/internal/beacon"
	"landbridge/internal/frame"
	"landbridge/internal/group"
)

// macOf is a member's gateway MAC.
func macOf(m group.MemberID) frame.MAC { return frame.MAC{2, 0xaa, 0, 0, 0, m[0]} }

func TestASiblingIsForgottenAMomentAfterItsProof(t *testing.T) {
	now, mac := time.Now(), macOf(group.MemberID{1})
	proven := []beacon.Neighbor{{Member: group.MemberID{1}, MAC: mac, Says: beacon.Says{Router: true}}}
	s := Siblings{Neighbors: func() []beacon.Neighbor { return proven }, Gateway: macOf}
	s.Refresh(now)
	proven = nil
	if !s.Has(mac, now.Add(siblingMemory-1)) {
		t.Error("it is forgotten at once")
	}
	if s.Has(mac, now.Add(siblingMemory)) {
		t.Error("it is remembered for ever")
	}
	if s.Refresh(now.Add(siblingMemory)); len(s.proven) != 0 {
		t.Error("its MAC is kept")
	}
}
