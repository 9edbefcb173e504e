package audit

import (
	"context"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// under observes for one configuration; what keeps the receipts outlives it.
type under[K interface {
	observe(context.Context, *encoder, *guard.Exchange, *mcp.Message, *guard.Decision) error
	closed(context.Context, *encoder, *guard.Exchange, *guard.Outcome, End)
}] struct {
	keeper  K
	encoder encoder
}

// Observe keeps the receipt of one decision.
func (u *under[K]) Observe(ctx context.Context, x *guard.Exchange, m *mcp.Message, d *guard.Decision) error {
	return u.keeper.observe(ctx, &u.encoder, x, m, d)
}
