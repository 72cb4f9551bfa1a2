package overlay

import (
	"context"
	"log/slog"
	"time"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"

	"landbridge/internal/budget"
)

// libp2p logs through handlers of its own, global to the process, to standard error;
// peers can make it write as much as they like. The first overlay of the process
// sends its warnings and errors into log, a few a minute; the DHT's, which have
// nothing that an operator can act on, go nowhere.
func routeLibraryLogs(log *slog.Logger) {
	gologshim.SetDefaultHandler(&boundedHandler{
		next:   log.Handler(),
		budget: &budget.Budget{Every: 10 * time.Second, Burst: 20}, now: time.Now,
	})
	golog.SetAllLoggers(golog.LevelFatal)
}

// boundedHandler passes a library's records on, each one level lower: its warning is
// a detail to us, its error a warning. Beyond the budget they are counted, and the
// count goes with the next one that passes.
type boundedHandler struct {
	next   slog.Handler
	budget *budget.Budget
	now    func() time.Time
}

// Enabled implements slog.Handler.
func (h *boundedHandler) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && h.next.Enabled(ctx, lowered(level))
}

// Handle implements slog.Handler.
func (h *boundedHandler) Handle(ctx context.Context, r slog.Record) error {
	ok, dropped := h.budget.Take(h.now())
	if !ok {
		return nil
	}
	out := slog.NewRecord(r.Time, lowered(r.Level), "libp2p: "+r.Message, r.PC)
	r.Attrs(func(a slog.Attr) bool { out.AddAttrs(a); return true })
	if dropped > 0 {
		out.AddAttrs(slog.Int("suppressed", dropped))
	}
	return h.next.Handle(ctx, out)
}

// WithAttrs implements slog.Handler.
func (h *boundedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &boundedHandler{next: h.next.WithAttrs(attrs), budget: h.budget, now: h.now}
}

// WithGroup implements slog.Handler.
func (h *boundedHandler) WithGroup(name string) slog.Handler {
	return &boundedHandler{next: h.next.WithGroup(name), budget: h.budget, now: h.now}
}

func lowered(level slog.Level) slog.Level {
	if level >= slog.LevelError {
		return slog.LevelWarn
	}
	return slog.LevelDebug
}
