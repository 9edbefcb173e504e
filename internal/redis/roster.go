package redis

import (
	"context"
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/redis/go-redis/v9"
)

// Roster is where replicas tell each other how they are doing.
type Roster struct {
	o      Options
	client redis.UniversalClient
	name   string

	mu   sync.Mutex
	all  []Replica
	err  error
	seen time.Time
}

// Replica is what one replica told last.
type Replica struct {
	Name string
	Says []byte
}

//go:embed roster.lua
var rosterSource string

var rosterScript = redis.NewScript(rosterSource)

// Roster returns a roster in which this replica has a name.
func (s *Shared) Roster(name string) *Roster { return &Roster{o: s.o, client: s.client, name: name} }

// Run tells the others what says returns, and hears what they say, until ctx ends.
// heard is called after each time.
func (r *Roster) Run(ctx context.Context, says func() []byte, heard func([]Replica)) {
	t := time.NewTicker(beatEvery)
	defer t.Stop()
	for {
		if all, err := r.tell(ctx, says()); r.note(ctx, all, err) {
			heard(all)
		}
		select {
		case <-ctx.Done():
			end, cancel := context.WithTimeout(context.WithoutCancel(ctx), r.o.Timeout)
			_ = r.client.HDel(end, r.key(), r.name).Err() // it is forgotten by itself as well
			cancel()
			return
		case <-t.C:
		}
	}
}

func (r *Roster) key() string { return r.o.Prefix + ":roster" }

func (r *Roster) tell(ctx context.Context, says []byte) ([]Replica, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	calls := []call{{keys: []string{r.key()}, args: []any{r.name, forgetful.Milliseconds(), says}}}
	run(ctx, r.client, rosterScript, calls)
	list, err := calls[0].out.StringSlice()
	if err == nil && len(list)%2 != 0 {
		err = fmt.Errorf("a reply of %d texts", len(list))
	}
	if err != nil {
		return nil, fmt.Errorf("redis: roster: %w", err)
	}
	var all []Replica
	for i := 0; i < len(list); i += 2 {
		all = append(all, Replica{list[i], []byte(list[i+1])})
	}
	slices.SortFunc(all, func(a, b Replica) int { return strings.Compare(a.Name, b.Name) })
	return all, nil
}

// note keeps what was heard. After an outage that is longer than anybody is
// remembered nobody is known any more.
func (r *Roster) note(ctx context.Context, all []Replica, err error) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case err == nil:
		r.all, r.err, r.seen = all, nil, time.Now()
		return true
	case ctx.Err() == nil:
		r.err = err
		if time.Since(r.seen) > forgetful {
			r.all = nil
		}
	}
	return false
}

// All returns who was heard last, and why that may be out of date.
func (r *Roster) All() ([]Replica, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.all, r.err
}
