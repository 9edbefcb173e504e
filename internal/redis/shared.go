package redis

import (
	"context"
	"time"

	"github.com/redis/go-redis/v9"
)

// Shared is what replicas share beside counters of calls.
type Shared struct {
	o      Options
	client redis.UniversalClient
}

// Connect returns a Shared. It connects when it is used first.
func Connect(o Options) *Shared { return &Shared{o: o, client: connect(o)} }

// Close ends its connections.
func (s *Shared) Close() error { return s.client.Close() }

// trip bounds one question.
func (s *Shared) trip(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, s.o.Timeout)
}

const longest = 10 * time.Second // pause before subscribing again
