package api

import (
	"fmt"
	"strings"
)

// Joined is what came of using an invitation: this appliance is a member of Group, and was
// Already, or Waiting says for what it waits.
type Joined struct {
	Group   Group
	Already bool
	Waiting *JoinApplication
}

// FindGroup returns the group that ref names: by its ID, by the beginning of its ID (8
// digits or more), or by its name. An empty ref stands for the only group there is.
func FindGroup(groups []Group, ref string) (Group, error) {
	if len(groups) == 0 {
		return Group{}, fmt.Errorf("this appliance is in no group: create one with landbridge group create, or join one with landbridge join")
	}
	var found []Group
	for _, g := range groups {
		switch {
		case ref == "", g.ID == ref, strings.EqualFold(g.Name, ref),
			len(ref) >= 8 && strings.HasPrefix(g.ID, strings.ToLower(ref)):
			found = append(found, g)
		}
	}
	switch {
	case len(found) == 1:
		return found[0], nil
	case len(found) == 0:
		return Group{}, fmt.Errorf("this appliance is in no group %q: its groups are %s", ref, groupNames(groups))
	case ref == "":
		return Group{}, fmt.Errorf("this appliance is in %d groups: say which one, by name or ID: %s", len(groups), groupNames(groups))
	}
	return Group{}, fmt.Errorf("%q names %d groups: use the ID: %s", ref, len(found), groupNames(found))
}

// FindMember returns the member of g that ref names: by its ID or by its name.
func FindMember(g Group, ref string) (GroupMember, error) {
	for _, m := range g.Members {
		if m.MemberID == ref || strings.EqualFold(m.Name, ref) {
			return m, nil
		}
	}
	return GroupMember{}, fmt.Errorf("group %s has no member %q: landbridge group show lists its members", g.Name, ref)
}

// groupNames lists groups as "office (1a2b3c4d), lab (5e6f7a8b)".
func groupNames(groups []Group) string {
	var b strings.Builder
	for i, g := range groups {
		if i == 8 {
			fmt.Fprintf(&b, " and %d more", len(groups)-i)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%.8s)", g.Name, g.ID)
	}
	return b.String()
}
