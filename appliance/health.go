package appliance

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"

	"landbridge/console/api"
)

// maxTroubles bounds what the list of troubles can grow to.
const maxTroubles = 64

// health is what isn't as it should be, in words that an operator can act on. A
// component reports a trouble under a key while it lasts and clears it when it ends.
// Safe for concurrent use; the zero value is ready.
type health struct {
	mu       sync.Mutex
	troubles map[trouble]*api.HealthItem
}

type trouble struct{ component, key string }

// report notes that a trouble is there (again).
func (h *health) report(level api.HealthLevel, component, key, text string, now time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.troubles == nil {
		h.troubles = make(map[trouble]*api.HealthItem)
	}
	t := trouble{component, key}
	item := h.troubles[t]
	if item == nil {
		if len(h.troubles) >= maxTroubles && (level != api.HealthLevelError || !h.makeRoom()) {
			return
		}
		item = &api.HealthItem{Component: component, Since: now}
		h.troubles[t] = item
	}
	item.Level, item.Text = level, text
	item.Count++
}

// makeRoom drops the warning that came last, and reports whether there is one. Called with mu
// held.
func (h *health) makeRoom() bool {
	var last trouble
	var youngest *api.HealthItem
	for t, item := range h.troubles {
		if item.Level != api.HealthLevelError && (youngest == nil || item.Since.After(youngest.Since)) {
			last, youngest = t, item
		}
	}
	delete(h.troubles, last)
	return youngest != nil
}

// clear notes that a trouble has ended.
func (h *health) clear(component, key string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.troubles, trouble{component, key})
}

// troubles is the health of one of the appliance's groups.
type troubles struct {
	health *health
	group  string
}

// health returns the part of the appliance's health that is the group's.
func (n *network) health() troubles {
	return troubles{&n.node.health, n.membership.Group().Short()}
}

func (t troubles) report(level api.HealthLevel, component, key, text string, now time.Time) {
	t.health.report(level, component, t.group+" "+key, text, now)
}

func (t troubles) clear(component, key string) { t.health.clear(component, t.group+" "+key) }

// forget clears all troubles of a group, which was left.
func (h *health) forget(group string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for t := range h.troubles {
		if strings.HasPrefix(t.key, group+" ") {
			delete(h.troubles, t)
		}
	}
}

// items returns the troubles, errors first, then the oldest first. What several groups say in the
// same words, as that the LAN port has gone, is said once.
func (h *health) items() []api.HealthItem {
	h.mu.Lock()
	defer h.mu.Unlock()
	items := make([]api.HealthItem, 0, len(h.troubles))
	for _, item := range h.troubles {
		if !slices.ContainsFunc(items, func(i api.HealthItem) bool { return i.Text == item.Text }) {
			items = append(items, *item)
		}
	}
	slices.SortFunc(items, func(a, b api.HealthItem) int {
		return cmp.Or(cmp.Compare(a.Level, b.Level), a.Since.Compare(b.Since)) // "error" < "warning"
	})
	return items
}
