package main

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
)

func TestUpdateStatusSaysWhatRunsAndHowTheLastOneEnded(t *testing.T) {
	var b bytes.Buffer
	u := api.Update{
		Image: true, Version: "v1", Slot: "A", OtherVersion: "v2", Stage: api.UpdateStageTrial, Target: "v1\x1b[2J", Until: time.Unix(0, 0), DevelopmentKey: true,
		Last: api.UpdateOutcome{Text: "The update to v2 was taken back.", At: time.Unix(0, 0)},
	}
	if err := writeUpdate(&b, u); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"v2", "on trial until 00:00:00 UTC", "was taken back. (1970-01-01 00:00:00 UTC)", "development key"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q isn't said:\n%s", want, &b)
		}
	}
	if strings.Contains(b.String(), "\x1b") {
		t.Error("a version moves the terminal's cursor")
	}
	b.Reset()
	if err := writeUpdate(&b, api.Update{Version: "v1"}); err != nil || !strings.Contains(b.String(), "package manager") {
		t.Errorf("on a host: %q, %v", &b, err)
	}
}

func TestAnUpdateIsTakenFromAFileOrTheWeb(t *testing.T) {
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/landbridge.update" {
			http.NotFound(w, r)
			return
		}
		_, _ = io.WriteString(w, "the update")
	}))
	defer web.Close()
	file := filepath.Join(t.TempDir(), "landbridge.update")
	if err := os.WriteFile(file, []byte("the update"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, from := range []string{file, web.URL + "/landbridge.update"} {
		r, err := openUpdate(context.Background(), from)
		if err != nil {
			t.Fatal(err)
		}
		if text, err := io.ReadAll(r); err != nil || string(text) != "the update" {
			t.Errorf("%s: %q, %v", from, text, err)
		}
		_ = r.Close()
	}
	if _, err := openUpdate(context.Background(), web.URL+"/other"); err == nil || !strings.Contains(err.Error(), "404") {
		t.Error(err)
	}
}
