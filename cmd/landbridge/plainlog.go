package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync/atomic"
)

// plainLog prints log records as sentences, for a person at a terminal: message and fields,
// from level info on.
type plainLog struct {
	w     io.Writer
	lines atomic.Int64
}

func newPlainLog(w io.Writer) *plainLog { return &plainLog{w: w} }

// Enabled reports whether records of the level are printed.
func (*plainLog) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelInfo }

// Handle prints one record.
func (l *plainLog) Handle(_ context.Context, r slog.Record) error {
	l.lines.Add(1)
	var fields []string
	r.Attrs(func(a slog.Attr) bool {
		fields = append(fields, a.Key+" "+a.Value.String())
		return true
	})
	line := r.Message
	if len(fields) > 0 {
		line += " (" + strings.Join(fields, ", ") + ")"
	}
	_, err := fmt.Fprintln(l.w, line)
	return err
}

// WithAttrs is a part of slog.Handler that these commands have no use for.
func (l *plainLog) WithAttrs([]slog.Attr) slog.Handler { return l }

// WithGroup is a part of slog.Handler that these commands have no use for.
func (l *plainLog) WithGroup(string) slog.Handler { return l }
