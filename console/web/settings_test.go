package web

import (
	"net/http"
	"net/netip"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/labstack/echo/v4"

	"landbridge/console/api"
)

const settingsPath = "/groups/settings?group=office"

// changed is a form of settings that were never changed, with these fields filled in.
func changed(fields ...string) []string {
	return append([]string{"group", office, "version", "0", "leaseUnit", "60"}, fields...)
}

func TestAGroupsSettingsAreShownWithWhatIsNowAndWhatCountsWithoutThem(t *testing.T) {
	f := newFake(3, 3)
	server := serve(f)
	if body := get(t, server, "/groups").body; !strings.Contains(body, `href="/groups/settings?group=`+office+`"`) {
		t.Error("the group's page doesn't lead there")
	}
	f.settings.Version, f.settings.LeaseSeconds, f.settings.InForce.LeaseSeconds, f.settings.Made = 4, 900, 900, start()
	f.settings.Excluded, f.settings.OnlyAllowed = []string{"10.9.0.2-10.9.0.49", "10.9.1.7"}, true
	f.settings.Behind = []api.MemberBehind{{Name: "porto", Why: "It isn’t connected."}}
	f.settings.Leftover, f.settings.Leftovers = []api.Leftover{{Address: netip.MustParseAddr("10.9.1.7"), Name: "till"}}, 3
	body := get(t, server, settingsPath).body
	for _, want := range []string{
		`name="leaseSeconds" value="15"`, `<option value="60" selected>minutes`, "Now <span class=\"mono\">15 min</span>. Default <span class=\"mono\">1 h</span>.",
		"10.9.0.2-10.9.0.49\n10.9.1.7</textarea>", `value="yes" checked`, "Version 4", "<strong>porto</strong>: It isn’t connected.", "10.9.1.7</span> till", "3 in all",
		`name="version" value="4"`, "Now none. Default none.", "50 %, 30 min", "office.internal",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("the page has no %s", want)
		}
	}
	for _, field := range settingFields() {
		if !strings.Contains(body, `id="`+field+`"`) || !strings.Contains(body, `id="about-`+field+`"`) || strings.Contains(body, ">"+field+"<") {
			t.Errorf("%s has no field, or no words", field)
		}
	}
	if body := get(t, server, settingsPath+"&defaults=yes").body; strings.Contains(body, `value="15"`) || !strings.Contains(body, `name="version" value="4"`) {
		t.Error("the defaults aren't filled in")
	}
	if part := get(t, server, settingsPath, "HX-Request", "true", "HX-Target", "state").body; !strings.HasPrefix(strings.TrimSpace(part), `<section id="state"`) || strings.Contains(part, "<form") {
		t.Errorf("the live part is %.200s", part)
	}
	for _, path := range []string{"/groups/settings", "/groups/settings?group=nowhere"} {
		if a := get(t, server, path); a.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, a.Code)
		}
	}
}

func TestWhatIsWrongWithASettingStandsBesideItAndWhatWasTypedIsKept(t *testing.T) {
	for field, wrong := range map[string]string{
		"leaseSeconds": "an hour", "renewPercent": "half", "rebindPercent": "-1", "domain": "a!", "search": "a.example\nb!", "dnsServers": "1!", "ntpServers": "2!",
		"routes": "0.0.0.0/0 via me!", "excluded": "all!", "allowed": "52:54!", "denied": "me!",
	} {
		t.Run(field, func(t *testing.T) {
			f := newFake(1, 3)
			server := serve(f)
			typed := changed(field, wrong)
			if field != "domain" {
				typed = append(typed, "domain", "typed.example")
			}
			a := post(t, server, "/groups/settings", typed...)
			said := regexp.MustCompile(`<p class="wrong" id="wrong-` + field + `">`)
			if a.Code != http.StatusUnprocessableEntity || len(said.FindAllString(a.body, -1)) != 1 || strings.Count(a.body, `class="wrong"`) != 1 {
				t.Fatalf("%d: it isn't said beside the field alone", a.Code)
			}
			for _, want := range []string{wrong, `aria-invalid="true" aria-describedby="about-` + field + ` now-` + field + ` wrong-` + field + `"`, `<a href="#` + field + `">`} {
				if !strings.Contains(a.body, want) {
					t.Errorf("the page has no %s", want)
				}
			}
			if field != "domain" && !strings.Contains(a.body, `value="typed.example"`) {
				t.Error("what was typed besides is lost")
			}
			if a := checkForm(t, server, "/groups/settings", typed...); !strings.HasPrefix(a.body, `{"fields":{"`+field+`":"`) {
				t.Errorf("as it is typed: %s", a.body)
			}
			if a := post(t, server, "/groups/settings/apply", typed...); a.Code != http.StatusUnprocessableEntity || len(f.set) > 0 {
				t.Errorf("applied unseen: %d, set %+v", a.Code, f.set)
			}
		})
	}
}

