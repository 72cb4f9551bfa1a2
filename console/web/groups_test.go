package web

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestGroupsStandSideBySide(t *testing.T) {
	f := newFake(2, 0)
	f.groups[0].LeaseSeconds, f.groups[0].CertificateExpires = 3600, time.Now().Add(50*24*time.Hour)
	second := f.groups[0]
	second.ID, second.Name, second.Authority = strings.Repeat("b", 64), "lab", false
	f.groups = append(f.groups, second)
	body := get(t, serve(f), "/groups").body
	for _, part := range []string{"65,533", "office.internal", "good for ", ">lab <", "Leave office", "Leave lab"} {
		if !strings.Contains(body, part) {
			t.Errorf("the page doesn't say %q", part)
		}
	}
	f.groups = nil
	if body := get(t, serve(f), "/groups").body; !strings.Contains(body, "No group yet") {
		t.Error("in no group it doesn't say so")
	}
}

func TestAGroupIsLeftOnceItsEffectWasSaid(t *testing.T) {
	f := newFake(2, 0)
	server := serve(f)
	if a := get(t, server, "/groups/leave?group=office"); a.Code != http.StatusOK || !strings.Contains(a.body, "it is destroyed") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := get(t, server, "/groups/leave"); a.Code != http.StatusNotFound {
		t.Errorf("no group: %d", a.Code)
	}
	if a := post(t, server, "/groups/leave", "group", office, "name", "ofice"); a.Code != http.StatusUnprocessableEntity || len(f.left) > 0 || !strings.Contains(a.body, "wrong-name") {
		t.Errorf("another name was typed: %d, left %v", a.Code, f.left)
	}
	a := post(t, server, "/groups/leave", "group", office, "name", "office")
	if a.Code != http.StatusSeeOther || len(f.left) != 1 || !strings.Contains(get(t, server, a.Header().Get("Location")).body, "has left office") {
		t.Errorf("%d %v, left %v", a.Code, a.Header(), f.left)
	}
}

func TestWhoCannotInviteIsToldWhoCan(t *testing.T) {
	f := newFake(2, 0)
	const said = "Members are invited and removed at <strong>porto</strong>"
	if body := get(t, serve(f), "/members").body; strings.Contains(body, "invited and removed at") {
		t.Error("the authority sends people elsewhere")
	}
	f.groups[0].Authority = false
	f.groups[0].Members[0].Authority = false
	f.groups[0].Members = append(f.groups[0].Members, api.GroupMember{MemberID: "12D3KooWporto", Name: "porto", Authority: true})
	body := get(t, serve(f), "/members").body
	if !strings.Contains(body, said) || strings.Contains(body, "Invite a member") {
		t.Errorf("the page doesn't say %q", said)
	}
}

func TestMembersSayWhoseCertificatesRunOut(t *testing.T) {
	body := get(t, serve(newFake(8, 3)), "/members").body
	for _, want := range []string{"Certificates that weren't renewed", "<strong>tallinn</strong>: good for 10 d 1 h, not renewed", "<strong>oslo</strong>: ended", "not shown yet", strings.Repeat("5f", 32)} {
		if !strings.Contains(body, want) {
			t.Errorf("the page doesn't say %q", want)
		}
	}
	if strings.Contains(get(t, serve(newFake(3, 3)), "/members").body, "weren't renewed") {
		t.Error("all are well, and that isn't said")
	}
}
