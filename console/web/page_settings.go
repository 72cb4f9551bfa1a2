package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// settingsPage is what can be changed of a group while it runs.
type settingsPage struct {
	Group   groupMembers
	Running api.GroupStatus // zero where the group doesn't run here
	Now     api.GroupSettings
	Edit    bool              // the person can change it here
	Typed   map[string]string // the form, by the API's names; what takes several has a line for each
	Flaws   flaws
	Late    bool             // others have changed it since the form was opened
	Plan    *settingsSummary // what the form would change; nil before it was asked for
	Done    int64            // within how many seconds hosts know of what was just changed; 0 where nothing was
}

// Fields of the form that aren't the API's.
const (
	leaseUnit = "leaseUnit" // the unit of leaseSeconds, in seconds
	formBase  = "version"   // of the settings that the form was opened with
)

// settingFields are the settings in the order of the page.
func settingFields() []string {
	return []string{
		"leaseSeconds", "renewPercent", "rebindPercent", "domain", "search", "dnsServers", "ntpServers", "routes", "ipv6Prefix", "excluded", "allowed", "denied", "onlyAllowed",
	}
}

// units are what a lease time is given in, in seconds.
func units() []int64 { return []int64{1, 60, 3600, 24 * 3600} }

// showSettings shows a group's settings, to be changed where that can be done.
func (p *Pages) showSettings(c echo.Context) error {
	page, err := p.settingsPage(c, c.QueryParam("group"))
	if err != nil {
		return p.fail(c, err)
	}
	if page.Typed = typedSettings(page.Now); c.QueryParam("defaults") != "" {
		page.Typed = typedSettings(api.GroupSettings{Version: page.Now.Version})
	}
	page.Done, _ = wholeNumber("done", c.QueryParam("done")) // what isn't one is nothing that the console wrote
	return p.show(c, http.StatusOK, "settings", page)
}

func (p *Pages) settingsPage(c echo.Context, ref string) (page settingsPage, err error) {
	groups, err := p.groups(c)
	if err != nil {
		return page, err
	}
	if page.Group.Group, err = api.FindGroup(groups, ref); err != nil || ref == "" {
		return page, echo.NewHTTPError(http.StatusNotFound, "this appliance is in no such group")
	}
	status, err := p.status(c)
	if err != nil {
		return page, err
	}
	for _, g := range status.Groups {
		if g.ID == page.Group.ID {
			page.Running = g
		}
	}
	page.Now, err = p.settings(c, page.Group.ID)
	page.Edit = page.Now.Authority && p.who(c).Can("administrator")
	return page, err
}

func (p *Pages) settings(c echo.Context, group string) (api.GroupSettings, error) {
	s, err := ask[api.GetGroupSettingsRequestObject, api.GetGroupSettingsResponseObject, api.GetGroupSettings200JSONResponse](
		c, p.api.GetGroupSettings, api.GetGroupSettingsRequestObject{Group: group})
	return api.GroupSettings(s), err
}

// typedSettings is the form as it is filled in before anybody types.
func typedSettings(s api.GroupSettings) map[string]string {
	typed := map[string]string{formBase: strconv.FormatUint(s.Version, 10), leaseUnit: "60", "domain": s.Domain, "ipv6Prefix": s.Ipv6Prefix}
	for _, unit := range units() {
		if s.LeaseSeconds != 0 && s.LeaseSeconds%unit == 0 {
			typed["leaseSeconds"], typed[leaseUnit] = strconv.FormatInt(s.LeaseSeconds/unit, 10), strconv.FormatInt(unit, 10)
		}
	}
	for field, percent := range map[string]int{"renewPercent": s.RenewPercent, "rebindPercent": s.RebindPercent} {
		if percent != 0 {
			typed[field] = strconv.Itoa(percent)
		}
	}
	for field, list := range listsOf(s) {
		typed[field] = strings.Join(list, "\n")
	}
	if s.OnlyAllowed {
		typed["onlyAllowed"] = "yes"
	}
	return typed
}

// fieldRows is how high a field for several values is that has these.
func fieldRows(text string) int { return min(max(2, 1+strings.Count(text, "\n")), 10) }

// listsOf returns the settings that take several values.
func listsOf(s api.GroupSettings) map[string][]string {
	return map[string][]string{
		"search": s.Search, "dnsServers": s.DNSServers, "ntpServers": s.NtpServers, "routes": s.Routes,
		"excluded": s.Excluded, "allowed": s.Allowed, "denied": s.Denied,
	}
}

