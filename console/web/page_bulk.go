package web

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// mostAtOnce is how many leases one order may be for.
const mostAtOnce = 500

// bulkPage asks before something is done with many leases.
type bulkPage struct {
	Do     string
	Leases []api.Lease
	Gone   []string // addresses of which nothing is known any more
	Note   string   // as it was typed
	Back   string   // where the person was
	Flaws  flaws
}

// Hosts is how many hosts have one of the addresses now.
func (b bulkPage) Hosts() (n int) {
	for _, l := range b.Leases {
		if l.State == api.LeaseStateLeased {
			n++
		}
	}
	return n
}

// asks reports whether a person is asked before it is done: what can be undone isn't asked about,
// but what to note.
func asks(do string) bool { return do == actRelease || do == actEvict || do == actNote }

// bulk does one thing with many leases, once the person is sure.
func (p *Pages) bulk(c echo.Context) error {
	form, err := c.FormParams()
	if err != nil {
		return p.fail(c, err)
	}
	page := bulkPage{Do: c.FormValue("do"), Note: strings.TrimSpace(c.FormValue("note")), Back: leasesPath(c.FormValue("back"))}
	addresses := form["address"]
	switch {
	case !known(page.Do):
		return p.fail(c, echo.NewHTTPError(http.StatusNotFound, "there is no such thing to be done with leases"))
	case len(addresses) == 0:
		return c.Redirect(http.StatusSeeOther, page.Back)
	case len(addresses) > mostAtOnce:
		return p.fail(c, echo.NewHTTPError(http.StatusUnprocessableEntity, "that are more than 500 leases: choose fewer at a time"))
	}
	for _, a := range addresses {
		if l, err := p.lease(c, a); err == nil {
			page.Leases = append(page.Leases, l)
		} else {
			page.Gone = append(page.Gone, a)
		}
	}
	if asks(page.Do) && c.FormValue("sure") == "" {
		return p.show(c, http.StatusOK, "bulk", page)
	}
	d := deed{Do: page.Do, Back: page.Back}
	for i, l := range page.Leases {
		o := orderFor(page.Do, l)
		o.Note = page.Note
		if page.Do == actReserve {
			o.Note = l.Note
		}
		made := p.carryOut(c, o)
		if i == 0 && made.Flaws.Fields["note"] != "" { // it is the same note for all
			page.Flaws = made.Flaws
			return p.show(c, http.StatusUnprocessableEntity, "bulk", page)
		}
		d.Rows = append(d.Rows, made)
	}
	for _, a := range page.Gone {
		d.Rows = append(d.Rows, p.carryOut(c, order{Do: page.Do, Address: a, Note: page.Note}))
	}
	return p.deedDone(c, d)
}

// showDeed shows what was done, row by row.
func (p *Pages) showDeed(c echo.Context) error {
	d := p.deeds.find(p.who(c), p.now(), c.Param("id"))
	if d == nil {
		return c.Redirect(http.StatusSeeOther, "/leases")
	}
	return p.show(c, http.StatusOK, "deed", *d)
}

// undoDeed takes back what was done, as far as that goes.
func (p *Pages) undoDeed(c echo.Context) error {
	was := p.deeds.find(p.who(c), p.now(), c.Param("id"))
	if was == nil {
		return p.fail(c, echo.NewHTTPError(http.StatusNotFound, "that can't be undone any more: it is too long ago, or the appliance was restarted since"))
	}
	d := deed{Do: actUndo, Back: was.Back}
	for _, row := range was.Rows {
		if row.Undo != nil {
			d.Rows = append(d.Rows, p.carryOut(c, *row.Undo))
		}
	}
	return p.deedDone(c, d)
}

// deedDone keeps what was done, and goes back to where the person was; to the rows where
// some of it couldn't be done.
func (p *Pages) deedDone(c echo.Context, d deed) error {
	id := p.deeds.add(p.who(c), p.now(), d)
	if d.Failed() > 0 {
		return c.Redirect(http.StatusSeeOther, "/leases/deeds/"+id)
	}
	return c.Redirect(http.StatusSeeOther, withDeed(d.Back, id))
}

// withDeed returns a path of a page which says there what was done.
func withDeed(path, id string) string {
	u, err := url.Parse(path)
	if err != nil {
		return "/leases/deeds/" + id
	}
	q := u.Query()
	q.Set("deed", id)
	u.RawQuery = q.Encode()
	return u.String()
}

// leasesPath returns a path of the leases' pages, without what was done there before.
func leasesPath(to string) string {
	u, err := url.Parse(localPath(to))
	if err != nil || u.Path != "/leases" && !strings.HasPrefix(u.Path, "/leases/") {
		return "/leases"
	}
	q := u.Query()
	q.Del("deed")
	u.RawQuery = q.Encode()
	return u.String()
}
