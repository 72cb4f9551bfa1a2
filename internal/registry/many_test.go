package registry

import (
	"fmt"
	"testing"
	"time"

	"landbridge/internal/race"
)

// made waits until no member asks another any more, and returns how many calls there were
// so far. A minute passes for all before, so that what is put off is done.
func (l *lab) made(nodes []*node) int {
	l.t.Helper()
	for _, n := range nodes {
		n.clock.pass(time.Minute)
	}
	count := func() int {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.calls
	}
	was, since := count(), time.Now()
	eventually(l.t, "nothing to say", func() bool {
		if is := count(); is != was {
			was, since = is, time.Now()
		}
		return time.Since(since) > time.Second
	})
	return was
}

// What a newcomer costs must not grow with the group, or a group of a hundred is never
// done with itself.
func TestANewcomerCostsEachMemberOfALargeGroupFewCalls(t *testing.T) {
	if race.Enabled || testing.Short() {
		t.Skip("many members, who would hold up the tests beside them; scripts/test runs it by itself")
	}
	const members = 2 * promptMembers
	l := newLab(t, "10.5.0.0/16", 6)
	nodes := l.members(members)
	before := l.made(nodes)
	time.Sleep(time.Second) // of idleness, which is measured
	if idle := l.made(nodes) - before; idle > members/4 {
		t.Errorf("with nothing to do the members made %d calls", idle)
	}

	before = l.made(nodes)
	const newcomers = 5
	for i := range newcomers {
		n := l.admit(fmt.Sprint("newcomer ", i))
		for _, m := range nodes {
			if err := m.learn(l.history[n.version].raw); err != nil {
				t.Fatal(err)
			}
		}
		n.start()
		nodes = append(nodes, n)
		eventually(t, "a block for the newcomer", func() bool { return len(n.registry().Blocks()) > 0 })
	}
	// The newcomer: 2 blocks, each with a promise and an acceptance by 5 and their records.
	// The others, once for all five: each keeps registers together with nearly all others,
	// and reads them from these.
	most := newcomers*(100+2*members) + members*members
	if calls := l.made(nodes) - before; calls > most {
		t.Errorf("%d newcomers to %d members: %d calls, want at most %d", newcomers, members, calls, most)
	} else {
		t.Logf("%d calls of at most %d", calls, most)
	}
}