// read reads the form; what is no number at all is the form's to refuse, the rest the API's.
func (page *settingsPage) read(c echo.Context) (*api.GroupSettingsChange, formError) {
	page.Typed = map[string]string{formBase: c.FormValue(formBase), leaseUnit: c.FormValue(leaseUnit)}
	for _, field := range settingFields() {
		page.Typed[field] = c.FormValue(field)
	}
	lease, leaseWrong := wholeNumber("leaseSeconds", page.Typed["leaseSeconds"])
	unit, unitWrong := wholeNumber("leaseSeconds", page.Typed[leaseUnit])
	renew, renewWrong := wholeNumber("renewPercent", page.Typed["renewPercent"])
	rebind, rebindWrong := rebindPart(page.Typed["rebindPercent"])
	var wrong formError
	errors.As(joinFormErrors(leaseWrong, unitWrong, renewWrong, rebindWrong), &wrong)
	return &api.GroupSettingsChange{
		Version: page.Now.Version, LeaseSeconds: lease * max(unit, 1), RenewPercent: int(renew), RebindPercent: int(rebind),
		Domain: strings.TrimSpace(page.Typed["domain"]), OnlyAllowed: page.Typed["onlyAllowed"] != "",
		Ipv6Prefix: strings.TrimSpace(page.Typed["ipv6Prefix"]),
		Search:     apart(page.Typed["search"]), DNSServers: apart(page.Typed["dnsServers"]), NtpServers: apart(page.Typed["ntpServers"]),
		Routes: lines(page.Typed["routes"]), Excluded: lines(page.Typed["excluded"]), Allowed: apart(page.Typed["allowed"]), Denied: apart(page.Typed["denied"]),
	}, wrong
}

// rebindPart reads T2: in whole percents, or its default, which has a fraction.
func rebindPart(text string) (int64, error) {
	if strings.TrimSpace(text) == "87.5" {
		return 0, nil
	}
	n, err := wholeNumber("rebindPercent", text)
	if err != nil {
		err = formError{{Field: "rebindPercent", Detail: "want a whole number above 0, or 87.5, the default"}}
	}
	return n, err
}

// apart is what stands apart by blanks, commas or lines.
func apart(text string) []string { return strings.Fields(strings.ReplaceAll(text, ",", " ")) }

// lines are what stands apart by lines or commas, each with single blanks within.
func lines(text string) (all []string) {
	for line := range strings.FieldsFuncSeq(text, func(r rune) bool { return r == '\n' || r == ',' }) {
		if line = strings.Join(strings.Fields(line), " "); line != "" {
			all = append(all, line)
		}
	}
	return all
}

// planSettings says what the form would change, by the API's check; nothing is.
func (p *Pages) planSettings(c echo.Context) error {
	page, err := p.settingsPage(c, c.FormValue("group"))
	if err != nil {
		return p.fail(c, err)
	}
	change, unread := page.read(c)
	unreadable(c, unread)
	_, err = p.api.SetGroupSettings(api.CheckOnly(c.Request().Context()), api.SetGroupSettingsRequestObject{Group: page.Group.ID, Body: change})
	if err != nil && p.problem(err).Status == http.StatusNoContent { // nothing is wrong
		err = nil
	}
	if err != nil || len(unread) > 0 {
		return p.settingsRefused(c, page, err, unread)
	}
	if page.late() {
		return p.show(c, http.StatusUnprocessableEntity, "settings", page)
	}
	if page.Plan, err = p.summary(c, page, *change); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "settings", page)
}

// late reports whether others have changed the settings since the form was opened. The form goes on
// from what is now: the person sees that beside each field.
func (page *settingsPage) late() bool {
	now := strconv.FormatUint(page.Now.Version, 10)
	page.Late = page.Typed[formBase] != now
	page.Typed[formBase] = now
	return page.Late
}

// settingsRefused shows the form again, with what is wrong beside each field.
func (p *Pages) settingsRefused(c echo.Context, page settingsPage, err error, unread formError) error {
	status := http.StatusUnprocessableEntity
	page.Flaws.Fields = make(map[string]string)
	if err != nil {
		page.Flaws, status = p.flawsOf(err)
	}
	for _, e := range unread {
		page.Flaws.Fields[e.Field] = e.Detail
	}
	return p.show(c, status, "settings", page)
}

// setSettings changes the settings to what the plan was made of.
func (p *Pages) setSettings(c echo.Context) error {
	page, err := p.settingsPage(c, c.FormValue("group"))
	if err != nil {
		return p.fail(c, err)
	}
	change, unread := page.read(c)
	if len(unread) > 0 || page.late() {
		return p.settingsRefused(c, page, nil, unread)
	}
	made, err := ask[api.SetGroupSettingsRequestObject, api.SetGroupSettingsResponseObject, api.SetGroupSettings200JSONResponse](
		c, p.api.SetGroupSettings, api.SetGroupSettingsRequestObject{Group: page.Group.ID, Body: change})
	if err == nil {
		to := url.Values{"group": {page.Group.ID}, "done": {strconv.FormatInt(made.NoticeSeconds, 10)}}
		return c.Redirect(http.StatusSeeOther, "/groups/settings?"+to.Encode())
	}
	if now, other := p.settings(c, page.Group.ID); other == nil && now.Version != page.Now.Version { // others were quicker
		if page.Now = now; page.late() {
			return p.settingsRefused(c, page, nil, nil)
		}
	}
	return p.settingsRefused(c, page, err, nil)
}
