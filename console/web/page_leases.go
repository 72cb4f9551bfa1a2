package web

import (
	"net/http"
	"net/netip"
	"net/url"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

const (
	leasesOnPage = 50
	// mapped is up to how many leases all blocks are drawn address by address; the API gives
	// so many at a time. Beyond, a block is drawn when it is asked for.
	mapped = 1000
)

// registerLeases adds the routes of leases.
func (p *Pages) registerLeases(e *echo.Echo) {
	e.GET("/leases", p.listLeases, p.headers)
	e.POST("/leases", p.reserveAny, p.headers)
	e.POST("/leases/bulk", p.bulk, p.headers)
	e.GET("/leases/deeds/:id", p.showDeed, p.headers)
	e.POST("/leases/deeds/:id/undo", p.undoDeed, p.headers)
	e.GET(ImportPath, p.askImport, p.headers)
	e.POST(ImportPath, p.importFile, p.headers)
	e.GET("/leases/history", p.showHistory, p.headers)
	e.GET("/leases/export", p.exportLeases, p.headers)
	e.GET("/leases/:address", p.showLease, p.headers)
	e.POST("/leases/:address/reserve", p.leaseAct(actReserve), p.headers)
	e.POST("/leases/:address/unreserve", p.leaseAct(actUnreserve), p.headers)
	e.POST("/leases/:address/release", p.leaseAct(actRelease), p.headers)
	e.POST("/leases/:address/evict", p.leaseAct(actEvict), p.headers)
	e.POST("/leases/:address/name", p.leaseAct(actRename), p.headers)
	e.POST("/leases/:address/note", p.leaseAct(actNote), p.headers)
}

// leasesPage is what the page of leases shows.
type leasesPage struct {
	Query   leaseQuery
	List    api.LeaseList
	Groups  []api.GroupStatus
	Sites   []api.Peer // the other members, whose leases can be looked at by themselves
	Blocks  []blockView
	More    int // blocks that are not drawn
	Chosen  *blockView
	Reserve reserveForm
	Deed    *deed // what was done just now
}

// leaseQuery is what a person asks for.
type leaseQuery struct {
	Search, Group, State, Kind, Site, Sort, Cursor, Block string
}

// fields returns the query's parts by their names in the page's address.
func (q *leaseQuery) fields() map[string]*string {
	return map[string]*string{
		"search": &q.Search, "group": &q.Group, "state": &q.State, "kind": &q.Kind, "site": &q.Site,
		"sort": &q.Sort, "cursor": &q.Cursor, "block": &q.Block,
	}
}

// queryOf reads what a page's address asks for.
func queryOf(c echo.Context) (q leaseQuery) {
	for name, value := range q.fields() {
		*value = strings.TrimSpace(c.QueryParam(name))
	}
	return q
}

// params asks the API for it, a page of so many at a time.
func (q leaseQuery) params(limit int) api.ListLeasesParams {
	p := api.ListLeasesParams{
		Search: q.Search, Group: q.Group, State: api.LeaseFilter(q.State), Kind: api.LeaseKind(q.Kind),
		Sort: api.LeaseSort(q.Sort), Cursor: q.Cursor, Limit: &limit,
	}
	switch site := api.LeaseSite(q.Site); site {
	case "", api.LeaseSiteHere, api.LeaseSiteElsewhere, api.LeaseSiteAll:
		p.Site = site
	default: // a member
		p.Site, p.Member = api.LeaseSiteAll, q.Site
	}
	return p
}

// As returns where the leases that match are had as a file.
func (q leaseQuery) As(format string) string {
	q.Cursor, q.Block = "", ""
	to, query, _ := strings.Cut(q.path(), "?")
	return to + "/export?" + strings.TrimSuffix("format="+format+"&"+query, "&")
}

// With returns the page's address with another cursor.
func (q leaseQuery) With(cursor string) string { q.Cursor = cursor; return q.path() }

// Pick returns the page's address with a block chosen.
func (q leaseQuery) Pick(b netip.Prefix) string { q.Block = b.String(); return q.path() + "#block" }

// By returns the page's address with the order by a column, and the other way round where
// that is the order now.
func (q leaseQuery) By(column string) string {
	if q.Sort == column || q.Sort == "" && column == "address" {
		column = "-" + column
	}
	q.Sort, q.Cursor = column, ""
	return q.path()
}

// Order is the ARIA word for how a column orders the list; empty where it doesn't.
func (q leaseQuery) Order(column string) string {
	switch {
	case q.Sort == column, q.Sort == "" && column == "address":
		return "ascending"
	case q.Sort == "-"+column:
		return "descending"
	}
	return "none"
}

func (q leaseQuery) path() string {
	v := url.Values{}
	for name, value := range q.fields() {
		if *value != "" {
			v.Set(name, *value)
		}
	}
	if len(v) == 0 {
		return "/leases"
	}
	return "/leases?" + v.Encode()
}

// leaseStates are what leases are filtered by.
func leaseStates() []api.LeaseFilter {
	return []api.LeaseFilter{api.LeaseFilterLeased, api.LeaseFilterReserved, api.LeaseFilterExpired, api.LeaseFilterDeclined, api.LeaseFilterAll}
}

// leaseKinds are how a host can have come by its address.
func leaseKinds() []api.LeaseKind {
	return []api.LeaseKind{api.LeaseKindDhcp, api.LeaseKindStatic, api.LeaseKindOwn}
}

// listLeases shows the leases that match, a page at a time.
func (p *Pages) listLeases(c echo.Context) error {
	return p.showLeases(c, http.StatusOK, reserveForm{Address: c.QueryParam("reserve")})
}

func (p *Pages) showLeases(c echo.Context, status int, form reserveForm) error {
	page := leasesPage{Reserve: form, Query: queryOf(c)}
	var err error
	page.List, err = p.leases(c, page.Query.params(leasesOnPage))
	if err != nil {
		return p.fail(c, err)
	}
	if isPart(c, "list") {
		return p.show(c, status, "leases", page)
	}
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Groups = s.Groups
	if page.Sites, err = p.peers(c); err != nil {
		return p.fail(c, err)
	}
	page.Deed = p.deeds.find(p.who(c), p.now(), c.QueryParam("deed"))
	if err := p.mapBlocks(c, s, &page); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, status, "leases", page)
}

