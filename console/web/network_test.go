package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

func TestTheNetworkPageShowsEachGroupsSegmentAndWhoServesIt(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/network").body
	for _, want := range []string{
		"VLAN 10 of enp3s0", "all of this LAN", "2 by name", "lisbon does its work", "reaches no other member", "a host, hybrid mode",
		"50 %", `href="/leases?group=aa01&amp;site=here">42 with addresses`, "A DHCP server, <span class=\"mono\">192.168.1.1", "No other DHCP server and no other gateway",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	part := get(t, server, "/network", "HX-Request", "true", "HX-Target", "segments").body
	if !strings.Contains(part, "VLAN 10") || strings.Contains(part, "<html") || strings.Contains(part, "Registered hosts") {
		t.Errorf("the part that is brought up to date is %.200s", part)
	}
}

func TestAPortIsListenedOnFromItsCard(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/start?step=mode").body
	for _, want := range []string{`<span class="tag">default route</span>`, "link up, 1 Gbit/s", "192.0.2.7/24", "no link", `hx-trigger="submit, load"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the wizard doesn't say %q", want)
		}
	}
	heard := []string{"porto of office", "an appliance of another group", "A DHCP server", "DHCP hands it out", "20 stations", "52:54:00:99:00:14"}
	whole := post(t, server, "/network/listen", "port", "enp3s0").body
	part := postPart(t, server, "/start/listen", "heard-enp3s0", "port", "enp3s0").body
	for _, want := range heard {
		if !strings.Contains(whole, want) || !strings.Contains(part, want) {
			t.Errorf("%q: on the page %t, on the card %t", want, strings.Contains(whole, want), strings.Contains(part, want))
		}
	}
	if strings.Contains(part, "<html") || strings.Count(part, `class="host"`) != marksMost-4 {
		t.Errorf("the part is %.300s", part)
	}
	f.refuse = errors.New("the port has gone")
	if a := postPart(t, server, "/start/listen", "heard-enp3s0", "port", "enp3s0"); !strings.Contains(a.body, "The port has gone.") || a.Code != http.StatusUnprocessableEntity {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/network").body; strings.Contains(body, "Who is there?") {
		t.Error("a viewer is offered to listen")
	}
}

// postPart sends a form as htmx does that wants a part of a page.
func postPart(t *testing.T, server http.Handler, path, target string, fields ...string) answer {
	t.Helper()
	form := url.Values{}
	for i := 0; i < len(fields); i += 2 {
		form.Add(fields[i], fields[i+1])
	}
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, strings.NewReader(form.Encode()))
	return do(t, server, req, echo.HeaderContentType, echo.MIMEApplicationForm, "HX-Request", "true", "HX-Target", target)
}

func TestHostsAreRegisteredAndMovedOnTheNetworkPage(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/network?done=moved").body
	for _, want := range []string{
		"reaches nobody until then", "the oscilloscope", "by nora", "named by the configuration",
		`<select disabled aria-label="Group of 52:54:00:aa:bb:03"><option>lab`, "said by the configuration (group-host)",
		`<select name="group" aria-label="Group of 52:54:00:aa:bb:02">`, `<option value="aa02" selected>lab`, "one that this appliance isn&#39;t in",
		"Seen, and not registered", "none takes the hosts that nobody registered", "10.9.4.2</span> <span class=\"muted\">of office",
	} {
		if !strings.Contains(body, want) && !strings.Contains(body, strings.ReplaceAll(want, "&#39;", "'")) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if strings.Count(body, `value="52:54:00:99:00:33"`) != 1 || strings.Index(body, "52:54:00:99:00:31") > strings.Index(body, "52:54:00:99:00:32") {
		t.Error("a host that two segments have seen is told twice, or the one without an address isn't first")
	}
	for name, c := range map[string]struct {
		fields []string
		group  *string
		note   *string
	}{
		"of a group":          {[]string{"mac", "52:54:00:99:00:31", "group", "aa02", "note", " the scope "}, ptr("aa02"), ptr("the scope")},
		"of none":             {[]string{"mac", "52:54:00:99:00:31", "group", ""}, ptr(""), nil},
		"as it is":            {[]string{"mac", "52:54:00:99:00:31", "group", "-", "note", ""}, nil, nil},
		"its note is emptied": {[]string{"mac", "52:54:00:99:00:31", "about", "note", "note", " "}, nil, ptr("")},
		"without groups":      {[]string{"mac", "52:54:00:99:00:31"}, nil, nil},
	} {
		f.registered = nil
		if a := post(t, server, "/network/hosts", c.fields...); a.Code != http.StatusSeeOther || len(f.registered) != 1 {
			t.Errorf("%s: %d %s", name, a.Code, a.body)
			continue
		}
		if got := f.registered[0]; !reflect.DeepEqual(got.Body, &api.HostRegistration{Group: c.group, Note: c.note}) || got.MAC != "52:54:00:99:00:31" {
			t.Errorf("%s: asked for %+v", name, got.Body)
		}
	}
	if body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/network").body; strings.Contains(body, ">Register<") || strings.Contains(body, ">Move<") || !strings.Contains(body, "the oscilloscope") {
		t.Error("a viewer is offered to register hosts, or isn't shown them")
	}
}

func ptr(s string) *string { return &s }

func TestAFormOfASegmentDoesntOverwriteWhatOthersHaveChanged(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	fields := []string{"group", "aa01", "serve", "open", "dhcpPorts", "1067/1068", "version", "0"}
	if body := get(t, server, "/network/segment?group=aa01").body; !strings.Contains(body, `name="version" value="0"`) {
		t.Fatalf("the form doesn't say from what it starts: %s", body)
	}
	f.segments[0].Dhcp = api.SegmentDhcp{Serve: api.ServeRuleRegistered, VendorClasses: []string{}, Ports: "67/68", Version: 3, SetBy: "nora"}
	for _, path := range []string{"/network/segment", "/network/segment/apply"} {
		a := post(t, server, path, fields...)
		for _, want := range []string{"nora has changed this since the form was opened", "Registered ones alone", `value="1067/1068"`, `name="version" value="3"`} {
			if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, want) || strings.Contains(a.body, ">Apply<") {
				t.Errorf("%s: %d, want that it says %q: %s", path, a.Code, want, a.body)
			}
		}
	}
	if len(f.ruled) > 0 {
		t.Errorf("what nora has set is overwritten: %+v", f.ruled)
	}
	fields[len(fields)-1] = "3"
	if a := post(t, server, "/network/segment/apply", fields...); a.Code != http.StatusSeeOther || len(f.ruled) != 1 || *f.ruled[0].Body.Version != 3 {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestWhomDHCPServesIsChangedOnItsPage(t *testing.T) {
	f := newFake(2, 3)
	f.segments[1].Attachment.LanPort = f.segments[0].Attachment.LanPort
	server := serve(f)
	body := get(t, server, "/network").body
	for _, want := range []string{`href="/network/segment?group=aa01">Change`, "vendor classes that begin with", ">1067/1068<", "said by the configuration (dhcp)"} {
		if !strings.Contains(body, want) {
			t.Errorf("the network page doesn't say %q", want)
		}
	}
	body = get(t, server, "/network/segment?group=aa02").body
	for _, want := range []string{"Set in the configuration (<code>dhcp</code>)", `<fieldset class="choices" disabled>`, "On this LAN are also: office. Now they are of office.", "PXEClient</textarea>", `value="1067/1068"`} {
		if !strings.Contains(body, want) {
			t.Errorf("the form doesn't say %q", want)
		}
	}
	fields := []string{"group", "aa01", "serve", "vendor-class", "vendorClasses", " PXEClient\r\n\r\nudhcp 1.\r\n", "dhcpPorts", "67/68", "version", "0"}
	a := post(t, server, "/network/segment", fields...)
	for _, want := range []string{"This would change", "printer-1 10.9.4.2", ">Apply<", `<input type="hidden" name="serve" value="vendor-class">`, "udhcp 1."} {
		if !strings.Contains(a.body, want) {
			t.Errorf("the plan doesn't say %q", want)
		}
	}
	if len(f.ruled) > 0 {
		t.Error("what was only planned is done")
	}
	no, first := false, int64(0)
	if a := post(t, server, "/network/segment/apply", fields...); a.Code != http.StatusSeeOther || len(f.ruled) != 1 ||
		!reflect.DeepEqual(f.ruled[0].Body, &api.SegmentChange{Version: &first, Serve: "vendor-class", VendorClasses: []string{"PXEClient", "udhcp 1."}, DhcpPorts: "67/68", Remainder: &no}) {
		t.Errorf("%d, asked for %+v", a.Code, f.ruled)
	}
	if a := post(t, server, "/network/segment", "group", "aa01", "version", "0", "serve", "open", "dhcpPorts", "67"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `aria-describedby="about-ports wrong-dhcpPorts" aria-invalid="true"`) || !strings.Contains(a.body, `value="67"`) {
		t.Errorf("what is wrong with the ports: %d %s", a.Code, a.body)
	}
	if a := get(t, server, "/network/segment?group=nowhere"); a.Code != http.StatusNotFound {
		t.Errorf("a group that isn't here: %d", a.Code)
	}
	if body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/network").body; strings.Contains(body, "/network/segment") {
		t.Error("a viewer is offered to change it")
	}
}
