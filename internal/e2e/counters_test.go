package e2e

import (
	"os"
	"regexp"
	"testing"

	"landbridge/console/api"
)

// docs/counters.md explains each counter that an appliance lists, in whatever mode, and no other.
func TestEveryCounterIsExplained(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/counters.md")
	if err != nil {
		t.Fatal(err)
	}
	explained, component := make(map[string]bool), ""
	for _, line := range regexp.MustCompile("(?m)^(?:## `(\\w+)`|\\| `(\\w+)` \\| \\S.* \\| \\S.* \\|$)").FindAllSubmatch(page, -1) {
		if len(line[1]) > 0 {
			component = string(line[1])
			continue
		}
		explained[component+" "+string(line[2])] = true
	}
	s := newScene(t)
	office := s.wan.Site("office")
	machines := []*machine{s.d, s.site("a").machine, s.hybrid(office.LAN, "h")}
	listed := make(map[string]bool)
	for _, m := range machines {
		var list api.CounterList
		m.wait("its counters", func() (bool, error) { return len(list.Items) > 100, m.get(&list, "counters") })
		for _, c := range list.Items {
			listed[c.Component+" "+c.Name] = true
			if !explained[c.Component+" "+c.Name] {
				t.Errorf("%s counts %s %s, which docs/counters.md doesn't explain", m.Name, c.Component, c.Name)
			}
		}
	}
	for name := range explained {
		if !listed[name] {
			t.Errorf("docs/counters.md explains %s, which nothing counts", name)
		}
	}
}
