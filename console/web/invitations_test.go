package web

import (
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

// someInvitations are those that an authority may remember.
func someInvitations() []api.IssuedInvitation {
	used := []api.InvitationUse{{MemberID: "12D3KooWporto", Name: "porto", At: start(), Member: true}, {MemberID: "12D3KooWgone", Name: "braga", At: start()}}
	return []api.IssuedInvitation{
		{ID: "5b1f0c9a3e7d2846", State: api.InvitationStateOpen, Uses: 5, Note: "The branch offices", Expires: time.Now().Add(40 * time.Hour), Users: used},
		{ID: "1122334455667788", State: api.InvitationStateOpen, Uses: 1, Expires: time.Now().Add(50 * time.Minute), Users: []api.InvitationUse{}},
		{ID: "aabbccddeeff0011", State: api.InvitationStateUsed, Uses: 1, Note: "Porto", Expires: start(), Users: used[:1]},
		{ID: "8877665544332211", State: api.InvitationStateRevoked, Uses: 3, Expires: start(), Users: []api.InvitationUse{}},
	}
}

func someApplicants() []api.Applicant {
	return []api.Applicant{
		{MemberID: "12D3KooWfaro", Fingerprint: "k3f7-m2qx-5rta-wd4e", Name: "faro", Address: "198.51.100.77:4860", Since: time.Now().Add(-9 * time.Minute), Seen: time.Now(), Note: "The branch offices"},
		{MemberID: "12D3KooWevora", Fingerprint: "aaaa-bbbb-cccc-dddd", Name: "evora", Since: time.Now().Add(-3 * time.Hour), Seen: time.Now().Add(-2 * time.Hour)},
	}
}

func TestWhoWaitsIsDecidedOnFromThePage(t *testing.T) {
	f := newFake(2, 0)
	server := serve(f)
	body := get(t, server, "/members", "HX-Request", "true", "HX-Target", "list").body
	for _, part := range []string{"2 appliances wait", "k3f7-m2qx-5rta-wd4e", "198.51.100.77:4860", "Compare the fingerprint"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page doesn't say %q", part)
		}
	}
	a := post(t, server, "/members/requests/approve", "group", office, "member", "12D3KooWfaro")
	if a.Code != http.StatusSeeOther || !strings.Contains(get(t, server, a.Header().Get("Location")).body, "faro is a member now") {
		t.Errorf("approve: %d %v", a.Code, a.Header())
	}
	a = post(t, server, "/members/requests/deny", "group", office, "member", "12D3KooWevora", "reason", " <unknown> ")
	if a.Code != http.StatusSeeOther || strings.Join(f.decided, ", ") != "approve 12D3KooWfaro, deny 12D3KooWevora <unknown>" {
		t.Errorf("deny: %d, decided %q", a.Code, f.decided)
	}
	f.refuse = errors.New("it was decided on meanwhile")
	if a = post(t, server, "/members/requests/approve", "group", office, "member", "12D3KooWfaro"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "decided on meanwhile") {
		t.Errorf("too late: %d", a.Code)
	}
}

func TestAnApplianceThatWaitsShowsItsFingerprint(t *testing.T) {
	f := newFake(0, 0)
	f.groups, f.status.Groups = nil, nil
	f.waits = []api.JoinApplication{{Group: office, State: api.JoinStateWaiting, Fingerprint: "k3f7-m2qx-5rta-wd4e", Name: "faro", Since: time.Now()}}
	server := serve(f)
	for _, path := range []string{"/start", "/members"} {
		if body := get(t, server, path).body; !strings.Contains(body, "Waiting for approval") || !strings.Contains(body, "k3f7-m2qx-5rta-wd4e") {
			t.Errorf("%s doesn't say so", path)
		}
	}
	f.waits[0].State, f.waits[0].Why = api.JoinStateRefused, "nobody <here> knows it"
	if body := get(t, server, "/start").body; !strings.Contains(body, "nobody &lt;here&gt; knows it") {
		t.Error("/start doesn't say why it was refused")
	}
	a := post(t, server, "/members/withdraw", "group", office, "back", "/start")
	if a.Code != http.StatusSeeOther || a.Header().Get("Location") != "/start" || len(f.decided) != 1 {
		t.Errorf("%d, %v", a.Code, f.decided)
	}
	if body := get(t, server, "/start").body; strings.Contains(body, "Waiting for approval") {
		t.Error("/start says so still")
	}
}

func TestAnInvitationIsShownOnceWithItsCode(t *testing.T) {
	f := newFake(2, 0)
	a := post(t, serve(f), "/members/invite", "group", office, "hours", "168", "uses", "3", "note", " the Porto office ", "addresses", "vpn.example.net:4860, 198.51.100.9:4860")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "sudo landbridge join lb1") || !strings.Contains(a.body, `class="qr"`) || !strings.Contains(a.body, "good for 3 appliances") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	want := api.InvitationCreate{Addresses: []string{"vpn.example.net:4860", "198.51.100.9:4860"}, TTLSeconds: 604800, Uses: 3, Note: "the Porto office"}
	if len(f.invited) != 1 || !reflect.DeepEqual(f.invited[0], want) {
		t.Errorf("asked for %+v", f.invited)
	}
}

func TestAnInvitationForNoNumberOfAppliancesIsAskedForAgain(t *testing.T) {
	f := newFake(2, 0)
	for _, uses := range []string{"0", "1001", "many", "-1"} {
		a := post(t, serve(f), "/members/invite", "group", office, "hours", "24", "uses", uses, "note", "kept <as> typed")
		if a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `aria-describedby="wrong-uses"`) || !strings.Contains(a.body, "kept &lt;as&gt; typed") {
			t.Errorf("%q: %d %s", uses, a.Code, a.body)
		}
	}
	if len(f.invited) > 0 {
		t.Errorf("invited %v", f.invited)
	}
}

func TestInvitationsAreListedAndRevoked(t *testing.T) {
	f := newFake(2, 0)
	f.issued = []api.IssuedInvitation{
		{ID: "5b1f0c9a3e7d2846", State: api.InvitationStateOpen, Uses: 3, Note: "<b>Porto</b>", Expires: time.Now().Add(time.Hour), Users: []api.InvitationUse{{MemberID: "m", Name: "porto"}}},
		{ID: "00ff00ff00ff00ff", State: api.InvitationStateUsed, Uses: 1},
	}
	server := serve(f)
	body := get(t, server, "/members").body
	for _, part := range []string{"&lt;b&gt;Porto&lt;/b&gt;", "1 of 3", "(removed)", "used up", "Revoke<span"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page doesn't say %q", part)
		}
	}
	if n := strings.Count(body, `action="/members/invitations/revoke"`); n != 1 {
		t.Errorf("%d can be revoked, want the one that is open", n)
	}
	a := post(t, server, "/members/invitations/revoke", "group", office, "invitation", "5b1f0c9a3e7d2846")
	if a.Code != http.StatusSeeOther || len(f.revoked) != 1 || f.revoked[0] != "5b1f0c9a3e7d2846" {
		t.Errorf("%d, revoked %v", a.Code, f.revoked)
	}
}
