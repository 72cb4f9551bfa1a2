package budget

import (
	"context"
	"log/slog"
	"time"
)

// Log returns a log that passes on, of records above debug, burst and one more each every. Those
// beyond are counted, and the count goes with the next one that passes.
func Log(log *slog.Logger, every time.Duration, burst int) *slog.Logger {
	return slog.New(&handler{next: log.Handler(), budget: &Budget{Every: every, Burst: burst}})
}

type handler struct {
	next   slog.Handler
	budget *Budget
}

// Enabled implements slog.Handler.
func (h *handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.next.Enabled(ctx, level)
}

// Handle implements slog.Handler.
func (h *handler) Handle(ctx context.Context, r slog.Record) error {
	if r.Level <= slog.LevelDebug {
		return h.next.Handle(ctx, r)
	}
	ok, missed := h.budget.Take(time.Now())
	if !ok {
		return nil
	}
	if missed > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("suppressed", missed))
	}
	return h.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &handler{next: h.next.WithAttrs(attrs), budget: h.budget}
}

// WithGroup implements slog.Handler.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{next: h.next.WithGroup(name), budget: h.budget}
}
