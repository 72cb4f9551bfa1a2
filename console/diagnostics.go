package console

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"landbridge/console/api"
)

// Diagnostics is how one finds out what is wrong with an Appliance, and keeps a copy of its
// state. Ping, Trace, Listen and Capture take as long as they are asked to.
//
// What takes a writer fails before the first byte, which becomes a problem as with other
// methods, or after it, which breaks the connection off so that nobody takes the half for the whole.
type Diagnostics interface {
	// Ping sends the packets that a request asks for and waits for the answers.
	Ping(ctx context.Context, req api.PingRequest) (api.PingResult, error)
	// Trace measures round trips to each whom a packet passes.
	Trace(ctx context.Context, req api.TraceRequest) (api.TraceResult, error)
	// Listen listens so long on a port.
	Listen(ctx context.Context, port string, seconds int) (api.PortHearing, error)
	// Path says what would happen to a packet from here to target.
	Path(ctx context.Context, group, target string) (api.PathReport, error)
	// QueryDNS asks the resolver that the hosts of the segment ask.
	QueryDNS(ctx context.Context, q api.DNSQuery) (api.DNSAnswer, error)
	// Doctor checks what commonly goes wrong.
	Doctor(ctx context.Context) (api.DoctorReport, error)
	// Capture writes a pcapng file until a bound of the request is reached or ctx is done,
	// which is no error.
	Capture(ctx context.Context, req api.CaptureRequest, w io.Writer) error
	// Logs returns lines of the log, the oldest first.
	Logs(ctx context.Context, p api.ListLogsParams) (api.LogList, error)
	// SupportBundle writes a tar.gz without secrets.
	SupportBundle(ctx context.Context, w io.Writer) error
	// Backup makes a copy of the state, secrets included. Who has read it closes it.
	Backup(ctx context.Context) (io.ReadCloser, error)
}

// GetMetrics reports to Prometheus.
func (h *handlers) GetMetrics(ctx context.Context, _ api.GetMetricsRequestObject) (api.GetMetricsResponseObject, error) {
	text, err := h.metrics.Text(ctx)
	if err != nil {
		return nil, err
	}
	return api.GetMetrics200TextResponse(text), nil
}

// GetHealth says in a line whether the appliance is well: who may not read the status learns
// no more than that.
func (h *handlers) GetHealth(ctx context.Context, _ api.GetHealthRequestObject) (api.GetHealthResponseObject, error) {
	st, err := h.appliance.Status(ctx)
	if err != nil {
		return nil, err
	}
	errs, parts := 0, []string(nil)
	for _, i := range st.Health {
		if i.Level == api.HealthLevelError {
			errs++
			parts = append(parts, i.Component)
		}
	}
	warnings := len(st.Health) - errs
	switch {
	case errs > 0:
		return api.GetHealth503ApplicationProblemPlusJSONResponse{
			Type: "about:blank", Title: http.StatusText(http.StatusServiceUnavailable), Status: http.StatusServiceUnavailable, Instance: "/healthz",
			Detail: fmt.Sprintf("not well: %s (%s) and %s; the status says what they are and what to do",
				counted(errs, "error"), strings.Join(distinct(parts), ", "), counted(warnings, "warning")),
		}, nil
	case warnings > 0:
		return api.GetHealth200TextResponse(fmt.Sprintf("well, with %s; the status says what is meant\n", counted(warnings, "warning"))), nil
	}
	return api.GetHealth200TextResponse("well\n"), nil
}