// What can't be read and what the API refuses are said at once.
func TestAllThatIsWrongWithSettingsIsSaidAtOnce(t *testing.T) {
	server := serve(newFake(1, 3))
	typed := changed("leaseSeconds", "x", "search", "a! b! c! d!", "renewPercent", "60", "rebindPercent", "50")
	a := checkForm(t, server, "/groups/settings", typed...)
	for _, want := range []string{`"leaseSeconds":"Use a whole number`, `"rebindPercent":"This must be more`, `"search":"search can’t be a!; search can’t be b!; search can’t be c!; and more."`} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%s has no %s", a.body, want)
		}
	}
	if a := checkForm(t, server, "/groups/settings", changed("leaseSeconds", "7")...); strings.TrimSpace(a.body) != `{"fields":{}}` {
		t.Errorf("nothing is wrong: %s", a.body)
	}
}

func TestSettingsAreAppliedOnceWhatTheyChangeAndWhomWasSeen(t *testing.T) {
	f := newFake(3, 12)
	f.settings.Denied, f.settings.Search = []string{"52:54:00:99:99:99"}, []string{"a.example", "b.example"}
	f.leases[2].Reserved = true
	server := serve(f)
	typed := changed(
		"leaseSeconds", "90", "search", "B.example., a.example", "excluded", "10.9.4.0/30\n10.9.200.1", "denied", "52-54-00-00-00-05", "onlyAllowed", "yes",
		"allowed", "5254.0000.0000 52:54:00:00:00:01", "routes", " 192.168.7.0/24  via 10.9.4.9 ",
	)
	a := post(t, server, "/groups/settings", typed...)
	if a.Code != http.StatusOK || len(f.set) > 0 {
		t.Fatalf("%d, set %+v", a.Code, f.set)
	}
	text := plainText(a.body)
	for _, want := range []string{
		"7 settings would change", "Lease time the default, 1 h to 1 h 30 min", "Search domains a.example, b.example to b.example, a.example",
		"add 10.9.4.0-10.9.4.3 add 10.9.200.1 printer-1 10.9.4.0, nas-1 10.9.4.1 have such addresses", // one is reserved, one found
		"add 52:54:00:00:00:05 remove 52:54:00:99:99:99 build-1 10.9.4.5: loses its address when its lease ends",
		"add 52:54:00:00:00:00 add 52:54:00:00:00:01 They are served at every site", "Routes none to 192.168.7.0/24 via 10.9.4.9",
		"off to on anna-laptop-1 10.9.4.2, till-1 10.9.4.4, build-1 10.9.4.5, phone-1 10.9.4.6, scanner-1 10.9.4.7, thermostat-1 10.9.4.8, desk-1 10.9.4.9, printer-2 10.9.4.10 and 1 more of this site are neither",
		"within 30 min: 12 hosts have leases", "All 4 members have it within seconds",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("the plan doesn't say %q", want)
		}
	}
	a = post(t, server, "/groups/settings/apply", hiddenFields(t, a.body)...)
	if a.Code != http.StatusSeeOther || len(f.set) != 1 {
		t.Fatalf("%d, set %+v", a.Code, f.set)
	}
	want := api.GroupSettingsChange{
		LeaseSeconds: 5400, Search: []string{"B.example.", "a.example"}, Excluded: []string{"10.9.4.0/30", "10.9.200.1"}, Denied: []string{"52-54-00-00-00-05"},
		Allowed: []string{"5254.0000.0000", "52:54:00:00:00:01"}, Routes: []string{"192.168.7.0/24 via 10.9.4.9"}, OnlyAllowed: true,
	}
	got := f.set[0]
	got.DNSServers, got.NtpServers = nil, nil
	if !reflect.DeepEqual(got, want) {
		t.Errorf("set\n%+v, want\n%+v", got, want)
	}
	if body := get(t, server, a.Header().Get("Location")).body; !strings.Contains(body, "at their next renewal, within 30 min") {
		t.Error("it isn't said when hosts hear of it")
	}
}

