package main

import (
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestJoinWaitsForApprovalAndSaysSo(t *testing.T) {
	state := "--state=" + t.TempDir()
	waiting := api.JoinApplication{Group: office().ID, State: api.JoinStateWaiting, Fingerprint: "k3f7-m2qx-5rta-wd4e"}
	away := waiting
	away.Why = "no answer from the group's authority"
	f := &fakeState{groups: []api.Group{office()}, waits: []api.JoinApplication{waiting, away}}
	r := command(t, f.engine(), "", state, "join", "lb1xyz")
	if r.code != 0 || !strings.Contains(r.err, "Waiting for approval, fingerprint k3f7-m2qx-5rta-wd4e") || !strings.Contains(r.err, "Still waiting: no answer") || !strings.Contains(r.out, "office") {
		t.Errorf("let in: %+v", r)
	}
	refused := waiting
	refused.State, refused.Why = api.JoinStateRefused, "it was decided not to admit this appliance"
	f = &fakeState{groups: []api.Group{}, waits: []api.JoinApplication{waiting, refused}}
	if r = command(t, f.engine(), "", state, "join", "lb1xyz"); r.code != 1 || !strings.Contains(r.err, refused.Why) {
		t.Errorf("refused: %+v", r)
	}
	f = &fakeState{waits: []api.JoinApplication{waiting}}
	if r = command(t, f.engine(), "", state, "join", "lb1xyz", "--no-wait"); r.code != 0 || !strings.Contains(r.err, "landbridge run") {
		t.Errorf("without waiting: %+v", r)
	}
	if r = command(t, f.engine(), "", state, "join", "cancel", "1a2b3c4d"); r.code != 0 || !strings.Contains(r.out, "1a2b3c4d any more") {
		t.Errorf("cancelled: %+v", r)
	}
}

func TestWhoWaitsIsListedAndDecidedOn(t *testing.T) {
	state := "--state=" + t.TempDir()
	f := &fakeState{groups: []api.Group{office()}}
	if r := command(t, f.engine(), "", state, "group", "requests"); r.code != 0 || !strings.Contains(r.err, "Nobody waits") {
		t.Errorf("nobody: %+v", r)
	}
	f.applicants = []api.Applicant{{Fingerprint: "k3f7-m2qx-5rta-wd4e", Name: "site-b", Address: "203.0.113.9:4860", Since: time.Now(), Note: "branches"}}
	if r := command(t, f.engine(), "", state, "group", "requests"); !strings.Contains(r.out, "k3f7-m2qx-5rta-wd4e") || !strings.Contains(r.out, "203.0.113.9:4860") {
		t.Errorf("listed: %+v", r)
	}
	if r := command(t, f.engine(), "", state, "group", "approve", "site-b"); r.code != 0 || f.decided != "approve "+office().ID+"/site-b" {
		t.Errorf("approve: %+v asked %q", r, f.decided)
	}
	if r := command(t, f.engine(), "", state, "group", "deny", "site-b", "--reason", "not ours"); r.code != 0 || f.decided != "deny "+office().ID+"/site-b: not ours" {
		t.Errorf("deny: %+v asked %q", r, f.decided)
	}
	if r := command(t, f.engine(), "", state, "group", "deny", "site-b", "--reason", strings.Repeat("x", 201)); r.code != 2 {
		t.Errorf("a long reason: %+v", r)
	}
}
