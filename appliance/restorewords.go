package appliance

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"landbridge/console/access"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/registry"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// summary is what a state has, as far as a person decides by it.
type summary struct {
	member group.MemberID
	name   string
	backup backupRecord
	groups map[group.ID]groupSummary
	users  []api.User
}

// groupSummary is what a state has of a group.
type groupSummary struct {
	name, prefix string
	roster       uint64
	authority    bool
	invitations  int // that are open
	registry     registry.Survey
}

// summarize reads a state: all of it, so that what can't be read is found out.
func summarize(s *state) (summary, error) {
	all := summary{member: s.self(), groups: make(map[group.ID]groupSummary)}
	memberships, err := s.memberships()
	if err != nil {
		return all, err
	}
	for _, m := range memberships {
		a, err := authorityOf(s.db, m.Group())
		if err != nil {
			return all, err
		}
		d := m.Descriptor()
		g := groupSummary{name: d.Name, prefix: d.Prefix.String(), roster: d.Version, authority: a != nil}
		if g.invitations, err = openInvitations(a); err != nil {
			return all, err
		}
		err = s.db.View(func(tx *store.Tx) (err error) { g.registry, err = registry.Look(tx, m.Group()); return err })
		if err != nil {
			return all, fmt.Errorf("group %s: %w", d.Name, err)
		}
		all.groups[m.Group()] = g
	}
	err = s.db.View(func(tx *store.Tx) error {
		named, _, err := nameBucket().Get(tx, []byte("name"))
		if err != nil {
			return err
		}
		all.name = named.Name
		all.backup, _, err = backupBucket().Get(tx, []byte("made"))
		return err
	})
	if err != nil {
		return all, err
	}
	all.users, err = access.ListUsers(s.db)
	return all, err
}

// openInvitations counts those of a group's authority, if this is it.
func openInvitations(a *group.Authority) (n int, err error) {
	if a == nil {
		return 0, nil
	}
	all, err := a.Invitations()
	now := time.Now()
	for _, i := range all {
		if i.Open(now) {
			n++
		}
	}
	return n, err
}

// compare says what a restore would change.
func compare(now, then summary) api.Restore {
	r := api.Restore{
		MemberID: then.member.String(), SameAppliance: now.member == then.member, Name: then.name, Made: then.backup.At, Version: then.backup.Version,
		Groups: []api.RestoreGroup{}, Users: userNames(then.users), UsersNow: userNames(now.users),
	}
	ids := slices.Collect(maps.Keys(now.groups))
	for id := range then.groups {
		if _, ok := now.groups[id]; !ok {
			ids = append(ids, id)
		}
	}
	for _, id := range ids {
		before, was := now.groups[id]
		after, is := then.groups[id]
		g := api.RestoreGroup{
			ID: id.String(), Name: cmp.Or(after.name, before.name), Prefix: cmp.Or(after.prefix, before.prefix), Authority: after.authority,
			Leases: after.registry.Leases, LeasesNow: before.registry.Leases, Blocks: after.registry.Blocks, BlocksNow: before.registry.Blocks,
			Roster: int64(after.roster), RosterNow: int64(before.roster), Change: api.RestoreChangeStays,
		}
		switch {
		case !was:
			g.Change = api.RestoreChangeComes
		case !is:
			g.Change = api.RestoreChangeGoes
		}
		r.Groups = append(r.Groups, g)
	}
	sorting.By(r.Groups, func(a, b api.RestoreGroup) int { return strings.Compare(a.Name+a.ID, b.Name+b.ID) })
	r.Dangers = dangers(now, then, ids)
	return r
}

func userNames(all []api.User) []string {
	names := []string{}
	for _, u := range all {
		names = append(names, fmt.Sprintf("%s (%s)", u.Name, u.Role))
	}
	return names
}

// dangers says what a restore can do harm to.
func dangers(now, then summary, ids []group.ID) []string {
	all := []string{}
	if now.member != then.member {
		all = append(all, fmt.Sprintf("The copy is of another appliance, %s: this one becomes that one, and its own key is gone from here. See that the former one never starts again: two with one key harm each other.", then.member))
	}
	for _, id := range ids {
		before, was := now.groups[id]
		after, is := then.groups[id]
		name := cmp.Or(after.name, before.name)
		switch {
		case !is:
			all = append(all, fmt.Sprintf("The group %s isn't in the copy: this appliance is no member of it any more, and its hosts get no addresses of it.", name))
			if before.authority {
				all = append(all, fmt.Sprintf("With it goes the CA key of the group %s: nobody can be invited or removed any more, and certificates end.", name))
			}
		case after.registry.Forgetful:
			all = append(all, fmt.Sprintf("In the group %s the copy was found out to be too old already: it hands out no addresses.", name))
		case now.member == then.member && was && after.registry.Age < before.registry.Age:
			all = append(all, fmt.Sprintf("In the group %s this appliance has promised and leased since the copy was made (%d changes). It will have forgotten that; members that have seen it notice, and then it hands out, renews and claims no addresses any more, until it joins anew with an empty state.",
				name, before.registry.Age-after.registry.Age))
		case now.member != then.member || !was:
			all = append(all, fmt.Sprintf("In the group %s nobody here knows what the appliance has promised since the copy was made: if other members have seen more of it, it hands out no addresses.", name))
		}
		if is && was && after.authority && after.roster < before.roster {
			all = append(all, fmt.Sprintf("The roster of the group %s is older in the copy (version %d, now %d): members refuse it, and what is decided from there on makes a fork. Members invited since would have to be invited again.", name, after.roster, before.roster))
		}
		if after.invitations > 0 {
			all = append(all, fmt.Sprintf("Invitations to the group %s that are open in the copy (%d) are revoked, as they may have been used or revoked since: make new ones.", name, after.invitations))
		}
	}
	if !slices.ContainsFunc(then.users, func(u api.User) bool { return u.Role == api.RoleAdministrator }) {
		all = append(all, "The copy has no administrator of the console: it is set up anew, with the setup code that landbridge console prints.")
	} else {
		all = append(all, "Users, passwords, API tokens and the audit log become those of the copy, and everybody has to log in again.")
	}
	if then.backup.At.IsZero() {
		all = append(all, "The copy doesn't say when it was made.")
	} else if old := time.Since(then.backup.At); old > 30*24*time.Hour {
		all = append(all, fmt.Sprintf("The copy is %d days old.", int(old/(24*time.Hour))))
	}
	return all
}
