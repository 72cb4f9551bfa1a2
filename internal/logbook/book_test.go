package logbook

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func newLog(b *Book, level slog.Level) (*slog.Logger, *bytes.Buffer) {
	out := new(bytes.Buffer)
	return slog.New(b.Beside(slog.NewTextHandler(out, &slog.HandlerOptions{Level: level}))), out
}

func TestWhatIsPrintedIsKept(t *testing.T) {
	b := New(10, 1<<20)
	log, out := newLog(b, slog.LevelInfo)
	log.Debug("not printed")
	log.With("group", "office").WithGroup("peer").Warn("it went away", "member", "12ab", slog.Group("at", "n", 7), "err", errors.New("no way"))
	lines, last, lost := b.Since(0)
	if len(lines) != 1 || last != 1 || lost {
		t.Fatalf("%d lines, the last %d, lost %v; want the one that is printed", len(lines), last, lost)
	}
	want := []Field{{"group", "office"}, {"peer.member", "12ab"}, {"peer.at.n", "7"}, {"peer.err", "no way"}}
	if diff := cmp.Diff(want, lines[0].Fields); diff != "" || lines[0].Message != "it went away" || lines[0].Level != slog.LevelWarn || lines[0].Time.IsZero() {
		t.Errorf("%+v %s", lines[0], diff)
	}
	if !strings.Contains(out.String(), "it went away") || strings.Contains(out.String(), "not printed") {
		t.Errorf("printed: %q", out)
	}
}

func TestTheOldestLinesGoFirst(t *testing.T) {
	b := New(3, 1<<20)
	log, _ := newLog(b, slog.LevelInfo)
	for i := range 5 {
		log.Info(fmt.Sprint("line ", i+1))
	}
	for _, c := range []struct {
		after int64
		ids   []int64
		lost  bool
	}{
		{0, []int64{3, 4, 5}, false}, {1, []int64{3, 4, 5}, true}, {2, []int64{3, 4, 5}, false},
		{4, []int64{5}, false}, {5, nil, false}, {99, nil, false},
	} {
		lines, last, lost := b.Since(c.after)
		var ids []int64
		for _, l := range lines {
			ids = append(ids, l.ID)
		}
		if !cmp.Equal(ids, c.ids) || last != 5 || lost != c.lost {
			t.Errorf("after %d: %d, last %d, lost %v; want %d, 5, %v", c.after, ids, last, lost, c.ids, c.lost)
		}
	}
}

func TestABookIsBoundedInBytes(t *testing.T) {
	b := New(1000, 20<<10)
	log, _ := newLog(b, slog.LevelInfo)
	for range 500 {
		log.Info(strings.Repeat("é", 8000), "value", strings.Repeat("v", 9000))
	}
	lines, _, _ := b.Since(0)
	size := 0
	for _, l := range lines {
		size += len(l.Message) + len(l.Fields[0].Value)
	}
	if size > 20<<10 || len(lines) == 0 {
		t.Errorf("%d lines of %d bytes are kept", len(lines), size)
	}
	if strings.ContainsRune(lines[0].Message, '\uFFFD') || !strings.HasSuffix(lines[0].Message, "é…") {
		t.Error("a line was cut within a character")
	}
}

func TestManyMayLogAtOnce(t *testing.T) {
	b := New(50, 1<<20)
	log := slog.New(b.Beside(slog.DiscardHandler))
	if log.Enabled(t.Context(), slog.LevelError) {
		t.Error("takes what the handler behind doesn't")
	}
	log = slog.New(b.Beside(slog.NewTextHandler(new(syncBuffer), nil)))
	var all sync.WaitGroup
	for range 8 {
		with := log.With("a", 1)
		all.Go(func() {
			for range 100 {
				with.Info("x", "b", 2)
				b.Since(0)
			}
		})
	}
	all.Wait()
	if lines, last, _ := b.Since(0); last != 800 || len(lines) != 50 || len(lines[0].Fields) != 2 {
		t.Errorf("%d lines, the last %d", len(lines), last)
	}
}

// syncBuffer is a writer that discards; the text handler guards it.
type syncBuffer struct{}

func (*syncBuffer) Write(b []byte) (int, error) { return len(b), nil }
