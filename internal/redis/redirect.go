package redis

import (
	"context"
	"errors"
	"net"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
)

// redirect follows the keys of a cluster to where they went. The library's own way
// sends again whatever failed, and so may run a script twice whose answer was lost;
// told not to, it learns where keys are once a minute only. So it looks anew after each failure, and what was
// sent to a node that no longer has its keys, and therefore did nothing, is sent
// once more.
type redirect struct{ client *redis.ClusterClient }

// settle is how long it takes to learn where keys are.
const settle = 20 * time.Millisecond

func (redirect) DialHook(next redis.DialHook) redis.DialHook {
	return func(ctx context.Context, network, addr string) (net.Conn, error) { return next(ctx, network, addr) }
}

func (r redirect) ProcessHook(next redis.ProcessHook) redis.ProcessHook {
	return func(ctx context.Context, cmd redis.Cmder) error {
		err := next(ctx, cmd)
		if r.look(ctx, cmd) {
			cmd.SetErr(nil)
			err = next(ctx, cmd)
		}
		return err
	}
}

func (r redirect) ProcessPipelineHook(next redis.ProcessPipelineHook) redis.ProcessPipelineHook {
	return func(ctx context.Context, cmds []redis.Cmder) error {
		err := next(ctx, cmds)
		var moved []redis.Cmder
		for _, cmd := range cmds {
			if misled(cmd.Err()) {
				moved = append(moved, cmd)
			}
		}
		if r.look(ctx, cmds...) && len(moved) > 0 {
			for _, cmd := range moved {
				cmd.SetErr(nil)
			}
			err = next(ctx, moved)
		}
		return err
	}
}

// look looks where keys are if a command failed. It reports whether some is to be
// sent again.
func (r redirect) look(ctx context.Context, cmds ...redis.Cmder) (again bool) {
	failed := false
	for _, cmd := range cmds {
		err := cmd.Err()
		again = again || misled(err)
		failed = failed || err != nil && !errors.Is(err, redis.Nil) && !forgotten(err)
	}
	if failed {
		r.client.ReloadState(ctx) // in the background, and not for each of many
	}
	if !again {
		return false
	}
	t := time.NewTimer(settle)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// misled reports that a node refused a command because its keys are elsewhere.
func misled(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "MOVED ") }
