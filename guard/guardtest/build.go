package guardtest

import (
	"context"
	"testing"
	"time"

	"github.com/sallyport/sallyport/guard"
	"github.com/sallyport/sallyport/mcp"
)

// Build makes the guard of a configuration that must be good: the defaults of
// spec as set changes them, or as they are where set is nil.
func Build[C any](t testing.TB, spec guard.Spec, set func(*C)) guard.Guard {
	t.Helper()
	g, err := Try(spec, set)
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	return g
}

// Try is Build of a configuration that may be wrong.
func Try[C any](spec guard.Spec, set func(*C)) (guard.Guard, error) {
	return spec.Build(func(config any) error {
		if set != nil {
			set(config.(*C))
		}
		return nil
	})
}

// Decode reads a message that must be good.
func Decode(t testing.TB, d mcp.Direction, text string) *mcp.Message {
	t.Helper()
	m, f := mcp.NewDecoder(mcp.Config{}).Decode(d, []byte(text))
	if f != nil {
		t.Fatalf("%s: %v", text, f)
	}
	return &m
}

// Await is the Await of a host that asks at once, and waits as long as it takes.
func Await(ctx context.Context, _ time.Duration, ask func(context.Context) (guard.Verdict, error)) (guard.Verdict, error) {
	return ask(ctx)
}
