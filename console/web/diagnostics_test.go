package web

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
)

func TestTheDoctorSaysWhatIsWrongAndWhatToDo(t *testing.T) {
	body := get(t, serve(newFake(12, 3)), "/diagnostics").body
	for _, want := range []string{"2 of 5 checks found something", "soon no lease can be written", "Make room on it.", "3 checks are well"} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if body := get(t, serve(newFake(2, 3)), "/diagnostics").body; !strings.Contains(body, "3 checks, and all is well") {
		t.Error("nothing was found, and that isn't said")
	}
}

func TestAPingSaysOfEachPacketHowItWent(t *testing.T) {
	server := serve(newFake(2, 3), named)
	a := post(t, server, "/diagnostics/reach", "target", " printer-1 ", "count", "4", "do", "ping")
	for _, want := range []string{"<b>3</b> of 4 answered", "25 % lost", "no answer came in 2 s", "by madrid", "9.7 ms at least", `value="printer-1"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%d: the page doesn't say %q", a.Code, want)
		}
	}
	for field, fields := range map[string][]string{
		"target": {"target", "nowhere", "count", "4"},
		"count":  {"target", "printer-1", "count", "many"},
	} {
		a := post(t, server, "/diagnostics/reach", fields...)
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-`+field+`"`) || !strings.Contains(a.body, `value="`+fields[1]+`"`) {
			t.Errorf("%s: %d, want the field named and what was typed kept", field, a.Code)
		}
	}
}

func TestAPathIsToldHopByHopAndStepByStep(t *testing.T) {
	a := post(t, serve(newFake(2, 3)), "/diagnostics/reach", "target", "printer-1", "do", "path")
	for _, want := range []string{"printer-1 (10.9.8.2) is reached through the tunnel", "madrid passes the sealed datagrams on.", "Forward UDP port 4860", `class="relay"`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%d: the page doesn't say %q", a.Code, want)
		}
	}
}

func TestATraceIsShownHopByHopAsTheyAnswer(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f, named)
	live := []string{"HX-Request", "true", "HX-Target"}
	first := post(t, server, "/diagnostics/reach", "target", "printer-1", "count", "4", "do", "trace")
	for _, want := range []string{"madrid", "12 ms", "31 ms", "no answer", "the host doesn&#39;t answer ARP", "printer-1 doesn't answer.", "Forward UDP port 4860"} {
		if !strings.Contains(first.body, want) {
			t.Errorf("without scripts all is measured at once: %d, without %q", first.Code, want)
		}
	}
	if strings.Contains(first.body, `id="trace-rest"`) || f.traced[0].Hop != 0 || f.traced[0].Count != 4 {
		t.Errorf("asked for %+v", f.traced)
	}
	one := postWith(t, server, "/diagnostics/reach", append(live, "reach"), "target", "printer-1", "count", "4", "do", "trace")
	if !strings.Contains(one.body, "madrid") || strings.Contains(one.body, "31 ms") || !strings.Contains(one.body, `name="hop" value="2"`) {
		t.Errorf("the first hop: %s", one.body)
	}
	last := postWith(t, server, "/diagnostics/reach", append(live, "trace-rest"), "target", "printer-1", "do", "trace", "hop", "3")
	if strings.Contains(last.body, "madrid") || !strings.Contains(last.body, "printer-1 doesn't answer.") || strings.Contains(last.body, `id="trace-rest"`) || strings.Contains(last.body, "<section") {
		t.Errorf("the last hop: %s", last.body)
	}
	gone := postWith(t, server, "/diagnostics/reach", append(live, "trace-rest"), "target", "nowhere", "do", "trace", "hop", "2")
	if !strings.Contains(gone.body, `<tbody id="trace-rest">`) || !strings.Contains(gone.body, "nobody is called nowhere") {
		t.Errorf("what went away meanwhile: %s", gone.body)
	}
}

func TestADNSQueryIsAnsweredWithItsReasons(t *testing.T) {
	a := post(t, serve(newFake(2, 3)), "/diagnostics/dns", "name", "printer-1", "type", "A")
	for _, want := range []string{"for which this appliance answers itself", "10.9.4.2", "NOERROR", "printer-1.", `value="printer-1"`, `<option selected>A</option>`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%d: the page doesn't say %q", a.Code, want)
		}
	}
}

func TestACaptureIsADownloadOrTheFormAgain(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f, named)
	a := post(t, server, "/diagnostics/capture", "where", "both", "seconds", "5", "bytes", "2", "packets", "")
	if a.Code != http.StatusOK || a.body != "the file landbridge.pcapng" || !strings.Contains(a.Header().Get("Content-Disposition"), ".pcapng") {
		t.Fatalf("%d %v %s", a.Code, a.Header(), a.body)
	}
	if got := fmt.Sprintf("%+v", f.captured); got != "[{Bytes:2097152 Group: Packets:0 Seconds:5 Snaplen:0 Where:both}]" {
		t.Errorf("asked for %s", got)
	}
	for _, seconds := range []string{"61", "0", "-5", "1e3", "99999999999999999999"} {
		a := post(t, server, "/diagnostics/capture", "where", "both", "seconds", seconds)
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-seconds"`) || !strings.Contains(a.body, `value="`+seconds+`"`) {
			t.Errorf("%s seconds: %d", seconds, a.Code)
		}
	}
	f.broken = errors.New("a capture is running already: wait until it ends")
	if a := post(t, server, "/diagnostics/capture", "seconds", "5"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "A capture is running already: wait until it ends.") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestLinesOfTheLogAreFilteredByTheAPIAndTheLatestComesFirst(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/diagnostics?level=warn&search=lease+5", "HX-Request", "true", "HX-Target", "logs").body
	if got := fmt.Sprintf("%+v", f.logs); got != "[{Level:warn Search:lease 5 After:0 Limit:200}]" {
		t.Errorf("asked for %s", got)
	}
	if first, last := strings.Index(body, "lease 59"), strings.Index(body, "lease 5 granted"); first < 0 || last < first || strings.Contains(body, "<html") {
		t.Errorf("lines at %d and %d of %s", first, last, body)
	}
	if a := get(t, server, "/diagnostics?newest=60", "HX-Request", "true", "HX-Target", "logs"); a.Code != http.StatusNoContent {
		t.Errorf("no new line, and %d", a.Code)
	}
}

func TestAViewerOfDiagnosticsHasNoLogNorCapture(t *testing.T) {
	f := newFake(2, 3)
	body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/diagnostics").body
	for _, forbidden := range []string{"/diagnostics/capture", "/diagnostics/support", `value="ping"`, `id="logs"`} {
		if strings.Contains(body, forbidden) {
			t.Errorf("%s is offered", forbidden)
		}
	}
	if len(f.logs) > 0 || !strings.Contains(body, `value="path"`) || !strings.Contains(body, "/diagnostics/dns") {
		t.Errorf("logs asked for: %v", f.logs)
	}
}
