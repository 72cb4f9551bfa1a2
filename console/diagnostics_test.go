package console

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestQuestionsOfDiagnosisReachTheAppliance(t *testing.T) {
	f := &fake{}
	c := serve(t, f)
	ping, err := c.PingTargetWithResponse(t.Context(), api.PingRequest{Target: "site-b", Count: 3})
	if err != nil || ping.JSON200 == nil || ping.JSON200.Packets == nil || len(f.pinged) != 1 || f.pinged[0].Count != 3 {
		t.Errorf("ping: %v, %+v, asked %+v", err, ping, f.pinged)
	}
	path, err := c.GetPathWithResponse(t.Context(), &api.GetPathParams{Target: "10.9.0.7"})
	if err != nil || path.JSON200 == nil || path.JSON200.Target != "10.9.0.7" || path.JSON200.Hops == nil {
		t.Errorf("path: %v, %+v", err, path)
	}
	query, err := c.QueryDNSWithResponse(t.Context(), api.DNSQuery{Name: "printer.office.internal", Type: "A"})
	if err != nil || query.JSON200 == nil || query.JSON200.Code != "NOERROR" || query.JSON200.Reasons == nil {
		t.Errorf("query: %v, %+v", err, query)
	}
	doctor, err := c.GetDoctorWithResponse(t.Context())
	if err != nil || doctor.JSON200 == nil || doctor.JSON200.Checks == nil {
		t.Errorf("doctor: %v, %+v", err, doctor)
	}
	logs, err := c.ListLogsWithResponse(t.Context(), &api.ListLogsParams{Level: "warn", Search: "x", After: 5, Limit: 10})
	if err != nil || logs.JSON200 == nil || len(logs.JSON200.Items) != 1 || logs.JSON200.Items[0].Fields == nil || f.read[0].After != 5 {
		t.Errorf("logs: %v, %+v", err, logs)
	}
}

func TestHealthIsToldInAWordAndBetraysNothing(t *testing.T) {
	secret := "10.9.0.7 is used twice"
	for _, c := range []struct {
		levels []api.HealthLevel
		status int
		text   string
	}{
		{nil, 200, "well\n"},
		{[]api.HealthLevel{api.HealthLevelWarning}, 200, "1 warning"},
		{[]api.HealthLevel{api.HealthLevelWarning, api.HealthLevelError, api.HealthLevelError}, http.StatusServiceUnavailable, "2 errors (registry) and 1 warning"},
	} {
		f := &fake{}
		for _, l := range c.levels {
			f.status.Health = append(f.status.Health, api.HealthItem{Level: l, Component: "registry", Text: secret, Since: time.Now()})
		}
		res, err := serve(t, f).GetHealthWithResponse(t.Context())
		if err != nil || res.StatusCode() != c.status || !strings.Contains(string(res.Body), c.text) || strings.Contains(string(res.Body), secret) {
			t.Errorf("%v: %v, %d %q; want %d with %q", c.levels, err, res.StatusCode(), res.Body, c.status, c.text)
		}
	}
}

func TestADownloadIsWholeOrBreaksOff(t *testing.T) {
	f := &fake{answers: answers{parts: []string{"first ", "second"}}}
	c := serve(t, f)
	res, err := c.GetBackup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil || string(body) != "first second" || res.Header.Get("Content-Type") != "application/octet-stream" || !strings.Contains(res.Header.Get("Content-Disposition"), "landbridge.db") {
		t.Errorf("%q, %v, %v", body, err, res.Header)
	}
	_ = res.Body.Close()

	f.broken = errors.New("the disk is full")
	if res, err = c.StartCapture(t.Context(), api.CaptureRequest{Seconds: 5, Where: api.CaptureWhereTunnel}); err != nil {
		t.Fatal(err)
	}
	if body, err = io.ReadAll(res.Body); err == nil {
		t.Errorf("%q came as if it were whole", body)
	}
	_ = res.Body.Close()
	if len(f.captured) != 1 || f.captured[0].Seconds != 5 || f.captured[0].Where != api.CaptureWhereTunnel {
		t.Errorf("asked to capture %+v", f.captured)
	}

	f.err = Conflict(errors.New("a capture runs already"))
	refused, err := c.StartCaptureWithResponse(t.Context(), api.CaptureRequest{})
	if err != nil || refused.StatusCode() != http.StatusConflict || refused.ApplicationProblemJSONDefault.Detail != "a capture runs already" {
		t.Errorf("%v, %+v; want the problem", err, refused)
	}
}

func TestACopyThatCouldntBeMadeIsNoneInTheAuditLog(t *testing.T) {
	f := &fake{}
	c := serve(t, f)
	entries := func() string {
		res, err := c.ListAuditWithResponse(t.Context(), &api.ListAuditParams{})
		if err != nil {
			t.Fatal(err)
		}
		return string(res.Body)
	}
	f.err = errors.New("no space left on device")
	if res, err := c.GetBackupWithResponse(t.Context()); err != nil || res.StatusCode() != http.StatusInternalServerError {
		t.Fatalf("%v, %+v", err, res)
	}
	if log := entries(); !strings.Contains(log, "getBackup") || !strings.Contains(log, "no space left on device") {
		t.Errorf("the audit log says that there is a copy: %s", log)
	}
}

func TestDiagnosesOutOfBoundsAreRefused(t *testing.T) {
	f := &fake{}
	c := serve(t, f)
	capture, err := c.StartCaptureWithResponse(t.Context(), api.CaptureRequest{Seconds: 61, Packets: -1, Snaplen: 5, Where: "moon"})
	if err != nil || capture.StatusCode() != http.StatusUnprocessableEntity || len(capture.ApplicationProblemJSONDefault.Errors) != 4 {
		t.Errorf("%v, %+v", err, capture)
	}
	ping, err := c.PingTargetWithResponse(t.Context(), api.PingRequest{Count: 21, TimeoutMilliseconds: 1})
	if err != nil || ping.StatusCode() != http.StatusUnprocessableEntity || len(ping.ApplicationProblemJSONDefault.Errors) != 3 {
		t.Errorf("%v, %+v", err, ping)
	}
	trace, err := c.TraceRouteWithResponse(t.Context(), api.TraceRequest{Target: "b", Hop: 17, Count: 11, TimeoutMilliseconds: 5001})
	if err != nil || trace.StatusCode() != http.StatusUnprocessableEntity || len(trace.ApplicationProblemJSONDefault.Errors) != 3 {
		t.Errorf("%v, %+v", err, trace)
	}
	if len(f.captured)+len(f.pinged) > 0 {
		t.Error("what is out of bounds reached the appliance")
	}
}

func TestEachOperationOfDiagnosisSaysWhoMayDoIt(t *testing.T) {
	doc := string(api.Document())
	for _, op := range []string{"getMetrics", "getHealth", "pingTarget", "traceRoute", "getPath", "queryDNS", "getDoctor", "startCapture", "listLogs", "getSupportBundle", "getBackup"} {
		_, after, ok := strings.Cut(doc, "operationId: "+op+"\n")
		if !ok || !strings.Contains(after[:strings.Index(after, "responses:")], "x-role: ") {
			t.Errorf("%s has no x-role", op)
		}
	}
}
