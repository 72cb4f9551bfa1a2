package health

import (
	"cmp"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"landbridge/internal/sorting"
)

// maxTroubles bounds what the list of troubles can grow to.
const maxTroubles = 64

// Book is what isn't as it should be. A component reports a trouble under a key while it lasts and
// clears it when it ends. Safe for concurrent use; the zero value is ready.
type Book struct {
	mu       sync.Mutex
	troubles map[ID]Item
}

// ID tells one trouble from another.
type ID struct{ Component, Key string }

// Item is a trouble that there is.
type Item struct {
	Trouble
	Since time.Time
	Count uint64 // how often it was reported
}

// Report notes that a trouble is there (again).
func (b *Book) Report(t Trouble, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.troubles == nil {
		b.troubles = make(map[ID]Item)
	}
	id := ID{t.Component, t.Key}
	item, known := b.troubles[id]
	if !known {
		if len(b.troubles) >= maxTroubles && (t.Level != Error || !b.makeRoom()) {
			return
		}
		item.Since = now
	}
	item.Trouble = t
	item.Count++
	b.troubles[id] = item
}

// makeRoom drops the warning that came last, and reports whether there is one. Called with mu
// held.
func (b *Book) makeRoom() bool {
	var last ID
	var youngest time.Time
	found := false
	for id, item := range b.troubles {
		if item.Level != Error && (!found || item.Since.After(youngest)) {
			last, youngest, found = id, item.Since, true
		}
	}
	delete(b.troubles, last)
	return found
}

// Clear notes that a trouble has ended.
func (b *Book) Clear(component, key string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.troubles, ID{component, key})
}

// All returns the troubles that there are.
func (b *Book) All() map[ID]Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.troubles)
}

// Items returns the troubles, errors first, then the oldest first. What several groups say in the
// same words, as that the LAN port has gone, is said once.
func (b *Book) Items() []Item {
	b.mu.Lock()
	defer b.mu.Unlock()
	items := make([]Item, 0, len(b.troubles))
	for _, item := range b.troubles {
		if !slices.ContainsFunc(items, func(i Item) bool { return i.Finding == item.Finding }) {
			items = append(items, item)
		}
	}
	sorting.By(items, func(a, b Item) int {
		return cmp.Or(cmp.Compare(b.Level, a.Level), a.Since.Compare(b.Since), cmp.Compare(a.Component, b.Component), cmp.Compare(a.Key, b.Key))
	})
	return items
}

// Part is the health of one of the appliance's groups.
type Part struct {
	book  *Book
	group string
}

// Of returns the part of the book that is a group's.
func (b *Book) Of(group string) Part { return Part{b, group} }

// Report notes that a trouble of the group is there (again).
func (p Part) Report(t Trouble, now time.Time) {
	t.Key = p.group + " " + t.Key
	p.book.Report(t, now)
}

// Clear notes that a trouble of the group has ended.
func (p Part) Clear(component, key string) { p.book.Clear(component, p.group+" "+key) }

// Forget clears all troubles of the group, which was left.
func (p Part) Forget() {
	p.book.mu.Lock()
	defer p.book.mu.Unlock()
	maps.DeleteFunc(p.book.troubles, func(id ID, _ Item) bool { return strings.HasPrefix(id.Key, p.group+" ") })
}
