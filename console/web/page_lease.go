package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// historyOnPage is how much of an address's past its page shows.
const historyOnPage = 25

// leasePage is what the page of one lease shows.
type leasePage struct {
	Lease   api.Lease
	Group   api.GroupStatus
	History []api.LeaseHistoryEntry
	Name    string // as they were typed
	Note    string
	Flaws   flaws
	Gone    bool  // nobody has the address, and nothing is known but its past
	Deed    *deed // what was done just now
}

// ours reports whether this appliance can change a lease.
func ours(l api.Lease) bool { return !l.Elsewhere && l.Kind != api.LeaseKindOwn }

// Leased reports whether a host has the address.
func (l leasePage) Leased() bool { return l.Lease.State == api.LeaseStateLeased }

// showLease shows one lease.
func (p *Pages) showLease(c echo.Context) error {
	page, err := p.leasePage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Deed = p.deeds.find(p.who(c), p.now(), c.QueryParam("deed"))
	return p.show(c, http.StatusOK, "lease", page)
}

func (p *Pages) leasePage(c echo.Context) (page leasePage, err error) {
	lease, err := p.lease(c, c.Param("address"))
	gone := err != nil && p.problem(err).Status == http.StatusNotFound
	if err != nil && !gone {
		return page, err
	}
	limit := historyOnPage
	history, other := p.history(c, api.ListLeaseHistoryParams{Address: c.Param("address"), Limit: &limit})
	if other != nil {
		return page, cmp.Or(err, other)
	}
	if page.History = history.Items; gone {
		if len(page.History) == 0 {
			return page, err
		}
		last := page.History[0] // of it there is its past only
		lease = api.Lease{Address: last.Address, Group: last.Group, Elsewhere: true}
	}
	page.Lease, page.Name, page.Note, page.Gone = lease, lease.Name, lease.Note, gone
	s, err := p.status(c)
	for _, g := range s.Groups {
		if g.ID == lease.Group {
			page.Group = g
		}
	}
	return page, err
}

// leaseAct does with a lease what a form of its page asks for, and goes back there.
func (p *Pages) leaseAct(do string) echo.HandlerFunc {
	return func(c echo.Context) error {
		address := c.Param("address")
		o := order{
			Do: do, Address: address, MAC: strings.TrimSpace(c.FormValue("mac")), ClientID: c.FormValue("clientId"),
			Name: strings.TrimSpace(c.FormValue("name")), Note: strings.TrimSpace(c.FormValue("note")),
		}
		made := p.carryOut(c, o)
		if made.Done() {
			d := deed{Do: do, Rows: []outcome{made}, Back: "/leases/" + url.PathEscape(address)}
			if _, err := p.lease(c, address); err != nil { // there is nothing to say about it any more
				return c.Redirect(http.StatusSeeOther, "/leases/deeds/"+p.deeds.add(p.who(c), p.now(), d))
			}
			return p.deedDone(c, d)
		}
		page, err := p.leasePage(c)
		if err != nil {
			return p.fail(c, err)
		}
		for field, value := range map[string]*string{"name": &page.Name, "note": &page.Note} {
			if c.Request().PostForm.Has(field) {
				*value = c.FormValue(field)
			}
		}
		page.Flaws = made.Flaws
		return p.show(c, http.StatusUnprocessableEntity, "lease", page)
	}
}

// reserveForm is the form that reserves any address, as it was filled in.
type reserveForm struct {
	Address, MAC, Name string
	Flaws              flaws
}

// reserveAny reserves an address that the form names.
func (p *Pages) reserveAny(c echo.Context) error {
	form := reserveForm{Address: strings.TrimSpace(c.FormValue("address")), MAC: c.FormValue("mac"), Name: c.FormValue("name")}
	made := p.carryOut(c, order{Do: actReserve, Address: form.Address, MAC: strings.TrimSpace(form.MAC), Name: strings.TrimSpace(form.Name)})
	if made.Done() {
		return p.deedDone(c, deed{Do: actReserve, Rows: []outcome{made}, Back: "/leases/" + url.PathEscape(form.Address)})
	}
	form.Flaws = made.Flaws
	return p.showLeases(c, http.StatusUnprocessableEntity, form)
}
