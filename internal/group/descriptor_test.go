package group

import (
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
)

// roster makes a descriptor with so many admissions and, now and then, a removal.
func roster(n int) *Descriptor {
	random := rand.New(rand.NewPCG(1, 2))
	d := &Descriptor{Version: 1}
	for i := range n {
		var id MemberID
		for j := range id {
			id[j] = byte(random.Uint32())
		}
		if i > 0 {
			d.Version++
		}
		d.Members = append(d.Members, Entry{ID: id, Added: d.Version})
		if i%3 == 2 {
			d.Version++
			gone := &d.Members[random.IntN(len(d.Members))]
			if gone.Removed == 0 {
				gone.Removed = d.Version
			}
		}
	}
	return d
}

func TestVersionsBeyondTheDescriptorHaveNoMembers(t *testing.T) {
	d := roster(10)
	for _, version := range []uint64{0, d.Version + 1, 1<<64 - 1} {
		if got := d.MembersAt(version); got != nil {
			t.Errorf("version %d: %v", version, got)
		}
	}
}

// Whoever knows a later version tells the same about an earlier one: the registry's
// fencing rests on it.
func TestLaterVersionsTellTheSameOfEarlierOnes(t *testing.T) {
	l := newLab(t)
	var history []*Descriptor
	note := func() { history = append(history, l.founder.Descriptor()) }
	note()
	for n := 1; n <= 6; n++ {
		l.join(n)
		note()
		if n%2 == 0 {
			l.remove(n - 1)
			note()
		}
	}
	l.join(1) // again, with another invitation
	note()
	for i, early := range history {
		if early.Version != uint64(i+1) {
			t.Fatalf("version %d at place %d", early.Version, i)
		}
		for _, late := range history[i:] {
			if a, b := early.Current(), late.MembersAt(early.Version); !slices.Equal(a, b) {
				t.Errorf("version %d tells other members of %d", late.Version, early.Version)
			}
		}
	}
	if !slices.IsSortedFunc(history[3].Current(), MemberID.Compare) {
		t.Error("the members aren't sorted")
	}
	last := l.founder.Descriptor()
	if e, ok := last.Entry(testMember(1)); !ok || e.Added != last.Version || e.Removed != 0 {
		t.Errorf("the entry of who was admitted again: %+v", e)
	}
	if err := errors.Join(last.Check(testMember(1)), last.Check(testMember(2))); err != nil {
		t.Error(err)
	}
	if err := last.Check(testMember(3)); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed: %v", err)
	}
	if err := last.Check(testMember(99)); !errors.Is(err, ErrNotMember) {
		t.Errorf("a stranger: %v", err)
	}
}
