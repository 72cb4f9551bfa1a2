package web

import (
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

// logLines is how many lines of the log a page shows.
const logLines = 200

// diagnosticsPage is what the page of diagnostics shows: its tools, each with what was typed
// and what came of it.
type diagnosticsPage struct {
	Groups  []api.GroupStatus
	Doctor  api.DoctorReport
	Reach   reachTool
	DNS     dnsTool
	Capture captureTool
	Logs    logTool
}

// reachTool finds out how packets get somewhere.
type reachTool struct {
	Target, Group, Count string
	Ping                 *pingReport
	Path                 *api.PathReport
	Trace                *api.TraceResult
	Next                 int // the hop of the trace that is to be measured next; 0: none
	Flaws                flaws
}

// dnsTool asks what hosts are told.
type dnsTool struct {
	Name, Type, Group string
	Answer            *api.DNSAnswer
	Flaws             flaws
}

// captureTool asks for packets.
type captureTool struct {
	Where, Group, Seconds, Packets, Megabytes, Snaplen string
	Flaws                                              flaws
}

// logTool looks for lines of the log.
type logTool struct {
	Level, Search string
	Lines         []api.LogLine // the latest first
	Flaws         flaws
}

// dnsTypes are the DNS types that are asked for most.
func dnsTypes() []string {
	return []string{"A", "AAAA", "PTR", "CNAME", "TXT", "SRV", "NS", "SOA", "MX", "ANY"}
}

// logLevels are the levels of a line of the log.
func logLevels() []string { return []string{"debug", "info", "warn", "error"} }

// Link returns the way to the same lines, where there are newer ones.
func (l logTool) Link() string {
	return "/diagnostics?" + url.Values{"level": {l.Level}, "search": {l.Search}, "newest": {l.newest()}}.Encode()
}

// newest returns the ID of the latest line.
func (l logTool) newest() string {
	if len(l.Lines) == 0 {
		return ""
	}
	return strconv.FormatInt(l.Lines[0].ID, 10)
}

// Checks returns those that found something, or those that didn't.
func (d diagnosticsPage) Checks(found bool) (checks []api.DoctorCheck) {
	for _, c := range d.Doctor.Checks {
		if found == (c.State != api.CheckStateOK) {
			checks = append(checks, c)
		}
	}
	return checks
}

// diagnostics shows the tools.
func (p *Pages) diagnostics(c echo.Context) error {
	return p.showDiagnostics(c, http.StatusOK, p.newDiagnostics(c))
}

func (p *Pages) newDiagnostics(c echo.Context) diagnosticsPage {
	return diagnosticsPage{
		Reach:   reachTool{Target: c.QueryParam("target"), Count: "5"},
		Capture: captureTool{Where: string(api.CaptureWhereSegment), Seconds: "10"},
		Logs:    logTool{Level: c.QueryParam("level"), Search: strings.TrimSpace(c.QueryParam("search"))},
	}
}

// showDiagnostics fills in what the page has besides the tool that was used.
func (p *Pages) showDiagnostics(c echo.Context, status int, page diagnosticsPage) error {
	s, err := p.status(c)
	if err != nil {
		return p.fail(c, err)
	}
	page.Groups = s.Groups
	switch {
	case isPart(c, "reach"), isPart(c, "trace-rest"), isPart(c, "dns"), isPart(c, "capture"):
		return p.show(c, status, "diagnostics", page)
	case !isPart(c, "logs"):
		d, err := ask[api.GetDoctorRequestObject, api.GetDoctorResponseObject, api.GetDoctor200JSONResponse](
			c, p.api.GetDoctor, api.GetDoctorRequestObject{})
		if err != nil {
			return p.fail(c, err)
		}
		page.Doctor = api.DoctorReport(d)
	}
	if p.who(c).Can("operator") && !isPart(c, "doctor") {
		p.readLogs(c, &page.Logs)
		if known := c.QueryParam("newest"); isPart(c, "logs") && known != "" && known == page.Logs.newest() {
			return c.NoContent(http.StatusNoContent) // nothing is swapped: what a person has marked stays so
		}
	}
	return p.show(c, status, "diagnostics", page)
}

// readLogs finds the lines, the latest first.
func (p *Pages) readLogs(c echo.Context, l *logTool) {
	found, err := ask[api.ListLogsRequestObject, api.ListLogsResponseObject, api.ListLogs200JSONResponse](
		c, p.api.ListLogs, api.ListLogsRequestObject{Params: api.ListLogsParams{Level: l.Level, Search: l.Search, Limit: logLines}})
	if err != nil {
		l.Flaws, _ = p.flawsOf(err)
		return
	}
	for i := len(found.Items) - 1; i >= 0; i-- {
		l.Lines = append(l.Lines, found.Items[i])
	}
}

// reach pings a target, or says how packets get there.
func (p *Pages) reach(c echo.Context) error {
	page := p.newDiagnostics(c)
	t := &page.Reach
	*t = reachTool{Target: strings.TrimSpace(c.FormValue("target")), Group: c.FormValue("group"), Count: c.FormValue("count")}
	var err error
	switch c.FormValue("do") {
	case "path":
		err = p.explain(c, t)
	case "trace":
		err = p.trace(c, t)
	default:
		err = p.ping(c, t)
	}
	if err == nil {
		return p.showDiagnostics(c, http.StatusOK, page)
	}
	var status int
	t.Flaws, status = p.flawsOf(err)
	return p.showDiagnostics(c, status, page)
}

func (p *Pages) ping(c echo.Context, t *reachTool) error {
	count, err := wholeNumber("count", t.Count)
	if err != nil {
		return err
	}
	r, err := ask[api.PingTargetRequestObject, api.PingTargetResponseObject, api.PingTarget200JSONResponse](
		c, p.api.PingTarget, api.PingTargetRequestObject{Body: &api.PingRequest{
			Target: t.Target, Group: t.Group, Count: int(count), IntervalMilliseconds: 200, TimeoutMilliseconds: 2000}})
	if err == nil {
		t.Ping = newPingReport(api.PingResult(r))
	}
	return err
}

func (p *Pages) explain(c echo.Context, t *reachTool) error {
	r, err := ask[api.GetPathRequestObject, api.GetPathResponseObject, api.GetPath200JSONResponse](
		c, p.api.GetPath, api.GetPathRequestObject{Params: api.GetPathParams{Target: t.Target, Group: t.Group}})
	if err == nil {
		t.Path = (*api.PathReport)(&r)
	}
	return err
}

// trace measures the round trips to those on the way: all of them, or, for htmx, the one that comes
// next, so that each is seen as it answers.
func (p *Pages) trace(c echo.Context, t *reachTool) error {
	count, err := wholeNumber("count", t.Count)
	if err != nil {
		return err
	}
	hop := 0
	if c.Request().Header.Get("HX-Request") == "true" {
		if hop, err = strconv.Atoi(c.FormValue("hop")); err != nil {
			hop = 1
		}
	}
	r, err := ask[api.TraceRouteRequestObject, api.TraceRouteResponseObject, api.TraceRoute200JSONResponse](
		c, p.api.TraceRoute, api.TraceRouteRequestObject{Body: &api.TraceRequest{
			Target: t.Target, Group: t.Group, Hop: hop, Count: int(count), TimeoutMilliseconds: 2000}})
	if err != nil {
		return err
	}
	t.Trace = (*api.TraceResult)(&r)
	if hop > 0 && hop < r.Total {
		t.Next = hop + 1
	}
	return nil
}

// lastWay returns the word of the path that the last packet to a hop took.
func lastWay(h api.TraceHop) string {
	if len(h.Packets) == 0 {
		return ""
	}
	return wayOf(h.Packets[len(h.Packets)-1])
}

// hopTrouble returns why the last packet to a hop wasn't answered.
func hopTrouble(h api.TraceHop) string {
	if n := len(h.Packets); n > 0 && !h.Packets[n-1].Answered {
		return h.Packets[n-1].Why
	}
	return ""
}

// queryDNS asks the resolver.
func (p *Pages) queryDNS(c echo.Context) error {
	page := p.newDiagnostics(c)
	tool, status := p.askDNS(c)
	page.DNS = tool
	return p.showDiagnostics(c, status, page)
}

// askDNS asks the resolver what a form wants to know; status is that of the page that shows it.
func (p *Pages) askDNS(c echo.Context) (t dnsTool, status int) {
	t = dnsTool{Name: strings.TrimSpace(c.FormValue("name")), Type: c.FormValue("type"), Group: c.FormValue("group")}
	a, err := ask[api.QueryDNSRequestObject, api.QueryDNSResponseObject, api.QueryDNS200JSONResponse](
		c, p.api.QueryDNS, api.QueryDNSRequestObject{Body: &api.DNSQuery{Name: t.Name, Type: t.Type, Group: t.Group}})
	if err == nil {
		t.Answer = (*api.DNSAnswer)(&a)
		return t, http.StatusOK
	}
	t.Flaws, status = p.flawsOf(err)
	return t, status
}

// capture sends packets as they pass, or the form again.
func (p *Pages) capture(c echo.Context) error {
	page := p.newDiagnostics(c)
	t := &page.Capture
	*t = captureTool{
		Where: c.FormValue("where"), Group: c.FormValue("group"), Seconds: c.FormValue("seconds"),
		Packets: c.FormValue("packets"), Megabytes: c.FormValue("bytes"), Snaplen: c.FormValue("snaplen"),
	}
	request, err := t.request()
	if err == nil {
		var answer api.StartCaptureResponseObject
		if answer, err = p.api.StartCapture(c.Request().Context(), api.StartCaptureRequestObject{Body: request}); err == nil {
			err = answer.VisitStartCaptureResponse(c.Response())
		}
	}
	if err == nil || c.Response().Committed {
		return err
	}
	var status int
	t.Flaws, status = p.flawsOf(err)
	return p.showDiagnostics(c, status, page)
}

// request reads the bounds of a capture; what is left empty is the API's to choose.
func (t captureTool) request() (*api.CaptureRequest, error) {
	seconds, err1 := wholeNumber("seconds", t.Seconds)
	packets, err2 := wholeNumber("packets", t.Packets)
	megabytes, err3 := wholeNumber("bytes", t.Megabytes)
	snaplen, err4 := wholeNumber("snaplen", t.Snaplen)
	if err := joinFormErrors(err1, err2, err3, err4); err != nil {
		return nil, err
	}
	return &api.CaptureRequest{
		Where: api.CaptureWhere(t.Where), Group: t.Group, Seconds: int(seconds), Packets: int(packets),
		Bytes: megabytes << 20, Snaplen: int(snaplen),
	}, nil
}

// supportBundle sends what somebody who helps needs to know.
func (p *Pages) supportBundle(c echo.Context) error {
	answer, err := p.api.GetSupportBundle(c.Request().Context(), api.GetSupportBundleRequestObject{})
	if err == nil {
		err = answer.VisitGetSupportBundleResponse(c.Response())
	}
	if err != nil && !c.Response().Committed {
		return p.fail(c, err)
	}
	return err
}

// formError is what is wrong with a form before the API is asked.
type formError []api.FieldError

func (e formError) Error() string {
	said := make([]string, len(e))
	for i, f := range e {
		said[i] = f.Field + ": " + f.Detail
	}
	return strings.Join(said, "; ")
}

// wholeNumber reads a number of a form; an empty field is 0, the API's own choice. A zero
// that was typed is refused: it would pass for an empty field.
func wholeNumber(field, text string) (int64, error) {
	const most = 1 << 31 // far more than any bound, and no overflow in what is made of it
	if text = strings.TrimSpace(text); text == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil || n <= 0 || n > most {
		return 0, formError{{Field: field, Detail: "want a whole number above 0"}}
	}
	return n, nil
}

// joinFormErrors gathers what is wrong with several fields.
func joinFormErrors(errs ...error) error {
	var all formError
	for _, err := range errs {
		var e formError
		if errors.As(err, &e) {
			all = append(all, e...)
		}
	}
	if len(all) == 0 {
		return nil
	}
	return all
}