// PingTarget measures round trips.
func (h *handlers) PingTarget(ctx context.Context, req api.PingTargetRequestObject) (api.PingTargetResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	r, err := h.appliance.Ping(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	r.Packets = orEmpty(r.Packets)
	return api.PingTarget200JSONResponse(r), nil
}

// TraceRoute measures round trips to each whom a packet passes.
func (h *handlers) TraceRoute(ctx context.Context, req api.TraceRouteRequestObject) (api.TraceRouteResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	r, err := h.appliance.Trace(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	r.Hops = orEmpty(r.Hops)
	return api.TraceRoute200JSONResponse(r), nil
}

// GetPath says what would happen to a packet.
func (h *handlers) GetPath(ctx context.Context, req api.GetPathRequestObject) (api.GetPathResponseObject, error) {
	var c checker
	c.bounds(req.Params)
	if err := c.err(); err != nil {
		return nil, err
	}
	r, err := h.appliance.Path(ctx, req.Params.Group, req.Params.Target)
	if err != nil {
		return nil, err
	}
	r.Steps, r.Hops = orEmpty(r.Steps), orEmpty(r.Hops)
	return api.GetPath200JSONResponse(r), nil
}

// ListenOnPort finds out who is on the segment of a port.
func (h *handlers) ListenOnPort(ctx context.Context, req api.ListenOnPortRequestObject) (api.ListenOnPortResponseObject, error) {
	const usual = 4
	var c checker
	c.length("port", req.Port, 1, 15)
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	r, err := h.appliance.Listen(ctx, req.Port, cmp.Or(req.Body.Seconds, usual))
	if err != nil {
		return nil, err
	}
	return api.ListenOnPort200JSONResponse(r), nil
}

// QueryDNS asks the resolver.
func (h *handlers) QueryDNS(ctx context.Context, req api.QueryDNSRequestObject) (api.QueryDNSResponseObject, error) {
	var c checker
	c.bounds(req.Body)
	if err := c.err(); err != nil {
		return nil, err
	}
	a, err := h.appliance.QueryDNS(ctx, *req.Body)
	if err != nil {
		return nil, err
	}
	a.Answers, a.Authority, a.Reasons = orEmpty(a.Answers), orEmpty(a.Authority), orEmpty(a.Reasons)
	return api.QueryDNS200JSONResponse(a), nil
}

// GetDoctor checks what commonly goes wrong.
func (h *handlers) GetDoctor(ctx context.Context, _ api.GetDoctorRequestObject) (api.GetDoctorResponseObject, error) {
	r, err := h.appliance.Doctor(ctx)
	if err != nil {
		return nil, err
	}
	r.Checks = orEmpty(r.Checks)
	return api.GetDoctor200JSONResponse(r), nil
}

// ListLogs lists lines of the log.
func (h *handlers) ListLogs(ctx context.Context, req api.ListLogsRequestObject) (api.ListLogsResponseObject, error) {
	var c checker
	c.bounds(req.Params)
	if err := c.err(); err != nil {
		return nil, err
	}
	l, err := h.appliance.Logs(ctx, req.Params)
	if err != nil {
		return nil, err
	}
	l.Items = orEmpty(l.Items)
	for i := range l.Items {
		l.Items[i].Fields = orEmpty(l.Items[i].Fields)
	}
	return api.ListLogs200JSONResponse(l), nil
}

// StartCapture streams packets.
func (h *handlers) StartCapture(ctx context.Context, req api.StartCaptureRequestObject) (api.StartCaptureResponseObject, error) {
	r := api.CaptureRequest{}
	if req.Body != nil {
		r = *req.Body
	}
	var c checker
	c.bounds(r)
	if r.Where != "" && !r.Where.Valid() {
		c.add("where", "want segment, tunnel or both")
	}
	if err := c.err(); err != nil {
		return nil, err
	}
	return &download{kind: "application/x-pcapng", file: "landbridge.pcapng", flush: true, write: func(w io.Writer) error {
		return h.appliance.Capture(ctx, r, w)
	}}, nil
}

// GetSupportBundle streams what somebody who helps needs to know.
func (h *handlers) GetSupportBundle(ctx context.Context, _ api.GetSupportBundleRequestObject) (api.GetSupportBundleResponseObject, error) {
	return &download{kind: "application/gzip", file: "landbridge-support.tar.gz", write: func(w io.Writer) error {
		return h.appliance.SupportBundle(ctx, w)
	}}, nil
}

// GetBackup sends a copy of the state, which is whole before that: one that can't be made is none in the
// audit log either.
func (h *handlers) GetBackup(ctx context.Context, _ api.GetBackupRequestObject) (api.GetBackupResponseObject, error) {
	state, err := h.appliance.Backup(ctx)
	if err != nil {
		return nil, err
	}
	return &download{kind: "application/octet-stream", file: "landbridge.db", write: func(w io.Writer) error {
		_, err := io.Copy(w, state)
		return errors.Join(err, state.Close())
	}}, nil
}

// download is an answer that is written as it is made.
type download struct {
	kind, file string
	flush      bool // what is written is sent at once
	write      func(io.Writer) error
}

// VisitStartCaptureResponse writes it.
func (d *download) VisitStartCaptureResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetSupportBundleResponse writes it.
func (d *download) VisitGetSupportBundleResponse(w http.ResponseWriter) error { return d.send(w) }

// VisitGetBackupResponse writes it.
func (d *download) VisitGetBackupResponse(w http.ResponseWriter) error { return d.send(w) }

// send answers. An error before the first byte is one to tell; after it the connection is
// broken off, which net/http does on this panic.
func (d *download) send(w http.ResponseWriter) error {
	b := &body{download: d, to: w, control: http.NewResponseController(w)}
	err := d.write(b)
	if err != nil && b.begun {
		panic(http.ErrAbortHandler)
	}
	if err == nil && !b.begun {
		b.begin()
	}
	return err
}

// body begins the answer with its first byte.
type body struct {
	*download
	to      http.ResponseWriter
	control *http.ResponseController
	begun   bool
}

func (b *body) begin() {
	b.begun = true
	b.to.Header().Set("Content-Type", b.kind)
	b.to.Header().Set("Content-Disposition", `attachment; filename="`+b.file+`"`)
	b.to.WriteHeader(http.StatusOK)
}

// Write sends a part of the body.
func (b *body) Write(p []byte) (int, error) {
	if !b.begun {
		b.begin()
	}
	n, err := b.to.Write(p)
	if err == nil && b.flush {
		_ = b.control.Flush() // a writer that can't is no reason to stop
	}
	return n, err
}

// counted is a number with its noun.
func counted(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

// distinct leaves each text once, in the order in which they come.
func distinct(all []string) (once []string) {
	seen := make(map[string]bool)
	for _, s := range all {
		if !seen[s] {
			seen[s] = true
			once = append(once, s)
		}
	}
	return once
}
