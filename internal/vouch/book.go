package vouch

import (
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
)

// Book is what a member has been told of the others' segments. It is safe for concurrent
// use; Speaks and Serving take no lock and allocate nothing.
type Book struct {
	group  group.ID
	lease  func() time.Duration
	member func(group.MemberID) bool

	view atomic.Pointer[view]

	mu   sync.Mutex
	told map[group.MemberID]told
	next uint64
}

// told is what one router has told last.
type told struct {
	number     uint64
	statements map[group.MemberID]Statement // by owner; their signatures were good
	serving    map[group.MemberID]uint64    // owner to when it was claimed, as Book.next counts
}

// pair says that speaker may send for the hosts of owner.
type pair struct{ speaker, owner group.MemberID }

type view struct {
	speaks  map[pair]struct{}
	serving map[group.MemberID]group.MemberID
}

// NewBook returns an empty book; lease says how long the group's leases are, and member who is in it now.
func NewBook(id group.ID, lease func() time.Duration, member func(group.MemberID) bool) *Book {
	b := &Book{group: id, lease: lease, member: member, told: make(map[group.MemberID]told)}
	b.view.Store(&view{})
	return b
}

// Take takes what from has told, unless it has told something newer. What doesn't hold of it is left
// out.
func (b *Book) Take(from group.MemberID, t Tell, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	former, known := b.told[from]
	if known && t.Number <= former.number || !b.member(from) {
		return
	}
	next := told{number: t.Number, statements: make(map[group.MemberID]Statement), serving: make(map[group.MemberID]uint64)}
	for _, s := range t.Statements {
		was, had := former.statements[s.Owner]
		same := had && was.Made.Equal(s.Made) && was.Until.Equal(s.Until) && string(was.Signature) == string(s.Signature)
		if s.Neighbour == from && b.member(s.Owner) && (same && s.holds(now) || s.Good(b.group, b.lease(), now)) {
			next.statements[s.Owner] = s
		}
	}
	for _, owner := range t.Serving {
		if _, named := next.statements[owner]; !named && owner != from {
			continue
		}
		at, before := former.serving[owner]
		if !before {
			b.next++
			at = b.next
		}
		next.serving[owner] = at
	}
	b.told[from] = next
	b.publish()
}

// Review drops what holds no more: statements that have ended, and what concerns nodes that are members no more.
func (b *Book) Review(now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	maps.DeleteFunc(b.told, func(from group.MemberID, t told) bool {
		maps.DeleteFunc(t.statements, func(owner group.MemberID, s Statement) bool {
			gone := !s.holds(now) || !b.member(owner)
			if gone {
				delete(t.serving, owner)
			}
			return gone
		})
		return !b.member(from) || len(t.statements)+len(t.serving) == 0
	})
	b.publish()
}

// publish makes the readers' view. Of several that claim an owner the last counts.
func (b *Book) publish() {
	v := &view{speaks: make(map[pair]struct{}), serving: make(map[group.MemberID]group.MemberID)}
	latest := make(map[group.MemberID]uint64)
	for from, t := range b.told {
		for owner := range t.statements {
			v.speaks[pair{from, owner}] = struct{}{}
		}
		for owner, at := range t.serving {
			if at > latest[owner] {
				latest[owner], v.serving[owner] = at, from
			}
		}
	}
	maps.DeleteFunc(v.serving, func(owner, by group.MemberID) bool { return owner == by })
	b.view.Store(v)
}

// Speaks reports whether speaker may send for the hosts of owner.
func (b *Book) Speaks(speaker, owner group.MemberID) bool {
	v := b.view.Load()
	if len(v.speaks) == 0 {
		return false
	}
	_, ok := v.speaks[pair{speaker, owner}]
	return ok
}

// Serving returns who serves the hosts of owner now: owner, unless another has taken over.
func (b *Book) Serving(owner group.MemberID) group.MemberID {
	if by, ok := b.view.Load().serving[owner]; ok {
		return by
	}
	return owner
}
