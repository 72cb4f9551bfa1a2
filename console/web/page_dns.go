package web

import (
	"cmp"
	"net/http"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

const namesOnPage = 50

// registerDNS adds the routes of names.
func (p *Pages) registerDNS(e *echo.Echo) {
	e.GET("/dns", p.names, p.headers)
	e.POST("/dns/aliases", p.changeAlias, p.headers)
	e.POST("/dns/forwarders", p.changeForwarder, p.headers)
	e.POST("/dns/query", p.queryNames, p.headers)
	e.POST("/dns/deeds/:id/undo", p.undoName, p.headers)
}

// dnsPage is what the page of names shows.
type dnsPage struct {
	Query      nameQuery
	List       api.NameList
	Groups     []api.GroupStatus
	Forwarders []api.Forwarder
	Alias      aliasForm
	Forward    forwardForm
	DNS        dnsTool
	Deed       *deed // what was done just now
}

// nameQuery is what a person asks for.
type nameQuery struct{ Search, Group, Kind, Cursor string }

// With returns the page's address with another cursor.
func (q nameQuery) With(cursor string) string {
	v := url.Values{}
	for name, value := range map[string]string{"search": q.Search, "group": q.Group, "kind": q.Kind, "cursor": cursor} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "/dns"
	}
	return "/dns?" + v.Encode()
}

// nameKinds are what names are filtered by.
func nameKinds() []api.NameKind {
	return []api.NameKind{api.NameKindAlias, api.NameKindHost, api.NameKindReserved}
}

// aliasForm and forwardForm are the forms, as they were filled in.
type aliasForm struct {
	Name, Target, Group string
	Flaws               flaws
}

type forwardForm struct {
	Zone, Servers string
	Flaws         flaws
}

// nameOrder is one thing to be done with an alias or a forwarded zone.
type nameOrder struct {
	Do                  string // alias, no-alias, zone or no-zone
	Group, Name, Target string // of an alias, or the zone's name
	Servers             []string
}

// nameDone is what was done, and what takes it back; Full is the name as people say it.
type nameDone struct {
	nameOrder
	Full string
	Undo *nameOrder
}

// names shows the page.
func (p *Pages) names(c echo.Context) error {
	page := dnsPage{
		Alias:   aliasForm{Name: c.QueryParam("alias"), Target: c.QueryParam("target"), Group: c.QueryParam("group")},
		Forward: forwardForm{Zone: c.QueryParam("zone"), Servers: c.QueryParam("servers")},
	}
	return p.showNames(c, http.StatusOK, page)
}

// showNames fills in what the page has besides its forms.
func (p *Pages) showNames(c echo.Context, status int, page dnsPage) error {
	q := &page.Query
	*q = nameQuery{Search: strings.TrimSpace(c.QueryParam("search")), Group: c.QueryParam("group"), Kind: c.QueryParam("kind"), Cursor: c.QueryParam("cursor")}
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Groups = s.Groups
	if !isPart(c, "forwarders") && !isPart(c, "dns") {
		limit := namesOnPage
		l, err := ask[api.ListNamesRequestObject, api.ListNamesResponseObject, api.ListNames200JSONResponse](
			c, p.api.ListNames, api.ListNamesRequestObject{Params: api.ListNamesParams{Search: q.Search, Group: q.Group, Kind: api.NameKind(q.Kind), Cursor: q.Cursor, Limit: &limit}})
		if err != nil {
			return p.fail(c, err)
		}
		page.List = api.NameList(l)
	}
	if !isPart(c, "names") && !isPart(c, "dns") {
		if page.Forwarders, err = p.forwarders(c); err != nil {
			return p.fail(c, err)
		}
	}
	page.Deed = p.deeds.find(p.who(c), p.now(), c.QueryParam("deed"))
	return p.show(c, status, "dns", page)
}

func (p *Pages) forwarders(c echo.Context) ([]api.Forwarder, error) {
	l, err := ask[api.ListForwardersRequestObject, api.ListForwardersResponseObject, api.ListForwarders200JSONResponse](
		c, p.api.ListForwarders, api.ListForwardersRequestObject{})
	return l.Items, err
}

// changeAlias sets an alias, or removes it.
func (p *Pages) changeAlias(c echo.Context) error {
	o := nameOrder{Do: "alias", Group: c.FormValue("group"), Name: strings.TrimSpace(c.FormValue("name")), Target: strings.TrimSpace(c.FormValue("target"))}
	if c.FormValue("do") == "remove" {
		o.Do = "no-alias"
	}
	done, err := p.order(c, o)
	if err == nil {
		return p.nameDone(c, done)
	}
	if o.Do == "no-alias" {
		return p.fail(c, err)
	}
	page := dnsPage{Alias: aliasForm{Name: o.Name, Target: o.Target, Group: o.Group}}
	var status int
	page.Alias.Flaws, status = p.flawsOf(err)
	return p.showNames(c, status, page)
}

