package appliance

import (
	"net/netip"
	"testing"

	"landbridge/internal/frame"
	"landbridge/internal/group"
	"landbridge/internal/share"
)

type strangersFake struct{ seen, sent int }

func (s *strangersFake) Stranger(netip.Addr, frame.MAC) { s.seen++ }
func (s *strangersFake) Sender(netip.Addr, frame.MAC)   { s.sent++ }

func TestAStrangerFallsToOneRouterAndToEachWhereNoneTakesPartYet(t *testing.T) {
	self, other := group.MemberID{1}, group.MemberID{2}
	for name, c := range map[string]struct {
		members []group.MemberID
		want    int
	}{"nobody yet": {nil, 1}, "this one": {[]group.MemberID{self}, 1}, "another": {[]group.MemberID{other}, 0}} {
		seen := &strangersFake{}
		turn := turnStrangers{seen, &neighbours{self: self}}
		turn.neighbours.circle.Store(share.NewCircle(self, c.members...))
		turn.Stranger(netip.MustParseAddr("10.9.0.9"), frame.MAC{2})
		turn.Sender(netip.MustParseAddr("10.9.0.9"), frame.MAC{2})
		if seen.seen != c.want || seen.sent != 1 {
			t.Errorf("%s: seen %d times, want %d; as a sender %d times", name, seen.seen, c.want, seen.sent)
		}
	}
}
