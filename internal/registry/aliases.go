package registry

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"landbridge/internal/group"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// aliases is what this node knows of the group's: the newest table that it has read from a
// quorum, also over a restart.
type aliases struct {
	table    atomic.Pointer[aliasTable] // nil: none yet
	replace  sync.Mutex
	mu       sync.Mutex // guards the rest
	learning bool
	wanted   uint64 // the epoch that somebody told of
}

func aliasKey() []byte { return []byte("table") }

// Alias returns the alias of a name, one label in lower case, from memory.
func (r *Registry) Alias(name string) (Alias, bool) {
	t := r.aliases.table.Load()
	if t == nil {
		return Alias{}, false
	}
	a, ok := t.byName[name]
	return a, ok
}

// Aliases returns all of them, by name.
func (r *Registry) Aliases() (all []Alias) {
	t := r.aliases.table.Load()
	if t == nil {
		return nil
	}
	for _, a := range t.byName {
		all = append(all, a)
	}
	sorting.By(all, func(a, b Alias) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

// SetAlias sets an alias, or changes it, and returns what it was. A quorum of the members that
// keep the aliases has it on disk when it returns nil; the others hear of it within a moment.
//
// A name that a host has isn't given away. A host that takes an alias's name later is found by
// its address only.
//
// Errors: *AliasError, ErrNoQuorum, ErrContended; after the latter two it may have been set.
func (r *Registry) SetAlias(ctx context.Context, a Alias) (was Alias, err error) {
	if err := a.check(); err != nil {
		return Alias{}, err
	}
	if _, known := r.Alias(a.Name); !known {
		if err := r.freeName(ctx, a.Name); err != nil {
			return Alias{}, err
		}
	}
	a.At = r.clock.Instant().Wall
	return r.changeAliases(ctx, a.Name, putAlias(a))
}

// RemoveAlias removes an alias and returns what it was. Errors are as of SetAlias.
func (r *Registry) RemoveAlias(ctx context.Context, name string) (was Alias, err error) {
	return r.changeAliases(ctx, name, dropAlias(name))
}

// freeName refuses a name that a host has.
func (r *Registry) freeName(ctx context.Context, name string) error {
	addr, err := r.LookupName(ctx, name)
	switch {
	case errors.Is(err, ErrAbsent):
		return nil
	case err != nil:
		return fmt.Errorf("whether a host is called %s can't be told now: %w", name, err)
	}
	text := fmt.Sprintf("%s is the name of the host %v", name, addr)
	if at, err := r.Resolve(ctx, addr); err == nil && at.Member != r.id {
		text += " at " + r.nameOf(at.Member)
	}
	return &AliasError{AliasConflict, "name", text + ": choose another name, or rename that host first"}
}

// nameIsAlias refuses for a host the name that is an alias.
func (r *Registry) nameIsAlias(name string) error {
	a, ok := r.Alias(name)
	if !ok || name == "" {
		return nil
	}
	return &AliasError{AliasConflict, "name", fmt.Sprintf("%s is an alias of %s: choose another name, or remove the alias first", name, a.StandsFor())}
}

func (r *Registry) changeAliases(ctx context.Context, name string, edit func(Grant) (Grant, error)) (was Alias, err error) {
	if err := r.awaitReady(ctx); err != nil {
		return Alias{}, err
	}
	if err := r.inGroup(); err != nil {
		return Alias{}, err
	}
	tried := false
	g, _, err := r.changeBy(ctx, aliasRegister, opAliases, 0, func(g Grant) (Grant, error) {
		if all, err := readAliases(g.Aliases); err == nil && !tried {
			was = all[name]
		}
		next, err := edit(g)
		missing := new(AliasError)
		if tried && errors.As(err, &missing) && missing.Fault == AliasMissing {
			return g, nil // a ballot that was taken for lost has removed it
		}
		tried = tried || err == nil
		return next, err
	})
	if err != nil {
		return Alias{}, err
	}
	r.adoptAliases(g)
	r.spawn(r.tellOfAliases)
	return was, nil
}

// tellOfAliases tells the other members that there is a newer table. They don't believe it,
// but ask those who keep it. Every other message tells it as well.
func (r *Registry) tellOfAliases() {
	t, err := r.terms()
	if err != nil {
		return
	}
	r.ask(t, others(t, r.id), 4*r.pace.phase, request{Kind: kindAliases, Value: Grant{Epoch: r.aliasEpoch()}})
}

// heardOfAliases asks for the table where there may be a newer one than ours.
func (r *Registry) heardOfAliases(epoch uint64) {
	if epoch > r.aliasEpoch() {
		r.learnAliases(epoch)
	}
}

// aliasEpoch is the epoch of the table that this node goes by; 0 for none.
func (r *Registry) aliasEpoch() uint64 {
	if t := r.aliases.table.Load(); t != nil {
		return t.grant.Epoch
	}
	return 0
}

// aliasTries is how often those who keep the aliases are asked in a row for a table that
// somebody has told of.
const aliasTries = 5

// learnAliases asks those who keep the aliases for them, in the background: again, where what
// they say is older than the epoch wanted.
func (r *Registry) learnAliases(epoch uint64) {
	s := &r.aliases
	s.mu.Lock()
	defer s.mu.Unlock()
	s.wanted = max(s.wanted, epoch)
	if s.learning {
		return
	}
	s.learning = r.spawn(func() {
		for tries := 1; ; tries++ {
			ctx, cancel := context.WithTimeout(r.ctx, 8*r.pace.phase)
			if err := r.readAliases(ctx); err != nil {
				r.log.Debug("aliases not learnt", "err", err)
			}
			cancel()
			if r.haveWantedAliases(tries) || !wait(r.ctx, time.Duration(tries)*r.pace.phase/2) {
				return
			}
		}
	})
}

// haveWantedAliases reports whether learning is over, and notes that.
func (r *Registry) haveWantedAliases(tries int) bool {
	s := &r.aliases
	s.mu.Lock()
	defer s.mu.Unlock()
	if r.aliasEpoch() < s.wanted && tries < aliasTries {
		return false
	}
	s.wanted, s.learning = 0, false
	return true
}

// readAliases adopts what a quorum has accepted; where its members differ, they first are
// brought to agree.
func (r *Registry) readAliases(ctx context.Context) error {
	t, err := r.terms()
	if err != nil {
		return err
	}
	set := t.current(aliasRegister)
	votes := make(map[Grant]int)
	var newest uint64
	var chosen Grant
	answers := r.ask(t, set.members, r.pace.phase, request{Kind: kindGrants, Blocks: []BlockID{aliasRegister}})
	err = collect(ctx, len(set.members), answers, func(a answer) bool {
		if a.err != nil || a.reply.Status != statusOK || len(a.reply.Grants) != 1 {
			return true
		}
		g := a.reply.Grants[0]
		newest = max(newest, g.Epoch)
		if votes[g] += set.votesOf(a.from); votes[g] >= set.need && g.Epoch >= chosen.Epoch {
			chosen = g
		}
		return true
	})
	if err != nil {
		return err
	}
	r.adoptAliases(chosen)
	if newest <= r.aliasEpoch() {
		return nil
	}
	g, _, err := r.change(ctx, aliasRegister, opRead, 0)
	if err == nil {
		r.adoptAliases(g)
	}
	return err
}

// adoptAliases makes a chosen value of the register what this node goes by, if it is newer.
func (r *Registry) adoptAliases(g Grant) {
	r.aliases.replace.Lock()
	defer r.aliases.replace.Unlock()
	known := r.aliases.table.Load()
	if g.Epoch == 0 || known != nil && (g.Epoch < known.grant.Epoch || g == known.grant) {
		return
	}
	all, err := readAliases(g.Aliases)
	if err != nil {
		r.log.Error("aliases not taken over", "err", err)
		return
	}
	r.aliases.table.Store(&aliasTable{g, all})
	err = r.write(func(tx *store.Tx) error { return r.tables.aliases.Put(tx, aliasKey(), g) })
	if err != nil {
		r.log.Error("aliases not written", "err", err)
	}
}

// loadAliases recalls the table of an earlier run.
func (r *Registry) loadAliases(tx *store.Tx) error {
	g, ok, err := r.tables.aliases.Get(tx, aliasKey())
	if err != nil || !ok {
		return err
	}
	all, err := readAliases(g.Aliases)
	if err == nil {
		r.aliases.table.Store(&aliasTable{g, all})
	}
	return err
}

// followAliases asks for the aliases at the start, and now and then: who was away when they changed
// hears of it with whatever it asks others, or is asked, but that may take long in a quiet group.
func (r *Registry) followAliases(k *keeper, now Instant) {
	if now.Mono >= k.aliases {
		k.aliases = now.Mono + r.pace.aliases/2 + rand.N(r.pace.aliases)
		r.learnAliases(0)
	}
}

// AliasKeepers returns the members of whom most must be reached for aliases to be changed.
func (r *Registry) AliasKeepers() []group.MemberID {
	t, err := r.terms()
	if err != nil {
		return nil
	}
	return t.keepers(aliasRegister)
}
