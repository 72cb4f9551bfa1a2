package web

import (
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// historyOnThePage is how many entries the page of the history shows at a time.
const historyOnThePage = 100

// historyPage is what became of leases, newest first.
type historyPage struct {
	Query  historyQuery
	Items  []api.LeaseHistoryEntry
	Next   string
	Groups []api.GroupStatus
	Flaws  flaws
}

// historyQuery is what a person asks for; times are days, in UTC.
type historyQuery struct {
	Search, Group, Address, MAC, Since, Until, Cursor string
}

// fields returns the query's parts by their names in the page's address.
func (q *historyQuery) fields() map[string]*string {
	return map[string]*string{
		"search": &q.Search, "group": &q.Group, "address": &q.Address, "mac": &q.MAC, "since": &q.Since, "until": &q.Until, "cursor": &q.Cursor,
	}
}

// With returns the page's address with another cursor.
func (q historyQuery) With(cursor string) string {
	q.Cursor = cursor
	v := url.Values{}
	for name, value := range q.fields() {
		if *value != "" {
			v.Set(name, *value)
		}
	}
	return strings.TrimSuffix("/leases/history?"+v.Encode(), "?")
}

// Filtered reports whether not all of the history is asked for.
func (q historyQuery) Filtered() bool {
	q.Cursor = ""
	return q != historyQuery{}
}

// params asks the API for it.
func (q historyQuery) params() api.ListLeaseHistoryParams {
	limit := historyOnThePage
	p := api.ListLeaseHistoryParams{
		Search: q.Search, Group: q.Group, Address: q.Address, MAC: q.MAC, Cursor: q.Cursor, Since: q.Since, Until: q.Until, Limit: &limit,
	}
	// A day is meant whole; what is no day is the API's to refuse.
	if day, err := time.Parse(time.DateOnly, q.Since); err == nil {
		p.Since = day.Format(time.RFC3339)
	}
	if day, err := time.Parse(time.DateOnly, q.Until); err == nil {
		p.Until = day.Add(24*time.Hour - time.Second).Format(time.RFC3339)
	}
	return p
}

// showHistory shows what became of leases.
func (p *Pages) showHistory(c echo.Context) error {
	var page historyPage
	for name, value := range page.Query.fields() {
		*value = strings.TrimSpace(c.QueryParam(name))
	}
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Groups = s.Groups
	list, err := p.history(c, page.Query.params())
	if err == nil {
		page.Items, page.Next = list.Items, list.Next
		return p.show(c, http.StatusOK, "history", page)
	}
	var status int
	if page.Flaws, status = p.flawsOf(err); len(page.Flaws.Fields) == 0 {
		return p.fail(c, err)
	}
	return p.show(c, status, "history", page)
}

func (p *Pages) history(c echo.Context, params api.ListLeaseHistoryParams) (api.LeaseHistory, error) {
	l, err := ask[api.ListLeaseHistoryRequestObject, api.ListLeaseHistoryResponseObject, api.ListLeaseHistory200JSONResponse](
		c, p.api.ListLeaseHistory, api.ListLeaseHistoryRequestObject{Params: params})
	return api.LeaseHistory(l), err
}
