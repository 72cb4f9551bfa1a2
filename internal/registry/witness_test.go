package registry

import (
	"errors"
	"net/netip"
	"os"
	"testing"
	"time"

	"landbridge/internal/store"
)

// copied takes a copy of a node's state as it is now, and returns how to put it back
// while the node is down.
func (n *node) copied(t *testing.T) (restore func()) {
	t.Helper()
	backup := n.path + ".copy"
	out, err := os.Create(backup)
	if err == nil {
		err = errors.Join(n.db.Backup(out), out.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return func() {
		t.Helper()
		b, err := os.ReadFile(backup)
		if err == nil {
			err = os.WriteFile(n.path, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (n *node) forgetful() bool { return n.registry().Stats().Forgetful }

func TestWhatAMarkShows(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		was  seen
		m    mark
		want seen
		ok   bool
	}{
		"the first":                       {seen{}, mark{1, 5, 9}, seen{1, 9}, true},
		"the same run goes on":            {seen{1, 9}, mark{1, 5, 12}, seen{1, 12}, true},
		"a message was overtaken":         {seen{1, 12}, mark{1, 5, 9}, seen{1, 12}, true},
		"a restart":                       {seen{1, 12}, mark{2, 12, 13}, seen{2, 13}, true},
		"a restart after things not told": {seen{1, 12}, mark{2, 40, 41}, seen{2, 41}, true},
		"an older copy":                   {seen{1, 12}, mark{2, 11, 11}, seen{1, 12}, false},
		"an older copy that has gone far": {seen{1, 12}, mark{2, 11, 99}, seen{1, 12}, false},
		"a second one from the same copy": {seen{1, 13}, mark{2, 12, 14}, seen{1, 13}, false},
		"a program that makes no marks":   {seen{1, 12}, mark{}, seen{1, 12}, true},
	} {
		if got, ok := c.was.take(c.m); got != c.want || ok != c.ok {
			t.Errorf("%s: %v, %v", name, got, ok)
		}
	}
	if got := (seen{2, 13}).hear(seen{1, 12}); got != (seen{2, 13}) {
		t.Errorf("what another has seen long ago: %v", got)
	}
	if got := (seen{2, 13}).hear(seen{1, 20}); got != (seen{1, 20}) {
		t.Errorf("what another has seen that we haven't: %v", got)
	}
}

// The two of three that are left would grant a block a second time at one epoch: the one
// has never heard of the first grant, the other has forgotten it.
func TestAMemberFromAnOlderCopyHelpsNobodyToGrantTwice(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	a, b, n := ns[0], ns[1], ns[2]
	eventually(t, "n has something to forget", func() bool { return len(n.reg.Blocks()) > 0 })
	restore := n.copied(t)
	l.isolate(b, true)
	const contested = 40
	if _, err := a.reg.obtain(short(t, 5*time.Second), contested, opClaim); err != nil {
		t.Fatal(err)
	}
	epoch := a.reg.held(contested).Epoch
	n.stop()
	restore()
	n.start()
	eventually(t, "n learns what it is", n.forgetful)
	l.isolate(b, false)
	l.isolate(a, true)
	if blk, err := b.reg.obtain(short(t, 3*time.Second), contested, opClaim); err == nil {
		t.Fatalf("granted at epoch %d to a, and at epoch %d to b", epoch, blk.Epoch)
	}
	if _, err := n.reg.obtain(short(t, time.Second), contested+1, opClaim); !errors.Is(err, ErrForgetful) {
		t.Errorf("n claims for itself: %v", err)
	}
	l.isolate(a, false)
	// The two that remember are a majority.
	if _, err := b.reg.obtain(short(t, 5*time.Second), contested+2, opClaim); err != nil {
		t.Errorf("b, with a there: %v", err)
	}
}

// held returns a block that is held here, nil for none.
func (r *Registry) held(b BlockID) *block {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.held[b]
}

func TestAMemberFromAnOlderCopyLeasesNothingAndStaysSo(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	n := ns[2]
	before := get(t, n.reg, client(1))
	restore := n.copied(t)
	given := get(t, n.reg, client(2)) // after the copy
	eventually(t, "the others have seen it", func() bool { return ns[0].reg.seenOf(n.id).Age >= n.reg.mark().Age })
	n.stop()
	restore()
	n.start()
	if o, err := n.reg.Offer(short(t, 5*time.Second), client(3), given.Addr); !errors.Is(err, ErrForgetful) {
		t.Errorf("offered %v, which client 2 has: %v", o.Addr, err)
	}
	if _, err := n.reg.Commit(short(t, time.Second), client(1), before.Addr); !errors.Is(err, ErrForgetful) || errors.Is(err, ErrNotOurs) {
		t.Errorf("a renewal: %v", err)
	}
	// Its hosts go on finding others.
	elsewhere := get(t, ns[0].reg, client(7))
	eventually(t, "a host elsewhere is found", func() bool {
		loc, err := n.reg.Resolve(short(t, 5*time.Second), elsewhere.Addr)
		return err == nil && loc.Member == ns[0].id
	})
	n.stop()
	l.isolate(n, true) // nobody is there to tell it again
	n.start()
	if _, err := n.reg.Offer(short(t, 5*time.Second), client(3), netip.Addr{}); !errors.Is(err, ErrForgetful) {
		t.Errorf("after another restart, cut off: %v", err)
	}
}

// Who has seen a member's memory tells the others, and remembers it over its own restart.
func TestWitnessesTellEachOtherAndRemember(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(4)
	a, b, n := ns[0], ns[1], ns[2]
	eventually(t, "a holds a block", func() bool { return len(a.reg.Blocks()) > 0 })
	get(t, n.reg, client(1))
	restore := n.copied(t)
	l.isolate(b, true)
	for i := range 5 {
		get(t, n.reg, client(10+i))
	}
	age := n.reg.mark().Age
	eventually(t, "a has seen it", func() bool { return a.reg.seenOf(n.id).Age >= age })
	n.stop()
	l.isolate(b, false)
	a.reg.publisher.mark(a.reg.Blocks()[0].Block) // a record of a's own, to those who keep it
	eventually(t, "b has heard of it", func() bool { return b.reg.seenOf(n.id).Age >= age })
	a.stop()
	ns[3].stop()
	b.stop()
	b.start()
	if got := b.reg.seenOf(n.id).Age; got < age {
		t.Fatalf("after its restart b remembers age %d, had seen %d", got, age)
	}
	restore()
	n.start()
	eventually(t, "n learns what it is", n.forgetful)
}

// Of two the founder claims alone. What it has forgotten the second knows, as soon as
// they meet.
func TestOfTwoTheFounderFromAnOlderCopyStopsWhenTheyMeet(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(2)
	founder, second := ns[0], ns[1]
	eventually(t, "both hold something", func() bool { return len(founder.reg.Blocks()) > 0 && len(second.reg.Blocks()) > 0 })
	restore := founder.copied(t)
	const contested = 40
	if _, err := second.reg.obtain(short(t, 5*time.Second), contested, opClaim); err != nil {
		t.Fatal(err)
	}
	founder.stop()
	restore()
	l.isolate(founder, true)
	founder.start()
	if _, err := founder.reg.obtain(short(t, 5*time.Second), contested, opClaim); err != nil {
		t.Fatalf("alone it can't know better: %v", err)
	}
	l.isolate(founder, false)
	eventually(t, "the founder learns what it is", founder.forgetful)
	if second.reg.held(contested) == nil {
		t.Error("the second believed the founder, and lost its block")
	}
	if _, err := founder.reg.Offer(short(t, time.Second), client(1), netip.Addr{}); !errors.Is(err, ErrForgetful) {
		t.Errorf("the founder leases: %v", err)
	}
}

func TestRestartsAndCrashesForgetNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	for i := range 12 {
		n := ns[i%3]
		get(t, n.reg, client(i))
		if i%2 == 0 {
			n.stop()
		} else if err := n.kill(); err != nil {
			t.Fatal(err)
		}
		n.start()
	}
	for i, n := range ns {
		get(t, n.reg, client(100+i))
		if n.forgetful() {
			t.Errorf("%s is said to have forgotten something", n.name)
		}
	}
}

// A member that left and came back under its key has its age still: it has promised
// what it promised.
func TestWhoLeftAndCameBackIsNotTakenForACopy(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	n := ns[2]
	get(t, n.reg, client(1))
	n.stop()
	db, err := store.Open(n.path)
	if err != nil {
		t.Fatal(err)
	}
	err = errors.Join(db.Update(func(tx *store.Tx) error {
		_, err := Leave(tx, labGroup(), false)
		return err
	}), db.Close())
	if err != nil {
		t.Fatal(err)
	}
	n.start()
	get(t, n.reg, client(2))
	if n.forgetful() {
		t.Error("it is taken for a copy")
	}
}
