package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"landbridge/console/api"
)

// found is what the fake says of diagnostics, and what it was asked for.
type found struct {
	traced   []api.TraceRequest
	captured []api.CaptureRequest
	logs     []api.ListLogsParams
}

func (f *fake) GetDoctor(context.Context, api.GetDoctorRequestObject) (api.GetDoctorResponseObject, error) {
	d := api.GetDoctor200JSONResponse{At: start(), State: api.CheckStateOK, Checks: []api.DoctorCheck{
		{Name: "clock", Title: "Clock", State: api.CheckStateOK, Text: "It is kept right."},
		{Name: "disk", Title: "Disk", State: api.CheckStateOK, Text: "18204 MB are left at /var/lib/landbridge."},
		{Name: "store", Title: "State", State: api.CheckStateOK, Text: "It can be read."},
	}}
	for _, h := range f.status.Health {
		d.State = api.CheckStateFailed
		d.Checks = append([]api.DoctorCheck{
			{Name: "health", Title: h.Component, State: api.CheckStateWarning, Text: h.Text, Remedy: h.Remedy},
			{Name: "disk", Title: "Disk", State: api.CheckStateFailed, Text: "12 MB are left at /var/lib/landbridge: soon no lease can be written, and none be given.", Remedy: "Make room on it."},
		}, d.Checks...)
	}
	return d, f.err
}

func (f *fake) PingTarget(_ context.Context, r api.PingTargetRequestObject) (api.PingTargetResponseObject, error) {
	if r.Body.Target == "nowhere" {
		return nil, &fieldError{"target", "nobody is called nowhere"}
	}
	p := api.PingTarget200JSONResponse{
		Target: r.Body.Target, Group: office, Kind: api.PingKindHost, Address: netip.MustParseAddr("10.9.8.2"), MemberName: "porto",
		Note: "The host doesn't answer ICMP: it was asked by ARP.", Sent: r.Body.Count, Received: r.Body.Count - 1,
	}
	for i := range r.Body.Count {
		k := api.PingPacket{Seq: i + 1, Answered: i > 0, Path: api.PathKindDirect, RttMicroseconds: int64(9_000 + 700*i)}
		if i == 0 {
			k.Path, k.ViaName, k.RttMicroseconds, k.Why = api.PathKindRelay, "madrid", 0, "no answer came in 2 s"
		}
		p.Packets = append(p.Packets, k)
	}
	return p, f.err
}

func (f *fake) TraceRoute(_ context.Context, r api.TraceRouteRequestObject) (api.TraceRouteResponseObject, error) {
	f.traced = append(f.traced, *r.Body)
	if r.Body.Target == "nowhere" {
		return nil, &fieldError{"target", "nobody is called nowhere"}
	}
	way := api.TraceRoute200JSONResponse{Target: r.Body.Target, Group: office, Address: netip.MustParseAddr("10.9.8.2"), Verdict: api.PathVerdictTunnel, Total: 3, Help: "Forward UDP port 4860 at one of them."}
	for i, h := range []api.TraceHop{
		{Kind: api.PathHopKindRelay, Name: "madrid", Address: "198.51.100.7:4860", Packets: []api.PingPacket{{Answered: true, Path: api.PathKindDirect, RttMicroseconds: 12_000}}},
		{Kind: api.PathHopKindMember, Name: "porto", Packets: []api.PingPacket{{Answered: true, Path: api.PathKindRelay, ViaName: "madrid", RttMicroseconds: 31_200}}},
		{Kind: api.PathHopKindHost, Name: "printer-1", Address: "10.9.8.2", Packets: []api.PingPacket{{Path: api.PathKindRelay, Why: "the host doesn't answer ARP"}}},
	} {
		if h.Number = i + 1; r.Body.Hop == 0 || r.Body.Hop == h.Number {
			way.Hops = append(way.Hops, h)
		}
	}
	return way, f.err
}

