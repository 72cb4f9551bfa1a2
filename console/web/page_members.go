package web

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// membersPage is what the page of members shows.
type membersPage struct {
	Groups  []groupMembers
	Search  string
	Kind    kind
	Kinds   []kind // that there are
	Invite  inviteForm
	Token   *invited
	Waits   []api.JoinApplication // of this appliance, to be let into a group
	Flaws   flaws                 // of a decision
	Removed string                // who was removed just now
	Done    string                // what else was done just now
	Whom    string                // to whom
}

// groupMembers is a group with those of its members that match.
type groupMembers struct {
	api.Group
	Rows        []memberRow
	Hidden      int
	Invitations []api.IssuedInvitation // that are open, or were used
	Requests    []api.Applicant        // who waits to be let in
	Ending      []api.GroupMember      // whose certificates weren't renewed when they should have been
}

// memberRow is a member and the way to it.
type memberRow struct {
	api.GroupMember
	Link link // empty for this appliance
}

// Gone is where the member's removal is asked about.
func (g groupMembers) Gone(m api.GroupMember) string {
	return "/members/remove?" + url.Values{"group": {g.ID}, "member": {m.MemberID}}.Encode()
}

// Keeper names the member that keeps the group's CA key, and so invites and removes; this appliance isn't it.
func (g groupMembers) Keeper() string {
	for _, m := range g.Members {
		if m.Authority {
			return cmp.Or(m.Name, short(m.MemberID))
		}
	}
	return "the one that created it"
}

// listMembers shows the members of all groups.
func (p *Pages) listMembers(c echo.Context) error {
	page, err := p.membersPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Removed, page.Done, page.Whom = c.QueryParam("removed"), c.QueryParam("done"), c.QueryParam("who")
	return p.show(c, http.StatusOK, "members", page)
}

func (p *Pages) membersPage(c echo.Context) (membersPage, error) {
	page := membersPage{Search: strings.TrimSpace(c.QueryParam("search")), Kind: kind(c.QueryParam("path"))}
	groups, err := p.groups(c)
	if err != nil {
		return page, err
	}
	peers, err := p.peers(c)
	if err != nil {
		return page, err
	}
	if page.Waits, err = p.applications(c); err != nil {
		return page, err
	}
	links := linksOf(peers, p.meter.observe(p.now(), peers))
	page.Invite.Hours, page.Invite.Uses = "24", "1"
	for _, k := range kinds() {
		if slices.ContainsFunc(links, func(l link) bool { return l.Kind == k }) {
			page.Kinds = append(page.Kinds, k)
		}
	}
	for _, g := range groups {
		if g.Authority {
			page.Invite.Groups = append(page.Invite.Groups, g)
		}
		view := page.match(g, links)
		if g.Authority && p.who(c).Can("operator") {
			if view.Invitations, err = p.invitations(c, g.ID); err != nil {
				return page, err
			}
			if view.Requests, err = p.requests(c, g.ID); err != nil {
				return page, err
			}
		}
		page.Groups = append(page.Groups, view)
	}
	return page, nil
}

// match returns the members of a group that the page shows: this appliance first, then by name.
func (m membersPage) match(g api.Group, links []link) groupMembers {
	view := groupMembers{Group: g}
	for _, member := range g.Members {
		if s := member.Certificate.State; s == api.MemberCertificateStateLate || s == api.MemberCertificateStateExpired {
			view.Ending = append(view.Ending, member)
		}
		row := memberRow{GroupMember: member}
		for _, l := range links {
			if l.MemberID == member.MemberID && slices.Contains(l.Groups, g.ID) {
				row.Link = l
			}
		}
		found := strings.Contains(strings.ToLower(member.Name+" "+member.MemberID), strings.ToLower(m.Search))
		if !found || m.Kind != "" && row.Link.Kind != m.Kind {
			view.Hidden++
			continue
		}
		view.Rows = append(view.Rows, row)
	}
	sorting.StablyBy(view.Rows, func(a, b memberRow) int {
		switch {
		case a.Self:
			return -1
		case b.Self:
			return 1
		}
		return cmp.Compare(strings.ToLower(a.Name), strings.ToLower(b.Name))
	})
	return view
}

// removalPage asks whether a member is really to be removed.
type removalPage struct {
	Group  api.Group
	Member api.GroupMember
	Reason string
	Leases int      // addresses that it serves, as far as it is known here
	Relays []string // members that are reached through it from here
	Flaws  flaws
}

// askRemoval says what removing a member does.
func (p *Pages) askRemoval(c echo.Context) error {
	page, err := p.removalPage(c, c.QueryParam("group"), c.QueryParam("member"))
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "remove", page)
}

func (p *Pages) removalPage(c echo.Context, group, member string) (page removalPage, err error) {
	groups, err := p.groups(c)
	if err != nil {
		return page, err
	}
	if page.Group, err = api.FindGroup(groups, group); err != nil {
		return page, echo.NewHTTPError(http.StatusNotFound, err.Error())
	}
	if page.Member, err = api.FindMember(page.Group, member); err != nil {
		return page, echo.NewHTTPError(http.StatusNotFound, err.Error())
	}
	return page, p.effect(c, &page)
}

// effect finds what the member does for others, as far as it is known here.
func (p *Pages) effect(c echo.Context, page *removalPage) error {
	one := 1
	l, err := p.leases(c, api.ListLeasesParams{Limit: &one, Group: page.Group.ID, Member: page.Member.MemberID, Site: api.LeaseSiteAll, State: api.LeaseFilterLeased})
	if err != nil {
		return err
	}
	page.Leases = l.Total
	peers, err := p.peers(c)
	for _, peer := range peers {
		if peer.Via == page.Member.MemberID {
			page.Relays = append(page.Relays, peer.Name)
		}
	}
	return err
}

// remove removes a member.
func (p *Pages) remove(c echo.Context) error {
	page, err := p.removalPage(c, c.FormValue("group"), c.FormValue("member"))
	if err != nil {
		return p.fail(c, err)
	}
	page.Reason = strings.TrimSpace(c.FormValue("reason"))
	gone, err := ask[api.RemoveMemberRequestObject, api.RemoveMemberResponseObject, api.RemoveMember200JSONResponse](
		c, p.api.RemoveMember, api.RemoveMemberRequestObject{Group: page.Group.ID, Member: page.Member.MemberID, Params: api.RemoveMemberParams{Reason: page.Reason}})
	if p.wantsPassword(err) {
		return err
	}
	if err != nil {
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "remove", page)
	}
	return c.Redirect(http.StatusSeeOther, "/members?"+url.Values{"removed": {gone.Name}}.Encode())
}