// changeForwarder sets a zone's servers, or ends forwarding it.
func (p *Pages) changeForwarder(c echo.Context) error {
	o := nameOrder{Do: "zone", Name: strings.TrimSpace(c.FormValue("zone")), Servers: strings.Fields(strings.ReplaceAll(c.FormValue("servers"), ",", " "))}
	if c.FormValue("do") == "remove" {
		o.Do = "no-zone"
	}
	done, err := p.order(c, o)
	if err == nil {
		return p.nameDone(c, done)
	}
	if o.Do == "no-zone" {
		return p.fail(c, err)
	}
	page := dnsPage{Forward: forwardForm{Zone: o.Name, Servers: c.FormValue("servers")}}
	var status int
	page.Forward.Flaws, status = p.flawsOf(err)
	for field, text := range page.Forward.Flaws.Fields {
		if strings.HasPrefix(field, "servers[") {
			page.Forward.Flaws.Fields["servers"] = text
		}
	}
	return p.showNames(c, status, page)
}

// order has the API do what is ordered, and notes how that is undone.
func (p *Pages) order(c echo.Context, o nameOrder) (done nameDone, err error) {
	done = nameDone{nameOrder: o}
	switch o.Do {
	case "alias":
		a, err := ask[api.SetAliasRequestObject, api.SetAliasResponseObject, api.SetAlias200JSONResponse](
			c, p.api.SetAlias, api.SetAliasRequestObject{Name: o.Name, Body: &api.AliasSet{Group: o.Group, Target: o.Target}})
		if err != nil {
			return done, err
		}
		done.Full, done.Target, done.Undo = a.Full, a.Target, &nameOrder{Do: "no-alias", Group: a.Group, Name: a.Name}
		if a.Before != "" {
			done.Undo = &nameOrder{Do: "alias", Group: a.Group, Name: a.Name, Target: a.Before}
		}
	case "no-alias":
		a, err := ask[api.RemoveAliasRequestObject, api.RemoveAliasResponseObject, api.RemoveAlias200JSONResponse](
			c, p.api.RemoveAlias, api.RemoveAliasRequestObject{Name: o.Name, Params: api.RemoveAliasParams{Group: o.Group}})
		if err != nil {
			return done, err
		}
		done.Full, done.Undo = a.Full, &nameOrder{Do: "alias", Group: a.Group, Name: a.Name, Target: a.Target}
	default:
		return p.orderZone(c, o)
	}
	return done, nil
}

func (p *Pages) orderZone(c echo.Context, o nameOrder) (done nameDone, err error) {
	done = nameDone{nameOrder: o, Full: o.Name, Undo: &nameOrder{Do: "no-zone", Name: o.Name}}
	before, err := p.forwarders(c)
	if err != nil {
		return done, err
	}
	if o.Do == "zone" {
		var z api.SetForwarder200JSONResponse
		z, err = ask[api.SetForwarderRequestObject, api.SetForwarderResponseObject, api.SetForwarder200JSONResponse](
			c, p.api.SetForwarder, api.SetForwarderRequestObject{Body: &api.ForwarderSet{Zone: o.Name, Servers: o.Servers}})
		done.Full = cmp.Or(z.Zone, o.Name)
	} else {
		_, err = p.api.RemoveForwarder(c.Request().Context(), api.RemoveForwarderRequestObject{Params: api.RemoveForwarderParams{Zone: o.Name}})
	}
	for _, z := range before {
		if z.Zone == done.Full {
			done.Undo = &nameOrder{Do: "zone", Name: z.Zone, Servers: serversOf(z)}
		}
	}
	return done, err
}

func serversOf(z api.Forwarder) (all []string) {
	for _, s := range z.Servers {
		all = append(all, s.Address)
	}
	return all
}

// serverList is a zone's servers in a field of the form.
func serverList(z api.Forwarder) string { return strings.Join(serversOf(z), " ") }

// nameDone keeps what was done, and goes back to the page, which says so.
func (p *Pages) nameDone(c echo.Context, done nameDone) error {
	id := p.deeds.add(p.who(c), p.now(), deed{Do: done.Do, Name: &done, Back: "/dns"})
	return c.Redirect(http.StatusSeeOther, withDeed("/dns", id)+"#main") // and not at the form, whose fragment a browser keeps
}

// undoName takes back what was done with an alias or a zone.
func (p *Pages) undoName(c echo.Context) error {
	was := p.deeds.find(p.who(c), p.now(), c.Param("id"))
	if was == nil || was.Name == nil || was.Name.Undo == nil {
		return p.fail(c, echo.NewHTTPError(http.StatusNotFound, "that can't be undone any more: it is too long ago, or the appliance was restarted since"))
	}
	done, err := p.order(c, *was.Name.Undo)
	if err != nil {
		return p.fail(c, err)
	}
	return p.nameDone(c, done)
}

// queryNames asks the resolver.
func (p *Pages) queryNames(c echo.Context) error {
	tool, status := p.askDNS(c)
	return p.showNames(c, status, dnsPage{DNS: tool})
}
