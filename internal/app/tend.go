package app

import (
	"context"
	"time"
)

// tend keeps something in order until ctx ends. How, it asks once a second, since
// a configuration to come may be the first to need it: run does it all by itself,
// from when it is there; sweep is called each time.
func tend(ctx context.Context, how func() (run func(context.Context), sweep func())) {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		run, sweep := how()
		switch {
		case run != nil:
			run(ctx)
			return
		case sweep != nil:
			sweep()
		}
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// rest waits, and reports whether ctx goes on.
func rest(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
