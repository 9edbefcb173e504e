// Package redis keeps in a Redis what all replicas share: counted calls, accounts
// of budgets, who used what, labels that follow callers, revocations, proofs that
// may be used once, and what replicas tell each other.
package redis

import (
	"context"
	"crypto/tls"
	_ "embed"
	"fmt"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"
	"github.com/redis/go-redis/v9/logging"
	"github.com/redis/go-redis/v9/maintnotifications"
)

// Options say where Redis is.
type Options struct {
	Addresses        []string // of one server, of sentinels, or of some nodes of a cluster
	Master           string   // that sentinels watch; empty without sentinels
	Cluster          bool
	Database         int
	Username         string
	Password         string
	SentinelPassword string
	TLS              *tls.Config   // nil for none
	Timeout          time.Duration // of one trip
	Prefix           string        // of all keys
	HoldTime         time.Duration // after which places in flight of a replica that died are free; 0 means 10 s
}

// connect returns a client. It connects when it is used first.
func connect(o Options) redis.UniversalClient {
	logging.Disable() // the library's own words go to stderr; what matters is in Status
	u := &redis.UniversalOptions{
		Addrs: o.Addresses, MasterName: o.Master, IsClusterMode: o.Cluster, DB: o.Database,
		Username: o.Username, Password: o.Password, SentinelPassword: o.SentinelPassword, TLSConfig: o.TLS,
		// A trip that failed may have been counted. Counting it again would be
		// wrong, and giving it back twice would be worse.
		MaxRetries:  -1,
		DialTimeout: o.Timeout, ReadTimeout: o.Timeout, WriteTimeout: o.Timeout, PoolTimeout: o.Timeout,
		DialerRetries: 1, ContextTimeoutEnabled: true, DisableIdentity: true,
		MaintNotificationsConfig: &maintnotifications.Config{Mode: maintnotifications.ModeDisabled},
	}
	switch {
	case o.Master != "":
		return redis.NewFailoverClient(u.Failover())
	case o.Cluster:
		of := u.Cluster()
		of.MaxRedirects = -1
		c := redis.NewClusterClient(of)
		c.AddHook(redirect{c})
		return c
	}
	return redis.NewClient(u.Simple())
}

var (
	//go:embed take.lua
	takeSource string
	//go:embed giveback.lua
	giveBackSource string
	//go:embed beat.lua
	beatSource string
	//go:embed spend.lua
	spendSource string
	//go:embed hold.lua
	holdSource string

	takeScript     = redis.NewScript(takeSource)
	giveBackScript = redis.NewScript(giveBackSource)
	beatScript     = redis.NewScript(beatSource)
	spendScript    = redis.NewScript(spendSource)
	holdScript     = redis.NewScript(holdSource)
)

// call is one run of a script.
type call struct {
	keys []string
	args []any
	out  *redis.Cmd
}

// run runs a script once for each call, in one trip, and once more for those
// that found it forgotten. Errors are in the calls.
func run(ctx context.Context, c redis.UniversalClient, s *redis.Script, calls []call) {
	if len(calls) == 1 {
		one := &calls[0]
		if one.out = s.EvalSha(ctx, c, one.keys, one.args...); forgotten(one.out.Err()) {
			one.out = s.Eval(ctx, c, one.keys, one.args...)
		}
		return
	}
	send := func(do func(context.Context, redis.Scripter, []string, ...any) *redis.Cmd, all bool) {
		p := c.Pipeline()
		for i := range calls {
			if one := &calls[i]; all || forgotten(one.out.Err()) {
				one.out = do(ctx, p, one.keys, one.args...)
			}
		}
		if p.Len() > 0 {
			_, _ = p.Exec(ctx)
		}
	}
	send(s.EvalSha, true)
	send(s.Eval, false)
}

func forgotten(err error) bool { return err != nil && strings.HasPrefix(err.Error(), "NOSCRIPT") }

// numbers reads a reply of n whole numbers.
func numbers(c *redis.Cmd, n int) ([]int64, error) {
	out, err := c.Int64Slice()
	if err == nil && len(out) != n {
		err = fmt.Errorf("redis: a reply of %d numbers instead of %d", len(out), n)
	}
	return out, err
}
