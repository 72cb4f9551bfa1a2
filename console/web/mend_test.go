package web

import (
	"strings"
	"testing"
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
	if body := get(t, testPages(t, newFake()), "/").body; !strings.Contains(body, `<a class="nowrap" href="/`) {
		t.Error("the overview leads nowhere from what it warns of")
	}
}
