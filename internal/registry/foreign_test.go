package registry

import (
	"errors"
	"testing"
	"time"
)

// A host that moved while its block's holder is away must not be told that its
// address is gone: nobody here knows that.
func TestWhileTheHolderIsAwayAMovedClientIsNotRefused(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(4)
	c := client(7)
	lease := get(t, ns[0].reg, c)
	b, off, _ := ns[1].reg.geo.split(lease.Addr)
	eventually(t, "the record is known", func() bool {
		rec := ns[1].reg.consult(t.Context(), b)
		return rec != nil && rec.leased(off)
	})
	free := ns[1].reg.geo.addr(b, off+1)
	l.isolate(ns[0], true)
	if _, err := ns[1].reg.Commit(t.Context(), c, lease.Addr); !errors.Is(err, ErrUnsure) || errors.Is(err, ErrNotOurs) {
		t.Errorf("the lessee, its holder away: %v", err)
	}
	if _, err := ns[1].reg.Commit(t.Context(), client(8), lease.Addr); !errors.Is(err, ErrNotOurs) {
		t.Errorf("a stranger whom the record contradicts: %v", err)
	}
	if _, err := ns[1].reg.Commit(t.Context(), client(9), free); !errors.Is(err, ErrUnsure) {
		t.Errorf("an address that the record doesn't list: %v", err)
	}
	l.isolate(ns[0], false)
	if _, err := ns[1].reg.Commit(t.Context(), client(9), free); !errors.Is(err, ErrNotOurs) {
		t.Errorf("refused by the holder itself: %v", err)
	}
	if _, err := ns[1].reg.Commit(t.Context(), c, lease.Addr); err != nil {
		t.Errorf("the holder is back: %v", err)
	}
}

// The lease of a host whose holder is gone has ended: the other router of its LAN gives it another address, and
// doesn't offer it the former one again and again.
func TestWhileTheHolderIsAwayItsClientGetsAnotherAddress(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(4)
	c, patient := client(7), client(8)
	lease, kept := get(t, ns[0].reg, c), get(t, ns[0].reg, patient)
	b, off, _ := ns[1].reg.geo.split(lease.Addr)
	eventually(t, "the record is known", func() bool {
		rec := ns[1].reg.consult(t.Context(), b)
		return rec != nil && rec.leased(off)
	})
	l.isolate(ns[0], true)
	if _, err := ns[1].reg.Commit(t.Context(), patient, kept.Addr); !errors.Is(err, ErrUnsure) {
		t.Fatal(err)
	}
	for range 3 {
		offered, err := ns[1].reg.Offer(t.Context(), c, lease.Addr)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ns[1].reg.Commit(t.Context(), c, offered.Addr)
		if err == nil {
			if got.Addr == lease.Addr {
				t.Errorf("%v is leased, whose holder is away", got.Addr)
			}
			l.isolate(ns[0], false)
			eventually(t, "who asks after the holder is back is offered its own", func() bool {
				offered, err := ns[1].reg.Offer(t.Context(), patient, kept.Addr)
				return err == nil && offered.Addr == kept.Addr
			})
			return
		}
		if !errors.Is(err, ErrUnsure) || offered.Addr != lease.Addr {
			t.Fatalf("offered %v, then refused: %v", offered.Addr, err)
		}
	}
	t.Errorf("%v is offered again and again, and never leased", lease.Addr)
}

// A member that rebooted while it is cut off can't know that the addresses it serves
// in others' blocks are still its to serve, nor that they aren't.
func TestAMemberRebootedWhileCutOffDoesNotRefuseTheClientsThatMovedToIt(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 6)
	ns := l.members(3)
	c := client(7)
	lease := get(t, ns[0].reg, c)
	if _, err := ns[1].reg.Commit(short(t, 5*time.Second), c, lease.Addr); err != nil {
		t.Fatal(err)
	}
	l.isolate(ns[1], true)
	ns[1].stop()
	ns[1].clock.reboot()
	ns[1].start()
	if _, err := ns[1].reg.Commit(t.Context(), c, lease.Addr); !errors.Is(err, ErrUnsure) || errors.Is(err, ErrNotOurs) {
		t.Errorf("renewed after a reboot, cut off: %v", err)
	}
	l.isolate(ns[1], false)
	eventually(t, "renewed when its member is joined again", func() bool {
		_, err := ns[1].reg.Commit(t.Context(), c, lease.Addr)
		return err == nil
	})
}
