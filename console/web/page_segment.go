package web

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// segmentPage is whom DHCP serves on a group's segment, to be changed.
type segmentPage struct {
	Segment api.Segment
	Sharing []string // the other groups on its LAN port
	Holder  string   // of them, the one that has the hosts that nobody named
	Form    segmentForm
	Late    bool             // others have changed it since the form was opened
	Plan    *api.SegmentPlan // what the form would change; nil before it was asked for
}

// segmentForm is the form, as it was filled in.
type segmentForm struct {
	Serve, Classes, Ports string
	Remainder             bool
	Version               string // of the rules that the form was opened with
	Flaws                 flaws
}

// serveRules are what can be chosen.
func serveRules() []api.ServeRule {
	return []api.ServeRule{api.ServeRuleOpen, api.ServeRuleRegistered, api.ServeRuleVendorClass}
}

func (p *Pages) segmentPage(c echo.Context, group string) (page segmentPage, err error) {
	segments, err := ask[api.ListSegmentsRequestObject, api.ListSegmentsResponseObject, api.ListSegments200JSONResponse](
		c, p.api.ListSegments, api.ListSegmentsRequestObject{})
	if err != nil {
		return page, err
	}
	for _, s := range segments.Items {
		if s.Group == group && s.Dhcp.Serve != "" {
			page.Segment = s
		}
	}
	if page.Segment.Group == "" {
		return page, echo.NewHTTPError(http.StatusNotFound, "this appliance serves hosts of no such group by DHCP: it has to be in router mode, and in the group")
	}
	for _, s := range segments.Items {
		if s.Group != group && s.Attachment.LanPort == page.Segment.Attachment.LanPort {
			page.Sharing = append(page.Sharing, s.GroupName)
			if s.Remainder {
				page.Holder = s.GroupName
			}
		}
	}
	d := page.Segment.Dhcp
	page.Form = segmentForm{Serve: string(d.Serve), Classes: strings.Join(d.VendorClasses, "\n"), Ports: d.Ports, Remainder: page.Segment.Remainder, Version: page.version()}
	return page, nil
}

// version is that of the rules as they are now.
func (page *segmentPage) version() string { return strconv.FormatInt(page.Segment.Dhcp.Version, 10) }

// late reports whether others have changed the rules since the form was opened. The form goes on from what is now,
// which the person is told.
func (page *segmentPage) late() bool {
	page.Late = page.Form.Version != page.version()
	page.Form.Version = page.version()
	return page.Late
}

// read reads the form. What the configuration says has no field, and stays.
func (page *segmentPage) read(c echo.Context) *api.SegmentChange {
	f := &page.Form
	*f = segmentForm{Serve: c.FormValue("serve"), Classes: c.FormValue("vendorClasses"), Ports: strings.TrimSpace(c.FormValue("dhcpPorts")), Remainder: c.FormValue("remainder") != "", Version: c.FormValue("version")}
	change := &api.SegmentChange{Version: &page.Segment.Dhcp.Version, Serve: f.Serve, DhcpPorts: f.Ports}
	if f.Serve == string(api.ServeRuleVendorClass) {
		for line := range strings.Lines(f.Classes) {
			if line = strings.TrimSpace(line); line != "" {
				change.VendorClasses = append(change.VendorClasses, line)
			}
		}
	}
	if len(page.Sharing) > 0 && !page.Segment.RemainderConfigured {
		change.Remainder = &f.Remainder
	}
	d := page.Segment.Dhcp
	if d.ServeConfigured {
		f.Serve, f.Classes = string(d.Serve), strings.Join(d.VendorClasses, "\n")
	}
	if d.PortsConfigured {
		f.Ports = d.Ports
	}
	if page.Segment.RemainderConfigured {
		f.Remainder = page.Segment.Remainder
	}
	return change
}

// showSegment shows whom DHCP serves on a segment, to be changed.
func (p *Pages) showSegment(c echo.Context) error {
	page, err := p.segmentPage(c, c.QueryParam("group"))
	if err != nil {
		return p.fail(c, err)
	}
	return p.show(c, http.StatusOK, "segment", page)
}

// planSegment shows what the form would change, and what hosts will notice.
func (p *Pages) planSegment(c echo.Context) error {
	page, err := p.segmentPage(c, c.FormValue("group"))
	if err != nil {
		return p.fail(c, err)
	}
	plan, err := ask[api.PlanSegmentRequestObject, api.PlanSegmentResponseObject, api.PlanSegment200JSONResponse](
		c, p.api.PlanSegment, api.PlanSegmentRequestObject{Group: page.Segment.Group, Body: page.read(c)})
	if err != nil {
		return p.segmentRefused(c, page, err)
	}
	if page.late() {
		return p.show(c, http.StatusUnprocessableEntity, "segment", page)
	}
	page.Plan = (*api.SegmentPlan)(&plan)
	return p.show(c, http.StatusOK, "segment", page)
}

// setSegment changes what was planned.
func (p *Pages) setSegment(c echo.Context) error {
	page, err := p.segmentPage(c, c.FormValue("group"))
	if err != nil {
		return p.fail(c, err)
	}
	change := page.read(c)
	if page.late() {
		return p.show(c, http.StatusUnprocessableEntity, "segment", page)
	}
	_, err = ask[api.SetSegmentRequestObject, api.SetSegmentResponseObject, api.SetSegment200JSONResponse](
		c, p.api.SetSegment, api.SetSegmentRequestObject{Group: page.Segment.Group, Body: change})
	if err != nil {
		return p.segmentRefused(c, page, err)
	}
	to := url.Values{"done": {"segment"}}
	return c.Redirect(http.StatusSeeOther, "/network?"+to.Encode()+"#s-"+url.PathEscape(page.Segment.Group))
}

func (p *Pages) segmentRefused(c echo.Context, page segmentPage, err error) error {
	var status int
	page.Form.Flaws, status = p.flawsOf(err)
	return p.show(c, status, "segment", page)
}
