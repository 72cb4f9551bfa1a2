package web

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/labstack/echo/v4"
)

func TestTheNetworkPageShowsEachGroupsSegmentAndWhoServesIt(t *testing.T) {
	f := newFake(2, 3)
	server := serve(f)
	body := get(t, server, "/network").body
	for _, want := range []string{
		"VLAN 10 of enp3s0", "all of this LAN", "2 that the configuration names", "lisbon does its work", "reaches no other member", "a host, hybrid mode",
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
	if a := postPart(t, server, "/start/listen", "heard-enp3s0", "port", "enp3s0"); !strings.Contains(a.body, "the port has gone") || a.Code != http.StatusUnprocessableEntity {
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
