package web

import (
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

func TestAnInvitationIsShownOnceWithItsCode(t *testing.T) {
	f := newFake(2, 0)
	a := post(t, serve(f), "/members/invite", "group", office, "hours", "168", "uses", "3", "note", " the Porto office ", "addresses", "vpn.example.net:4860, 198.51.100.9:4860")
	if a.Code != http.StatusOK || !strings.Contains(a.body, "landbridge join lb1") || !strings.Contains(a.body, `class="qr"`) || !strings.Contains(a.body, "good for 3 appliances") {
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
