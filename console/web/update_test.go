package web

import (
	"net/http"
	"strings"
	"testing"

	"landbridge/console/api"
)

func TestAnUpdateIsCheckedLookedAtAndMade(t *testing.T) {
	f := newFake(0, 0)
	f.careful = true
	server := serve(f, asAdmin)
	f.update = api.Update{Image: true, Version: "v1.0.0", Slot: "A", OtherVersion: "v0.9", Stage: api.UpdateStageIdle, DevelopmentKey: true}
	upload := func(text, password string) answer {
		t.Helper()
		return postFiles(t, server, "/system/update", map[string]string{"file": text}, "csrf", "token", againPassword, password)
	}
	if a := upload("the update", "wrong"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, `id="wrong-reauthPassword"`) || f.update.Waiting.ID != "" {
		t.Errorf("a wrong password: %d %s", a.Code, a.body)
	}
	if a := upload("another's", "correct horse"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "isn&#39;t signed by a key") {
		t.Errorf("a foreign one: %d %s", a.Code, a.body)
	}
	if a := upload("the update", ""); a.Code != http.StatusSeeOther {
		t.Fatalf("%d %s", a.Code, a.body)
	}
	a := get(t, server, "/system/update")
	for _, want := range []string{"Version v1.1.0 waits", "Names are quicker.", "It is written to the slot", "development key", "Restart with v0.9", "which everybody has"} {
		if !strings.Contains(a.body, want) {
			t.Errorf("%q isn't said: %s", want, a.body)
		}
	}
	if a := post(t, server, "/system/update/apply", "id", "another"); a.Code != http.StatusUnprocessableEntity || !strings.Contains(a.body, "handed in meanwhile") {
		t.Errorf("another one: %d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/update/apply", "id", f.update.Waiting.ID); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := get(t, server, "/system/update?done=applied"); !strings.Contains(a.body, `max="10" value="5"`) || strings.Contains(a.body, "/system/update/apply") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestAnOlderUpdateIsMadeByItsOwnButton(t *testing.T) {
	f := newFake(0, 0)
	server := serve(f, asAdmin)
	f.update = api.Update{Image: true, Version: "v2", Stage: api.UpdateStageIdle, Waiting: anUpdate()}
	f.update.Waiting.Newer = false
	if a := get(t, server, "/system/update"); !strings.Contains(a.body, "not newer than what runs") || !strings.Contains(a.body, `name="older" value="yes"`) {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/update/apply", "id", f.update.Waiting.ID, "older", "yes"); a.Code != http.StatusSeeOther {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestAnUpdateThatWasTakenBackIsSaidUntilItIsForgotten(t *testing.T) {
	f := newFake(0, 0)
	server := serve(f, asAdmin)
	f.update = api.Update{Image: true, Version: "v1", Slot: "B", OtherVersion: "v2", Stage: api.UpdateStageIdle, Last: api.UpdateOutcome{Result: api.UpdateResultTakenBack, Version: "v2", Text: "The update to v2 was taken back.", At: start()}}
	if a := get(t, server, "/system/update"); !strings.Contains(a.body, "was taken back") || !strings.Contains(a.body, "Slot A has version v2") {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/update/forget"); a.Code != http.StatusSeeOther || f.update.Last.Text != "" {
		t.Errorf("%d %s", a.Code, a.body)
	}
	if a := post(t, server, "/system/update/rollback"); a.Code != http.StatusSeeOther || f.update.Stage != api.UpdateStageRestarting {
		t.Errorf("%d %s", a.Code, a.body)
	}
}

func TestOnAHostThePackageManagerUpdates(t *testing.T) {
	f := newFake(0, 0)
	f.update = api.Update{Version: "v1", Stage: api.UpdateStageIdle}
	if a := get(t, serve(f, asAdmin), "/system/update"); !strings.Contains(a.body, "package manager updates") || strings.Contains(a.body, "<form method=\"post\" action=\"/system/update\"") {
		t.Errorf("%d %s", a.Code, a.body)
	}
}
