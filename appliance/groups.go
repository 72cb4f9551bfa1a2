package appliance

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/division"
	"landbridge/internal/group"
	"landbridge/internal/sorting"
	"landbridge/internal/store"
)

// groupParams reads a request to create a group.
func groupParams(req api.GroupCreate) (group.Params, error) {
	prefix, unreadable := netip.ParsePrefix(req.Prefix)
	if unreadable != nil {
		prefix = netip.MustParsePrefix("10.9.0.0/16") // for what else is wrong
		unreadable = fmt.Errorf("prefix %q: want an IPv4 network such as 10.9.0.0/16", req.Prefix)
	}
	p := group.Params{
		Name:      req.Name,
		Prefix:    prefix,
		Zone:      req.Zone,
		LeaseTime: time.Duration(req.LeaseSeconds) * time.Second,
		HoldTime:  time.Duration(req.HoldSeconds) * time.Second,
		MTU:       req.MTU,
	}.WithDefaults()
	if err := errors.Join(unreadable, p.Validate()); err != nil {
		return group.Params{}, console.Invalid(err, groupFields(err, req.Zone != "")...)
	}
	if !p.Private() && !req.AllowPublicPrefix {
		text := fmt.Sprintf("prefix %v: these are public addresses, so the members could reach nobody on the Internet who has them: take a prefix within 10.0.0.0/8, 172.16.0.0/12, 192.168.0.0/16 or 100.64.0.0/10, "+
			"or, where the addresses are your organisation's own, give --allow-public-prefix", prefix)
		return group.Params{}, console.Invalid(errors.New(text), api.FieldError{Field: "prefix", Detail: text})
	}
	return p, nil
}

// createGroup stores a new group with this node as its authority and first member.
func (s *state) createGroup(nodeName string, p group.Params) (*group.Membership, error) {
	if err := s.mustBeApart(division.Territory{Name: p.Name, Prefix: p.Prefix}); err != nil {
		return nil, err
	}
	_, m, err := group.CreateGroup(s.db, s.key, group.NodeName(nodeName), p, time.Now())
	return m, err
}

// mustBeApart refuses a group that can't be told from those that the state holds.
func (s *state) mustBeApart(t division.Territory) error {
	ms, err := s.memberships()
	if err != nil {
		return err
	}
	all := []division.Territory{}
	for _, m := range ms {
		if m.Group() != t.ID {
			all = append(all, territoryOf(m))
		}
	}
	if err := division.Apart(append(all, t)); err != nil {
		return console.Conflict(err)
	}
	return nil
}

// memberships opens every group that the state holds.
func (s *state) memberships() ([]*group.Membership, error) {
	ids, err := group.Groups(s.db)
	if err != nil {
		return nil, err
	}
	all := make([]*group.Membership, 0, len(ids))
	for _, id := range ids {
		m, err := group.OpenMembership(s.db, s.key, id)
		if err != nil {
			return nil, fmt.Errorf("group %s: %w", id.Short(), err)
		}
		all = append(all, m)
	}
	return all, nil
}

// findGroup returns the membership that a person means by a group's name or ID.
func (s *state) findGroup(ref string) (*group.Membership, error) {
	groups, err := s.describeGroups()
	if err != nil {
		return nil, err
	}
	g, err := api.FindGroup(groups, ref)
	if err != nil {
		return nil, console.NotFound(err)
	}
	id, err := group.ParseID(g.ID)
	if err != nil {
		return nil, err
	}
	return group.OpenMembership(s.db, s.key, id)
}

// authorityOf opens the CA of a group, where this node keeps it. It returns nil for a
// plain member.
func authorityOf(db *store.DB, id group.ID) (*group.Authority, error) {
	a, err := group.OpenAuthority(db, id)
	if errors.Is(err, group.ErrNotAuthority) {
		return nil, nil
	}
	return a, err
}

// notAuthority refuses what only the authority does, and says who that is.
func notAuthority(m *group.Membership) error {
	d := m.Descriptor()
	who, _ := d.Entry(d.Authority)
	return console.Conflict(fmt.Errorf("%w: that is %s (%s); run the command there, or use its console, whose address landbridge console says there",
		group.ErrNotAuthority, cmp.Or(who.Name, "the member"), d.Authority.Short()))
}

