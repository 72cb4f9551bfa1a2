package overlay

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// clockwork drives a keeper: its actions are answered by rules of the test.
type clockwork struct {
	*keeper
	now time.Time
}

func newClockwork() *clockwork {
	return &clockwork{keeper: newKeeper(func() float64 { return 0.5 }), now: time.Unix(1000, 0)}
}

func (c *clockwork) event(e any) []any {
	actions := c.step(e, c.now)
	slices.SortFunc(actions, func(a, b any) int {
		x, y := fmt.Sprintf("%T%v", a, a), fmt.Sprintf("%T%v", b, b)
		if x < y {
			return -1
		}
		return 1
	})
	return actions
}

// next moves the clock to when the keeper wants to wake, and returns what it then
// does and how far that was.
func (c *clockwork) next(t *testing.T) ([]any, time.Duration) {
	t.Helper()
	at := c.wake()
	if at.IsZero() {
		t.Fatal("the keeper would sleep for ever")
	}
	passed := at.Sub(c.now)
	if passed < 0 {
		t.Fatalf("the keeper wants to wake %v ago", -passed)
	}
	c.now = at
	return c.event(tickEvent{}), passed
}

func wantActions(t *testing.T, got []any, want ...any) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func TestKeeperDialsAtOnceAndBacksOff(t *testing.T) {
	c := newClockwork()
	wantActions(t, c.event(wantEvent{[]peer.ID{"a", "b"}}), connectAction{"a"}, connectAction{"b"})
	c.event(linkEvent{"b", linkDirect})
	c.event(dialledEvent{"b"})
	c.event(reservedEvent{"b", c.now.Add(1000 * time.Hour)})
	wantActions(t, c.event(dialledEvent{"a"})) // failed
	for i := range 12 {
		actions, passed := c.next(t)
		wantActions(t, actions, connectAction{"a"})
		if want := min(maxDialBackoff, dialBackoff<<i); passed != want {
			t.Fatalf("attempt %d after %v, want %v", i, passed, want)
		}
		c.event(dialledEvent{"a"})
	}
}

func TestKeeperNeverDialsAPeerTwiceAtATime(t *testing.T) {
	c := newClockwork()
	c.event(wantEvent{[]peer.ID{"a"}})
	wantActions(t, c.event(tickEvent{}))
	wantActions(t, c.event(wantEvent{[]peer.ID{"a"}}))
	wantActions(t, c.event(heardEvent{"a"}))
	// What was heard meanwhile is tried as soon as the attempt ends.
	wantActions(t, c.event(dialledEvent{"a"}), connectAction{"a"})
}

func TestKeeperReservesAtEachDirectPeerAndRenewsHalfWay(t *testing.T) {
	c := newClockwork()
	c.event(wantEvent{[]peer.ID{"a"}})
	wantActions(t, c.event(linkEvent{"a", linkDirect}), reserveAction{"a"})
	c.event(dialledEvent{"a"})
	c.event(reservedEvent{"a", c.now.Add(time.Hour)})
	actions, passed := c.next(t)
	wantActions(t, actions, reserveAction{"a"})
	if passed != time.Hour/2 {
		t.Fatalf("renewed after %v", passed)
	}
	// A relay that refuses is asked again, ever more slowly.
	c.event(reservedEvent{peer: "a"})
	for i := range 12 {
		actions, passed := c.next(t)
		wantActions(t, actions, reserveAction{"a"})
		if want := min(maxSlowBackoff, reserveBackoff<<i); passed != want {
			t.Fatalf("attempt %d after %v, want %v", i, passed, want)
		}
		c.event(reservedEvent{peer: "a"})
	}
	// New members: it may know us now.
	c.event(wantEvent{[]peer.ID{"a"}})
	if actions, passed := c.next(t); passed > reserveBackoff {
		t.Fatalf("%v only after %v", actions, passed)
	}
}

func TestKeeperAsksForABoundedNumberOfReservations(t *testing.T) {
	c := newClockwork()
	var peers []peer.ID
	for i := range 2 * maxReservations {
		peers = append(peers, peer.ID(fmt.Sprintf("p%02d", i)))
	}
	c.event(wantEvent{peers})
	reserving := 0
	for _, p := range peers {
		reserving += len(c.event(linkEvent{p, linkDirect}))
	}
	if reserving != maxReservations {
		t.Fatalf("%d reservations", reserving)
	}
	if at := c.wake(); !at.After(c.now) {
		t.Fatal("the keeper spins")
	}
}

