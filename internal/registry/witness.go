package registry

import (
	"context"
	"errors"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/store"
)

// A member that runs from an older copy of its state has forgotten what it promised,
// held and leased since. Members are each other's witnesses: every message carries a mark
// of its sender's memory, and what the sender has seen of the receiver's. Who learns that
// others have seen more of it than it knows itself is forgetful, and takes part in nothing
// any more; those who have seen it don't count its word. See docs/decisions/0007.

// ErrForgetful: this member runs from an older copy of its state.
var ErrForgetful = errors.New("this member runs from an older copy of its state than the others have seen: " +
	"what it promised and leased since is lost, so it leases and claims nothing any more")

// errWitnessed: another member does, as far as this one has seen.
var errWitnessed = errors.New("that member runs from an older copy of its state: its word doesn't count")

// mark tells of a sender's memory. The age of a state is how many transactions of
// the registry are in it.
type mark struct {
	Run    uint64 `cbor:"1,keyasint"` // random, of this run of the registry; 0: from a program without marks
	Opened uint64 `cbor:"2,keyasint"` // the age at which this run began
	Age    uint64 `cbor:"3,keyasint"` // the age now: what the message says is on disk
}

// seen is the most that has been seen of a member's memory.
type seen struct {
	Run uint64 `cbor:"1,keyasint"`
	Age uint64 `cbor:"2,keyasint"`
}

// testimony is what a message says that its sender has seen of others.
type testimony struct {
	Member group.MemberID `cbor:"1,keyasint"`
	Seen   seen           `cbor:"2,keyasint"`
}

// take adds what a mark shows. ok is false, and nothing changes, where the mark is of a
// run that began with less than was seen before it.
func (s seen) take(m mark) (next seen, ok bool) {
	switch {
	case m.Run == 0:
		return s, true
	case m.Run == s.Run:
		return seen{Run: s.Run, Age: max(s.Age, m.Age)}, true
	case m.Opened < s.Age:
		return s, false
	}
	return seen{Run: m.Run, Age: max(s.Age, m.Age)}, true
}

// hear adds what another has seen.
func (s seen) hear(o seen) seen {
	if o.Age > s.Age {
		return o
	}
	return s
}

// contradicts reports whether s was seen of a memory that a run which began at opened
// doesn't have.
func (s seen) contradicts(run, opened uint64) bool { return s.Run != run && s.Age > opened }

// witness is this member's own memory, as it tells of it, and what it has seen of others'.
type witness struct {
	run, opened uint64
	age         atomic.Uint64
	forgetful   atomic.Bool

	mu     sync.Mutex
	of     map[group.MemberID]seen
	warned map[group.MemberID]bool // of their forgetfulness
	dirty  bool                    // of isn't on disk
	saveAt time.Duration
}

// saveEvery is how often what was seen is written, if it has changed.
const saveEvery = time.Minute

func ageKey() []byte       { return []byte("age") }
func forgetfulKey() []byte { return []byte("forgetful") }

// loadWitness reads what earlier runs left, before anything is written.
func (r *Registry) loadWitness() error {
	w := &r.witness
	w.run = 1 + rand.Uint64N(1<<63)
	w.of, w.warned = make(map[group.MemberID]seen), make(map[group.MemberID]bool)
	return r.store.View(func(tx *store.Tx) error {
		age, _, err := r.tables.sealed.Get(tx, ageKey())
		if err != nil {
			return err
		}
		w.opened = age
		w.age.Store(age)
		forgetful, _, err := r.tables.sealed.Get(tx, forgetfulKey())
		if err != nil {
			return err
		}
		w.forgetful.Store(forgetful != 0)
		var failed error
		for key, s := range r.tables.seen.Scan(tx, nil, &failed) {
			var id group.MemberID
			if len(key) == len(id) {
				copy(id[:], key)
				w.of[id] = s
			}
		}
		return failed
	})
}

