package registry

import (
	"errors"
	"net/netip"
	"testing"
	"time"

	"landbridge/internal/group"
)

func TestTheOutlookSaysWhatNewClientsCanHave(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold = time.Hour
	ns := l.members(3)
	n := ns[2]
	eventually(t, "a spare block", func() bool { o := n.reg.Outlook(); return o.Valid >= 1 && o.Free >= 13 && o.Shortage == nil })
	if o := n.reg.Outlook(); o.Unheld != (64/3-o.Blocks)*16 { // of 64 blocks of 16 addresses, among three
		t.Errorf("%d addresses in blocks that it may claim, with %d blocks", o.Unheld, o.Blocks)
	}
	l.isolate(n, true)
	n.clock.pass(l.hold)
	eventually(t, "the holds have run out, and none can be claimed", func() bool {
		o := n.reg.Outlook()
		return o.Blocks >= 1 && o.Valid == 0 && o.Free == 0 && errors.Is(o.Shortage, ErrNoQuorum)
	})
	l.isolate(n, false)
	eventually(t, "all well again", func() bool {
		_, _ = n.reg.Offer(short(t, time.Second), client(1), netip.Addr{})
		o := n.reg.Outlook()
		return o.Valid >= 1 && o.Free >= 13 && o.Shortage == nil
	})
}

func TestWhetherAnyBlockCanBeClaimed(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	nobody := func(group.MemberID) bool { return false }
	lone := l.members(1)[0]
	answered := func(n *node) { // in time, on a busy machine
		t.Helper()
		eventually(t, "a quorum answers "+n.name, func() bool { return n.reg.Answered(t.Context()) })
	}
	answered(lone)
	if !lone.reg.Claimable(nobody) {
		t.Error("a member alone in its group needs nobody")
	}
	second := l.admit("second")
	second.version = l.newest
	second.start()
	if err := lone.learn(l.history[l.newest].raw); err != nil {
		t.Fatal(err)
	}
	if !lone.reg.Claimable(nobody) || second.reg.Claimable(nobody) {
		t.Error("of two the founder needs nobody, and the second the founder")
	}
	if !second.reg.Claimable(func(m group.MemberID) bool { return m == lone.id }) {
		t.Error("with the founder there the second can claim")
	}
	answered(second)
	l.isolate(second, true)
	if second.reg.Answered(t.Context()) {
		t.Error("cut off, the second reaches a quorum")
	}
	answered(lone)
}

// Members that were admitted and never ran keep registers like any other: when a
// majority is gone, removing them doesn't bring back what they might have known.
func TestALostMajorityIsSaid(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(2)
	eventually(t, "all is taken over", func() bool { return !ns[0].reg.Outlook().Stranded && ns[0].reg.Answered(t.Context()) })
	tell := func() {
		for _, n := range ns {
			if err := n.learn(l.history[l.newest].raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	var ghosts []*node
	for _, name := range []string{"never", "ever", "runs"} {
		ghosts = append(ghosts, l.admit(name))
		tell()
	}
	for _, g := range ghosts {
		l.remove(g, ns[0])
		tell()
	}
	eventually(t, "it is said", func() bool { return ns[0].reg.Outlook().Stranded && ns[1].reg.Outlook().Stranded })
}
