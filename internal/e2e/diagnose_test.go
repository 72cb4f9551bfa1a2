package e2e

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/gopacket/pcapgo"

	"landbridge/console/api"
	"landbridge/internal/netlab"
	"landbridge/internal/store"
)

// What an operator asks to find out what is wrong, of appliances at two sites with a host each.
func TestAnOperatorFindsOutWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	a, b := s.site("a"), s.site("b")
	here, there := newClient(t, a.wire, "here").lease(netlab.Udhcpc), newClient(t, b.wire, "there").lease(netlab.Udhcpc)
	reaches(t, here.Host, there.addr)

	for target, kind := range map[string]api.PingKind{
		"b": api.PingKindMember, "d": api.PingKindMember, here.addr.String(): api.PingKindLAN, there.addr.String(): api.PingKindHost,
		"there": api.PingKindHost, "there." + zone: api.PingKindHost, service: api.PingKindSelf,
	} {
		var r api.PingResult
		a.wait("an answer of "+target, func() (bool, error) { return r.Received == 1, a.get(&r, "ping", "-c", "1", target) })
		if r.Kind != kind || kind != api.PingKindSelf && r.Packets[0].RttMicroseconds <= 0 || kind == api.PingKindHost && r.MemberName != "b" {
			t.Errorf("ping %s: %+v", target, r)
		}
	}
	if r := a.cli(nil, "ping", "-c", "1", "10.77.200.200"); r.code == 0 || !strings.Contains(r.stderr, "nobody has the address") {
		t.Errorf("ping of an address that nobody has: %+v", r)
	}
	for target, verdict := range map[string]api.PathVerdict{
		there.addr.String(): api.PathVerdictTunnel, here.addr.String(): api.PathVerdictSegment, service: api.PathVerdictService,
		"192.0.2.1": api.PathVerdictOutside, "10.77.200.200": api.PathVerdictAbsent, "b": api.PathVerdictTunnel,
	} {
		var r api.PathReport
		if err := a.get(&r, "path", target); err != nil || r.Verdict != verdict || len(r.Steps) == 0 {
			t.Errorf("path %s: %+v, %v; want %s", target, r, err, verdict)
		}
	}
	traced(t, a, here, there)
	var dns api.DNSAnswer
	if err := a.get(&dns, "query", "there."+zone); err != nil || len(dns.Answers) != 1 || dns.Answers[0].Data != there.addr.String() {
		t.Errorf("query: %+v, %v", dns, err)
	}
	var report api.DoctorReport
	if err := a.get(&report, "doctor"); err != nil || len(report.Checks) < 10 || report.State == api.CheckStateFailed {
		t.Errorf("doctor: %+v, %v", report, err)
	}
	if logs := a.must("logs", "--search", "landbridge runs"); !strings.Contains(logs, "mode=router") {
		t.Errorf("logs: %q", logs)
	}
	whatIsKept(t, a)
	captured(t, a, here, there)
}

// traced traces the way to a host of another site: from the appliance, and from a host by
// means that know nothing of Landbridge, by UDP and by ICMP, as mtr does.
func traced(t *testing.T, a *site, here, there *client) {
	t.Helper()
	var r api.TraceResult
	a.wait("each hop to the host to answer", func() (bool, error) { return r.Reached, a.get(&r, "traceroute", "-c", "1", "there") })
	if len(r.Hops) < 2 || r.Total != len(r.Hops) {
		t.Fatalf("traceroute: %+v", r)
	}
	member, host := r.Hops[len(r.Hops)-2], r.Hops[len(r.Hops)-1]
	if member.Kind != api.PathHopKindMember || member.Name != "b" || host.Kind != api.PathHopKindHost || host.Address != there.addr.String() ||
		host.Packets[0].RttMicroseconds <= 0 {
		t.Errorf("traceroute: %+v", r.Hops)
	}
	for _, by := range []string{"", "-I"} {
		var hops string
		waitFor(t, "traceroute "+by+" from a host", func() (bool, error) {
			hops = here.sh("busybox traceroute "+by+" -n -q 1 -w 1 -m 5 $1 2>&1 || true", there.addr.String())
			return strings.Contains(hops, "\n 1  "+service+" ") && strings.Contains(hops, "\n 2  "+there.addr.String()), nil
		})
		if strings.Count(hops, "\n") != 2 {
			t.Errorf("traceroute %s: %s", by, hops)
		}
	}
}

// whatIsKept looks at bundle, backup and metrics.
func whatIsKept(t *testing.T, a *site) {
	t.Helper()
	dir := t.TempDir()
	a.must("support", filepath.Join(dir, "support.tar.gz"))
	if info, err := os.Stat(filepath.Join(dir, "support.tar.gz")); err != nil || info.Size() < 1000 {
		t.Errorf("support bundle: %v", err)
	}
	a.must("backup", filepath.Join(dir, "copy.db"))
	db, err := store.Open(filepath.Join(dir, "copy.db"))
	if err != nil {
		t.Fatalf("the copy of the state: %v", err)
	}
	_ = db.Close()

	socket := a.Path(a.state() + "/" + api.SocketName)
	client := &http.Client{Transport: &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket)
	}}}
	defer client.CloseIdleConnections()
	for path, want := range map[string]string{"/metrics": `landbridge_session_up{group_id=`, "/healthz": "well"} {
		res, err := client.Get("http://landbridge" + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(res.Body)
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%s: %s %.300s", path, res.Status, body)
		}
	}
}

// captured captures a ping between two sites at both places.
func captured(t *testing.T, a *site, here, there *client) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "both.pcapng")
	done := make(chan result, 1)
	go func() { done <- a.cli(nil, "capture", "--where", "both", "--seconds", "3", "-w", file) }()
	seen := func() bool { // enough has passed once the capture has ended
		select {
		case r := <-done:
			if r.code != 0 {
				t.Errorf("capture: %+v", r)
			}
			return true
		default:
			return false
		}
	}
	waitFor(t, "the capture", func() (bool, error) {
		here.sh("ping -q -c3 -i0.05 -w2 $1 || true", there.addr.String())
		return seen(), nil
	})
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	r, err := pcapgo.NewNgReader(bytes.NewReader(raw), pcapgo.NgReaderOptions{WantMixedLinkType: true})
	if err != nil {
		t.Fatal(err)
	}
	from, to := here.addr.As4(), there.addr.As4()
	echoes := make(map[string]int)
	for {
		data, info, err := r.ReadPacketData()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		name := "tunnel"
		if info.InterfaceIndex == 0 {
			name, data = "segment", data[min(len(data), 14):]
		}
		switch {
		case len(data) < 28 || data[9] != 1:
		case bytes.Equal(data[12:20], append(from[:], to[:]...)) && data[20] == 8:
			echoes[name+" request"]++
		case bytes.Equal(data[12:20], append(to[:], from[:]...)) && data[20] == 0:
			echoes[name+" reply"]++
		}
	}
	for _, what := range []string{"segment request", "segment reply", "tunnel request", "tunnel reply"} {
		if echoes[what] == 0 {
			t.Errorf("no %s in the file: %v", what, echoes)
		}
	}
}
