package group

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestAllMembersAreToldWhyOneWasRemoved(t *testing.T) {
	l := newLab(t)
	one, two := l.join(1), l.join(2)
	signed, err := l.authority.Dismiss(testMember(1), "its site has closed", l.now)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range []*Membership{one, two} {
		if _, err := m.Update(signed); err != nil {
			t.Fatal(err)
		}
		if e, _ := m.Descriptor().Entry(testMember(1)); e.Reason != "its site has closed" || !e.RemovedAt.Equal(l.now) || e.Removed == 0 {
			t.Errorf("told %+v", e)
		}
	}
	l.join(3) // the next version tells it still
	if e, _ := l.founder.Descriptor().Entry(testMember(1)); e.Reason != "its site has closed" {
		t.Errorf("a version later: %+v", e)
	}
	for _, reason := range []string{"two\nlines", strings.Repeat("x", 201), "\xff"} {
		if _, err := l.authority.Dismiss(testMember(2), reason, l.now); err == nil {
			t.Errorf("removed for %q", reason)
		}
	}
	if _, err := l.ask(2, NewLeaveRequest(l.authority.id)); err != nil {
		t.Fatal(err)
	}
	if e, _ := l.founder.Descriptor().Entry(testMember(2)); e.Reason != "" || !e.RemovedAt.Equal(l.now) {
		t.Errorf("one that left by itself: %+v", e)
	}
}

func TestTheLastRemovalsAreToldOf(t *testing.T) {
	d := roster(MaxRemovals + 20)
	for i := range d.Members[1:] {
		e := &d.Members[i+1]
		d.Version++
		e.Removed, e.RemovedAt, e.Reason = d.Version, time.Unix(int64(1+i), 0), "r"
	}
	got := d.removals()
	if len(got) != MaxRemovals || got[len(got)-1].Entry != uint64(len(d.Members)-1) || got[0].Entry == 1 {
		t.Errorf("%d told, from %+v to %+v", len(got), got[0], got[len(got)-1])
	}
}

func TestImpossibleRemovalsAreRefused(t *testing.T) {
	l := newLab(t)
	l.join(1)
	l.join(2)
	l.remove(1)
	for name, removals := range map[string][]wireRemoval{
		"of nobody":      {{Entry: 9, At: 1}},
		"of a member":    {{Entry: 2, At: 1}},
		"twice":          {{Entry: 1, At: 1}, {Entry: 1, At: 1}},
		"without a time": {{Entry: 1}},
		"long ago ahead": {{Entry: 1, At: 1 << 62}},
		"of two lines":   {{Entry: 1, At: 1, Reason: "a\nb"}},
		"too many":       make([]wireRemoval, MaxRemovals+1),
	} {
		d := l.founder.Descriptor().next()
		if err := d.tell(removals); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if _, err := ParseDescriptor(l.sign(func(d *Descriptor) { d.Members[1].Reason, d.Members[1].RemovedAt = "a\nb", l.now })); !errors.Is(err, ErrDescriptor) {
		t.Errorf("signed by a faulty authority: %v", err)
	}
}
