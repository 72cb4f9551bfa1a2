package registry

import (
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Cut off, a member can't tell that nobody has a name.
func TestANameIsAbsentOnlyWhereAMajorityAnswered(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(4)
	lease := get(t, ns[0].reg, client(1))
	here := get(t, ns[1].reg, client(2))
	l.isolate(ns[1], true)
	ctx := short(t, 10*time.Second)
	if _, err := ns[1].reg.LookupName(ctx, "unheard-of"); !errors.Is(err, ErrNoQuorum) || errors.Is(err, ErrAbsent) {
		t.Errorf("a name never heard of, cut off: %v", err)
	}
	if a, err := ns[1].reg.LookupName(ctx, here.Name); err != nil || a != here.Addr {
		t.Errorf("a host of this site, cut off: %v, %v", a, err)
	}
	l.isolate(ns[1], false)
	eventually(t, "found when joined again", func() bool {
		a, err := ns[1].reg.LookupName(ctx, lease.Name)
		return err == nil && a == lease.Addr
	})
	l.isolate(ns[3], true)
	if _, err := ns[1].reg.LookupName(ctx, "nobody"); !errors.Is(err, ErrAbsent) {
		t.Errorf("nobody's name, one member of four away: %v", err)
	}
}

func TestLookupsOfOneNameAtOneTimeAreOneLookup(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 6)
	var messages atomic.Int64 // requests and replies
	l.delay = func() time.Duration { messages.Add(1); return 50 * time.Millisecond }
	ns := l.members(3)
	ctx := short(t, 10*time.Second)
	before := messages.Load()
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, err := ns[1].reg.LookupName(ctx, "nobody"); !errors.Is(err, ErrAbsent) {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if n := messages.Load() - before; n > 100 { // four for the name; the others are the members' own
		t.Errorf("%d messages for one name asked for 50 times", n)
	}
}
