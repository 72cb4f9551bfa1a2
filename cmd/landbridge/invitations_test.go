package main

import (
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestInvitationsAreMadeListedAndRevoked(t *testing.T) {
	f := &fakeState{groups: []api.Group{office()}}
	state := "--state=" + t.TempDir()
	r := command(t, f.engine(), "", state, "group", "invite", "--uses", "3", "--ttl", "7d", "--note", "branches")
	if r.code != 0 || r.out != "lb1token\n" || f.invited.Uses != 3 || f.invited.Note != "branches" || f.invited.TTLSeconds != 7*86400 {
		t.Errorf("invite: %+v asked %+v", r, f.invited)
	}
	f.issued = []api.IssuedInvitation{
		{ID: "5b1f0c9a3e7d2846", State: api.InvitationStateOpen, Uses: 3, Note: "bra\x1bnches", Expires: time.Now().Add(time.Hour), Users: []api.InvitationUse{{Name: "porto"}}},
		{ID: "00ff00ff00ff00ff", State: api.InvitationStateUsed, Uses: 1},
	}
	r = command(t, f.engine(), "", state, "group", "invitations")
	if r.code != 0 || !strings.Contains(r.out, "1 of 3") || !strings.Contains(r.out, "porto") || strings.Contains(r.out, "00ff") || strings.Contains(r.out, "\x1b") {
		t.Errorf("list: %+v", r)
	}
	if r = command(t, f.engine(), "", state, "group", "invitations", "--all"); !strings.Contains(r.out, "00ff00ff00ff00ff") {
		t.Errorf("list of all: %+v", r)
	}
	f.issued = f.issued[1:]
	if r = command(t, f.engine(), "", state, "group", "invitations"); r.out != "" || !strings.Contains(r.err, "--all shows") {
		t.Errorf("none open: %+v", r)
	}
	r = command(t, f.engine(), "", state, "group", "invitations", "revoke", "5b1f0c9a3e7d2846")
	if r.code != 0 || f.revoked != office().ID+"/5b1f0c9a3e7d2846" || !strings.Contains(r.out, "used 1 of 3 times") {
		t.Errorf("revoke: %+v asked %s", r, f.revoked)
	}
}
