package registry

import (
	"testing"
	"time"

	"landbridge/internal/store"
)

// The daemons of a group are restarted more often than a hold time passes: what a
// keeper has counted of a holder's silence must outlast that.
func TestADeadMembersBlocksAreInheritedThoughTheirKeepersWereRestarted(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold, l.lease = time.Hour, 10*time.Minute
	ns := l.members(4)
	lost, alive := ns[3], ns[:3]
	b, _, _ := lost.reg.geo.split(get(t, lost.reg, client(1)).Addr)
	l.isolate(lost, true)
	for _, n := range alive {
		n.clock.pass(40 * time.Minute)
		n.stop()
		n.start()
	}
	for _, n := range alive {
		n.clock.pass(32 * time.Minute)
	}
	passed, stepped := time.Duration(0), time.Time{}
	eventually(t, "an heir", func() bool {
		// All in all less than a whole new time; and no faster than the members can follow on a busy machine.
		step := passed < 20*time.Minute && time.Since(stepped) > 50*time.Millisecond
		if step {
			passed, stepped = passed+10*time.Second, time.Now()
		}
		for _, n := range alive {
			if step {
				n.clock.pass(10 * time.Second)
			}
			for _, s := range n.reg.Blocks() {
				if s.Block == b {
					return true
				}
			}
		}
		return false
	})
}

func TestSilenceIsCountedAnewAfterARebootAndGoesOnAfterARestart(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	n := l.members(1)[0]
	b, _, _ := n.reg.geo.split(get(t, n.reg, client(1)).Addr)
	stored := func() (s acceptorState) {
		t.Helper()
		if err := n.reg.store.View(func(tx *store.Tx) (err error) {
			s, _, err = n.reg.tables.acceptors.Get(tx, rowKey(b))
			return err
		}); err != nil {
			t.Fatal(err)
		}
		return s
	}
	granted := stored()
	if granted.Boot != n.clock.Instant().Boot || granted.Since <= 0 {
		t.Fatalf("the acceptance is dated %q %v", granted.Boot, granted.Since)
	}
	n.clock.pass(time.Minute)
	n.stop()
	n.start()
	if s := stored(); s.Boot != granted.Boot || s.Since != granted.Since {
		t.Fatalf("after a restart since %q %v, was %q %v", s.Boot, s.Since, granted.Boot, granted.Since)
	}
	n.clock.reboot()
	n.stop()
	n.start()
	rebooted := stored()
	if rebooted.Boot == granted.Boot {
		t.Fatalf("after a reboot still the time of boot %q", rebooted.Boot)
	}
	n.clock.pass(time.Minute)
	n.stop()
	n.start()
	if s := stored(); s != rebooted {
		t.Fatalf("after a reboot and a restart since %v, want %v", s.Since, rebooted.Since)
	}
}
