package appliance

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"

	"landbridge/console"
	"landbridge/console/api"
	"landbridge/internal/logbook"
)

// What is kept of the log for the console.
const (
	logLines = 2000
	logBytes = 1 << 20
)

// keepLog has the last lines of a log kept.
func keepLog(log *slog.Logger) (*slog.Logger, *logbook.Book) {
	book := logbook.New(logLines, logBytes)
	return slog.New(book.Beside(log.Handler())), book
}

// Logs returns lines of the log that match.
func (n *node) Logs(_ context.Context, p api.ListLogsParams) (api.LogList, error) {
	least, err := logLevel(p.Level)
	if err != nil {
		return api.LogList{}, err
	}
	lines, last, lost := n.book.Since(p.After)
	search := strings.ToLower(p.Search)
	lines = slices.DeleteFunc(lines, func(l logbook.Line) bool { return l.Level < least || !matches(l, search) })
	if p.Limit > 0 && len(lines) > p.Limit {
		lines = lines[len(lines)-p.Limit:]
	}
	list := api.LogList{Next: last, Lost: lost, Items: make([]api.LogLine, len(lines))}
	for i, l := range lines {
		list.Items[i] = logLine(l)
	}
	return list, nil
}

// logLevel reads the name of a level; none is the lowest.
func logLevel(name string) (level slog.Level, err error) {
	if name == "" {
		return slog.LevelDebug, nil
	}
	if err := level.UnmarshalText([]byte(name)); err != nil {
		return 0, console.Invalid(errors.New("level: want debug, info, warn or error"), api.FieldError{Field: "level", Detail: "want debug, info, warn or error"})
	}
	return level, nil
}

// matches reports whether a line has a text, in lower case, in it.
func matches(l logbook.Line, search string) bool {
	if search == "" || strings.Contains(strings.ToLower(l.Message), search) {
		return true
	}
	return slices.ContainsFunc(l.Fields, func(f logbook.Field) bool {
		return strings.Contains(strings.ToLower(f.Name+"="+f.Value), search)
	})
}

func logLine(l logbook.Line) api.LogLine {
	line := api.LogLine{ID: l.ID, Time: l.Time.UTC(), Level: strings.ToLower(l.Level.String()), Message: l.Message, Fields: make([]api.LogField, len(l.Fields))}
	for i, f := range l.Fields {
		line.Fields[i] = api.LogField{Name: f.Name, Value: f.Value}
	}
	return line
}