// remove ends the membership of whom ref names.
func remove(a *group.Authority, m *group.Membership, ref, reason string) (api.Removal, error) {
	if a == nil {
		return api.Removal{}, notAuthority(m)
	}
	g := describeGroup(m, true)
	member, err := api.FindMember(g, ref)
	if err != nil {
		return api.Removal{}, console.NotFound(err)
	}
	id, err := group.ParseMemberID(member.MemberID)
	if err != nil {
		return api.Removal{}, err
	}
	signed, err := a.Dismiss(id, reason, time.Now())
	if errors.Is(err, group.ErrLastAuthority) {
		return api.Removal{}, console.Conflict(group.ErrLastAuthority)
	}
	if err != nil {
		return api.Removal{}, err
	}
	d, err := group.ParseDescriptor(signed)
	if err != nil {
		return api.Removal{}, err
	}
	return api.Removal{
		Group: g.ID, GroupName: g.Name, MemberID: member.MemberID, Name: member.Name, DescriptorVersion: d.Version, Reason: reason,
	}, nil
}

// describeJoined tells of a group that was joined by that name, and whether the name was
// another's.
func describeJoined(m *group.Membership, asked string) api.Group {
	g, name := describeGroup(m, false), group.NodeName(asked)
	if other, err := api.FindMember(g, name); err == nil && !other.Self {
		g.NameTaken = name
	}
	return g
}

// describeGroup tells of a group as the API does.
func describeGroup(m *group.Membership, authority bool) api.Group {
	d, now := m.Descriptor(), time.Now()
	g := api.Group{
		ID: d.Group.String(), Name: d.Name, Prefix: d.Prefix, ServiceAddress: d.ServiceAddr(), Zone: d.Zone,
		LeaseSeconds: seconds(m.Settings().Lease(d.Params)), HoldSeconds: int64(d.HoldTime / time.Second),
		MTU: d.MTU, DescriptorVersion: d.Version, Authority: authority,
		CertificateExpires: m.Expires().UTC(), Members: []api.GroupMember{},
	}
	for _, id := range d.Current() {
		e, _ := d.Entry(id)
		g.Members = append(g.Members, api.GroupMember{
			MemberID: id.String(), Name: e.Name, Self: id == m.Self(), Authority: id == d.Authority, Certificate: certificateOf(m, id, now),
		})
	}
	g.Removed = formerMembers(d, m.Self())
	return g
}

// renewalPatience is for how long a member may ask in vain for a new certificate before that is
// spoken of.
const renewalPatience = 3 * 24 * time.Hour

// certificateOf tells of a member's certificate, as far as it is known.
func certificateOf(m *group.Membership, id group.MemberID, now time.Time) api.MemberCertificate {
	v, known := m.ValidityOf(id)
	if !known {
		return api.MemberCertificate{}
	}
	state := api.MemberCertificateStateGood
	switch {
	case now.After(v.Until):
		state = api.MemberCertificateStateExpired
	case now.After(v.Renewal.Add(renewalPatience)):
		state = api.MemberCertificateStateLate
	case !now.Before(v.Renewal):
		state = api.MemberCertificateStateDue
	}
	return api.MemberCertificate{State: state, Issued: v.From.UTC(), Renewal: v.Renewal.UTC(), Expires: v.Until.UTC(), Fingerprint: hex.EncodeToString(v.Fingerprint[:])}
}

// formerShown is of how many former members a group tells.
const formerShown = 20

// formerMembers are the last members that the group has lost, the latest first.
func formerMembers(d *group.Descriptor, self group.MemberID) (all []api.FormerMember) {
	var gone []group.Entry
	for _, e := range d.Members {
		if e.Removed != 0 {
			gone = append(gone, e)
		}
	}
	sorting.By(gone, func(a, b group.Entry) int { return cmp.Compare(b.Removed, a.Removed) })
	for _, e := range gone[:min(len(gone), formerShown)] {
		all = append(all, api.FormerMember{
			MemberID: e.ID.String(), Name: e.Name, DescriptorVersion: e.Removed, At: utc(e.RemovedAt), Reason: e.Reason, Self: e.ID == self,
		})
	}
	return all
}
