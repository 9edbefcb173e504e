package redis

import (
	"context"
	"encoding/hex"
	"fmt"
	"time"
)

// First reports whether id comes for the first time to any replica, and has it
// remembered for ttl.
func (s *Shared) First(ctx context.Context, id [32]byte, ttl time.Duration) (bool, error) {
	ctx, cancel := s.trip(ctx)
	defer cancel()
	first, err := s.client.SetNX(ctx, s.o.Prefix+":dpop:"+hex.EncodeToString(id[:]), 1, ttl).Result()
	if err != nil {
		return false, fmt.Errorf("redis: once: %w", err)
	}
	return first, nil
}
