package logbook

import (
	"context"
	"log/slog"
	"strings"
)

// Beside returns a handler that hands every record to next, and keeps those that next takes.
func (b *Book) Beside(next slog.Handler) slog.Handler { return &handler{book: b, next: next} }

// handler is a slog.Handler. The fields given before stand in it as text, as they are the same
// for every record.
type handler struct {
	book   *Book
	next   slog.Handler
	fields []Field
	prefix string // of the groups
}

// Enabled asks the handler behind.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle keeps a record and hands it on.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	l := Line{Time: r.Time, Level: r.Level, Message: short(r.Message, maxMessage), Fields: h.fields[:len(h.fields):len(h.fields)]}
	r.Attrs(func(a slog.Attr) bool {
		l.Fields = appendField(l.Fields, h.prefix, a)
		return true
	})
	h.book.add(l)
	return h.next.Handle(ctx, r)
}

// WithAttrs returns a handler that has these fields on every record.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	c := *h
	c.next = h.next.WithAttrs(attrs)
	c.fields = c.fields[:len(c.fields):len(c.fields)]
	for _, a := range attrs {
		c.fields = appendField(c.fields, c.prefix, a)
	}
	return &c
}

// WithGroup returns a handler that puts a name before those of the fields.
func (h *handler) WithGroup(name string) slog.Handler {
	c := *h
	c.next = h.next.WithGroup(name)
	if name != "" {
		c.prefix += name + "."
	}
	return &c
}

// appendField appends an attribute as text; those of a group one by one.
func appendField(fields []Field, prefix string, a slog.Attr) []Field {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		if a.Key != "" {
			prefix += a.Key + "."
		}
		for _, inner := range v.Group() {
			fields = appendField(fields, prefix, inner)
		}
		return fields
	}
	if a.Key == "" || len(fields) >= maxFields {
		return fields
	}
	return append(fields, Field{short(prefix+a.Key, 128), short(v.String(), maxValue)})
}

// short bounds a text, at a whole character, and gives it memory of its own.
func short(s string, most int) string {
	if len(s) <= most {
		return strings.Clone(s)
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
