package telemetry

import (
	"context"
	"log/slog"

	"github.com/sallyport/sallyport/guard"
)

// WithTraces returns a handler that says in each entry which trace it is about, so
// that log and traces can be read side by side.
func WithTraces(h slog.Handler) slog.Handler { return traced{h} }

type traced struct{ slog.Handler }

// Handle implements slog.Handler.
func (t traced) Handle(ctx context.Context, r slog.Record) error {
	if tr := guard.TraceOf(ctx); tr != nil && tr.On() {
		r.AddAttrs(slog.String("trace_id", string(tr.AppendID(nil))), slog.String("span_id", string(tr.AppendSpan(nil))))
	}
	return t.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (t traced) WithAttrs(list []slog.Attr) slog.Handler { return traced{t.Handler.WithAttrs(list)} }

// WithGroup implements slog.Handler.
func (t traced) WithGroup(name string) slog.Handler { return traced{t.Handler.WithGroup(name)} }
