package registry

import (
	"errors"
	"net/netip"
	"testing"

	"landbridge/internal/group"
)

func TestARemovedMemberLeasesAndRenewsNothing(t *testing.T) {
	l := newLab(t, "10.9.0.0/22", 4)
	ns := l.members(3)
	n := ns[2]
	lease := get(t, n.reg, client(1))
	if n.reg.Stats().Removed {
		t.Fatal("removed before it was")
	}
	l.remove(n, n)
	if _, err := n.reg.Offer(t.Context(), client(2), netip.Addr{}); !errors.Is(err, group.ErrRemoved) {
		t.Errorf("an offer: %v", err)
	}
	if _, err := n.reg.Commit(t.Context(), client(1), lease.Addr); !errors.Is(err, group.ErrRemoved) || errors.Is(err, ErrNotOurs) {
		t.Errorf("a renewal: %v", err)
	}
	if !n.reg.Stats().Removed {
		t.Error("Stats doesn't say that the member was removed")
	}
	if err := n.reg.Release(t.Context(), client(1), lease.Addr); err != nil {
		t.Errorf("a release: %v", err)
	}
}
