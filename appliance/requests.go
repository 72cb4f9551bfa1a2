package appliance

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/group"
	"landbridge/internal/health"
)

// What the authority does about those who wait to be let in.

// Requests lists who waits to be let into a group.
func (n *node) Requests(_ context.Context, name string) ([]api.Applicant, error) {
	nw, err := n.find(name)
	if err != nil {
		return nil, err
	}
	return listRequests(nw.authority, nw.membership)
}

// Approve lets an appliance that waits into a group.
func (n *node) Approve(_ context.Context, name, member string) (api.GroupMember, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.GroupMember{}, err
	}
	return approve(nw.authority, nw.membership, member)
}

// Deny refuses an appliance that waits.
func (n *node) Deny(_ context.Context, name, member, reason string) (api.Applicant, error) {
	nw, err := n.find(name)
	if err != nil {
		return api.Applicant{}, err
	}
	return deny(nw.authority, nw.membership, member, reason)
}

// Requests lists who waited when the appliance ran last.
func (o *Offline) Requests(_ context.Context, name string) ([]api.Applicant, error) {
	a, m, err := o.find(name)
	if err != nil {
		return nil, err
	}
	return listRequests(a, m)
}

// Approve lets an appliance in, which hears of it in the next run.
func (o *Offline) Approve(_ context.Context, name, member string) (api.GroupMember, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.GroupMember{}, err
	}
	return approve(a, m, member)
}

// Deny refuses an appliance, which hears of it in the next run.
func (o *Offline) Deny(_ context.Context, name, member, reason string) (api.Applicant, error) {
	a, m, err := o.find(name)
	if err != nil {
		return api.Applicant{}, err
	}
	return deny(a, m, member, reason)
}

func listRequests(a *group.Authority, m *group.Membership) ([]api.Applicant, error) {
	if a == nil {
		return nil, notAuthority(m)
	}
	waiting, err := a.Requests(time.Now())
	if err != nil {
		return nil, err
	}
	all := make([]api.Applicant, 0, len(waiting))
	for _, r := range waiting {
		all = append(all, api.Applicant{
			MemberID: r.Member.String(), Fingerprint: r.Member.Fingerprint(), Name: r.Name, Address: r.From,
			Since: r.At.UTC(), Seen: r.Seen.UTC(), Invitation: r.Invitation.String(), Note: r.Note,
		})
	}
	return all, nil
}

// applicant finds who waits by member ID, fingerprint, or a name that only one has.
func applicant(a *group.Authority, m *group.Membership, ref string) (api.Applicant, group.MemberID, error) {
	all, err := listRequests(a, m)
	if err != nil {
		return api.Applicant{}, group.MemberID{}, err
	}
	found := meant(all, ref)
	switch len(found) {
	case 0:
		return api.Applicant{}, group.MemberID{}, console.NotFound(fmt.Errorf("no appliance %.80q waits to be let in: landbridge group requests lists them", ref))
	case 1:
		id, err := group.ParseMemberID(found[0].MemberID)
		return found[0], id, err
	}
	return api.Applicant{}, group.MemberID{}, console.NotFound(fmt.Errorf("%d appliances that wait are called %.80q: name the one that you mean by its fingerprint", len(found), ref))
}

// meant returns who is meant by a member ID, a fingerprint or a name. What has the form of one of the
// former isn't looked for among names, which those who wait have given themselves.
func meant(all []api.Applicant, ref string) (found []api.Applicant) {
	byName := !group.NamesNode(ref)
	for _, r := range all {
		if r.MemberID == ref || strings.EqualFold(r.Fingerprint, ref) || byName && strings.EqualFold(r.Name, ref) {
			found = append(found, r)
		}
	}
	return found
}

func approve(a *group.Authority, m *group.Membership, ref string) (api.GroupMember, error) {
	_, id, err := applicant(a, m, ref)
	if err != nil {
		return api.GroupMember{}, err
	}
	e, err := a.Approve(id, time.Now())
	if err != nil {
		return api.GroupMember{}, explainDecision(err)
	}
	return api.GroupMember{MemberID: id.String(), Name: e.Name}, nil
}

func deny(a *group.Authority, m *group.Membership, ref, reason string) (api.Applicant, error) {
	who, id, err := applicant(a, m, ref)
	if err != nil {
		return api.Applicant{}, err
	}
	return who, explainDecision(a.Deny(id, reason, time.Now()))
}

// explainDecision tells what can't be decided any more from what has failed.
func explainDecision(err error) error {
	if errors.Is(err, group.ErrNoRequest) {
		return console.NotFound(group.ErrNoRequest)
	}
	for _, over := range []error{group.ErrUsed, group.ErrRevoked, group.ErrUnknownInvitation, group.ErrFull} {
		if errors.Is(err, over) {
			return console.Conflict(over)
		}
	}
	return err
}

// namesSaid is how many of those who wait health names.
const namesSaid = 3

// reportRequests says in words who waits to be let in.
func (n *network) reportRequests() {
	if n.authority == nil {
		return
	}
	waiting, err := n.authority.Requests(time.Now())
	if err != nil {
		n.log.Error("who waits to be let in can't be read", "err", err)
		return
	}
	if len(waiting) == 0 {
		n.health().Clear("group", "requests")
		return
	}
	said := make([]string, 0, namesSaid+1)
	for _, r := range waiting[:min(len(waiting), namesSaid)] {
		said = append(said, fmt.Sprintf("%s (%s)", r.Name, r.Member.Fingerprint()))
	}
	if more := len(waiting) - namesSaid; more > 0 {
		said = append(said, fmt.Sprintf("and %d more", more))
	}
	whom := "Appliances wait"
	if len(waiting) == 1 {
		whom = "An appliance waits"
	}
	n.health().Report(health.Trouble{Level: health.Warning, Component: "group", Key: "requests", Finding: health.Finding{
		Text:   fmt.Sprintf("%s to be let into the group %s: %s.", whom, n.membership.Descriptor().Name, strings.Join(said, ", ")),
		Remedy: "Compare the fingerprint with what the appliance shows itself, then approve or deny it: on the console's page of members, or by landbridge group requests.",
	}}, time.Now())
}

// cameFrom tells people where a multiaddress is: as host and port, or by whom it is relayed.
func cameFrom(multiaddr string) string {
	if multiaddr == "" {
		return ""
	}
	if strings.Contains(multiaddr, "/p2p-circuit") {
		return "relayed by a member"
	}
	parts := strings.Split(multiaddr, "/") // "", "ip4", ADDRESS, "udp", PORT, …
	if len(parts) < 5 {
		return ""
	}
	at, err := netip.ParseAddrPort(parts[2] + ":" + parts[4])
	if addr, err6 := netip.ParseAddr(parts[2]); err != nil && err6 == nil {
		at, err = netip.ParseAddrPort("[" + addr.String() + "]:" + parts[4])
	}
	if err != nil {
		return ""
	}
	return at.String()
}
