package appliance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"landbridge/console/api"
	"landbridge/internal/config"
	"landbridge/internal/logbook"
	"landbridge/internal/store"
)

// unpack returns the files of a bundle.
func unpack(t *testing.T, bundle []byte) map[string]string {
	t.Helper()
	zipped, err := gzip.NewReader(bytes.NewReader(bundle))
	if err != nil {
		t.Fatal(err)
	}
	files := make(map[string]string)
	for archive := tar.NewReader(zipped); ; {
		head, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(archive)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(head.Name)] = string(content)
	}
}

func TestNoSecretIsInASupportBundle(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	n := m.node
	n.book = logbook.New(logLines, logBytes)
	n.cfg = config.Default()
	n.cfg.Version = "test"
	inv, err := invite(g.authority, m.membership, api.InvitationCreate{Addresses: []string{"192.0.2.1:4860"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	const hash = "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b4dWRWJTmaaJObG"
	log := slog.New(n.book.Beside(slog.NewTextHandler(new(bytes.Buffer), nil)))
	log.Info("somebody wrote the invitation "+inv.Token+" into a message", "why", "token: abcdef123456 and "+hash, "err", "Authorization: Bearer s3cr3t-value")

	files := []bundled{
		{"config.txt", func(context.Context) (any, error) { return settingsText(n.cfg), nil }},
		{"logs.txt", func(context.Context) (any, error) { return n.logText(), nil }},
		{"groups.json", func(context.Context) (any, error) { return []api.Group{describeGroup(m.membership, true)}, nil }},
		{"pem.txt", func(context.Context) (any, error) {
			return "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2Vw\n-----END PRIVATE KEY-----\n", nil
		}},
		{"secret.json", func(context.Context) (any, error) {
			return map[string]string{"password": "hunter2", "setupCode": "1234-5678"}, nil
		}},
		{"broken.json", func(context.Context) (any, error) { return nil, errors.New("it is away") }},
	}
	var b bytes.Buffer
	if err := writeBundle(t.Context(), &b, files, time.Now()); err != nil {
		t.Fatal(err)
	}
	got := unpack(t, b.Bytes())
	if !strings.Contains(got["groups.json"], m.membership.Group().String()) || !strings.Contains(got["config.txt"], "listen: [::]:4860") ||
		!strings.Contains(got["logs.txt"], "somebody wrote the invitation") || !strings.Contains(got["broken.json"], "it is away") {
		t.Errorf("the bundle has not what it should: %q", got)
	}
	seed := n.state.key.Seed()
	for _, secret := range []string{inv.Token, "abcdef123456", hash, "s3cr3t-value", "MC4CAQAwBQYDK2Vw", "hunter2", "1234-5678",
		string(seed), hex.EncodeToString(seed), base64.StdEncoding.EncodeToString(seed)} {
		for name, content := range got {
			if strings.Contains(content, secret) {
				t.Errorf("%s has the secret %q", name, secret)
			}
		}
	}
}

// half is somebody who goes away while they read.
type half struct{}

func (half) Write(p []byte) (int, error) { return len(p) / 2, io.ErrShortWrite }

func TestABackupIsAStateThatOpens(t *testing.T) {
	g := &testGroup{t: t}
	m := newMember(t, g.create)
	m.node.state.dir = t.TempDir()
	state, err := m.node.Backup(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var b, log bytes.Buffer
	state.(*backup).log = slog.New(slog.NewTextHandler(&log, nil))
	if _, err := io.Copy(half{}, state); err == nil || log.Len() > 0 {
		t.Errorf("who went away has a copy, %v: %s", err, &log)
	}
	if _, err := state.(*backup).Seek(0, io.SeekStart); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(&b, state); err != nil || !strings.Contains(log.String(), "a copy of the state was taken") {
		t.Errorf("%v: %s", err, &log)
	}
	must(t, state.Close())
	if left, err := os.ReadDir(m.node.state.dir); err != nil || len(left) > 0 {
		t.Errorf("%v is left beside the state, %v", left, err)
	}
	path := filepath.Join(t.TempDir(), databaseFile)
	if err := os.WriteFile(path, b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	db, err := store.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if key, err := nodeKey(db); err != nil || !key.Equal(m.node.state.key) {
		t.Errorf("the copy has another node key, or none: %v", err)
	}
}

func TestLogsAreFoundByLevelTextAndPlace(t *testing.T) {
	n := &node{book: logbook.New(100, 1<<20)}
	log := slog.New(n.book.Beside(slog.NewTextHandler(new(bytes.Buffer), &slog.HandlerOptions{Level: slog.LevelDebug})))
	log.Debug("one")
	log.Warn("two", "member", "ABC")
	log.Error("three")
	for _, c := range []struct {
		p    api.ListLogsParams
		want string
	}{
		{api.ListLogsParams{}, "one two three"},
		{api.ListLogsParams{Level: "warn"}, "two three"},
		{api.ListLogsParams{Search: "member=abc"}, "two"},
		{api.ListLogsParams{After: 2}, "three"},
		{api.ListLogsParams{Limit: 2}, "two three"},
	} {
		list, err := n.Logs(t.Context(), c.p)
		var got []string
		for _, l := range list.Items {
			got = append(got, l.Message)
		}
		if strings.Join(got, " ") != c.want || err != nil || list.Next != 3 {
			t.Errorf("%+v: %q, %v, next %d; want %q", c.p, got, err, list.Next, c.want)
		}
	}
	if _, err := n.Logs(t.Context(), api.ListLogsParams{Level: "loud"}); err == nil {
		t.Error("a level that there isn't was taken")
	}
}

func TestAQuotedSecretIsBlottedOutWhole(t *testing.T) {
	blot := newBlot()
	for _, text := range []string{
		`password="sec\"ret"`, `password="a sec\\\"ret"`, `why="password=\"a secret\""`, `{"password": "a, secret"}`, `"{\"token\": \"a secret\"}"`, `token: secret`, `setup code = "secret`,
	} {
		if got := string(blot([]byte(text))); strings.Contains(got, "ret") || !strings.Contains(got, "(left out)") {
			t.Errorf("of %s it leaves %s", text, got)
		}
	}
	for _, text := range []string{`password of "anna" changed`, `name="a" note="b \"c\""`} {
		if got := string(blot([]byte(text))); got != text {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}
