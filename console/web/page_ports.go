package web

import (
	"fmt"
	"net/http"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// portView is a port of this host, as its card shows it.
type portView struct {
	api.LANPort
	Who   Who
	At    string // the path of the page that shows it
	Now   bool   // it is the LAN port
	Eager bool   // it listens as soon as the page is open
	Heard *heardView
}

// heardView is what listening on a port came to.
type heardView struct {
	api.PortHearing
	Picture []mark
	Flaws   flaws
}

// mark is somebody in the picture of a segment.
type mark struct {
	X    int
	Kind string // appliance, gateway, server or host
}

// Measures of the picture of a segment.
const (
	markFrom, markPitch = 92, 22
	marksMost           = 12
)

// newPortView returns the card of a port.
func newPortView(who Who, at string, mode api.ModeStatus, heard *heardView, port api.LANPort) portView {
	v := portView{LANPort: port, Who: who, At: at, Now: port.Name == mode.Now.LanPort, Eager: at == "/start" && who.Can("operator") && port.Up}
	if heard != nil && heard.Port == port.Name {
		v.Heard, v.Eager = heard, false
	}
	return v
}

// Somebody reports whether anybody was heard.
func (h heardView) Somebody() bool {
	return len(h.Stations)+len(h.DhcpServers)+len(h.Gateways)+len(h.Appliances) > 0
}

// newHeardView draws who was heard: those who matter first, hosts as far as there is room.
func newHeardView(h api.PortHearing) *heardView {
	v := &heardView{PortHearing: h}
	add := func(kind string, n int) {
		for range n {
			if len(v.Picture) < marksMost {
				v.Picture = append(v.Picture, mark{markFrom + len(v.Picture)*markPitch, kind})
			}
		}
	}
	special := make(map[string]bool) // MACs that are no mere hosts
	for _, g := range h.Gateways {
		special[g.MAC] = true
	}
	for _, s := range h.DhcpServers {
		special[s.MAC] = true
	}
	hosts := 0
	for _, s := range h.Stations {
		if !special[s.MAC] {
			hosts++
		}
	}
	add("appliance", len(h.Appliances))
	add("gateway", len(h.Gateways))
	add("server", len(h.DhcpServers))
	add("host", hosts)
	return v
}

// listen finds out who is on the segment of a port, and shows it on the port's card.
func (p *Pages) listen(c echo.Context) error {
	port, status := c.FormValue("port"), http.StatusOK
	heard, err := ask[api.ListenOnPortRequestObject, api.ListenOnPortResponseObject, api.ListenOnPort200JSONResponse](
		c, p.api.ListenOnPort, api.ListenOnPortRequestObject{Port: port, Body: &api.ListenRequest{}})
	view := newHeardView(api.PortHearing(heard))
	if err != nil {
		view.Port = port
		view.Flaws, status = p.flawsOf(err)
	}
	if c.Request().Header.Get("HX-Request") == "true" {
		return p.render(c, status, "network", "heard", view)
	}
	page, err := p.networkPage(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Heard = view
	return p.showMode(c, status, page)
}

// linkSpeed writes the speed of a link as people say it.
func linkSpeed(bitsPerSecond int64) string {
	if bitsPerSecond%1_000_000_000 == 0 {
		return fmt.Sprintf("%d Gbit/s", bitsPerSecond/1_000_000_000)
	}
	return fmt.Sprintf("%g Mbit/s", float64(bitsPerSecond)/1e6)
}