func TestAFormThatChangesNothingSaysSoAndWhatIsWrittenOtherwiseIsNoChange(t *testing.T) {
	f := newFake(1, 1)
	f.settings.Excluded, f.settings.Allowed, f.settings.Domain = []string{"10.9.4.0-10.9.4.3"}, []string{"52:54:00:00:00:0a"}, "a.example"
	a := post(t, serve(f), "/groups/settings", changed("excluded", "10.9.4.0/30", "allowed", "52-54-00-00-00-0A", "domain", "A.example.")...)
	if a.Code != http.StatusOK || !strings.Contains(a.body, "Nothing would change") || strings.Contains(a.body, "/groups/settings/apply") {
		t.Errorf("%d: %s", a.Code, plainText(a.body))
	}
}

func TestSettingsThatOthersHaveChangedMeanwhileAreLookedAtAgain(t *testing.T) {
	f := newFake(1, 1)
	f.settings.Version, f.settings.Made = 3, time.Now()
	server := serve(f)
	for _, path := range []string{"/groups/settings", "/groups/settings/apply"} {
		a := post(t, server, path, changed("domain", "typed.example")...)
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "others have changed the settings") || !strings.Contains(a.body, `value="typed.example"`) ||
			!strings.Contains(a.body, `name="version" value="3"`) || len(f.set) > 0 {
			t.Errorf("%s: %d, set %v", path, a.Code, f.set)
		}
	}
	a := post(t, server, "/groups/settings/apply", "group", office, "version", "3", "domain", "typed.example")
	if a.Code != http.StatusSeeOther || f.set[0].Version != 3 {
		t.Errorf("having looked: %d, %+v", a.Code, f.set)
	}
}

func TestWhoCantChangeSettingsSeesThemAndIsToldWhoCan(t *testing.T) {
	f := newFake(1, 1)
	f.settings.Excluded = []string{"10.9.0.2"}
	body := get(t, serve(f, func(o *Options) { o.Who = viewer }), settingsPath).body
	if !strings.Contains(body, "by an administrator; you are logged in as viewer") || strings.Contains(body, "<textarea") || !strings.Contains(body, "10.9.0.2") {
		t.Error("a viewer")
	}
	f.settings.Authority, f.groups[0].Authority = false, false
	f.groups[0].Members[0].Authority = false
	f.groups[0].Members = append(f.groups[0].Members, api.GroupMember{Name: "faro", Authority: true})
	server := serve(f)
	body = get(t, server, settingsPath).body
	if !strings.Contains(body, "These are changed at <strong>faro</strong>") || strings.Contains(body, "<textarea") || strings.Contains(body, "Show what this changes") {
		t.Error("a plain member")
	}
	f.refuse = echo.NewHTTPError(http.StatusConflict, "this appliance doesn't keep the CA key")
	if a := post(t, server, "/groups/settings/apply", changed("domain", "a.example")...); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "keep the CA key") {
		t.Errorf("%d", a.Code)
	}
}

