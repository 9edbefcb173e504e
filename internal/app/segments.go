package app

import (
	"context"
	"log/slog"
	"time"

	guard "github.com/sallyport/sallyport/guard/segment"
	"github.com/sallyport/sallyport/internal/config"
	"github.com/sallyport/sallyport/internal/publickeys"
	"github.com/sallyport/sallyport/internal/tasks"
)

// segmentPorts give the guards of signed segments the keys of the signers that
// cfg names; dir is where relative paths begin.
func (l *lasting) segmentPorts(cfg *config.Config) guard.Ports {
	section, ok := cfg.Guards["segment"]
	c := guard.Default()
	on := ok && section.Mode != "off" && section.Decode(&c) == nil && len(c.Signers)+len(c.Require) > 0 // the guard reports the error
	return guard.Ports{On: on, Now: time.Now, Tool: l.tasks().Tool, Open: func(references []string) (guard.Keyring, error) {
		return l.signers.Open(l.dir, references)
	}}
}

// followSigners looks for changed keys, about once a second, until ctx ends.
func followSigners(ctx context.Context, r *publickeys.Rings, log *slog.Logger) {
	tend(ctx, func() (run func(context.Context), sweep func()) {
		return nil, func() { r.Refresh(ctx, time.Now(), log) }
	})
}

// tasks are the calls that made tasks, as this process saw them.
func (l *lasting) tasks() *tasks.Origins {
	l.made.once.Do(func() { l.made.Origins = tasks.New(mostTasks) })
	return l.made.Origins
}

// mostTasks is how many tasks are remembered.
const mostTasks = 100_000
