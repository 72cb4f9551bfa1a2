package web

import (
	"cmp"
	"net/http"
	"slices"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
	"landbridge/internal/sorting"
)

// overviewPage is what the overview shows.
type overviewPage struct {
	Status   api.Status
	Verdict  string // good, warning or error
	Links    []link
	Busiest  []link // by traffic, where not all are shown
	Tallies  []tally
	Pictures []picture
	Shown    int // rows of the table
	Away     int // members that can't be reached
	Kinds    []kind
	Total    rate
	Measured bool // whether the rates are known yet
	Pools    []pool
	Hosts    int
}

// pool is how much of a group's prefix is in use, as far as this appliance knows.
type pool struct {
	Group          api.GroupStatus
	Used, Size     int // addresses in the blocks held here
	Held, Spare    int // blocks
	Lapsed         int
	All            int // addresses of the prefix
	UsedX, HeldX   float64
	MembersPercent int
}

// overview shows the network at a glance.
func (p *Pages) overview(c echo.Context) error {
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	peers, err := p.peers(c)
	if err != nil {
		return p.fail(c, err)
	}
	blocks, err := p.blocks(c)
	if err != nil {
		return p.fail(c, err)
	}
	limit := hostMost
	hosts, err := p.leases(c, api.ListLeasesParams{Limit: &limit, State: api.LeaseFilterLeased}) // a reservation is no host
	if err != nil {
		return p.fail(c, err)
	}
	rates := p.meter.observe(p.now(), peers)
	page := overviewPage{
		Status: s, Links: linksOf(peers, rates), Pools: poolsOf(s.Groups, blocks), Verdict: verdict(s),
		Measured: len(rates) > 0, Hosts: hosts.Total,
	}
	page.Tallies = tallies(page.Links)
	for _, l := range page.Links {
		page.Total.Sent += l.Rate.Sent
		page.Total.Received += l.Rate.Received
		if l.Kind == kindAway {
			page.Away++
		}
		if !slices.Contains(page.Kinds, l.Kind) {
			page.Kinds = append(page.Kinds, l.Kind)
		}
	}
	here := site{Name: s.Name, Detail: string(s.Mode), Hosts: hosts.Items, Total: hosts.Total}
	page.Busiest, page.Shown = busiest(page.Links), shown
	if len(s.Groups) > 0 {
		page.Pictures = []picture{draw(here, page.Links, false), draw(here, page.Links, true)}
	}
	return p.show(c, http.StatusOK, "overview", page)
}

// shown is how many members the overview's table has.
const shown = 12

// busiest returns the links in the order of the table: as they are where all have room,
// else those with the most traffic first.
func busiest(links []link) []link {
	if len(links) <= shown {
		return links
	}
	all := slices.Clone(links)
	sorting.StablyBy(all, func(a, b link) int {
		return cmp.Or(cmp.Compare(b.Rate.Sum(), a.Rate.Sum()), cmp.Compare(b.TxBytes+b.RxBytes, a.TxBytes+a.RxBytes))
	})
	return all
}

// verdict is the worst that health says.
func verdict(s api.Status) string {
	worst := "good"
	for _, h := range s.Health {
		if h.Level == api.HealthLevelError {
			return "error"
		}
		worst = "warning"
	}
	return worst
}

// poolsOf sums up the blocks by group.
func poolsOf(groups []api.GroupStatus, blocks []api.Block) []pool {
	var all []pool
	for _, g := range groups {
		n := pool{Group: g, MembersPercent: percent(g.MembersConnected, g.MembersKnown)}
		for _, b := range blocks {
			if b.Group != g.ID {
				continue
			}
			n.Held++
			n.Used += b.Used
			n.Size += b.Size
			if b.State == api.BlockStateSpare {
				n.Spare++
			}
			if b.State == api.BlockStateLapsed || b.State == api.BlockStateFenced {
				n.Lapsed++
			}
		}
		if g.Prefix.IsValid() {
			n.All = 1 << (g.Prefix.Addr().BitLen() - g.Prefix.Bits())
		}
		if n.Size > 0 {
			n.UsedX = 100 * float64(n.Used) / float64(n.Size)
		}
		n.HeldX = 100 * float64(n.Size) / float64(max(n.All, 1))
		all = append(all, n)
	}
	return slices.Clip(all)
}