// mapBlocks fills in the picture of the prefix.
func (p *Pages) mapBlocks(c echo.Context, s api.Status, page *leasesPage) error {
	blocks, err := p.blocks(c)
	if err != nil {
		return err
	}
	total := 0
	for _, g := range s.Groups {
		total += g.LeasesServed
	}
	var all api.LeaseList
	if total <= mapped {
		limit := mapped
		if all, err = p.leases(c, api.ListLeasesParams{Limit: &limit}); err != nil {
			return err
		}
	}
	const most = 400 // bars
	for _, b := range blocks {
		if page.Query.Group != "" && b.Group != page.Query.Group {
			continue
		}
		view := blockView{Block: b, Reserves: p.who(c).Can("operator")}
		if total <= mapped && len(page.Blocks) < 16 {
			view.draw(all.Items, s.Groups)
		}
		if b.Prefix.String() == page.Query.Block && view.Cells == nil {
			leases, err := p.leasesIn(c, b)
			if err != nil {
				return err
			}
			chosen := view
			chosen.draw(leases, s.Groups)
			page.Chosen = &chosen
		}
		if len(page.Blocks) == most {
			page.More++
			continue
		}
		page.Blocks = append(page.Blocks, view)
	}
	return nil
}

// leasesIn returns the leases of a block: those of the /24 around it, by the API's search,
// of which the drawing takes what is inside.
func (p *Pages) leasesIn(c echo.Context, b api.Block) ([]api.Lease, error) {
	limit := mapped
	text := b.Prefix.Masked().Addr().String()
	list, err := p.leases(c, api.ListLeasesParams{
		Search: text[:strings.LastIndex(text, ".")+1], Group: b.Group, Limit: &limit,
	})
	return list.Items, err
}

// blockView is a block as a picture: a cell for each address.
type blockView struct {
	api.Block
	Cells    []cell // nil where it isn't drawn address by address
	Reserves bool   // a free address leads to the form that reserves it
}

// Fill is how much of the block is leased, in percent.
func (b blockView) Fill() float64 { return 100 * float64(b.Used) / float64(max(b.Size, 1)) }

// Height of the picture, whose width is Width.
func (b blockView) Height() int { return (len(b.Cells)+cellsInRow-1)/cellsInRow*cellPitch - 2 }

// Width of the picture.
func (b blockView) Width() int { return cellsInRow*cellPitch - 2 }

const (
	cellsInRow = 16
	cellPitch  = 12
)

// cell is an address and who uses it.
type cell struct {
	Left    int
	Top     int
	Address netip.Addr
	Kind    string // free, leased, found (a static address), reserved, or service
	Who     string
}

// draw makes the cells out of leases, of which some may lie elsewhere.
func (b *blockView) draw(leases []api.Lease, groups []api.GroupStatus) {
	const most = 256
	by := make(map[netip.Addr]api.Lease)
	for _, l := range leases {
		if l.Group == b.Group && b.Prefix.Contains(l.Address) {
			by[l.Address] = l
		}
	}
	a := b.Prefix.Masked().Addr()
	for i := 0; i < most && b.Prefix.Contains(a); i++ {
		cl := cell{Left: i % cellsInRow * cellPitch, Top: i / cellsInRow * cellPitch, Address: a, Kind: "free"}
		if l, used := by[a]; used {
			cl.Kind, cl.Who = "leased", nameOf(l)
			switch {
			case l.State == api.LeaseStateReserved:
				cl.Kind = "reserved"
			case l.Kind == api.LeaseKindStatic:
				cl.Kind = "found"
			}
		}
		for _, g := range groups {
			if g.ID == b.Group && g.ServiceAddress == a {
				cl.Kind = "service"
			}
		}
		b.Cells = append(b.Cells, cl)
		a = a.Next()
	}
}

// nameOf is what a person calls the host of a lease.
func nameOf(l api.Lease) string {
	if l.Name != "" {
		return l.Name
	}
	return l.MAC
}
