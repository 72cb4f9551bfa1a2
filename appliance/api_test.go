package appliance

import (
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
)

func TestTheAPIShowsWhatTheRegistryKnowsOfBlocksAndRefusals(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	r, err := registry.Open(registry.Config{
		Membership: m.membership, Store: m.node.state.db, Transport: transport{m.network, registry.Protocol}, Log: m.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	m.registry = r
	m.node.networks = map[group.ID]*network{m.id: m.network}

	var blocks []api.Block
	for deadline := time.Now().Add(time.Minute); len(blocks) == 0 && time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if blocks, err = m.node.Blocks(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if len(blocks) == 0 {
		t.Fatal("a lone founder holds no block")
	}
	hold := m.membership.Descriptor().HoldTime
	if left := time.Until(blocks[0].Until); left > hold || left < hold-time.Minute {
		t.Errorf("the block is held for %v, want about %v", left, hold)
	}
	counted := make(map[string]uint64)
	m.registryCounters(func(component, name string, value uint64) { counted[component+" "+name] = value })
	for _, name := range []string{"registry turned_away", "registry removed"} {
		if value, ok := counted[name]; !ok || value != 0 {
			t.Errorf("%s is %d, shown: %v", name, value, ok)
		}
	}
}
