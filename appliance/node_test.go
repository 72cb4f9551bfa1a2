package appliance

import (
	"testing"

	"landbridge/internal/group"
)

func TestTheAPIShowsOnlyGroupsWhoseRoomsStand(t *testing.T) {
	standing := &network{id: group.ID{1}, ready: make(chan struct{})}
	close(standing.ready)
	rising := &network{id: group.ID{2}, ready: make(chan struct{})}
	n := &node{networks: map[group.ID]*network{standing.id: standing, rising.id: rising}}
	if got := n.running(); len(got) != 1 || got[0] != standing {
		t.Errorf("running: %d groups, want the one that stands", len(got))
	}
	if got := n.all(); len(got) != 2 {
		t.Errorf("all: %d groups, want 2: stop must end those too that are being taken up", len(got))
	}
}

func TestNothingBeginsOnceANetworkStops(t *testing.T) {
	n := &network{}
	ran := false
	n.background(func() { ran = true })
	if err := n.stop(); err != nil || !ran {
		t.Fatalf("work before the stop: ran %v, %v", ran, err)
	}
	n.background(func() { t.Error("work began after the stop") })
	if err := n.stop(); err != nil {
		t.Error(err)
	}
	n.running.Wait()
}
