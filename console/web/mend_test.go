package web

import (
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestAFindingLeadsToThePageThatMendsIt(t *testing.T) {
	for _, c := range []struct{ component, remedy, want string }{
		{"dns", "name others: landbridge forward set, or dns-forward in the configuration.", "/dns"},
		{"registry", "If it stays so, see whether the other members can be reached (landbridge peers).", "/members"},
		{"group", "have a new invitation made (landbridge group invite), and use it", "/members"},
		{"dhcp", "Register them (landbridge hosts add MAC, or dhcp-host in the configuration).", "/network"},
		{"clock", "Have the host's clock set by NTP.", "/system"},
		{"mode", "see its log (landbridge logs).", "/network"},
		{"offloads", "Use another kernel.", ""},
	} {
		if got := mendAt(c.component, c.remedy); got != c.want {
			t.Errorf("%s, %q: %q, want %q", c.component, c.remedy, got, c.want)
		}
	}
	f := newFake(1, 3)
	f.status.Health = []api.HealthItem{{Level: api.HealthLevelWarning, Component: "dns", Text: "No server answers.", Remedy: "Name others: landbridge forward set."}}
	if body := get(t, serve(f), "/").body; !strings.Contains(body, `<a class="nowrap" href="/dns">`) {
		t.Error("the overview leads nowhere from what it warns of")
	}
}

func TestAFreeSquareLeadsToTheFormThatReservesIt(t *testing.T) {
	f := newFake(1, 3)
	link := `href="/leases?reserve=10.9.4.`
	if body := get(t, serve(f), "/leases").body; !strings.Contains(body, link) || !strings.Contains(body, "This site’s addresses are those of") {
		t.Error("the form says nowhere which addresses there are")
	}
	if body := get(t, serve(f), "/leases?reserve=10.9.4.77").body; !strings.Contains(body, `value="10.9.4.77"`) || !strings.Contains(body, `id="reserve-any" open`) {
		t.Error("the chosen address isn't in the form")
	}
	if body := get(t, serve(f, func(o *Options) { o.Who = viewer }), "/leases").body; strings.Contains(body, link) {
		t.Error("who may not reserve is led to it")
	}
}
