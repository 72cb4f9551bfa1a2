package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestACopyIsRestoredAfterAYesAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(file, []byte("the copy"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &fakeState{}
	state := t.TempDir()
	r := command(t, f.engine(), "", "--state", state, "restore", file)
	if r.code != exitUsage || f.restored != "" || !strings.Contains(r.out, "forgets what it has promised") || !strings.Contains(r.err, "--yes") {
		t.Errorf("without a yes: restored %q, %+v", f.restored, r)
	}
	r = command(t, f.engine(), "", "--state", state, "restore", file, "--yes")
	if r.code != exitOK || f.restored != "the copy" || !strings.Contains(r.err, "next start") || f.closed != 2 {
		t.Errorf("restored %q, closed %d times, %+v", f.restored, f.closed, r)
	}
}

func TestAPasswordIsResetWhileTheApplianceDoesNotRun(t *testing.T) {
	f := &fakeState{}
	state := t.TempDir()
	if err := os.WriteFile(filepath.Join(state, "landbridge.db"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	r := command(t, f.engine(), "battery staple\n", "--state", state, "console", "reset-password", "alice")
	if r.code != exitOK || strings.Join(f.changed, ",") != "alice battery staple" || strings.Contains(r.err+r.out, "battery") {
		t.Errorf("changed %q, %+v", f.changed, r)
	}
	if r := command(t, f.engine(), "\n", "--state", state, "console", "reset-password", "alice"); r.code != exitFailed || len(f.changed) != 1 {
		t.Errorf("no password: %+v", r)
	}
}