// hiddenFields are the fields of the form that a plan is applied by, as a browser sends them.
func hiddenFields(t *testing.T, body string) (fields []string) {
	t.Helper()
	form := regexp.MustCompile(`(?s)action="/groups/settings/apply".*?</form>`).FindString(body)
	for _, m := range regexp.MustCompile(`<input type="hidden" name="(\w+)" value="([^"]*)">`).FindAllStringSubmatch(form, -1) {
		fields = append(fields, m[1], m[2])
	}
	for _, m := range regexp.MustCompile(`(?s)<textarea name="(\w+)"[^>]*>\n(.*?)</textarea>`).FindAllStringSubmatch(form, -1) {
		fields = append(fields, m[1], strings.ReplaceAll(m[2], "\n", "\r\n"))
	}
	if len(fields) < 2*len(settingFields()) {
		t.Fatalf("the form has %q", fields)
	}
	return fields
}

// plainText is what a page says, without its markup.
func plainText(body string) string {
	return strings.ReplaceAll(strings.Join(strings.Fields(regexp.MustCompile(`(?s)<[^>]*>`).ReplaceAllString(body, " ")), " "), " :", ":")
}

func TestTheDefaultOfT2IsTakenAsItIsShown(t *testing.T) {
	a := post(t, serve(newFake(1, 1)), "/groups/settings", changed("rebindPercent", "87.5")...)
	if a.Code != http.StatusOK || !strings.Contains(a.body, "Nothing would change") {
		t.Errorf("%d: %s", a.Code, plainText(a.body))
	}
}

func TestThatNobodyButRegisteredHostsWouldBeServedIsSaidInThePlan(t *testing.T) {
	const warning = "every host that isn’t registered at its appliance loses its address"
	for want, typed := range map[bool][]string{true: {"onlyAllowed", "yes"}, false: {"onlyAllowed", "yes", "allowed", "52:54:00:00:00:01"}} {
		if a := post(t, serve(newFake(1, 3)), "/groups/settings", changed(typed...)...); a.Code != http.StatusOK || strings.Contains(a.body, warning) != want {
			t.Errorf("%q: %d, %s", typed, a.Code, plainText(a.body))
		}
	}
	f := newFake(1, 3)
	f.settings.OnlyAllowed, f.settings.Allowed = true, []string{"52:54:00:00:00:01"}
	if a := post(t, serve(f), "/groups/settings", changed("onlyAllowed", "yes")...); strings.Count(a.body, warning) != 1 {
		t.Errorf("the last allowed host is taken out: %s", plainText(a.body))
	}
}

func TestHostsThatAreTakenOffTheAllowedOnesAreNamedWhereThoseAloneAreServed(t *testing.T) {
	f := newFake(1, 6)
	f.settings.OnlyAllowed, f.settings.Allowed = true, []string{f.leases[2].MAC, f.leases[4].MAC, f.leases[5].MAC, "52:54:00:99:99:99"}
	f.hosts = []api.RegisteredHost{{MAC: f.leases[4].MAC}}
	for typed, want := range map[string]string{
		f.leases[5].MAC:                          "anna-laptop-1 10.9.4.2 is neither allowed nor registered then, and loses its address when its lease ends.",
		f.leases[2].MAC + " " + f.leases[5].MAC:  "None of those that are removed has an address of this appliance",
		f.leases[4].MAC + " 52:54:00:99:99:99\n": "anna-laptop-1 10.9.4.2, build-1 10.9.4.5 are neither allowed",
	} {
		if a := post(t, serve(f), "/groups/settings", changed("onlyAllowed", "yes", "allowed", typed)...); !strings.Contains(plainText(a.body), want) || strings.Contains(a.body, "is served where its appliance serves it") {
			t.Errorf("allowed are then %s: %s", typed, plainText(a.body))
		}
	}
	if a := post(t, serve(f), "/groups/settings", changed("allowed", f.leases[5].MAC)...); !strings.Contains(a.body, "Who is removed is served where its appliance serves it.") || strings.Contains(plainText(a.body), "neither allowed") {
		t.Errorf("all are served from now on: %s", plainText(a.body))
	}
}
