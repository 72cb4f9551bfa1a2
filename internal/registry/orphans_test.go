package registry

import (
	"errors"
	"testing"
	"time"
)

func holdsBlock(r *Registry, b BlockID) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.book.held[b] != nil
}

// A claim that was won, and the member stopped before it was installed.
func TestABlockWhoseRegisterNamesAMemberThatDoesntHoldItIsClaimedByIt(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(7)
	n := ns[2]
	get(t, n.reg, client(1))
	tt, _ := n.terms()
	b := BlockID(20)
	for n.reg.storedHolder(t, b) || tt.current(b).has(n.id) { // not one that it keeps itself
		b++
	}
	g, _, err := n.reg.change(short(t, 5*time.Second), b, opClaim, 0)
	if err != nil {
		t.Fatal(err)
	}
	n.stop()
	n.start()
	eventually(t, "the block held", func() bool { return holdsBlock(n.reg, b) })
	n.reg.mu.Lock()
	epoch := n.reg.book.held[b].Epoch
	n.reg.mu.Unlock()
	if epoch != g.Epoch+1 {
		t.Errorf("held at epoch %d, was granted at %d", epoch, g.Epoch)
	}
}

func TestABlockWhoseReleaseFailedIsGivenBackLater(t *testing.T) {
	t.Parallel() // it mostly waits
	l := newLab(t, "10.9.0.0/22", 4)
	l.hold = 2 * time.Second
	ns := l.members(3)
	n := ns[1]
	get(t, n.reg, client(1))
	b := BlockID(20)
	for {
		_, err := n.reg.obtain(short(t, 5*time.Second), b, opClaim)
		if err == nil {
			break
		}
		if !errors.Is(err, ErrTaken) {
			t.Fatal(err)
		}
		b++
	}
	l.isolate(n, true)
	if err := n.reg.release(short(t, 300*time.Millisecond), b); err == nil {
		t.Fatal("released while cut off")
	}
	l.isolate(n, false)
	eventually(t, "claimed again, or free", func() bool {
		g, _, err := n.reg.change(short(t, time.Second), b, opRead, 0)
		return err == nil && (g.Holder != n.id || holdsBlock(n.reg, b))
	})
}

func (r *Registry) storedHolder(t *testing.T, b BlockID) bool {
	t.Helper()
	g, _, err := r.change(short(t, 5*time.Second), b, opRead, 0)
	return err != nil || !g.free()
}
