package registry

import (
	"errors"
	"testing"
	"time"
)

// outsider returns a member that doesn't keep the block's register.
func (l *lab) outsider(ns []*node, b BlockID) *node {
	l.t.Helper()
	t, _ := ns[0].terms()
	for _, n := range ns {
		if !t.current(b).has(n.id) {
			return n
		}
	}
	l.t.Fatal("everybody keeps the block")
	return nil
}

// slowly makes each message take that long, there and back.
func (l *lab) slowly(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = func() time.Duration { return d }
}

// Members on a busy machine, or far away, answer after the time of a phase. A host that
// was leased a moment ago is found all the same, at the first question.
func TestAHostLeasedAMomentAgoIsFoundThoughItsHolderIsSlowToAnswer(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	l.pace.phase, l.pace.silence, l.pace.late = 400*time.Millisecond, 8*time.Second, 16*time.Second
	ns := l.members(3)
	get(t, ns[0].reg, client(1))
	l.slowly(600 * time.Millisecond)
	lease := get(t, ns[0].reg, client(2))
	if loc, err := ns[1].reg.Resolve(t.Context(), lease.Addr); err != nil || loc.Member != ns[0].id {
		t.Fatalf("%v, %v", loc, err)
	}
}

// What is answered after the asker has given up is learnt nevertheless: by one that
// keeps the block's register, and by one that has to be told first who holds it.
func TestAnAnswerThatComesLateOverridesTheRefusal(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	l.pace.silence, l.pace.late = 50*time.Millisecond, 8*time.Second
	l.pace.negative, l.pace.unsure = time.Hour, time.Hour
	l.pace.phase = 300 * time.Millisecond
	ns := l.members(7)
	lease := get(t, ns[0].reg, client(1))
	b, _, _ := ns[0].reg.geo.split(lease.Addr)
	asker := l.outsider(ns[1:], b)
	l.slowly(80 * time.Millisecond)
	if loc, err := asker.reg.Resolve(t.Context(), lease.Addr); !errors.Is(err, ErrNoQuorum) {
		t.Fatalf("before anybody can have answered: %v, %v", loc, err)
	}
	eventually(t, "known without another question", func() bool {
		_, s := asker.reg.Lookup(lease.Addr)
		return s == Known
	})
	// From now on the holder tells of what it leases.
	second := get(t, ns[0].reg, client(2))
	eventually(t, "told of the next lease", func() bool {
		loc, s := asker.reg.Lookup(second.Addr)
		return s == Known && loc.Member == ns[0].id
	})
}

// While the holder says nothing its keepers' word that an address is free may be old.
func TestARefusalWithoutTheHoldersWordIsShort(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	l.pace.negative, l.pace.unsure = time.Hour, 20*time.Millisecond
	ns := l.members(4)
	lease := get(t, ns[0].reg, client(1))
	b, off, _ := ns[0].reg.geo.split(lease.Addr)
	free := ns[0].reg.geo.addr(b, off^1)
	if ns[0].reg.geo.reserved(b, off^1) {
		free = ns[0].reg.geo.addr(b, off^2)
	}
	ns[0].stop()
	if loc, err := ns[1].reg.Resolve(t.Context(), free); err == nil {
		t.Fatalf("an address that the keepers don't know of is at %v", loc)
	}
	eventually(t, "asked about again", func() bool {
		_, s := ns[1].reg.Lookup(free)
		return s == Unknown
	})
}

func TestANameThatNobodyHadIsFoundAsSoonAsItIsLeased(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	l.pace.negative = time.Hour
	ns := l.members(7) // some keep the name's hints, and some don't
	ctx := short(t, 20*time.Second)
	first := get(t, ns[0].reg, client(1))
	for _, n := range ns {
		if _, err := n.reg.Resolve(ctx, first.Addr); err != nil { // hears of the block from now on
			t.Fatal(err)
		}
		if _, err := n.reg.LookupName(ctx, client(2).Name); !errors.Is(err, ErrAbsent) {
			t.Fatalf("a name that nobody has: %v", err)
		}
	}
	lease := get(t, ns[0].reg, client(2))
	for _, n := range ns {
		eventually(t, "found", func() bool {
			a, err := n.reg.LookupName(ctx, lease.Name)
			return err == nil && a == lease.Addr
		})
	}
}

// News that comes while a name is being looked up isn't covered by the refusal.
func TestARefusedNameIsNotRememberedAgainstNewsThatCameMeanwhile(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	l.pace.negative, l.pace.silence = time.Hour, 10*time.Second
	n := l.members(2)[0]
	l.slowly(100 * time.Millisecond)
	key := nameKey(n.reg.group, "printer")
	answered := make(chan error)
	go func() {
		_, err := n.reg.LookupName(t.Context(), "printer")
		answered <- err
	}()
	eventually(t, "being looked up", func() bool {
		n.reg.directory.mu.Lock()
		defer n.reg.directory.mu.Unlock()
		_, ok := n.reg.directory.names[key]
		return ok
	})
	n.reg.handle(t.Context(), n.id, request{
		Kind: kindHint, Group: n.reg.group, Version: l.newest, Hints: []hint{{Key: key, Addr: [4]byte{10, 9, 0, 77}}},
	})
	<-answered
	n.reg.directory.mu.Lock()
	defer n.reg.directory.mu.Unlock()
	if a, ok := n.reg.directory.names[key]; ok && a.err != nil {
		t.Errorf("remembered for long: %v", a.err)
	}
}

// Keepers that know who holds a block, and have no record of it, can't say that an
// address in it is free.
func TestWithoutARecordTheKeepersWordCountsForNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	const claimed = 40
	if _, _, err := ns[0].reg.change(short(t, 10*time.Second), claimed, opClaim, 0); err != nil { // and not installed
		t.Fatal(err)
	}
	ns[0].stop()
	addr := ns[1].reg.geo.addr(claimed, 5)
	if loc, err := ns[1].reg.Resolve(t.Context(), addr); !errors.Is(err, ErrNoQuorum) {
		t.Errorf("%v, %v", loc, err)
	}
}
