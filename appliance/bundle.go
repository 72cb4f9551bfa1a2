package appliance

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"regexp"
	"strings"
	"time"

	"landbridge/internal/config"
)

// SupportBundle writes what somebody who helps needs to know, as a tar.gz. It holds what the
// API shows and the settings, and nothing of the state itself; what looks like a secret is blotted out.
func (n *node) SupportBundle(ctx context.Context, w io.Writer) error {
	files := []bundled{
		{"version.txt", func(context.Context) (any, error) { return n.cfg.Version + "\n", nil }},
		{"config.txt", func(context.Context) (any, error) { return settingsText(n.cfg), nil }},
		{"logs.txt", func(context.Context) (any, error) { return n.logText(), nil }},
		{"status.json", func(ctx context.Context) (any, error) { return n.Status(ctx) }},
		{"mode.json", func(ctx context.Context) (any, error) { return n.Mode(ctx) }},
		{"groups.json", func(ctx context.Context) (any, error) { return n.Groups(ctx) }},
		{"peers.json", func(ctx context.Context) (any, error) { return n.Peers(ctx) }},
		{"blocks.json", func(ctx context.Context) (any, error) { return n.Blocks(ctx) }},
		{"counters.json", func(ctx context.Context) (any, error) { return n.Counters(ctx) }},
		{"doctor.json", func(ctx context.Context) (any, error) { return n.Doctor(ctx) }},
	}
	return writeBundle(ctx, w, files, time.Now())
}

// bundled is a file of a bundle: text, or what is written as JSON.
type bundled struct {
	name string
	make func(context.Context) (any, error)
}

// writeBundle writes a tar.gz. A file that can't be made says why: the others are of use all the same.
func writeBundle(ctx context.Context, w io.Writer, files []bundled, now time.Time) error {
	zipped := gzip.NewWriter(w)
	archive, blot := tar.NewWriter(zipped), newBlot()
	for _, f := range files {
		content, err := f.make(ctx)
		text, isText := content.(string)
		b := []byte(text)
		if err == nil && !isText {
			b, err = json.MarshalIndent(content, "", "  ")
		}
		if err != nil {
			b = []byte("can't be had: " + err.Error() + "\n")
		}
		b = blot(b)
		if err := archive.WriteHeader(&tar.Header{Name: "landbridge-support/" + f.name, Mode: 0o600, Size: int64(len(b)), ModTime: now}); err != nil {
			return fmt.Errorf("write the support bundle: %w", err)
		}
		if _, err := archive.Write(b); err != nil {
			return fmt.Errorf("write the support bundle: %w", err)
		}
	}
	if err := errors.Join(archive.Close(), zipped.Close()); err != nil {
		return fmt.Errorf("write the support bundle: %w", err)
	}
	return nil
}

// newBlot returns what makes unreadable what looks like a secret: invitations, PEM blocks, and values
// that are named as secrets, also where they stand in quotes within quotes.
func newBlot() func([]byte) []byte {
	var secrets []*regexp.Regexp
	for _, secret := range []string{
		`lb1[0-9A-Za-z_\-]{8,}`,
		`(?s)-----BEGIN [A-Z ]+-----.*?-----END [A-Z ]+-----`,
		`\$argon2[^\s"']+`,
		`(?i)bearer [^\s"']+`,
	} {
		secrets = append(secrets, regexp.MustCompile(secret))
	}
	named := regexp.MustCompile(`(?im)((?:password|passwd|secret|token|invitation|private[-_ ]?key|setup[-_ ]?code)(?:\\?")?\s*[=:]\s*)("(?:[^"\\]|\\.)*"|\\"[^"]*"|[^\s,}]+)`)
	return func(b []byte) []byte {
		for _, s := range secrets {
			b = s.ReplaceAll(b, []byte("(left out)"))
		}
		return named.ReplaceAll(b, []byte(`${1}"(left out)"`))
	}
}

// settingsText lists every setting as it is in use.
func settingsText(cfg config.Config) string {
	var b strings.Builder
	for _, s := range config.Settings() {
		fmt.Fprintf(&b, "%s: %s\n", s.Key, s.Default(cfg))
	}
	return b.String()
}

// logText is the log as far as it is kept.
func (n *node) logText() string {
	var b bytes.Buffer
	lines, _, _ := n.book.Since(0)
	for _, l := range lines {
		fmt.Fprintf(&b, "%s %-5s %s", l.Time.UTC().Format(time.RFC3339Nano), l.Level, l.Message)
		for _, f := range l.Fields {
			fmt.Fprintf(&b, " %s=%q", f.Name, f.Value)
		}
		b.WriteByte('\n')
	}
	return b.String()
}

// Backup makes a copy of the state. It is in a file first, so that somebody who reads slowly
// doesn't hold the state up, and so that only a whole one is sent.
func (n *node) Backup(context.Context) (io.ReadCloser, error) {
	f, err := os.CreateTemp(n.state.dir, ".backup-")
	if err != nil {
		return nil, fmt.Errorf("make room for the copy of the state: %w", err)
	}
	if err := n.fillBackup(f); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return &backup{File: f, log: n.log}, nil
}

func (n *node) fillBackup(f *os.File) error {
	if err := os.Remove(f.Name()); err != nil { // it goes with the descriptor, whatever happens
		return fmt.Errorf("make room for the copy of the state: %w", err)
	}
	if err := noteBackup(n.state.db, n.cfg.Version, time.Now()); err != nil {
		return fmt.Errorf("note when the copy was made: %w", err)
	}
	if err := n.state.db.Backup(f); err != nil {
		return err
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("read the copy of the state: %w", err)
	}
	return nil
}

// backup is a copy of the state that somebody reads.
type backup struct {
	*os.File
	log *slog.Logger
}

// WriteTo sends the copy, and says so in the log once it has gone.
func (b *backup) WriteTo(w io.Writer) (int64, error) {
	n, err := io.Copy(w, b.File)
	if err != nil {
		return n, fmt.Errorf("send the copy of the state: %w", err)
	}
	b.log.Info("a copy of the state was taken")
	return n, nil
}
