package web

import (
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
	Done    string // what was done just now
}

// Here reports whether this appliance can change the lease.
func (l leasePage) Here() bool { return !l.Lease.Elsewhere && l.Lease.Kind != api.LeaseKindOwn }

// Leased reports whether a host has the address.
func (l leasePage) Leased() bool { return l.Lease.State == api.LeaseStateLeased }

// showLease shows one lease.
func (p *Pages) showLease(c echo.Context) error {
	page, err := p.leasePage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Done = c.QueryParam("done")
	return p.show(c, http.StatusOK, "lease", page)
}

func (p *Pages) leasePage(c echo.Context) (page leasePage, err error) {
	lease, err := ask[api.GetLeaseRequestObject, api.GetLeaseResponseObject, api.GetLease200JSONResponse](
		c, p.api.GetLease, api.GetLeaseRequestObject{Address: c.Param("address")})
	if err != nil {
		return page, err
	}
	page.Lease, page.Name, page.Note = api.Lease(lease), lease.Name, lease.Note
	limit := historyOnPage
	history, err := ask[api.ListLeaseHistoryRequestObject, api.ListLeaseHistoryResponseObject, api.ListLeaseHistory200JSONResponse](
		c, p.api.ListLeaseHistory, api.ListLeaseHistoryRequestObject{
			Params: api.ListLeaseHistoryParams{Address: lease.Address.String(), Limit: &limit},
		})
	if err != nil {
		return page, err
	}
	page.History = history.Items
	s, err := p.status(c)
	for _, g := range s.Groups {
		if g.ID == lease.Group {
			page.Group = g
		}
	}
	return page, err
}

// leaseAct does with a lease what a form of its page asks for, and goes back there.
func (p *Pages) leaseAct(done string, act func(echo.Context, string) error) echo.HandlerFunc {
	return func(c echo.Context) error {
		address := c.Param("address")
		err := act(c, address)
		if err == nil {
			return c.Redirect(http.StatusSeeOther, "/leases/"+url.PathEscape(address)+"?done="+done)
		}
		page, other := p.leasePage(c)
		if other != nil {
			return p.fail(c, err)
		}
		for field, value := range map[string]*string{"name": &page.Name, "note": &page.Note} {
			if c.Request().PostForm.Has(field) {
				*value = c.FormValue(field)
			}
		}
		var status int
		page.Flaws, status = p.flawsOf(err)
		return p.show(c, status, "lease", page)
	}
}

// reserve keeps an address for the host that has it.
func (p *Pages) reserve(c echo.Context, address string) error {
	_, err := p.api.ReserveLease(c.Request().Context(), api.ReserveLeaseRequestObject{
		Address: address, Body: &api.ReservationCreate{MAC: strings.TrimSpace(c.FormValue("mac")), Name: c.FormValue("name"), Note: c.FormValue("note")},
	})
	return err
}

func (p *Pages) unreserve(c echo.Context, address string) error {
	_, err := p.api.UnreserveLease(c.Request().Context(), api.UnreserveLeaseRequestObject{Address: address})
	return err
}

func (p *Pages) release(c echo.Context, address string) error {
	_, err := p.api.ReleaseLease(c.Request().Context(), api.ReleaseLeaseRequestObject{Address: address})
	return err
}

func (p *Pages) evict(c echo.Context, address string) error {
	_, err := p.api.EvictLease(c.Request().Context(), api.EvictLeaseRequestObject{Address: address})
	return err
}

func (p *Pages) rename(c echo.Context, address string) error {
	_, err := p.api.RenameLease(c.Request().Context(), api.RenameLeaseRequestObject{
		Address: address, Body: &api.LeaseName{Name: strings.TrimSpace(c.FormValue("name"))},
	})
	return err
}

func (p *Pages) note(c echo.Context, address string) error {
	_, err := p.api.NoteLease(c.Request().Context(), api.NoteLeaseRequestObject{
		Address: address, Body: &api.LeaseNote{Note: strings.TrimSpace(c.FormValue("note"))},
	})
	return err
}

// reserveForm is the form that reserves any address, as it was filled in.
type reserveForm struct {
	Address, MAC, Name string
	Flaws              flaws
}

// reserveAny reserves an address that the form names.
func (p *Pages) reserveAny(c echo.Context) error {
	form := reserveForm{Address: strings.TrimSpace(c.FormValue("address")), MAC: c.FormValue("mac"), Name: c.FormValue("name")}
	err := p.reserve(c, form.Address)
	if err == nil {
		return c.Redirect(http.StatusSeeOther, "/leases/"+url.PathEscape(form.Address)+"?done=reserved")
	}
	var status int
	form.Flaws, status = p.flawsOf(err)
	return p.showLeases(c, status, form)
}
