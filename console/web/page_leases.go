package web

import (
	"errors"
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

// leasesPage is what the page of leases shows.
type leasesPage struct {
	Query  leaseQuery
	List   api.LeaseList
	Groups []api.GroupStatus
	Blocks []blockView
	More   int // blocks that are not drawn
	Chosen *blockView
}

// leaseQuery is what a person asks for.
type leaseQuery struct {
	Search, Group, Cursor, Block string
}

// With returns the page's address with another cursor.
func (q leaseQuery) With(cursor string) string { q.Cursor = cursor; return q.path() }

// Pick returns the page's address with a block chosen.
func (q leaseQuery) Pick(b netip.Prefix) string { q.Block = b.String(); return q.path() + "#block" }

func (q leaseQuery) path() string {
	v := url.Values{}
	for name, value := range map[string]string{"search": q.Search, "group": q.Group, "cursor": q.Cursor, "block": q.Block} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if len(v) == 0 {
		return "/leases"
	}
	return "/leases?" + v.Encode()
}

// listLeases shows the leases that match, a page at a time.
func (p *Pages) listLeases(c echo.Context) error {
	page := leasesPage{Query: leaseQuery{
		Search: strings.TrimSpace(c.QueryParam("search")), Group: c.QueryParam("group"),
		Cursor: c.QueryParam("cursor"), Block: c.QueryParam("block"),
	}}
	limit := leasesOnPage
	var err error
	page.List, err = p.leases(c, api.ListLeasesParams{
		Search: page.Query.Search, Group: page.Query.Group, Cursor: page.Query.Cursor, Limit: &limit,
	})
	if err != nil {
		return p.fail(c, err)
	}
	if isPart(c, "list") {
		return p.show(c, http.StatusOK, "leases", page)
	}
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Groups = s.Groups
	if err := p.mapBlocks(c, s, &page); err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "leases", page)
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
		view := blockView{Block: b}
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
	Cells []cell // nil where it isn't drawn address by address
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
	Kind    string // free, leased, found (a static address), or service
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
			if l.Found {
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

// leasePage is what the page of one lease shows.
type leasePage struct {
	Lease api.Lease
	Group api.GroupStatus
}

// showLease shows one lease.
func (p *Pages) showLease(c echo.Context) error {
	addr, err := netip.ParseAddr(c.Param("address"))
	if err != nil {
		return p.fail(c, echo.ErrNotFound)
	}
	limit := mapped
	list, err := p.leases(c, api.ListLeasesParams{Search: addr.String(), Group: c.QueryParam("group"), Limit: &limit})
	if err != nil {
		return p.fail(c, err)
	}
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	for _, l := range list.Items {
		if l.Address != addr {
			continue
		}
		page := leasePage{Lease: l}
		for _, g := range s.Groups {
			if g.ID == l.Group {
				page.Group = g
			}
		}
		return p.show(c, http.StatusOK, "lease", page)
	}
	return p.fail(c, echo.NewHTTPError(http.StatusNotFound).SetInternal(errors.New("no such lease")))
}