// write is store.Batch for what others may come to rely on: the state gets older by it.
func (r *Registry) write(fn func(tx *store.Tx) error) error {
	var age uint64
	err := r.store.Batch(func(tx *store.Tx) error {
		before := tx.Writes()
		age = 0
		if err := fn(tx); err != nil || tx.Writes() == before {
			return err
		}
		was, _, err := r.tables.sealed.Get(tx, ageKey())
		age = was + 1
		return errors.Join(err, r.tables.sealed.Put(tx, ageKey(), age))
	})
	for was := r.witness.age.Load(); err == nil && age > was && !r.witness.age.CompareAndSwap(was, age); {
		was = r.witness.age.Load()
	}
	return err
}

// mark is what our messages say of our memory. Whatever the message itself says must be
// on disk before.
func (r *Registry) mark() mark {
	w := &r.witness
	return mark{Run: w.run, Opened: w.opened, Age: w.age.Load()}
}

// seenOf is what we have seen of a member's memory.
func (r *Registry) seenOf(m group.MemberID) seen {
	w := &r.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.of[m]
}

// testify tells what we have seen of members.
func (r *Registry) testify(members []group.MemberID) []testimony {
	w := &r.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []testimony
	for _, m := range members {
		if s, ok := w.of[m]; ok && len(all) < replicaCount {
			all = append(all, testimony{m, s})
		}
	}
	return all
}

// hearTestimony takes what another says that it has seen. What is said of members that
// aren't in the group isn't worth remembering.
func (r *Registry) hearTestimony(t *terms, all []testimony) {
	w := &r.witness
	for _, one := range all {
		if one.Member == r.id {
			r.judgeSelf(one.Seen)
			continue
		}
		w.mu.Lock()
		if next := w.of[one.Member].hear(one.Seen); t.has(one.Member) && next != w.of[one.Member] {
			w.of[one.Member], w.dirty = next, true
		}
		w.mu.Unlock()
	}
}

// judge takes the marks of a message from a member: what it says of itself, and what it
// has seen of us. ok is false where that member has forgotten what it once told us.
func (r *Registry) judge(from group.MemberID, its mark, ofUs seen) (ok bool) {
	r.judgeSelf(ofUs)
	w := &r.witness
	w.mu.Lock()
	defer w.mu.Unlock()
	next, ok := w.of[from].take(its)
	switch {
	case !ok && !w.warned[from]:
		w.warned[from] = true
		r.log.Warn("a member runs from an older copy of its state: its word isn't counted here; remove it, and let it join anew with an empty state", "member", from)
	case ok && next != w.of[from]:
		w.of[from], w.dirty = next, true
	}
	return ok
}

// judgeSelf compares what was seen of us with what we know. Where we have forgotten it
// we stop, for good: on disk, as no witness may be there after the next start.
func (r *Registry) judgeSelf(ofUs seen) {
	w := &r.witness
	if !ofUs.contradicts(w.run, w.opened) || w.forgetful.Swap(true) {
		return
	}
	r.log.Error("this appliance runs from an older copy of its state: it leases and claims nothing any more; join anew with an empty state")
	err := r.store.Batch(func(tx *store.Tx) error { return r.tables.sealed.Put(tx, forgetfulKey(), 1) })
	if err != nil {
		r.log.Error("not written that the state is an older copy", "err", err)
	}
}

// saveWitness writes what was seen of others, if that is due.
func (r *Registry) saveWitness(now time.Duration) {
	w := &r.witness
	w.mu.Lock()
	if !w.dirty || now < w.saveAt {
		w.mu.Unlock()
		return
	}
	all := make(map[group.MemberID]seen, len(w.of))
	for m, s := range w.of {
		all[m] = s
	}
	w.dirty, w.saveAt = false, now+saveEvery
	w.mu.Unlock()
	err := r.store.Batch(func(tx *store.Tx) error {
		for m, s := range all {
			if err := r.tables.seen.Put(tx, m[:], s); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		r.log.Error("not written what was seen of others' state", "err", err)
	}
}

// findWitness has the other members asked, at the start, before this one takes part in
// anything: all of them, until one answers, for a while. Who has nothing to forget needs
// none.
func (r *Registry) findWitness() {
	ctx, cancel := context.WithTimeout(r.ctx, r.pace.witness)
	defer cancel()
	for !r.checkHolds() && r.witness.opened > 0 && wait(ctx, r.pace.phase/4) {
	}
}