func TestKeeperTriesToGetFromRelayedToDirect(t *testing.T) {
	c := newClockwork()
	c.event(wantEvent{[]peer.ID{"a"}})
	wantActions(t, c.event(linkEvent{"a", linkRelayed}))
	c.event(dialledEvent{"a"})
	actions, passed := c.next(t)
	wantActions(t, actions, upgradeAction{"a"})
	if passed != upgradeBackoff {
		t.Fatalf("after %v", passed)
	}
	c.event(linkEvent{"a", linkDirect})
	wantActions(t, c.event(dialledEvent{"a"}))
	c.event(reservedEvent{"a", c.now.Add(time.Hour)})
	// Gone: dialled again at once.
	wantActions(t, c.event(linkEvent{"a", linkNone}), connectAction{"a"})
}

func TestKeeperRetriesTheOthersWhenOneHasCome(t *testing.T) {
	c := newClockwork()
	c.event(wantEvent{[]peer.ID{"a", "b"}})
	c.event(linkEvent{"b", linkDirect})
	c.event(dialledEvent{"b"})
	c.event(reservedEvent{"b", c.now.Add(1000 * time.Hour)})
	c.event(dialledEvent{"a"})
	for range 8 { // far in its back-off
		c.next(t)
		c.event(dialledEvent{"a"})
	}
	c.event(linkEvent{"b", linkNone})
	c.event(linkEvent{"b", linkDirect})
	actions, passed := c.next(t)
	if !slices.Contains(actions, any(connectAction{"a"})) || passed > dialBackoff {
		t.Fatalf("%v after %v", actions, passed)
	}
}

func TestKeeperForgetsWhoIsNeitherWantedNorConnected(t *testing.T) {
	c := newClockwork()
	c.event(wantEvent{[]peer.ID{"a", "b"}})
	c.event(linkEvent{"a", linkDirect})
	c.event(linkEvent{"x", linkDirect}) // somebody else's member, passing by
	for _, p := range []peer.ID{"a", "b"} {
		c.event(dialledEvent{p})
	}
	c.event(reservedEvent{"a", c.now.Add(time.Hour)})
	c.event(wantEvent{})
	wantActions(t, c.event(linkEvent{"a", linkNone}))
	c.event(linkEvent{"x", linkNone})
	if len(c.peers) != 0 {
		t.Fatalf("still knows %d peers", len(c.peers))
	}
	if at := c.wake(); !at.IsZero() {
		t.Fatalf("wakes at %v for nobody", at)
	}
}

func TestChosenKeepsALargeGroupInOnePiece(t *testing.T) {
	for _, n := range []int{1, 2, maxKept, maxKept + 1, 40, 257} {
		var all []peer.ID
		for i := range n + 1 {
			all = append(all, idOf(i).Peer())
		}
		slices.Sort(all)
		neighbours, passed := make(map[peer.ID][]peer.ID), make(map[peer.ID][]peer.ID)
		most := 0
		for i, self := range all {
			others := slices.Delete(slices.Clone(all), i, i+1)
			picked, next := chosen(self, others)
			passed[self] = next
			if slices.Contains(picked, self) {
				t.Fatalf("group of %d: a member keeps a connection to itself", n+1)
			}
			if n <= maxKept && len(picked) != n {
				t.Fatalf("group of %d: %d connections", n+1, len(picked))
			}
			most = max(most, len(picked))
			neighbours[self] = picked
		}
		for self, picked := range neighbours {
			for _, p := range picked {
				if !slices.Contains(neighbours[p], self) {
					t.Fatalf("group of %d: one side of a connection doesn't keep it", n+1)
				}
			}
		}
		seen := map[peer.ID]bool{all[0]: true}
		for queue := all[:1]; len(queue) > 0; queue = queue[1:] {
			for _, p := range passed[queue[0]] {
				if !seen[p] {
					seen[p] = true
					queue = append(queue, p)
				}
			}
		}
		if len(seen) != n+1 {
			t.Errorf("group of %d: news reach only %d", n+1, len(seen))
		}
		if most > maxKept {
			t.Errorf("group of %d: a member keeps %d", n+1, most)
		}
	}
}
