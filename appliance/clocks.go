package appliance

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/health"
)

const (
	clockTolerance = 5 * time.Second // that clocks of members may differ before it is spoken of
	clockAge       = time.Hour       // after which a member's clock is looked at again
	clocksAtOnce   = 3               // members that are asked in one round
	maxClocks      = 1024
)

// reading is what was seen of a member's clock, in a hello.
type reading struct {
	offset time.Duration // how far it is ahead of ours
	within time.Duration // half of the time that the question took: the offset is so exact
	at     time.Time     // with a monotonic part
}

// readClock returns what an answer says that was asked for at one time and came at another.
func readClock(asked, came time.Time, theirs time.Time) reading {
	half := came.Sub(asked) / 2
	return reading{offset: theirs.Sub(asked.Round(0).Add(half)), within: half, at: came}
}

// now returns the offset as it is at a later time: our own clock may have been set since.
func (r reading) now(now time.Time) time.Duration {
	stepped := now.Round(0).Sub(r.at.Round(0)) - now.Sub(r.at)
	return r.offset - stepped
}

// clocks is what is known of the members' clocks. It is safe for concurrent use; the zero value is
// ready.
type clocks struct {
	mu  sync.Mutex
	all map[group.MemberID]reading
}

func (c *clocks) note(m group.MemberID, r reading) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil {
		c.all = make(map[group.MemberID]reading)
	}
	if _, known := c.all[m]; known || len(c.all) < maxClocks {
		c.all[m] = r
	}
}

func (c *clocks) of(m group.MemberID) (reading, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	r, ok := c.all[m]
	return r, ok
}

// median returns how far the clocks of the given members are ahead of ours in the middle, and of how many
// that is known.
func (c *clocks) median(of []group.MemberID, now time.Time) (time.Duration, int) {
	var offsets []time.Duration
	for _, m := range of {
		if r, ok := c.of(m); ok {
			offsets = append(offsets, r.now(now))
		}
	}
	if len(offsets) == 0 {
		return 0, 0
	}
	slices.Sort(offsets)
	return offsets[len(offsets)/2], len(offsets)
}

// compareClocks says hello to a few members whose clocks weren't looked at for long, or differed, and has health
// say where this appliance's own seems to be off.
func (n *network) compareClocks(ctx context.Context) {
	now, asked := time.Now(), 0
	d := n.membership.Descriptor()
	for m := range n.node.overlay.Links() {
		r, known := n.clocks.of(m)
		if d.Check(m) == nil && (!known || now.Sub(r.at) > clockAge || r.now(now).Abs() > clockTolerance) {
			if asked++; asked > clocksAtOnce {
				break
			}
			n.tell(ctx, m, n.node.gate.introduce)
		}
	}
	off, of := n.clocks.median(d.Current(), time.Now())
	finding := clockFinding(off, of)
	if finding == (health.Finding{}) {
		n.health().Clear("clock", "off")
		return
	}
	n.health().Report(health.Trouble{Level: health.Warning, Component: "clock", Key: "off", Finding: finding}, time.Now())
}

// clockFinding says that this appliance's clock is off, by what is known of so many others.
func clockFinding(off time.Duration, of int) health.Finding {
	if of == 0 || off.Abs() <= clockTolerance {
		return health.Finding{}
	}
	word, others := "behind", "those of the other members"
	if off < 0 {
		word = "ahead of"
	}
	if of == 1 {
		others = "that of the only other member whose clock is known"
	}
	return health.Finding{
		Text:   fmt.Sprintf("This appliance's clock is %v %s %s: certificates and invitations are judged by it, and what is logged here doesn't fit what is logged there.", off.Abs().Round(time.Second), word, others),
		Remedy: "Have the host's clock set by NTP (systemd-timesyncd, chrony), or set the other one.",
	}
}

// Time tells of the clock: whether it is kept by something, and how it compares with the members'.
func (n *node) Time(context.Context) (api.Time, error) {
	now := time.Now()
	t := api.Time{Now: now.UTC(), Members: []api.MemberClock{}}
	var kernel unix.Timex // adjtimex(2): asking needs no privilege
	if state, err := unix.Adjtimex(&kernel); err == nil {
		t.Known = true
		t.Synchronized = state != unix.TIME_ERROR && kernel.Status&unix.STA_UNSYNC == 0
		t.ErrorSeconds = (time.Duration(kernel.Maxerror) * time.Microsecond).Seconds()
	}
	for _, nw := range n.running() {
		for _, m := range nw.membership.Descriptor().Current() {
			if r, ok := nw.clocks.of(m); ok {
				t.Members = append(t.Members, api.MemberClock{
					MemberID: m.String(), Name: nw.memberName(m), Group: nw.membership.Descriptor().Name,
					OffsetSeconds: r.now(now).Seconds(), WithinSeconds: r.within.Seconds(), Seen: r.at.UTC(),
				})
			}
		}
	}
	return t, nil
}