func (f *fake) GetPath(_ context.Context, r api.GetPathRequestObject) (api.GetPathResponseObject, error) {
	return api.GetPath200JSONResponse{
		Target: r.Params.Target, Address: netip.MustParseAddr("10.9.8.2"), Name: "printer-1", Verdict: api.PathVerdictTunnel, MemberName: "porto",
		Path: api.PathKindRelay, ViaName: "madrid", RttMicroseconds: 31_200, Endpoint: netip.MustParseAddrPort("198.51.100.7:4860"),
		Hops: []api.PathHop{
			{Kind: api.PathHopKindAppliance, Name: "lisbon"}, {Kind: api.PathHopKindRelay, Name: "madrid", RttMicroseconds: 12_000},
			{Kind: api.PathHopKindMember, Name: "porto", RttMicroseconds: 31_200}, {Kind: api.PathHopKindHost, Name: "printer-1", Address: "10.9.8.2"},
		},
		Steps: []string{"Who has 10.9.8.2 is known from memory: nobody is asked.", "porto serves it.", "madrid passes the sealed datagrams on.", "porto hands the packet to the host."},
		Why:   "both ends are behind symmetric NATs, which no datagram opens", Help: "Forward UDP port 4860 at one of them.",
	}, f.err
}

func (f *fake) QueryDNS(_ context.Context, r api.QueryDNSRequestObject) (api.QueryDNSResponseObject, error) {
	return api.QueryDNS200JSONResponse{
		Name: r.Body.Name + ".", Type: r.Body.Type, Code: "NOERROR", Group: office, Server: netip.MustParseAddr("10.9.0.1"), TookMicroseconds: 140,
		Answers: []api.DNSRecord{{Name: r.Body.Name + ".", Type: "A", Data: "10.9.4.2", TTL: 30}},
		Reasons: []string{"The name is in the zone office.internal, for which this appliance answers itself.", "A lease of this site has it."},
	}, f.err
}

func (f *fake) ListLogs(_ context.Context, r api.ListLogsRequestObject) (api.ListLogsResponseObject, error) {
	f.logs = append(f.logs, r.Params)
	l := api.ListLogs200JSONResponse{Next: 60}
	for i := range 60 {
		line := api.LogLine{
			ID: int64(i + 1), Time: start().Add(time.Duration(i) * time.Minute), Level: []string{"info", "debug", "info", "warn", "error"}[i%5],
			Message: fmt.Sprintf("lease %d granted", i), Fields: []api.LogField{{Name: "addr", Value: "10.9.4.2"}, {Name: "mac", Value: "52:54:00:aa:bb:01"}},
		}
		if strings.Contains(line.Message, r.Params.Search) {
			l.Items = append(l.Items, line)
		}
	}
	return l, f.err
}

func (f *fake) StartCapture(_ context.Context, r api.StartCaptureRequestObject) (api.StartCaptureResponseObject, error) {
	if r.Body.Seconds > 60 {
		return nil, &fieldError{"seconds", "want 1 to 60"}
	}
	f.captured = append(f.captured, *r.Body)
	return file{"landbridge.pcapng", f.broken}, f.err
}

func (f *fake) GetSupportBundle(context.Context, api.GetSupportBundleRequestObject) (api.GetSupportBundleResponseObject, error) {
	return file{"landbridge-support.tar.gz", f.broken}, f.err
}

// file is an answer that is a file, or breaks before it has begun.
type file struct {
	name   string
	broken error
}

func (d file) VisitStartCaptureResponse(w http.ResponseWriter) error     { return d.send(w) }
func (d file) VisitGetSupportBundleResponse(w http.ResponseWriter) error { return d.send(w) }

func (d file) send(w http.ResponseWriter) error {
	if d.broken != nil {
		return d.broken
	}
	w.Header().Set("Content-Disposition", `attachment; filename="`+d.name+`"`)
	w.WriteHeader(http.StatusOK)
	_, err := io.WriteString(w, "the file "+d.name)
	return err
}

// fieldError is a refusal of the API's that names a field.
type fieldError struct{ field, detail string }

func (e *fieldError) Error() string { return e.field + ": " + e.detail }

// named has problems name the fields of refusals, as the API does.
func named(o *Options) {
	o.Problem = func(err error) api.Problem {
		p := plainProblem(err)
		if p.Status == http.StatusInternalServerError {
			p.Status = http.StatusUnprocessableEntity
		}
		if e := new(fieldError); errors.As(err, &e) {
			p.Errors = []api.FieldError{{Field: e.field, Detail: e.detail}}
		}
		if errors.Is(err, errAgain) {
			p.Type, p.Status = passwordWanted, http.StatusForbidden
		}
		return p
	}
}
