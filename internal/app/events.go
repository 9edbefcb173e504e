package app

import (
	"context"
	"log/slog"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// eventLog writes a line for each event that a guard raised.
type eventLog struct{ log *slog.Logger }

// Observe implements guard.Observer.
func (l eventLog) Observe(ctx context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	for i := range d.Events {
		e := &d.Events[i]
		_, name := d.Target(x, m)
		l.log.LogAttrs(ctx, slog.LevelWarn, "event", slog.String("event", e.Kind), slog.String("guard", e.Guard), slog.String("detail", e.Detail),
			slog.String("exchange", x.ID), slog.String("server", x.Server.Name), slog.String("name", name),
			slog.String("subject", x.Principal.Subject), slog.String("tenant", x.Principal.Tenant))
	}
	return nil
}
