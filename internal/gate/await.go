package gate

import (
	"context"
	"fmt"
	"time"

	"github.com/sallyport/sallyport/guard"
)

// Await runs a pending verdict in a goroutine of its own, so that a guard that
// ignores its context cannot hold up the exchange beyond limit.
func Await(ctx context.Context, limit time.Duration, wait func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	type answer struct {
		v   guard.Verdict
		err error
	}
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan answer, 1)
	go func() {
		v, err := wait(ctx)
		done <- answer{v, err}
	}()
	select {
	case a := <-done:
		return a.v, a.err
	case <-ctx.Done():
		return guard.Verdict{}, fmt.Errorf("gate: pending verdict: %w", ctx.Err())
	}
}
