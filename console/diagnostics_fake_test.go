package console

import (
	"bytes"
	"context"
	"io"

	"landbridge/console/api"
)

// answers are what the fake says as a Diagnostics.
type answers struct {
	pinged   []api.PingRequest
	asked    []api.DNSQuery
	captured []api.CaptureRequest
	read     []api.ListLogsParams
	parts    []string // that a download writes
	broken   error    // after these
}

func (f *fake) Ping(_ context.Context, req api.PingRequest) (api.PingResult, error) {
	f.pinged = append(f.pinged, req)
	return api.PingResult{Target: req.Target, Kind: api.PingKindMember}, f.answer()
}

func (f *fake) Trace(_ context.Context, req api.TraceRequest) (api.TraceResult, error) {
	return api.TraceResult{Target: req.Target, Verdict: api.PathVerdictTunnel, Total: 2}, f.answer()
}

func (f *fake) Listen(_ context.Context, port string, seconds int) (api.PortHearing, error) {
	return api.PortHearing{
		Port: port, Seconds: seconds, Stations: []api.HeardStation{}, DhcpServers: []api.HeardServer{}, Gateways: []api.HeardGateway{}, Appliances: []api.HeardAppliance{},
	}, f.answer()
}

func (f *fake) Path(_ context.Context, _, target string) (api.PathReport, error) {
	return api.PathReport{Target: target, Verdict: api.PathVerdictTunnel}, f.answer()
}

func (f *fake) QueryDNS(_ context.Context, q api.DNSQuery) (api.DNSAnswer, error) {
	f.asked = append(f.asked, q)
	return api.DNSAnswer{Name: q.Name, Code: "NOERROR"}, f.answer()
}

func (f *fake) Doctor(context.Context) (api.DoctorReport, error) {
	return api.DoctorReport{State: api.CheckStateOK}, f.answer()
}

func (f *fake) Logs(_ context.Context, p api.ListLogsParams) (api.LogList, error) {
	f.read = append(f.read, p)
	return api.LogList{Items: []api.LogLine{{ID: 7, Level: "info", Message: "hello"}}, Next: 7}, f.answer()
}

func (f *fake) Capture(_ context.Context, req api.CaptureRequest, w io.Writer) error {
	f.captured = append(f.captured, req)
	return f.download(w)
}

func (f *fake) SupportBundle(_ context.Context, w io.Writer) error { return f.download(w) }
func (f *fake) Backup(context.Context) (io.ReadCloser, error) {
	var state bytes.Buffer
	err := f.download(&state)
	return io.NopCloser(&state), err
}

func (f *fake) download(w io.Writer) error {
	if err := f.answer(); err != nil {
		return err
	}
	for _, p := range f.parts {
		if _, err := io.WriteString(w, p); err != nil {
			return err
		}
	}
	return f.broken
}
