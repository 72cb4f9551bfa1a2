package registry

import (
	"testing"
	"time"

	"landbridge/internal/store"
)

func TestWhoLeavesGivesBackTheBlocksWithoutLeases(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	n, other := ns[2], ns[0]
	lease := get(t, n.reg, client(1))
	leased, _, _ := n.reg.geo.split(lease.Addr)
	if err := n.reg.grow(short(t, 5*time.Second)); err != nil {
		t.Fatal(err)
	}
	before := n.reg.Blocks()
	released := n.reg.Vacate(short(t, 5*time.Second))
	if held := n.reg.Blocks(); len(held) != 1 || held[0].Block != leased || released != len(before)-1 {
		t.Errorf("%d of %d blocks given back, left: %+v", released, len(before), held)
	}
	for _, b := range before {
		g, _, err := other.reg.change(short(t, 5*time.Second), b.Block, opRead, 0)
		if err != nil || g.free() != (b.Block != leased) {
			t.Errorf("block %d: %+v, %v", b.Block, g, err)
		}
	}
	if err := n.reg.grow(short(t, 50*time.Millisecond)); err == nil {
		t.Error("a block was claimed afterwards")
	}
}

func TestWhoLeftHasPromisedWhatItPromisedAndHoldsNothing(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	n := l.members(3)[2]
	lease := get(t, n.reg, client(1))
	leased, _, _ := n.reg.geo.split(lease.Addr)
	epoch := n.reg.Blocks()[0].Epoch
	tables := n.reg.tables
	left := func(forever bool) (holds, leases, registers, seals int) {
		t.Helper()
		n.stop()
		db, err := store.Open(n.path)
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		err = db.Update(func(tx *store.Tx) error {
			had := tables.holds.Len(tx)
			if had == 0 || tables.acceptors.Len(tx) == 0 {
				t.Error("there was nothing to forget")
			}
			held, err := Leave(tx, labGroup(), forever)
			if held != had {
				t.Errorf("it held %d blocks, of %d", held, had)
			}
			holds, leases = tables.holds.Len(tx), tables.leases.Len(tx)
			registers, seals = tables.acceptors.Len(tx), tables.sealed.Len(tx)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return holds, leases, registers, seals
	}
	if holds, leases, registers, seals := left(false); holds+leases != 0 || registers == 0 || seals == 0 {
		t.Errorf("left: %d holds, %d leases, %d registers, %d seals", holds, leases, registers, seals)
	}

	n.start() // it has joined again, and what it had is still its own by the registers
	eventually(t, "the block at a new epoch", func() bool {
		for _, b := range n.reg.Blocks() {
			if b.Block == leased {
				return b.Epoch > epoch
			}
		}
		return false
	})
	if again := get(t, n.reg, client(1)); again.Addr != lease.Addr {
		t.Errorf("the client has %v, had %v", again.Addr, lease.Addr)
	}
	if holds, leases, registers, seals := left(true); holds+leases+registers+seals != 0 {
		t.Errorf("forgotten: %d holds, %d leases, %d registers, %d seals", holds, leases, registers, seals)
	}
}
